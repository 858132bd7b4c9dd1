//! The API calls that a distribution makes, for least-privilege policies.

use super::{
    AmiDistributor,
    target::{Encryption, Target},
};
use std::collections::BTreeSet;

/// Every copy is looked at, made, tagged, kept and, if the run fails, removed.
const COPY: [&str; 8] = [
    "ec2:CopyImage",
    "ec2:CreateTags",
    "ec2:DeleteSnapshot",
    "ec2:DeleteTags",
    "ec2:DeregisterImage",
    "ec2:DescribeImageAttribute",
    "ec2:DescribeImages",
    "ec2:DescribeSnapshots",
];
/// What verifying reads.
const LOOK: [&str; 3] = ["ec2:DescribeImageAttribute", "ec2:DescribeImages", "ec2:DescribeSnapshots"];
/// What EC2 does with a key in the name of whoever copies:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AMIEncryption.html>.
const KEY: [&str; 6] = [
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
];
const DEPRECATE: [&str; 2] = ["ec2:DisableImageDeprecation", "ec2:EnableImageDeprecation"];
const PROTECT: [&str; 2] = ["ec2:DisableImageDeregistrationProtection", "ec2:EnableImageDeregistrationProtection"];
const FAST_RESTORE: [&str; 3] =
    ["ec2:DescribeFastSnapshotRestores", "ec2:DisableFastSnapshotRestores", "ec2:EnableFastSnapshotRestores"];
const SHARE_SNAPSHOTS: [&str; 2] = ["ec2:DescribeSnapshotAttribute", "ec2:ModifySnapshotAttribute"];
const PARAMETER: [&str; 3] = ["ssm:DeleteParameter", "ssm:GetParameter", "ssm:PutParameter"];
const TEMPLATE: [&str; 5] = [
    "ec2:CreateLaunchTemplateVersion",
    "ec2:DeleteLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplates",
    "ec2:ModifyLaunchTemplate",
];

impl AmiDistributor {
    /// The actions that an IAM policy for this distributor must allow in an account: those of its settings and of their
    /// undo, and no others. Which account asks who it is needs no permission.
    pub fn iam_actions(&self, account: &str) -> BTreeSet<&'static str> {
        let mut actions = BTreeSet::new();
        if self.source.account == account {
            actions.extend(LOOK);
            if self.targets.iter().any(|target| target.place.account != account) {
                actions.extend(SHARE_SNAPSHOTS);
                actions.insert("ec2:ModifyImageAttribute");
            }
        }
        for target in self.targets.iter().filter(|target| target.place.account == account) {
            actions.extend(LOOK);
            if !target.is_in_place(&self.source) {
                actions.extend(COPY);
            }
            actions.extend(settings(target));
        }
        actions
    }
}

fn settings(target: &Target) -> BTreeSet<&'static str> {
    let mut actions = BTreeSet::new();
    if target.encryption != Encryption::AsSource {
        actions.extend(KEY);
    } else if target.is_shared() {
        actions.insert("ec2:GetEbsEncryptionByDefault");
    }
    if target.is_shared() || target.public {
        actions.insert("ec2:ModifyImageAttribute");
    }
    if target.share_snapshots {
        actions.extend(SHARE_SNAPSHOTS);
    }
    if target.deprecate_after.is_some() {
        actions.extend(DEPRECATE);
    }
    if target.protection.is_some() {
        actions.extend(PROTECT);
    }
    if !target.fast_restore.is_empty() {
        actions.extend(FAST_RESTORE);
    }
    if !target.parameters.is_empty() {
        actions.extend(PARAMETER);
    }
    if !target.templates.is_empty() {
        actions.extend(TEMPLATE);
    }
    actions
}
