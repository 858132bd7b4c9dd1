//! What IAM evaluates for each action that is simulated: the action, and the resources that it is about.
//!
//! After the Service Authorization Reference as of June 2026, with the resources that the simulator has:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>. An action that is not here is
//! refused to callers that have a policy, so that no service can be added past it.

/// The services that are simulated, and IAM for the role that a launch passes on.
pub(super) const SERVICES: [&str; 5] = ["ebs", "ec2", "iam", "ssm", "sts"];

/// The action that a launch with an instance profile is evaluated for besides its own.
pub(super) const PASS_ROLE: &str = "iam:PassRole";

/// One action.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) action: &'static str,
    pub(super) targets: &'static [Target],
}

/// What an action is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The action knows no resources: it is evaluated on `*`.
    All,
    /// Existing resources of EC2: their kind, and the parameter that has an id or a list of them.
    Of(&'static str, &'static str),
    /// Resources of EC2 that are created, with the tags of the request. They have no id yet.
    New(&'static str),
    /// A launch: image, instance, interface, groups, subnet, volumes, key pair, template, role.
    Launch,
    /// `ResourceId` of whatever kind, with the tags of the request.
    Tagged,
    /// The snapshots of `BlockDeviceMapping`.
    MappedSnapshots,
    /// The image that is copied, in its region.
    SourceImage,
    /// A key pair by name or id. Its ARN has the name.
    KeyPair,
    /// A launch template by id or name.
    Template,
    /// The snapshot in a path of the EBS direct APIs.
    SnapshotInPath,
    /// A snapshot that the EBS direct APIs create.
    NewSnapshotOfBlocks,
    /// Parameters of Systems Manager by the field that has a name or a list of them.
    Parameter(&'static str),
    /// `Name` of a parameter that is written, with the tags of the request.
    WrittenParameter,
    /// `ResourceId` of a parameter.
    TaggedParameter,
    /// A document and the instances that it runs on.
    Command,
    /// The role of a session.
    Role,
}

use Target::{
    All, Command, KeyPair, Launch, MappedSnapshots, New, NewSnapshotOfBlocks, Of, Parameter, Role, SnapshotInPath,
    SourceImage, Tagged, TaggedParameter, Template, WrittenParameter,
};

macro_rules! rows {
    ($($action:literal: $($target:expr),+;)*) => { &[$(Row { action: $action, targets: &[$($target),+] }),*] };
}

const INSTANCE: Target = Of("instance", "InstanceId");
const IMAGE: Target = Of("image", "ImageId");
const SNAPSHOT: Target = Of("snapshot", "SnapshotId");
const VOLUME: Target = Of("volume", "VolumeId");
const GROUP: Target = Of("security-group", "GroupId");

/// Every action.
pub(super) const ROWS: &[Row] = rows! {
    "ebs:CompleteSnapshot": SnapshotInPath;
    "ebs:GetSnapshotBlock": SnapshotInPath;
    "ebs:ListChangedBlocks": SnapshotInPath;
    "ebs:ListSnapshotBlocks": SnapshotInPath;
    "ebs:PutSnapshotBlock": SnapshotInPath;
    "ebs:StartSnapshot": NewSnapshotOfBlocks;
    "ec2:AttachVolume": INSTANCE, VOLUME;
    "ec2:AuthorizeSecurityGroupEgress": GROUP, New("security-group-rule");
    "ec2:AuthorizeSecurityGroupIngress": GROUP, New("security-group-rule");
    "ec2:CopyImage": SourceImage, New("image"), New("snapshot");
    "ec2:CopySnapshot": New("snapshot");
    "ec2:CreateImage": INSTANCE, New("image"), New("snapshot");
    "ec2:CreateLaunchTemplate": New("launch-template");
    "ec2:CreateLaunchTemplateVersion": Template;
    "ec2:CreateSecurityGroup": Of("vpc", "VpcId"), New("security-group");
    "ec2:CreateSnapshot": VOLUME, New("snapshot");
    "ec2:CreateTags": Tagged;
    "ec2:CreateVolume": SNAPSHOT, New("volume");
    "ec2:DeleteKeyPair": KeyPair;
    "ec2:DeleteLaunchTemplate": Template;
    "ec2:DeleteLaunchTemplateVersions": Template;
    "ec2:DeleteSecurityGroup": GROUP;
    "ec2:DeleteSnapshot": SNAPSHOT;
    "ec2:DeleteTags": Tagged;
    "ec2:DeleteVolume": VOLUME;
    "ec2:DeregisterImage": IMAGE;
    "ec2:DescribeAvailabilityZones": All;
    "ec2:DescribeFastLaunchImages": All;
    "ec2:DescribeFastSnapshotRestores": All;
    "ec2:DescribeImageAttribute": IMAGE;
    "ec2:DescribeImages": All;
    "ec2:DescribeInstanceAttribute": INSTANCE;
    "ec2:DescribeInstanceStatus": All;
    "ec2:DescribeInstanceTypeOfferings": All;
    "ec2:DescribeInstanceTypes": All;
    "ec2:DescribeInstances": All;
    "ec2:DescribeInternetGateways": All;
    "ec2:DescribeKeyPairs": All;
    "ec2:DescribeLaunchTemplateVersions": All;
    "ec2:DescribeLaunchTemplates": All;
    "ec2:DescribeNatGateways": All;
    "ec2:DescribeRegions": All;
    "ec2:DescribeRouteTables": All;
    "ec2:DescribeSecurityGroups": All;
    "ec2:DescribeSnapshotAttribute": SNAPSHOT;
    "ec2:DescribeSnapshots": All;
    "ec2:DescribeSubnets": All;
    "ec2:DescribeTags": All;
    "ec2:DescribeVolumes": All;
    "ec2:DescribeVpcEndpoints": All;
    "ec2:DescribeVpcs": All;
    "ec2:DetachVolume": INSTANCE, VOLUME;
    "ec2:DisableEbsEncryptionByDefault": All;
    "ec2:DisableFastLaunch": IMAGE;
    "ec2:DisableFastSnapshotRestores": Of("snapshot", "SourceSnapshotId");
    "ec2:DisableImage": IMAGE;
    "ec2:DisableImageDeprecation": IMAGE;
    "ec2:DisableImageDeregistrationProtection": IMAGE;
    "ec2:EnableEbsEncryptionByDefault": All;
    "ec2:EnableFastLaunch": IMAGE;
    "ec2:EnableFastSnapshotRestores": Of("snapshot", "SourceSnapshotId");
    "ec2:EnableImage": IMAGE;
    "ec2:EnableImageDeprecation": IMAGE;
    "ec2:EnableImageDeregistrationProtection": IMAGE;
    "ec2:GetConsoleOutput": INSTANCE;
    "ec2:GetEbsDefaultKmsKeyId": All;
    "ec2:GetEbsEncryptionByDefault": All;
    "ec2:ImportKeyPair": New("key-pair");
    "ec2:ModifyEbsDefaultKmsKeyId": All;
    "ec2:ModifyImageAttribute": IMAGE;
    "ec2:ModifyInstanceAttribute": INSTANCE;
    "ec2:ModifyInstanceMetadataOptions": INSTANCE;
    "ec2:ModifyLaunchTemplate": Template;
    "ec2:ModifySnapshotAttribute": SNAPSHOT;
    "ec2:RebootInstances": INSTANCE;
    "ec2:RegisterImage": MappedSnapshots, New("image");
    "ec2:ResetImageAttribute": IMAGE;
    "ec2:ResetSnapshotAttribute": SNAPSHOT;
    "ec2:RevokeSecurityGroupEgress": GROUP;
    "ec2:RevokeSecurityGroupIngress": GROUP;
    "ec2:RunInstances": Launch;
    "ec2:StartInstances": INSTANCE;
    "ec2:StopInstances": INSTANCE;
    "ec2:TerminateInstances": INSTANCE;
    "ssm:AddTagsToResource": TaggedParameter;
    "ssm:CancelCommand": All;
    "ssm:DeleteParameter": Parameter("Name");
    "ssm:DescribeInstanceInformation": All;
    "ssm:GetCommandInvocation": All;
    "ssm:GetParameter": Parameter("Name");
    "ssm:GetParameterHistory": Parameter("Name");
    "ssm:GetParameters": Parameter("Names");
    "ssm:ListCommandInvocations": All;
    "ssm:ListTagsForResource": TaggedParameter;
    "ssm:PutParameter": WrittenParameter;
    "ssm:SendCommand": Command;
    "sts:AssumeRole": Role;
    "sts:GetCallerIdentity": All;
};

/// What an action is about; `None` when it is not known here.
pub(super) fn targets(action: &str) -> Option<&'static [Target]> {
    ROWS.iter().find(|row| row.action == action).map(|row| row.targets)
}

/// Every action that can be evaluated.
pub(super) fn actions() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.action).chain([PASS_ROLE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_of_ec2_are_simulated() {
        let ec2 = actions().filter_map(|action| action.strip_prefix("ec2:"));
        assert_eq!(ec2.filter(|action| !crate::ec2::simulates(action)).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn actions_stand_once_and_in_order() {
        assert!(ROWS.is_sorted_by(|a, b| a.action < b.action));
        assert!(actions().all(|action| SERVICES.contains(&action.split(':').next().unwrap())));
    }
}
