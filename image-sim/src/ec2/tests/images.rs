//! Registration, copies, sharing and the end of images.

use super::Bench;
use crate::{DEFAULT_ACCOUNT, Simulator};

const OTHER: &str = "444455556666";

async fn snapshot(bench: &Bench) -> String {
    let volume =
        bench.rig.ok("CreateVolume", &[("AvailabilityZone", "us-east-1a"), ("Size", "8")]).await.text("volumeId");
    let snapshot = bench.rig.ok("CreateSnapshot", &[("VolumeId", &volume)]).await.text("snapshotId");
    bench.rig.ok("DeleteVolume", &[("VolumeId", &volume)]).await;
    snapshot
}

async fn register(bench: &Bench, name: &str, more: &[(&str, &str)]) -> String {
    let snapshot = snapshot(bench).await;
    let parameters = [
        ("Name", name),
        ("Architecture", "x86_64"),
        ("VirtualizationType", "hvm"),
        ("EnaSupport", "true"),
        ("RootDeviceName", "/dev/xvda"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
        ("BlockDeviceMapping.1.Ebs.SnapshotId", &snapshot),
        ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
    ];
    bench.rig.ok("RegisterImage", &[parameters.as_slice(), more].concat()).await.text("imageId")
}

#[tokio::test]
async fn a_registered_image_keeps_its_attributes() {
    let bench = Bench::new().await;
    let more = [("BootMode", "uefi"), ("TpmSupport", "v2.0"), ("UefiData", "QUJD"), ("ImdsSupport", "v2.0")];
    let id = register(&bench, "registered", &more).await;
    let image = bench.rig.ok("DescribeImages", &[("ImageId.1", &id)]).await;
    for (name, value) in [
        ("architecture", "x86_64"),
        ("virtualizationType", "hvm"),
        ("enaSupport", "true"),
        ("bootMode", "uefi"),
        ("tpmSupport", "v2.0"),
        ("imdsSupport", "v2.0"),
        ("volumeSize", "8"),
        ("volumeType", "gp3"),
        ("rootDeviceName", "/dev/xvda"),
    ] {
        assert_eq!(image.text(name), value, "{name}");
    }
    let attribute = bench.rig.ok("DescribeImageAttribute", &[("ImageId", &id), ("Attribute", "uefiData")]).await;
    assert_eq!(attribute.text("value"), "QUJD");
    let parameters = [("ImageId", id.as_str()), ("InstanceType", "t3.micro"), ("SubnetId", &bench.subnet)];
    let launched =
        bench.rig.ok("RunInstances", &[parameters.as_slice(), &[("MinCount", "1"), ("MaxCount", "1")]].concat()).await;
    assert_eq!(launched.text("httpTokens"), "required", "the image asks for IMDSv2");
}

#[tokio::test]
async fn a_copy_is_called_where_it_shall_be() {
    let bench = Bench::new().await;
    let id = register(&bench, "golden", &[("BootMode", "uefi")]).await;
    bench.rig.ok("CreateTags", &[("ResourceId.1", &id), ("Tag.1.Key", "a"), ("Tag.1.Value", "b")]).await;
    let parameters = [
        ("SourceRegion", "us-east-1"),
        ("SourceImageId", id.as_str()),
        ("Name", "golden"),
        ("ClientToken", "t"),
        ("CopyImageTags", "true"),
        ("Encrypted", "true"),
        ("KmsKeyId", "alias/images"),
    ];
    let there = async |action: &str, parameters: &[(&str, &str)]| {
        bench.rig.call_as("test", "eu-west-1", action, parameters).await
    };
    let copy = there("CopyImage", &parameters).await.text("imageId");
    assert_eq!(there("CopyImage", &parameters).await.text("imageId"), copy, "the same token");
    let again = [&parameters[..3], &[("ClientToken", "u")]].concat();
    assert_eq!(there("CopyImage", &again).await.text("Code"), "InvalidAMIName.Duplicate");
    let image = there("DescribeImages", &[("ImageId.1", &copy)]).await;
    assert_eq!(
        ["imageState", "bootMode", "sourceImageId", "sourceImageRegion", "encrypted", "key"]
            .map(|name| image.text(name)),
        ["available", "uefi", &id, "us-east-1", "true", "a"]
    );
    let snapshot = there("DescribeSnapshots", &[("SnapshotId.1", &image.text("snapshotId"))]).await;
    assert_eq!(snapshot.text("kmsKeyId"), "arn:aws:kms:eu-west-1:111122223333:alias/images");
}

#[tokio::test]
async fn sharing_an_image_is_not_sharing_its_storage() {
    let bench = Bench::with(Simulator::builder().account(DEFAULT_ACCOUNT).account(OTHER)).await;
    let id = register(&bench, "golden", &[]).await;
    let other = async |action: &str, parameters: &[(&str, &str)]| {
        bench.rig.call_as(OTHER, "us-east-1", action, parameters).await
    };
    let by_id = [("ImageId.1", id.as_str())];
    assert_eq!(other("DescribeImages", &by_id).await.text("Code"), "AuthFailure");
    bench.rig.ok("ModifyImageAttribute", &[("ImageId", &id), ("LaunchPermission.Add.1.UserId", OTHER)]).await;
    let seen = other("DescribeImages", &by_id).await;
    assert_eq!(seen.text("imageOwnerId"), DEFAULT_ACCOUNT);
    assert_eq!(other("DeregisterImage", &[("ImageId", &id)]).await.text("Code"), "AuthFailure");
    let copy = [("SourceRegion", "us-east-1"), ("SourceImageId", id.as_str()), ("Name", "copy")];
    assert!(other("CopyImage", &copy).await.has("You do not have permission to access the storage of this ami"));
    let storage = [("SnapshotId", seen.text("snapshotId")), ("CreateVolumePermission.Add.1.UserId", OTHER.to_owned())];
    let storage = storage.each_ref().map(|(key, value)| (*key, value.as_str()));
    bench.rig.ok("ModifySnapshotAttribute", &storage).await;
    assert_eq!(other("CopyImage", &copy).await.status, 200);
    let permissions = [("ImageId", id.as_str()), ("Attribute", "launchPermission")];
    assert_eq!(bench.rig.ok("DescribeImageAttribute", &permissions).await.all("userId"), [OTHER]);
    bench.rig.ok("ResetImageAttribute", &permissions).await;
    assert_eq!(other("DescribeImages", &by_id).await.text("Code"), "AuthFailure");
}

#[tokio::test]
async fn deprecated_images_hide_from_all_but_their_owner() {
    use std::time::Duration;
    let builder = Simulator::builder().account(DEFAULT_ACCOUNT).account(OTHER).clock(crate::Clock::manual());
    let bench = Bench::with(builder).await;
    let id = register(&bench, "golden", &[]).await;
    bench.rig.ok("ModifyImageAttribute", &[("ImageId", &id), ("LaunchPermission.Add.1.Group", "all")]).await;
    let soon = crate::clock::iso(crate::clock::after(bench.rig.simulator.clock().now(), Duration::from_secs(3600)));
    bench.rig.ok("EnableImageDeprecation", &[("ImageId", &id), ("DeprecateAt", &soon)]).await;
    let mine = [("Owner.1", DEFAULT_ACCOUNT)];
    let seen = async |more: &[(&str, &str)]| {
        let parameters = [mine.as_slice(), more].concat();
        bench.rig.call_as(OTHER, "us-east-1", "DescribeImages", &parameters).await.all("imageId").len()
    };
    assert_eq!(seen(&[]).await, 1);
    bench.rig.simulator.advance(Duration::from_secs(3600));
    assert_eq!(seen(&[]).await, 0);
    assert_eq!(seen(&[("IncludeDeprecated", "true")]).await, 1);
    assert_eq!(bench.rig.ok("DescribeImages", &mine).await.all("imageId").len(), 1);
    let past = [("ImageId", id.as_str()), ("DeprecateAt", "2020-01-01T00:00:00Z")];
    assert_eq!(bench.rig.error("EnableImageDeprecation", &past).await, "InvalidParameterValue");
}

#[tokio::test]
async fn a_protected_image_stays() {
    let bench = Bench::with(Simulator::builder().clock(crate::Clock::manual())).await;
    let id = register(&bench, "golden", &[]).await;
    let of = [("ImageId", id.as_str())];
    bench.rig.ok("EnableImageDeregistrationProtection", &[of[0], ("WithCooldown", "true")]).await;
    assert_eq!(bench.rig.error("DeregisterImage", &of).await, "OperationNotPermitted");
    bench.rig.ok("DisableImageDeregistrationProtection", &of).await;
    assert_eq!(bench.rig.error("DeregisterImage", &of).await, "OperationNotPermitted", "the cooldown");
    bench.rig.simulator.advance(std::time::Duration::from_secs(24 * 3600));
    let gone = bench.rig.ok("DeregisterImage", &[of[0], ("DeleteAssociatedSnapshots", "true")]).await;
    assert_eq!(gone.text("returnCode"), "success");
    assert_eq!(bench.rig.error("DeregisterImage", &of).await, "InvalidAMIID.Unavailable");
    assert_eq!(bench.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn pages_show_every_image_once() {
    let bench = Bench::new().await;
    for number in 0..7 {
        register(&bench, &format!("golden-{number}"), &[]).await;
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let parameters = [("Owner.1", "self"), ("MaxResults", "5"), ("NextToken", &token)];
        let page = bench.rig.ok("DescribeImages", &parameters).await;
        seen.extend(page.all("name"));
        match page.all("nextToken").pop() {
            Some(next) => token = next,
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, (0..7).map(|number| format!("golden-{number}")).collect::<Vec<_>>());
}
