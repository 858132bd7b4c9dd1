//! One check under policies.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::condition::Context;
use super::super::request::Check;
use super::super::{Attached, Decision, Policy, decide, granted};

const INSTANCE: &str = "arn:aws:ec2:us-east-1:111122223333:instance/i-1";

fn attached(statements: &Value) -> Vec<Attached> {
    let policy = Policy::from_json(&json!({ "Version": "2012-10-17", "Statement": statements })).unwrap();
    vec![Attached { name: "p".to_owned(), policy, used: BTreeSet::new() }]
}

fn check(action: &str, resource: &str, keys: &[(&str, &str)]) -> Check {
    let context: Context =
        keys.iter().map(|(key, value)| (key.to_ascii_lowercase(), vec![(*value).to_owned()])).collect();
    Check { action: action.to_owned(), resource: resource.to_owned(), context }
}

#[test]
fn a_statement_is_about_actions_resources_and_conditions() {
    let stop = |keys: &[(&str, &str)]| check("ec2:StopInstances", INSTANCE, keys);
    let tag = json!({ "StringEquals": { "aws:ResourceTag/team": "a" } });
    for (statement, check, expected) in [
        (json!({ "Action": "ec2:StopInstances", "Resource": "*" }), stop(&[]), true),
        (json!({ "Action": ["ec2:Start*", "EC2:stopinstances"], "Resource": INSTANCE }), stop(&[]), true),
        (json!({ "Action": "ec2:Start*", "Resource": "*" }), stop(&[]), false),
        (json!({ "Action": "*", "Resource": "arn:aws:ec2:*:*:volume/*" }), stop(&[]), false),
        (json!({ "NotAction": "ec2:Start*", "Resource": "*" }), stop(&[]), true),
        (json!({ "NotAction": "ec2:S*", "Resource": "*" }), stop(&[]), false),
        (json!({ "Action": "*", "NotResource": "arn:aws:ec2:*:*:volume/*" }), stop(&[]), true),
        (json!({ "Action": "*", "NotResource": INSTANCE }), stop(&[]), false),
        (json!({ "Action": "*", "Resource": "*", "Condition": tag }), stop(&[("aws:ResourceTag/TEAM", "a")]), true),
        (json!({ "Action": "*", "Resource": "*", "Condition": tag }), stop(&[("aws:ResourceTag/team", "b")]), false),
        (json!({ "Action": "*", "Resource": "*", "Condition": tag }), stop(&[]), false),
    ] {
        let mut statement = statement;
        statement["Effect"] = json!("Allow");
        let decision = decide(&attached(&json!([statement])), &check);
        assert_eq!(matches!(decision, Decision::Allowed(_)), expected, "{statement}");
    }
}

#[test]
fn all_keys_of_all_operators_must_hold() {
    let condition = json!({
        "StringEquals": { "aws:ResourceTag/a": "1", "aws:ResourceTag/b": ["1", "2"] },
        "Null": { "aws:ResourceTag/c": "false" },
    });
    let policies = attached(&json!([{ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition }]));
    let keys = [("aws:ResourceTag/a", "1"), ("aws:ResourceTag/b", "2"), ("aws:ResourceTag/c", "")];
    assert_eq!(decide(&policies, &check("ec2:StopInstances", INSTANCE, &keys)), Decision::Allowed(vec![(0, 0)]));
    for without in 0..keys.len() {
        let mut keys = keys.to_vec();
        keys.remove(without);
        assert_eq!(decide(&policies, &check("ec2:StopInstances", INSTANCE, &keys)), Decision::Denied(None));
    }
}

#[test]
fn a_deny_wins_over_any_allow() {
    let allow = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let deny = json!({ "Sid": "NoStop", "Effect": "Deny", "Action": "ec2:Stop*", "Resource": "*" });
    let asked = check("ec2:StopInstances", INSTANCE, &[]);
    for order in [json!([allow, deny]), json!([deny, allow]), json!([deny])] {
        assert_eq!(decide(&attached(&order), &asked), Decision::Denied(Some("p/NoStop".to_owned())), "{order}");
    }
    let mut two = attached(&json!([allow]));
    two.extend(attached(&json!([deny])));
    assert_eq!(decide(&two, &asked), Decision::Denied(Some("p/NoStop".to_owned())), "over all policies");
    assert_eq!(decide(&two, &check("ec2:StartInstances", INSTANCE, &[])), Decision::Allowed(vec![(0, 0)]));
    assert_eq!(decide(&[], &asked), Decision::Denied(None));
}

#[test]
fn grants_are_spelled_out() {
    let actions = |statement: Value| {
        let policies = attached(&json!([statement]));
        granted(&policies[0].policy.statements[0])
    };
    let of = |action: Value| actions(json!({ "Effect": "Allow", "Action": action, "Resource": "*" }));
    assert_eq!(
        of(json!("ec2:*Image")).into_iter().map(|(action, _)| action).collect::<Vec<_>>(),
        ["CopyImage", "CreateImage", "DeregisterImage", "DisableImage", "EnableImage", "RegisterImage"]
            .map(|action| format!("ec2:{action}"))
    );
    assert_eq!(
        of(json!(["kms:ReEncrypt*", "iam:passrole"])),
        [("iam:PassRole".to_owned(), true), ("kms:ReEncrypt*".to_owned(), false)]
    );
    let rest = actions(json!({ "Effect": "Allow", "NotAction": ["ec2:*", "ssm:*", "ebs:*"], "Resource": "*" }));
    assert_eq!(rest.len(), 3, "{rest:?}");
}
