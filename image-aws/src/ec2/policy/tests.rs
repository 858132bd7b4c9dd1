use super::*;
use crate::ec2::{AmiSource, testing};

fn statements(policy: &Value) -> Vec<&Value> {
    policy["Statement"].as_array().unwrap().iter().collect()
}

#[test]
fn a_policy_is_what_the_settings_need() {
    let source = AmiSource::newest(["amazon"]).filter("name", ["al2023-*"]);
    let builder = testing::builder("111122223333/us-west-2", source).instance_profile("image-builder");
    insta::assert_json_snapshot!("plain", iam_policy(&builder));
}

#[test]
fn what_is_asked_for_by_name_is_allowed_by_name() {
    let builder = testing::builder("111122223333/us-gov-west-1", AmiSource::parameter("/aws/service/ami/latest"))
        .spot(None)
        .security_group("sg-01234567")
        .instance_profile("image-builder")
        .instance_role("image-builder-role")
        .kms_key("alias/images")
        .find_in_region("us-gov-east-1");
    insta::assert_json_snapshot!("everything", iam_policy(&builder));
}

#[test]
fn nothing_that_deletes_is_allowed_on_what_is_not_ours_or_is_kept() {
    let builder = testing::builder("111122223333/us-west-2", AmiSource::id("ami-01234567"));
    let policy = iam_policy(&builder);
    let deletes = ["Delete", "Deregister", "Terminate", "Stop"];
    let mut seen = 0;
    for statement in statements(&policy) {
        let actions: Vec<&str> = statement["Action"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let verb = |action: &str| action.split(':').nth(1).unwrap().to_owned();
        let tags_only = |action: &str| verb(action) == "DeleteTags";
        for action in
            actions.iter().filter(|action| deletes.iter().any(|d| verb(action).starts_with(d)) && !tags_only(action))
        {
            seen += 1;
            let condition = &statement["Condition"];
            assert_eq!(condition["Null"]["aws:ResourceTag/golden-image:token"], "false", "{action}");
            assert_eq!(condition["StringNotEquals"]["aws:ResourceTag/golden-image:state"], "kept", "{action}");
        }
        assert!(
            !actions.iter().any(|action| action.ends_with('*') && !action.starts_with("kms:ReEncrypt")),
            "{actions:?}"
        );
    }
    assert_eq!(seen, 6);
}

#[test]
fn keys_and_parameters_have_their_names() {
    let place: Place = "111122223333/us-west-2".parse().unwrap();
    let arns = Arns(&place);
    for (key, arn, alias) in [
        ("1234", "arn:aws:kms:us-west-2:111122223333:key/1234", None),
        ("alias/images", "arn:aws:kms:us-west-2:111122223333:key/*", Some("alias/images")),
        ("arn:aws:kms:us-west-2:444455556666:key/1234", "arn:aws:kms:us-west-2:444455556666:key/1234", None),
        (
            "arn:aws:kms:us-west-2:444455556666:alias/images",
            "arn:aws:kms:us-west-2:444455556666:key/*",
            Some("alias/images"),
        ),
    ] {
        assert_eq!(arns.key(key), (arn.to_owned(), alias));
    }
    for (name, arn) in [
        ("/aws/service/x", "arn:aws:ssm:us-west-2::parameter/aws/service/x"),
        ("/golden/web", "arn:aws:ssm:us-west-2:111122223333:parameter/golden/web"),
        ("web", "arn:aws:ssm:us-west-2:111122223333:parameter/web"),
        ("arn:aws:ssm:us-west-2:1:parameter/web", "arn:aws:ssm:us-west-2:1:parameter/web"),
    ] {
        assert_eq!(arns.parameter(name), arn);
    }
}
