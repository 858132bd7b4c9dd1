//! The IAM policy of the calls that an importer makes: what it needs and nothing else.

use super::EbsDirect;
use crate::{
    ec2::{
        policy::{Arns, allow, encrypt, ours, temporary_request},
        settings::Encryption,
    },
    tag,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An IAM policy that allows the calls of an importer, of its undo and of a reap, and no others.
///
/// Snapshots and images are made only with the tags that say that they are temporary, blocks are written only to what has
/// those tags, and only such things are deleted that are not kept. What boots imported images has a policy of its own.
/// Conditions: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticblockstore.html>.
///
/// A KMS key needs a key policy that lets IAM decide.
pub fn iam_policy(importer: &EbsDirect) -> Value {
    let arns = Arns(&importer.place);
    let (images, snapshots) = (json!([arns.public("image")]), json!([arns.public("snapshot")]));
    let both = json!([arns.public("image"), arns.public("snapshot")]);
    let with_token = json!({ "Null": { format!("aws:ResourceTag/{}", tag::TOKEN): "false" } });
    let mut regions = BTreeSet::from([&importer.place.region]);
    regions.extend(&importer.settings.regions);
    let in_regions = json!({ "StringEquals": { "aws:RequestedRegion": regions } });
    let at_registration = json!({ "StringEquals": { "ec2:CreateAction": "RegisterImage" } });
    // EBS names no action that creates. What has a token already is not given another one by this.
    let mut at_start = temporary_request();
    at_start["Null"][format!("aws:ResourceTag/{}", tag::TOKEN)] = json!("true");
    let mut statements = vec![
        allow("Look", ["ec2:DescribeImages", "ec2:DescribeSnapshots"], json!("*"), in_regions),
        allow("StartTagged", ["ebs:StartSnapshot"], snapshots.clone(), temporary_request()),
        allow("TagAtStart", ["ec2:CreateTags"], snapshots.clone(), at_start),
        allow("Fill", ["ebs:CompleteSnapshot", "ebs:PutSnapshotBlock"], snapshots.clone(), ours()),
        allow("Verify", ["ebs:ListSnapshotBlocks"], snapshots.clone(), with_token.clone()),
        allow("RegisterTagged", ["ec2:RegisterImage"], images.clone(), temporary_request()),
        allow("RegisterOf", ["ec2:RegisterImage"], snapshots, ours()),
        allow("TagAtRegistration", ["ec2:CreateTags"], images, at_registration),
        allow("Keep", ["ec2:CreateTags", "ec2:DeleteTags"], both.clone(), with_token),
        allow("DeleteWhatIsNotKept", ["ec2:DeleteSnapshot", "ec2:DeregisterImage"], both, ours()),
    ];
    if let Some(parent) = &importer.settings.parent {
        let parent = json!([arns.public_one("snapshot", parent)]);
        let read = ["ebs:GetSnapshotBlock", "ebs:ListSnapshotBlocks", "ebs:StartSnapshot"];
        statements.push(allow("BuildOnParent", read, parent, Value::Null));
    }
    if let Encryption::Key(key) = &importer.settings.encryption {
        statements.extend(encrypt("", key, &arns));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FromEnv, ec2::Ec2};

    fn importer(place: &str) -> EbsDirect {
        EbsDirect::new(&Ec2::new(FromEnv::new()), place.parse().unwrap())
    }

    #[test]
    fn a_policy_is_what_the_settings_need() {
        insta::assert_json_snapshot!("plain", iam_policy(&importer("111122223333/us-west-2")));
        let child = importer("111122223333/us-west-2").without_encryption().parent("snap-0123456789abcdef0");
        let child = iam_policy(&child);
        let last = child["Statement"].as_array().unwrap().last().unwrap();
        assert_eq!(last["Resource"], json!(["arn:aws:ec2:us-west-2::snapshot/snap-0123456789abcdef0"]));
        let keyed =
            importer("111122223333/us-gov-west-1").kms_key("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/1");
        let keyed = iam_policy(&keyed);
        let sids: Vec<&str> = keyed["Statement"].as_array().unwrap().iter().filter_map(|s| s["Sid"].as_str()).collect();
        assert_eq!(sids[sids.len() - 2..], ["Encrypt", "GrantEncryption"]);
    }

    #[test]
    fn nothing_is_written_to_or_deleted_that_is_not_ours_or_is_kept() {
        let policy = iam_policy(&importer("111122223333/us-west-2"));
        let mut seen = 0;
        for statement in policy["Statement"].as_array().unwrap() {
            for action in statement["Action"].as_array().unwrap().iter().filter_map(Value::as_str) {
                let verb = action.split(':').nth(1).unwrap();
                if ["Complete", "DeleteSnapshot", "Deregister", "Put"].iter().any(|known| verb.starts_with(known)) {
                    seen += 1;
                    let condition = &statement["Condition"];
                    assert_eq!(condition["Null"]["aws:ResourceTag/golden-image:token"], "false", "{action}");
                    assert_eq!(condition["StringNotEquals"]["aws:ResourceTag/golden-image:state"], "kept", "{action}");
                }
            }
        }
        assert_eq!(seen, 4);
    }
}
