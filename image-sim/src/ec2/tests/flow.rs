//! A golden-image build from launch to cleanup.

use std::time::Duration;

use super::Bench;
use crate::{Clock, EventualConsistency, Simulator, Timings};

#[tokio::test]
async fn a_build_keeps_every_attribute_and_leaves_nothing() {
    let bench = Bench::new().await;
    let rig = &bench.rig;
    let id = bench
        .run(&[
            ("ClientToken", "token-1"),
            ("IamInstanceProfile.Name", "builder"),
            ("MetadataOptions.HttpTokens", "required"),
            ("MetadataOptions.HttpPutResponseHopLimit", "1"),
            ("InstanceInitiatedShutdownBehavior", "terminate"),
            ("UserData", "IyEvYmluL3No"),
            ("BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
            ("BlockDeviceMapping.1.Ebs.VolumeSize", "20"),
            ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
            ("BlockDeviceMapping.1.Ebs.Throughput", "250"),
            ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
            ("BlockDeviceMapping.1.Ebs.KmsKeyId", "alias/images"),
            ("TagSpecification.1.ResourceType", "instance"),
            ("TagSpecification.1.Tag.1.Key", "run"),
            ("TagSpecification.1.Tag.1.Value", "r-1"),
            ("TagSpecification.2.ResourceType", "volume"),
            ("TagSpecification.2.Tag.1.Key", "run"),
            ("TagSpecification.2.Tag.1.Value", "r-1"),
        ])
        .await;
    assert_eq!(bench.state(&id).await, "running");
    let instance = rig.ok("DescribeInstances", &[("Filter.1.Name", "tag:run"), ("Filter.1.Value.1", "r-1")]).await;
    assert_eq!(instance.text("httpTokens"), "required");
    assert_eq!(instance.text("clientToken"), "token-1");
    assert!(instance.text("arn").ends_with(":instance-profile/builder"));
    assert!(!instance.has("<ipAddress>"), "a private subnet gives no public address");
    let volume =
        rig.ok("DescribeVolumes", &[("Filter.1.Name", "attachment.instance-id"), ("Filter.1.Value.1", &id)]).await;
    assert_eq!(
        ["size", "volumeType", "throughput", "encrypted", "kmsKeyId", "value"].map(|name| volume.text(name)),
        ["20", "gp3", "250", "true", "arn:aws:kms:us-east-1:111122223333:alias/images", "r-1"]
    );
    rig.ok("StopInstances", &[("InstanceId.1", &id)]).await;
    assert_eq!(bench.state(&id).await, "stopped");

    let image = rig
        .ok(
            "CreateImage",
            &[
                ("InstanceId", &id),
                ("Name", "golden-1"),
                ("Description", "a golden image"),
                ("TagSpecification.1.ResourceType", "image"),
                ("TagSpecification.1.Tag.1.Key", "run"),
                ("TagSpecification.1.Tag.1.Value", "r-1"),
                ("TagSpecification.2.ResourceType", "snapshot"),
                ("TagSpecification.2.Tag.1.Key", "run"),
                ("TagSpecification.2.Tag.1.Value", "r-1"),
            ],
        )
        .await
        .text("imageId");
    let described = rig.ok("DescribeImages", &[("ImageId.1", &image)]).await;
    assert_eq!(
        ["imageState", "volumeSize", "volumeType", "encrypted", "description", "imdsSupport", "sourceInstanceId"]
            .map(|name| described.text(name)),
        ["available", "20", "gp3", "true", "a golden image", "v2.0", &id]
    );
    let snapshot = described.text("snapshotId");
    let snapshots = rig.ok("DescribeSnapshots", &[("SnapshotId.1", &snapshot)]).await;
    assert_eq!(
        ["status", "volumeSize", "progress", "value"].map(|name| snapshots.text(name)),
        ["completed", "20", "100%", "r-1"]
    );

    rig.ok("TerminateInstances", &[("InstanceId.1", &id)]).await;
    assert_eq!(bench.state(&id).await, "terminated");
    assert_eq!(bench.leftovers(), ["image", "instance", "snapshot"]);
    assert_eq!(rig.error("DeleteSnapshot", &[("SnapshotId", &snapshot)]).await, "InvalidSnapshot.InUse");
    rig.ok("DeregisterImage", &[("ImageId", &image)]).await;
    rig.ok("DeleteSnapshot", &[("SnapshotId", &snapshot)]).await;
    assert_eq!(bench.leftovers(), ["instance"], "a terminated instance is still described for an hour");
}

#[tokio::test]
async fn states_take_their_time() {
    let builder = Simulator::builder().clock(Clock::manual()).timings(Timings::realistic());
    let bench = Bench::with(builder).await;
    let advance = |seconds| assert!(bench.rig.simulator.advance(Duration::from_secs(seconds)));
    let id = bench.run(&[]).await;
    assert_eq!(bench.state(&id).await, "pending");
    assert_eq!(bench.rig.error("StopInstances", &[("InstanceId.1", &id)]).await, "IncorrectInstanceState");
    advance(12);
    assert_eq!(bench.state(&id).await, "running");
    let status = bench.rig.ok("DescribeInstanceStatus", &[("InstanceId.1", &id)]).await;
    assert!(status.has("initializing"));
    advance(150);
    let status = bench.rig.ok("DescribeInstanceStatus", &[("InstanceId.1", &id)]).await;
    assert_eq!(
        status.all("status"),
        ["<status>ok", "passed", "<status>ok", "passed"].map(|s| s.trim_start_matches("<status>"))
    );
    bench.rig.ok("StopInstances", &[("InstanceId.1", &id)]).await;
    assert_eq!(bench.state(&id).await, "stopping");
    assert_eq!(bench.rig.error("StartInstances", &[("InstanceId.1", &id)]).await, "IncorrectInstanceState");
    let capture = [("InstanceId", id.as_str()), ("Name", "golden")];
    assert_eq!(bench.rig.error("CreateImage", &capture).await, "IncorrectState");
    advance(30);
    assert_eq!(bench.state(&id).await, "stopped");
    let image = bench.rig.ok("CreateImage", &capture).await.text("imageId");
    let of_image = [("ImageId.1", image.as_str())];
    assert_eq!(bench.rig.ok("DescribeImages", &of_image).await.text("imageState"), "pending");
    let share = [("ImageId", image.as_str()), ("LaunchPermission.Add.1.UserId", "444455556666")];
    assert_eq!(bench.rig.error("ModifyImageAttribute", &share).await, "InvalidAMIID.Unavailable");
    advance(120);
    assert_eq!(bench.rig.ok("DescribeImages", &of_image).await.text("imageState"), "available");
    bench.rig.ok("StartInstances", &[("InstanceId.1", &id)]).await;
    assert_eq!(bench.state(&id).await, "pending");
    advance(12);
    bench.rig.ok("TerminateInstances", &[("InstanceId.1", &id)]).await;
    assert_eq!(bench.state(&id).await, "shutting-down");
    assert!(bench.leftovers().contains(&"volume".to_owned()), "volumes go when the instance is gone");
    advance(30);
    assert_eq!(bench.state(&id).await, "terminated");
    assert!(!bench.leftovers().contains(&"volume".to_owned()));
    advance(3600);
    assert_eq!(bench.rig.error("DescribeInstances", &[("InstanceId.1", &id)]).await, "InvalidInstanceID.NotFound");
}

#[tokio::test]
async fn a_token_launches_once() {
    let bench = Bench::new().await;
    let first = bench.run(&[("ClientToken", "t")]).await;
    assert_eq!(bench.run(&[("ClientToken", "t")]).await, first);
    let other = [bench.launch().as_slice(), &[("ClientToken", "t"), ("EbsOptimized", "true")]].concat();
    assert_eq!(bench.rig.error("RunInstances", &other).await, "IdempotentParameterMismatch");
    assert_ne!(bench.run(&[("ClientToken", "u")]).await, first);
}

#[tokio::test]
async fn a_lost_reply_is_found_again_by_its_token() {
    let bench = Bench::new().await;
    let lost = crate::Rule::new(crate::Effect::ReplyLost).action("RunInstances").times(1);
    bench.rig.simulator.inject(lost);
    let parameters = [bench.launch().as_slice(), &[("ClientToken", "t")]].concat();
    assert_eq!(bench.rig.call("RunInstances", &parameters).await.status, 0);
    bench.run(&[("ClientToken", "t")]).await;
    let instances = bench.leftovers().into_iter().filter(|kind| kind == "instance");
    assert_eq!(instances.count(), 1);
}

#[tokio::test]
async fn new_resources_may_be_invisible_at_first() {
    let bench = Bench::with(Simulator::builder().consistency(EventualConsistency::reads(1))).await;
    let id = bench.run(&[]).await;
    let by_id = [("InstanceId.1", id.as_str())];
    assert_eq!(bench.rig.error("DescribeInstances", &by_id).await, "InvalidInstanceID.NotFound");
    bench.rig.ok("DescribeInstances", &by_id).await;
}

#[tokio::test]
async fn the_content_of_a_volume_goes_into_its_image() {
    use crate::body::Content;
    let content = Content::Tree("/srv/rootfs".into());
    let seed = crate::SeedImage::new("base", crate::DEFAULT_ACCOUNT, "x86_64").content(content.clone());
    let source = seed.id("us-east-1");
    let bench = Bench::with(Simulator::builder().image(seed)).await;
    for running in [true, false] {
        let parameters = [("ImageId", source.as_str()), ("InstanceType", "t3.micro"), ("SubnetId", &bench.subnet)];
        let counts = [("MinCount", "1"), ("MaxCount", "1")];
        let id = bench.rig.ok("RunInstances", &[parameters.as_slice(), &counts].concat()).await.text("instanceId");
        if !running {
            bench.rig.ok("StopInstances", &[("InstanceId.1", &id)]).await;
        }
        let name = format!("golden-{running}");
        let image = bench.rig.ok("CreateImage", &[("InstanceId", &id), ("Name", &name)]).await.text("imageId");
        let copy = [("SourceRegion", "us-east-1"), ("SourceImageId", &image), ("Name", &name)];
        let copy = bench.rig.call_as("test", "eu-west-1", "CopyImage", &copy).await.text("imageId");
        let cloud = bench.rig.simulator.cloud();
        let world = cloud.world();
        let (_, region) =
            world.in_region("eu-west-1").find(|(_, region)| region.ec2.images.contains_key(&copy)).unwrap();
        let snapshot = region.ec2.images[&copy].snapshots().next().unwrap().to_owned();
        assert_eq!(region.ec2.snapshots[&snapshot].content, Some(content.clone()));
    }
}
