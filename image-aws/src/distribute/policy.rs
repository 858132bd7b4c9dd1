//! The IAM policies of the calls that a distributor makes: what it needs in an account and nothing else.

use super::{
    AmiDistributor,
    target::{Encryption, Target},
};
use crate::{
    Place,
    ec2::policy::{Arns, allow, encrypt, ours, tokened},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const IMAGES: [&str; 1] = ["image"];
const SNAPSHOTS: [&str; 1] = ["snapshot"];
const BOTH: [&str; 2] = ["image", "snapshot"];

/// An IAM policy that allows the calls of a distributor in one account, those of their undo and of a reap, and no others.
///
/// What deletes is allowed only on what carries our tags and is not kept; what changes a copy, only on what carries them. An
/// image that is distributed as it is need not be one of ours, so that changes of it are allowed in its whole region.
/// Conditions: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>.
///
/// A KMS key needs a key policy that lets IAM decide. The key of an encrypted source is not known here: it must allow
/// itself what reads it.
pub fn iam_policy(distributor: &AmiDistributor, account: &str) -> Value {
    let source = &distributor.source;
    let here: Vec<&Target> = distributor.targets.iter().filter(|target| target.place.account == account).collect();
    let (in_place, copies): (Vec<&Target>, Vec<&Target>) =
        here.iter().copied().partition(|target| target.is_in_place(source));
    let foreign = distributor.targets.iter().any(|target| target.place.account != source.account);
    let lends = source.account == account && foreign;

    let mut statements = vec![look(distributor, account, &here, lends)];
    if !copies.is_empty() {
        statements.extend(copy(source, &copies));
    }
    let changes = [
        ("", tokened(), copies),
        // What is distributed as it is was made by whoever made it.
        ("InPlace", Value::Null, in_place),
    ];
    for (which, condition, targets) in changes {
        statements.extend(change(which, &condition, &targets));
    }
    if lends {
        let actions = ["ec2:ModifyImageAttribute", "ec2:ModifySnapshotAttribute"];
        statements.push(allow("LendSource", actions, arns([source], &BOTH), Value::Null));
    }
    statements.extend(point(&here));
    for target in here {
        if let Encryption::Key(key) = &target.encryption {
            let which = format!("In{}", camel(&target.place.region));
            statements.extend(encrypt(&which, key, &Arns(&target.place)));
        }
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// A region as a part of a statement's name, which has letters and digits only: `EuWest1`.
fn camel(region: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    region.split('-').map(word).collect()
}

/// Images and snapshots of places.
fn arns<'a>(places: impl IntoIterator<Item = &'a Place>, kinds: &[&str]) -> Value {
    let of = |place: &'a Place| kinds.iter().map(|kind| Arns(place).public(kind)).collect::<Vec<_>>();
    json!(places.into_iter().flat_map(of).collect::<BTreeSet<_>>())
}

fn places<'a>(targets: &[&'a Target]) -> impl Iterator<Item = &'a Place> {
    targets.iter().map(|target| &target.place)
}

/// Most Describe calls know no resources.
fn look(distributor: &AmiDistributor, account: &str, here: &[&Target], lends: bool) -> Value {
    let any = |is: fn(&Target) -> bool| here.iter().any(|target| is(target));
    let mut actions = BTreeSet::from(["ec2:DescribeImageAttribute", "ec2:DescribeImages", "ec2:DescribeSnapshots"]);
    if lends || any(|target| target.share_snapshots) {
        actions.insert("ec2:DescribeSnapshotAttribute");
    }
    if any(|target| !target.fast_restore.is_empty()) {
        actions.insert("ec2:DescribeFastSnapshotRestores");
    }
    if any(|target| !target.templates.is_empty()) {
        actions.extend(["ec2:DescribeLaunchTemplateVersions", "ec2:DescribeLaunchTemplates"]);
    }
    if any(|target| target.is_shared() && target.encryption == Encryption::AsSource) {
        actions.insert("ec2:GetEbsEncryptionByDefault");
    }
    let mut regions: BTreeSet<&str> = places(here).map(|place| place.region.as_str()).collect();
    if distributor.source.account == account {
        regions.insert(&distributor.source.region);
    }
    allow("Look", actions, json!("*"), json!({ "StringEquals": { "aws:RequestedRegion": regions } }))
}

/// Making, tagging, keeping and removing copies.
fn copy(source: &Place, targets: &[&Target]) -> [Value; 4] {
    let made = || arns(places(targets), &BOTH);
    // EC2 asks about the source and about what is made of it, which look the same where both are in one region. So no tag
    // can be asked for here; that what is made has tags, the next statement sees to.
    let from_and_to = arns(places(targets).chain([source]), &BOTH);
    let at_creation = json!({ "StringEquals": { "ec2:CreateAction": "CopyImage" } });
    [
        allow("Copy", ["ec2:CopyImage"], from_and_to, Value::Null),
        allow("TagAtCreation", ["ec2:CreateTags"], made(), at_creation),
        allow("Keep", ["ec2:CreateTags", "ec2:DeleteTags"], made(), tokened()),
        allow("DeleteWhatIsNotKept", ["ec2:DeleteSnapshot", "ec2:DeregisterImage"], made(), ours()),
    ]
}

/// Changing images and snapshots, by what the settings ask for.
fn change(which: &str, condition: &Value, targets: &[&Target]) -> Vec<Value> {
    type Setting = (&'static str, fn(&Target) -> bool, &'static [&'static str], &'static [&'static str]);
    let settings: [Setting; 5] = [
        ("Share", |target| target.is_shared() || target.public, &["ec2:ModifyImageAttribute"], &IMAGES),
        ("ShareSnapshots", |target| target.share_snapshots, &["ec2:ModifySnapshotAttribute"], &SNAPSHOTS),
        (
            "Deprecate",
            |target| target.deprecate_after.is_some(),
            &["ec2:DisableImageDeprecation", "ec2:EnableImageDeprecation"],
            &IMAGES,
        ),
        (
            "Protect",
            |target| target.protection.is_some(),
            &["ec2:DisableImageDeregistrationProtection", "ec2:EnableImageDeregistrationProtection"],
            &IMAGES,
        ),
        (
            "RestoreFast",
            |target| !target.fast_restore.is_empty(),
            &["ec2:DisableFastSnapshotRestores", "ec2:EnableFastSnapshotRestores"],
            &SNAPSHOTS,
        ),
    ];
    let mut statements = vec![];
    for (sid, asked, actions, kinds) in settings {
        let those: Vec<&Target> = targets.iter().copied().filter(|target| asked(target)).collect();
        if !those.is_empty() {
            statements.push(allow(&format!("{sid}{which}"), actions, arns(places(&those), kinds), condition.clone()));
        }
    }
    statements
}

/// Moving pointers. A launch template that is asked for by name has its id in no setting.
fn point(targets: &[&Target]) -> Vec<Value> {
    let (mut parameters, mut templates) = (BTreeSet::new(), BTreeSet::new());
    for target in targets {
        let arns = Arns(&target.place);
        parameters.extend(target.parameters.iter().map(|name| arns.parameter(name)));
        let id = |template: &'_ String| if template.starts_with("lt-") { template.clone() } else { "*".into() };
        templates.extend(target.templates.iter().map(|template| arns.own("launch-template", &id(template))));
    }
    let mut statements = vec![];
    if !parameters.is_empty() {
        let actions = ["ssm:DeleteParameter", "ssm:GetParameter", "ssm:PutParameter"];
        statements.push(allow("PointParameters", actions, json!(parameters), Value::Null));
    }
    if !templates.is_empty() {
        let actions =
            ["ec2:CreateLaunchTemplateVersion", "ec2:DeleteLaunchTemplateVersions", "ec2:ModifyLaunchTemplate"];
        statements.push(allow("PointLaunchTemplates", actions, json!(templates), Value::Null));
    }
    statements
}
