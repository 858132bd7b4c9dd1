//! The network, security groups, key pairs, launch templates, settings.

use super::Bench;

#[tokio::test]
async fn the_private_subnets_reach_ssm() {
    let bench = Bench::new().await;
    let vpc = bench.rig.ok("DescribeVpcs", &[]).await.text("vpcId");
    let subnets = bench.rig.ok("DescribeSubnets", &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &vpc)]).await;
    assert_eq!(subnets.all("subnetId").len(), 4);
    let endpoints = bench.rig.ok("DescribeVpcEndpoints", &[]).await;
    let mut services = endpoints.all("serviceName");
    services.sort();
    assert_eq!(services, ["ec2messages", "ssm", "ssmmessages"].map(|name| format!("com.amazonaws.us-east-1.{name}")));
    let tables = bench
        .rig
        .ok("DescribeRouteTables", &[("Filter.1.Name", "association.subnet-id"), ("Filter.1.Value.1", &bench.subnet)])
        .await;
    assert_eq!(tables.text("natGatewayId"), bench.rig.ok("DescribeNatGateways", &[]).await.text("natGatewayId"));
}

#[tokio::test]
async fn a_group_in_use_is_not_deleted() {
    let bench = Bench::new().await;
    let vpc = bench.rig.ok("DescribeVpcs", &[]).await.text("vpcId");
    let create = [("GroupName", "build"), ("GroupDescription", "a build"), ("VpcId", vpc.as_str())];
    let group = bench.rig.ok("CreateSecurityGroup", &create).await.text("groupId");
    assert_eq!(bench.rig.error("CreateSecurityGroup", &create).await, "InvalidGroup.Duplicate");
    let rule = [
        ("GroupId", group.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/16"),
    ];
    bench.rig.ok("AuthorizeSecurityGroupIngress", &rule).await;
    assert_eq!(bench.rig.error("AuthorizeSecurityGroupIngress", &rule).await, "InvalidPermission.Duplicate");
    let described = bench.rig.ok("DescribeSecurityGroups", &[("GroupId.1", &group)]).await;
    assert_eq!(described.all("cidrIp"), ["10.0.0.0/16", "0.0.0.0/0"]);
    bench.rig.ok("RevokeSecurityGroupIngress", &rule).await;
    let id = bench.run(&[("SecurityGroupId.1", &group)]).await;
    assert_eq!(bench.rig.error("DeleteSecurityGroup", &[("GroupId", &group)]).await, "DependencyViolation");
    bench.rig.ok("TerminateInstances", &[("InstanceId.1", &id)]).await;
    bench.rig.ok("DeleteSecurityGroup", &[("GroupId", &group)]).await;
}

#[tokio::test]
async fn a_public_address_is_asked_for_by_interface() {
    let bench = Bench::new().await;
    let mut parameters = bench.launch();
    parameters.retain(|(name, _)| *name != "SubnetId");
    parameters.extend([
        ("NetworkInterface.1.DeviceIndex", "0"),
        ("NetworkInterface.1.SubnetId", &bench.subnet),
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
    ]);
    assert!(bench.rig.ok("RunInstances", &parameters).await.has("<ipAddress>"));
}

#[tokio::test]
async fn templates_fill_what_a_launch_leaves_out() {
    let bench = Bench::new().await;
    let create = [
        ("LaunchTemplateName", "base"),
        ("LaunchTemplateData.ImageId", bench.image.as_str()),
        ("LaunchTemplateData.InstanceType", "t3.small"),
        ("LaunchTemplateData.NetworkInterface.1.DeviceIndex", "0"),
        ("LaunchTemplateData.NetworkInterface.1.SubnetId", &bench.subnet),
        ("LaunchTemplateData.MetadataOptions.HttpTokens", "required"),
    ];
    let id = bench.rig.ok("CreateLaunchTemplate", &create).await.text("launchTemplateId");
    assert_eq!(
        bench.rig.error("CreateLaunchTemplate", &create).await,
        "InvalidLaunchTemplateName.AlreadyExistsException"
    );
    let version =
        [("LaunchTemplateId", id.as_str()), ("SourceVersion", "1"), ("LaunchTemplateData.InstanceType", "t3.large")];
    assert_eq!(bench.rig.ok("CreateLaunchTemplateVersion", &version).await.text("versionNumber"), "2");
    for (version, kind) in [("$Default", "t3.small"), ("$Latest", "t3.large"), ("1", "t3.small")] {
        let launch = [
            ("LaunchTemplate.LaunchTemplateName", "base"),
            ("LaunchTemplate.Version", version),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ];
        let instance = bench.rig.ok("RunInstances", &launch).await;
        assert_eq!(
            (instance.text("instanceType"), instance.text("httpTokens")),
            (kind.to_owned(), "required".to_owned())
        );
    }
    bench.rig.ok("ModifyLaunchTemplate", &[("LaunchTemplateId", &id), ("SetDefaultVersion", "2")]).await;
    let versions = bench.rig.ok("DescribeLaunchTemplateVersions", &[("LaunchTemplateId", &id)]).await;
    assert_eq!(versions.all("defaultVersion"), ["true", "false"]);
    bench.rig.ok("DeleteLaunchTemplate", &[("LaunchTemplateId", &id)]).await;
    assert_eq!(
        bench.rig.error("DescribeLaunchTemplates", &[("LaunchTemplateId.1", &id)]).await,
        "InvalidLaunchTemplateId.NotFound"
    );
}

#[tokio::test]
async fn encryption_by_default_encrypts() {
    let bench = Bench::new().await;
    bench.rig.ok("EnableEbsEncryptionByDefault", &[]).await;
    let id = bench.run(&[]).await;
    let of = [("Filter.1.Name", "attachment.instance-id"), ("Filter.1.Value.1", id.as_str())];
    assert_eq!(bench.rig.ok("DescribeVolumes", &of).await.text("encrypted"), "true");
}

#[tokio::test]
async fn imported_keys_are_described() {
    let bench = Bench::new().await;
    // `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA test`
    let material = "c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBIHRlc3Q=";
    let import = [("KeyName", "build"), ("PublicKeyMaterial", material)];
    let id = bench.rig.ok("ImportKeyPair", &import).await.text("keyPairId");
    assert_eq!(bench.rig.error("ImportKeyPair", &import).await, "InvalidKeyPair.Duplicate");
    assert_eq!(bench.rig.ok("DescribeKeyPairs", &[("KeyName.1", "build")]).await.text("keyType"), "ed25519");
    bench.run(&[("KeyName", "build")]).await;
    bench.rig.ok("DeleteKeyPair", &[("KeyPairId", &id)]).await;
    bench.rig.ok("DeleteKeyPair", &[("KeyName", "build")]).await;
    assert_eq!(
        bench.rig.error("ImportKeyPair", &[("KeyName", "x"), ("PublicKeyMaterial", "eA==")]).await,
        "InvalidKey.Format"
    );
}

#[tokio::test]
async fn types_are_found_by_architecture() {
    let bench = Bench::new().await;
    let arm = [("Filter.1.Name", "processor-info.supported-architecture"), ("Filter.1.Value.1", "arm64")];
    let types = bench.rig.ok("DescribeInstanceTypes", &arm).await.all("instanceType");
    assert!(types.contains(&"t4g.micro".to_owned()) && !types.contains(&"t3.micro".to_owned()));
    let offered =
        [("LocationType", "availability-zone"), ("Filter.1.Name", "instance-type"), ("Filter.1.Value.1", "t3.micro")];
    assert_eq!(bench.rig.ok("DescribeInstanceTypeOfferings", &offered).await.all("location").len(), 3);
}
