//! What is refused, and with which code.

use super::Bench;
use crate::{Effect, Rule, Simulator};

#[tokio::test]
async fn launches_that_cannot_be() {
    let bench = Bench::with(Simulator::builder().no_capacity("m5.large", "us-east-1a")).await;
    let base = bench.launch();
    let change = |name: &'static str, value: &'static str| {
        let mut parameters = base.clone();
        parameters.retain(|(key, _)| *key != name);
        parameters.push((name, value));
        parameters
    };
    for (parameters, code) in [
        (change("ImageId", "ami-0123456789abcdef0"), "InvalidAMIID.NotFound"),
        (change("ImageId", "my-image"), "InvalidAMIID.Malformed"),
        (change("InstanceType", "t4g.micro"), "InvalidParameterValue"),
        (change("InstanceType", "z9.mega"), "InvalidParameterValue"),
        (change("InstanceType", "m5.large"), "InsufficientInstanceCapacity"),
        (change("SubnetId", "subnet-0123456789abcdef0"), "InvalidSubnetID.NotFound"),
        (change("SubnetId", ""), "VPCIdNotSpecified"),
        (change("SecurityGroupId.1", "sg-0123456789abcdef0"), "InvalidGroup.NotFound"),
        (change("KeyName", "nobody"), "InvalidKeyPair.NotFound"),
        (change("UserData", "%%%"), "InvalidUserData.Malformed"),
        (change("MinCount", "2"), "InvalidParameterValue"),
        (change("MinCount", "many"), "InvalidParameterValue"),
        (change("NetworkInterface.1.DeviceIndex", "0"), "InvalidParameterCombination"),
        (change("MetadataOptions.HttpTokens", "perhaps"), "InvalidParameterValue"),
        (change("TagSpecification.1.ResourceType", "coffee"), "InvalidParameterValue"),
        (change("HibernationOptions.Configured", "true"), "UnknownParameter"),
        (change("DryRun", "true"), "DryRunOperation"),
    ] {
        assert_eq!(bench.rig.error("RunInstances", &parameters).await, code, "{parameters:?}");
    }
    let small = [
        base.as_slice(),
        &[("BlockDeviceMapping.1.DeviceName", "/dev/xvda"), ("BlockDeviceMapping.1.Ebs.VolumeSize", "1")],
    ]
    .concat();
    assert_eq!(bench.rig.error("RunInstances", &small).await, "InvalidBlockDeviceMapping");
    assert_eq!(bench.leftovers(), Vec::<String>::new(), "nothing that was refused exists");
}

#[tokio::test]
async fn names_and_ids_of_images() {
    let bench = Bench::new().await;
    let id = bench.run(&[]).await;
    let create = async |name: &str| bench.rig.call("CreateImage", &[("InstanceId", &id), ("Name", name)]).await;
    assert_eq!(create("no").await.text("Code"), "InvalidAMIName.Malformed");
    assert_eq!(create("wrong:name").await.text("Code"), "InvalidAMIName.Malformed");
    let image = create("golden").await.text("imageId");
    assert_eq!(create("golden").await.text("Code"), "InvalidAMIName.Duplicate");
    bench.rig.ok("DeregisterImage", &[("ImageId", &image)]).await;
    assert_eq!(bench.rig.error("DescribeImages", &[("ImageId.1", &image)]).await, "InvalidAMIID.Unavailable");
    assert_eq!(create("golden").await.status, 200, "the name is free again");
    for (action, name, id, code) in [
        ("DescribeImages", "ImageId.1", "ami-1", "InvalidAMIID.Malformed"),
        ("DescribeImages", "ImageId.1", "ami-0123456789abcdef0", "InvalidAMIID.NotFound"),
        ("DescribeInstances", "InstanceId.1", "i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
        ("DescribeVolumes", "VolumeId.1", "vol-0123456789abcdef0", "InvalidVolume.NotFound"),
        ("DescribeSnapshots", "SnapshotId.1", "snap-0123456789abcdef0", "InvalidSnapshot.NotFound"),
        ("DeleteSnapshot", "SnapshotId", "snap-0123456789abcdef0", "InvalidSnapshot.NotFound"),
        ("TerminateInstances", "InstanceId.1", "i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
        ("DescribeImages", "Filter.1.Name", "shininess", "InvalidParameterValue"),
    ] {
        assert_eq!(bench.rig.error(action, &[(name, id)]).await, code, "{action} {id}");
    }
}

#[tokio::test]
async fn termination_can_be_forbidden() {
    let bench = Bench::new().await;
    let id = bench.run(&[("DisableApiTermination", "true")]).await;
    assert_eq!(bench.rig.error("TerminateInstances", &[("InstanceId.1", &id)]).await, "OperationNotPermitted");
    bench.rig.ok("ModifyInstanceAttribute", &[("InstanceId", &id), ("DisableApiTermination.Value", "false")]).await;
    bench.rig.ok("TerminateInstances", &[("InstanceId.1", &id)]).await;
}

#[tokio::test]
async fn spot_instances_are_not_stopped() {
    let bench = Bench::new().await;
    let id = bench.run(&[("InstanceMarketOptions.MarketType", "spot")]).await;
    assert_eq!(bench.rig.error("StopInstances", &[("InstanceId.1", &id)]).await, "UnsupportedOperation");
}

#[tokio::test]
async fn reserved_and_excessive_tags_are_refused() {
    let bench = Bench::new().await;
    let id = bench.run(&[]).await;
    let tag = async |key: &str| bench.rig.call("CreateTags", &[("ResourceId.1", &id), ("Tag.1.Key", key)]).await;
    assert_eq!(tag("aws:x").await.text("Code"), "InvalidParameterValue");
    for number in 0..50 {
        assert_eq!(tag(&format!("k{number}")).await.status, 200);
    }
    assert_eq!(tag("k50").await.text("Code"), "TagLimitExceeded");
    bench.rig.ok("DeleteTags", &[("ResourceId.1", &id), ("Tag.1.Key", "k0")]).await;
    let tags = bench.rig.ok("DescribeTags", &[("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", &id)]).await;
    assert_eq!(tags.all("key").len(), 49);
    assert_eq!(
        bench.rig.error("CreateTags", &[("ResourceId.1", "i-0123456789abcdef0"), ("Tag.1.Key", "a")]).await,
        "InvalidInstanceID.NotFound"
    );
}

#[tokio::test]
async fn what_was_refused_by_a_fault_has_no_effect() {
    let bench = Bench::new().await;
    let effect = Effect::Error { code: "InstanceLimitExceeded".to_owned(), message: String::new(), status: 400 };
    bench.rig.simulator.inject(Rule::new(effect).action("RunInstances").times(1));
    assert_eq!(bench.rig.error("RunInstances", &bench.launch()).await, "InstanceLimitExceeded");
    assert_eq!(bench.leftovers(), Vec::<String>::new());
}
