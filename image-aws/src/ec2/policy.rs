//! The IAM policy of the calls that a builder makes: what it needs and nothing else.

use super::{
    AmiBuilder,
    settings::{Encryption, Market, Settings},
};
use crate::{Place, place, tag};
use image_core::State;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An IAM policy that allows the calls of a builder, of its undo and of a reap, and no others.
///
/// What creates is allowed only with the tags that say that it is temporary, and instances only with IMDSv2. What deletes
/// is allowed only on what carries those tags and is not kept. Conditions:
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>.
///
/// The role of the instance profile must exist; that it may be passed is part of the policy. A KMS key needs a key policy
/// that lets IAM decide.
pub fn iam_policy(builder: &AmiBuilder) -> Value {
    let arns = Arns(&builder.place);
    let mut statements = vec![
        look(builder),
        launch_with(builder, &arns),
        launch_what(&builder.settings, &arns),
        tag_at_creation(&arns),
        keep(&arns),
        delete(&arns),
    ];
    statements.extend(take_image(&arns));
    if builder.settings.security_groups.is_empty() {
        statements.push(allow(
            "CreateSecurityGroupIn",
            ["ec2:CreateSecurityGroup"],
            json!([arns.ec2("vpc")]),
            Value::Null,
        ));
        let group = json!([arns.ec2("security-group")]);
        statements.push(allow("CreateTaggedSecurityGroup", ["ec2:CreateSecurityGroup"], group, temporary_request()));
    }
    if let Some(name) = builder.source.parameter_name() {
        statements.push(allow("ReadSource", ["ssm:GetParameter"], json!([arns.parameter(name)]), Value::Null));
    }
    let settings = &builder.settings;
    if let Some(role) = settings.instance_role.as_ref().or(settings.instance_profile.as_ref()) {
        let condition = json!({ "StringEquals": { "iam:PassedToService": arns.ec2_service() } });
        statements.push(allow("PassRole", ["iam:PassRole"], json!([arns.role(role)]), condition));
    }
    if let Encryption::Key(key) = &settings.encryption {
        statements.extend(encrypt("", key, &arns));
    }
    statements.extend(builder.connect.policy(&builder.place));
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Describe calls know no resources.
fn look(builder: &AmiBuilder) -> Value {
    let actions = [
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeInstances",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSnapshots",
        "ec2:DescribeSubnets",
        "ec2:DescribeVolumes",
        "ec2:GetEbsEncryptionByDefault",
    ];
    let mut regions = BTreeSet::from([&builder.place.region]);
    regions.extend(&builder.settings.regions);
    allow("Look", actions, json!("*"), json!({ "StringEquals": { "aws:RequestedRegion": regions } }))
}

/// What an instance is launched with and in. Which images are used is the pipeline's to say: they are pinned by a run.
fn launch_with(builder: &AmiBuilder, arns: &Arns<'_>) -> Value {
    let settings = &builder.settings;
    let subnets: BTreeSet<String> = settings.candidates.iter().map(|c| arns.own("subnet", &c.subnet)).collect();
    let groups: BTreeSet<String> = match &settings.security_groups[..] {
        // Also those that are not ours: the dry run of a check is about the default group of the VPC.
        [] => BTreeSet::from([arns.ec2("security-group")]),
        groups => groups.iter().map(|group| arns.own("security-group", group)).collect(),
    };
    let mut with = vec![arns.public("image"), arns.public("snapshot")];
    with.extend(subnets);
    with.extend(groups);
    allow("LaunchWith", ["ec2:RunInstances"], json!(with), Value::Null)
}

fn launch_what(settings: &Settings, arns: &Arns<'_>) -> Value {
    let mut what = vec![arns.ec2("instance"), arns.ec2("network-interface"), arns.ec2("volume")];
    if matches!(settings.market, Market::Spot { .. }) {
        what.push(arns.ec2("spot-instances-request"));
    }
    let types: BTreeSet<&str> = settings.candidates.iter().map(|c| c.instance_type.as_str()).collect();
    let mut condition = temporary_request();
    // Volumes and interfaces have no instance type and no metadata options, which `IfExists` is for.
    condition["StringEqualsIfExists"] = json!({ "ec2:InstanceType": types, "ec2:MetadataHttpTokens": "required" });
    allow("LaunchTagged", ["ec2:RunInstances"], json!(what), condition)
}

fn tag_at_creation(arns: &Arns<'_>) -> Value {
    let condition = json!({ "StringEquals": {
        "ec2:CreateAction": ["CreateImage", "CreateSecurityGroup", "RunInstances"],
    } });
    allow(
        "TagAtCreation",
        ["ec2:CreateTags"],
        json!([arns.ec2("*"), arns.public("image"), arns.public("snapshot")]),
        condition,
    )
}

/// Of an instance of ours, into an image and snapshots that say that they are temporary.
fn take_image(arns: &Arns<'_>) -> [Value; 2] {
    let made = json!([arns.public("image"), arns.public("snapshot")]);
    [
        allow("TakeImageOf", ["ec2:CreateImage"], json!([arns.ec2("instance")]), ours()),
        allow("TakeTaggedImage", ["ec2:CreateImage"], made, temporary_request()),
    ]
}

/// A commit retags images that have a token, and so nobody else's.
fn keep(arns: &Arns<'_>) -> Value {
    let what = json!([arns.public("image"), arns.public("snapshot")]);
    allow("Keep", ["ec2:CreateTags", "ec2:DeleteTags", "ec2:ModifyImageAttribute"], what, tokened())
}

/// What carries a token of ours.
pub(crate) fn tokened() -> Value {
    json!({ "Null": { format!("aws:ResourceTag/{}", tag::TOKEN): "false" } })
}

fn delete(arns: &Arns<'_>) -> Value {
    let actions = [
        "ec2:DeleteSecurityGroup",
        "ec2:DeleteSnapshot",
        "ec2:DeleteVolume",
        "ec2:DeregisterImage",
        "ec2:StopInstances",
        "ec2:TerminateInstances",
    ];
    let what = [
        arns.ec2("instance"),
        arns.ec2("security-group"),
        arns.ec2("volume"),
        arns.public("image"),
        arns.public("snapshot"),
    ];
    allow("DeleteWhatIsNotKept", actions, json!(what), ours())
}

/// What carries a token of ours and is not kept.
pub(crate) fn ours() -> Value {
    json!({
        "Null": { format!("aws:ResourceTag/{}", tag::TOKEN): "false" },
        "StringNotEquals": { format!("aws:ResourceTag/{}", tag::STATE): State::Kept.as_str() },
    })
}

/// A request with the tags that say that what it creates is temporary.
pub(crate) fn temporary_request() -> Value {
    json!({
        "Null": { format!("aws:RequestTag/{}", tag::TOKEN): "false" },
        "StringEquals": { format!("aws:RequestTag/{}", tag::STATE): State::Temporary.as_str() },
    })
}

/// What EBS needs of a key: <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html>.
/// `which` makes the names of the statements unique in a policy.
pub(crate) fn encrypt(which: &str, key: &str, arns: &Arns<'_>) -> [Value; 2] {
    let (resource, alias) = arns.key(key);
    let with = |mut condition: Value| {
        if let Some(alias) = alias {
            condition["ForAnyValue:StringEquals"] = json!({ "kms:ResourceAliases": alias });
        }
        if condition.as_object().is_some_and(serde_json::Map::is_empty) { Value::Null } else { condition }
    };
    let actions = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"];
    let grants = with(json!({ "Bool": { "kms:GrantIsForAWSResource": "true" } }));
    [
        allow(&format!("Encrypt{which}"), actions, json!([resource]), with(json!({}))),
        allow(&format!("GrantEncryption{which}"), ["kms:CreateGrant"], json!([resource]), grants),
    ]
}

/// A statement; without a condition where that is null.
pub(crate) fn allow(sid: &str, actions: impl Serialize, resource: Value, condition: Value) -> Value {
    let mut statement = json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource });
    if !condition.is_null() {
        statement["Condition"] = condition;
    }
    statement
}

/// Names of resources: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>.
pub(crate) struct Arns<'a>(pub(crate) &'a Place);

impl Arns<'_> {
    fn partition(&self) -> &'static str {
        place::partition(&self.0.region)
    }
    /// All of a type in our account.
    fn ec2(&self, kind: &str) -> String {
        self.own(kind, "*")
    }
    pub(crate) fn own(&self, kind: &str, id: &str) -> String {
        format!("arn:{}:ec2:{}:{}:{kind}/{id}", self.partition(), self.0.region, self.0.account)
    }
    /// Images and snapshots have no account in their names.
    pub(crate) fn public(&self, kind: &str) -> String {
        self.public_one(kind, "*")
    }
    pub(crate) fn public_one(&self, kind: &str, id: &str) -> String {
        format!("arn:{}:ec2:{}::{kind}/{id}", self.partition(), self.0.region)
    }
    fn ec2_service(&self) -> &'static str {
        if self.partition() == "aws-cn" { "ec2.amazonaws.com.cn" } else { "ec2.amazonaws.com" }
    }
    fn role(&self, name: &str) -> String {
        format!("arn:{}:iam::{}:role/{name}", self.partition(), self.0.account)
    }
    pub(crate) fn parameter(&self, name: &str) -> String {
        if name.starts_with("arn:") {
            return name.to_owned();
        }
        // Those of AWS are in no account.
        let account = if name.starts_with("/aws/") { "" } else { &self.0.account };
        format!("arn:{}:ssm:{}:{account}:parameter/{}", self.partition(), self.0.region, name.trim_start_matches('/'))
    }
    /// The name of a key, and the alias that narrows it where nothing else is known.
    fn key<'k>(&self, key: &'k str) -> (String, Option<&'k str>) {
        let prefix = format!("arn:{}:kms:{}:{}:key", self.partition(), self.0.region, self.0.account);
        match key.split_once(":alias/") {
            Some((owner, _)) if key.starts_with("arn:") => (format!("{owner}:key/*"), key.rsplit(':').next()),
            _ if key.starts_with("arn:") => (key.to_owned(), None),
            _ if key.starts_with("alias/") => (format!("{prefix}/*"), Some(key)),
            _ => (format!("{prefix}/{key}"), None),
        }
    }
}

#[cfg(test)]
mod tests;
