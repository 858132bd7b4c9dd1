//! Policies that are read, and those that are refused.

use std::path::Path;

use serde_json::{Value, json};

use super::super::Policy;

fn document(statement: &Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let good = json!({ "Effect": "Allow", "Action": "ec2:*", "Resource": "*" });
    Policy::from_json(&document(&good)).unwrap();
    for (element, value, expected) in [
        ("Effect", json!("allow"), "Statement[0].Effect: \"allow\" is not \"Allow\" or \"Deny\""),
        ("Principal", json!("*"), "Statement[0]: Principal: unknown element"),
        ("NotAction", json!("ec2:*"), "Statement[0]: needs exactly one of Action and NotAction"),
        ("Action", json!("RunInstances"), "Statement[0].Action: RunInstances is not an action"),
        ("Action", json!([]), "Statement[0].Action: [] is not a text"),
        ("Resource", json!("i-1"), "Statement[0].Resource: i-1 is not an ARN"),
        (
            "Resource",
            json!("arn:aws:ec2:*:${aws:PrincipalAccount}:*"),
            "Statement[0].Resource: the simulator has no policy variables",
        ),
        ("Sid", json!("not so"), "Statement[0].Sid: \"not so\" is not letters and digits"),
        (
            "Condition",
            json!({ "StringEqual": { "ec2:Region": "a" } }),
            "Statement[0].Condition: the simulator has no condition operator StringEqual",
        ),
        (
            "Condition",
            json!({ "StringEquals": { "ec2:Colour": "a" } }),
            "Statement[0].Condition.StringEquals: the simulator does not fill in the condition key ec2:Colour",
        ),
        (
            "Condition",
            json!({ "Bool": { "aws:SecureTransport": "on" } }),
            "Statement[0].Condition.Bool.aws:SecureTransport: on is not true or false",
        ),
        ("Condition", json!({ "StringEquals": "a" }), "Statement[0].Condition.StringEquals: \"a\" is not an object"),
    ] {
        let mut statement = good.clone();
        statement[element] = value;
        let error = Policy::from_json(&document(&statement)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let twice = json!({ "Sid": "A", "Effect": "Allow", "Action": "*", "Resource": "*" });
    for (document, expected) in [
        (json!({ "Statement": [twice, twice] }), "Statement: A is not a Sid"),
        (json!({ "Version": "2020-01-01", "Statement": [good] }), "Version"),
        (json!({ "Version": "2012-10-17" }), "the policy: needs"),
        (json!({ "Statement": [] }), "Statement: []"),
        (json!([]), "the policy: []"),
        (json!({ "Statement": [good], "Statements": [] }), "the policy: Statements: unknown"),
    ] {
        let error = Policy::from_json(&document).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!("{".parse::<Policy>().unwrap_err().to_string().starts_with("the policy is not JSON"));
}

#[test]
fn keys_of_services_that_are_not_simulated_are_never_asked() {
    let condition = json!({ "ForAnyValue:StringEquals": { "kms:ResourceAliases": "alias/images" } });
    let mut statement =
        json!({ "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": "*", "Condition": condition });
    Policy::from_json(&document(&statement)).unwrap();
    for action in [json!(["kms:Decrypt", "ec2:RunInstances"]), json!("*"), json!("k*:Decrypt")] {
        statement["Action"] = action.clone();
        let accepted = Policy::from_json(&document(&statement)).is_ok();
        assert_eq!(accepted, action == "k*:Decrypt", "{action}");
    }
}

/// The generated policies of `image-aws`, as its snapshots have them.
pub(super) fn generated(name: &str) -> Option<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image-aws/src/ec2/policy/snapshots");
    if !directory.exists() {
        eprintln!("SKIPPED: image-aws is not beside this crate");
        return None;
    }
    let text = std::fs::read_to_string(directory.join(format!("image_aws__ec2__policy__tests__{name}.snap"))).unwrap();
    let (_, document) = text.split_once("\n---\n").unwrap();
    Some(serde_json::from_str(document).unwrap())
}

#[test]
fn generated_policies_are_accepted() {
    for name in ["plain", "everything"] {
        let Some(document) = generated(name) else { return };
        let policy = Policy::from_json(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(policy.statements.len(), document["Statement"].as_array().unwrap().len());
    }
}
