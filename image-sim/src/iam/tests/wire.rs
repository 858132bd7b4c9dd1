//! Calls under a policy, as a client sees them.

use serde_json::{Value, json};

use super::super::{Policy, Principal};
use super::documents::generated;
use crate::Simulator;
use crate::testing::{Answer, Rig};

const ACCOUNT: &str = "111122223333";
const REGION: &str = "us-west-2";

fn attach(rig: &Rig, statements: &Value) {
    let policy = Policy::from_json(&json!({ "Version": "2012-10-17", "Statement": statements })).unwrap();
    rig.simulator.attach_policy(&Principal::AccessKey("test".to_owned()), "p", policy).unwrap();
}

async fn call(rig: &Rig, action: &str, parameters: &[(&str, &str)]) -> Answer {
    rig.call_as("test", REGION, action, parameters).await
}

async fn ok(rig: &Rig, action: &str, parameters: &[(&str, &str)]) -> Answer {
    let answer = call(rig, action, parameters).await;
    assert_eq!(answer.status, 200, "{action} {parameters:?}: {}\n{:#?}", answer.body, rig.simulator.denied_calls());
    answer
}

async fn denied(rig: &Rig, action: &str, parameters: &[(&str, &str)]) -> (String, String) {
    let answer = call(rig, action, parameters).await;
    assert_eq!((answer.status, answer.text("Code").as_str()), (403, "UnauthorizedOperation"), "{}", answer.body);
    let last = rig.simulator.denied_calls().pop().unwrap();
    assert!(answer.has(&format!("is not authorized to perform: {} on resource: {}", last.action, last.resource)));
    (last.action, last.resource)
}

/// The tags that say that something is temporary, for each kind.
fn tagged(kinds: &[&str], state: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let of = |rest: &str| format!("TagSpecification.{}.{rest}", index + 1);
        parameters.push((of("ResourceType"), (*kind).to_owned()));
        for (number, (key, value)) in [("golden-image:token", "t"), ("golden-image:state", state)].iter().enumerate() {
            parameters.push((of(&format!("Tag.{}.Key", number + 1)), (*key).to_owned()));
            parameters.push((of(&format!("Tag.{}.Value", number + 1)), (*value).to_owned()));
        }
    }
    parameters
}

fn with<'a>(parameters: &[(&'a str, &'a str)], more: &'a [(String, String)]) -> Vec<(&'a str, &'a str)> {
    let more = more.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    parameters.iter().copied().chain(more).collect()
}

/// Every call of a build under the policy that `iam_policy` makes for it, and calls beside it.
#[tokio::test]
async fn a_build_under_its_generated_policy() {
    let Some(mut document) = generated("plain") else { return };
    let rig = Rig::with(Simulator::builder().account(ACCOUNT)).await;
    let subnet = ok(&rig, "DescribeSubnets", &[]).await;
    let (subnet, vpc) = (subnet.text("subnetId"), subnet.text("vpcId"));
    let image = ok(&rig, "DescribeImages", &[("Filter.1.Name", "architecture"), ("Filter.1.Value.1", "x86_64")]).await;
    let image = image.text("imageId");
    // The snapshot has a subnet of its own.
    for statement in document["Statement"].as_array_mut().unwrap() {
        for resource in statement["Resource"].as_array_mut().into_iter().flatten() {
            if resource.as_str().unwrap().contains(":subnet/") {
                *resource = json!(format!("arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/{subnet}"));
            }
        }
    }
    let policy = Policy::from_json(&document).unwrap();
    rig.simulator.attach_policy(&Principal::AccessKey("test".to_owned()), "build", policy).unwrap();

    for action in [
        "DescribeImages",
        "DescribeInstanceTypes",
        "DescribeInstances",
        "DescribeSecurityGroups",
        "DescribeSnapshots",
        "DescribeSubnets",
        "DescribeVolumes",
        "GetEbsEncryptionByDefault",
    ] {
        ok(&rig, action, &[]).await;
    }
    assert_eq!(denied(&rig, "DescribeKeyPairs", &[]).await, ("ec2:DescribeKeyPairs".into(), "*".into()));
    let elsewhere = rig.call_as("test", "us-east-1", "DescribeImages", &[]).await;
    assert_eq!(elsewhere.text("Code"), "UnauthorizedOperation", "another region");

    let group = [("GroupName", "g"), ("GroupDescription", "d"), ("VpcId", vpc.as_str())];
    let (marked, kept) = (tagged(&["security-group"], "temporary"), tagged(&["security-group"], "kept"));
    let (action, resource) = denied(&rig, "CreateSecurityGroup", &group).await;
    assert!(action == "ec2:CreateSecurityGroup" && resource.ends_with(":security-group/*"), "{action} {resource}");
    denied(&rig, "CreateSecurityGroup", &with(&group, &kept)).await;
    let group = ok(&rig, "CreateSecurityGroup", &with(&group, &marked)).await.text("groupId");

    let launch = [
        ("ImageId", image.as_str()),
        ("InstanceType", "m7i.large"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("SubnetId", subnet.as_str()),
        ("SecurityGroupId.1", group.as_str()),
        ("MetadataOptions.HttpTokens", "required"),
        ("IamInstanceProfile.Name", "image-builder"),
    ];
    let marked = tagged(&["instance", "volume", "network-interface"], "temporary");
    let launch_of = |changes: &[(&'static str, &'static str)]| {
        let mut launch = launch.to_vec();
        for (name, value) in changes {
            launch.retain(|(known, _)| known != name);
            launch.push((name, value));
        }
        launch
    };
    for (changes, action, resource) in [
        (&[("InstanceType", "t3.micro")][..], "ec2:RunInstances", ":instance/*"),
        (&[("MetadataOptions.HttpTokens", "optional")], "ec2:RunInstances", ":instance/*"),
        (&[("IamInstanceProfile.Name", "admin")], "iam:PassRole", ":role/admin"),
        (&[("KeyName", "k")], "ec2:RunInstances", ":key-pair/k"),
    ] {
        let launch = launch_of(changes);
        let (denied_action, denied_resource) = denied(&rig, "RunInstances", &with(&launch, &marked)).await;
        assert!(denied_action == action && denied_resource.ends_with(resource), "{denied_action} {denied_resource}");
    }
    let untagged = tagged(&["instance", "volume"], "temporary");
    let (_, resource) = denied(&rig, "RunInstances", &with(&launch, &untagged)).await;
    assert!(resource.ends_with(":network-interface/*"), "{resource}");
    let dry = launch_of(&[("DryRun", "true")]);
    assert_eq!(call(&rig, "RunInstances", &with(&dry, &marked)).await.text("Code"), "DryRunOperation");
    let refused = launch_of(&[("DryRun", "true"), ("InstanceType", "t3.micro")]);
    assert_eq!(call(&rig, "RunInstances", &with(&refused, &marked)).await.text("Code"), "UnauthorizedOperation");
    let instance = ok(&rig, "RunInstances", &with(&launch, &marked)).await;
    let (instance, volume) = (instance.text("instanceId"), instance.text("volumeId"));

    // What others have is out of reach.
    let default_group =
        ok(&rig, "DescribeSecurityGroups", &[("Filter.1.Name", "group-name"), ("Filter.1.Value.1", "default")]).await;
    denied(&rig, "DeleteSecurityGroup", &[("GroupId", &default_group.text("groupId"))]).await;
    denied(&rig, "DeregisterImage", &[("ImageId", &image)]).await;
    denied(&rig, "CreateTags", &[("ResourceId.1", &image), ("Tag.1.Key", "a"), ("Tag.1.Value", "b")]).await;
    denied(&rig, "CreateTags", &[("ResourceId.1", &instance), ("Tag.1.Key", "a"), ("Tag.1.Value", "b")]).await;

    ok(&rig, "StopInstances", &[("InstanceId.1", &instance)]).await;
    let capture = [("InstanceId", instance.as_str()), ("Name", "web")];
    denied(&rig, "CreateImage", &capture).await;
    let marked = tagged(&["image", "snapshot"], "temporary");
    let made = ok(&rig, "CreateImage", &with(&capture, &marked)).await.text("imageId");
    ok(&rig, "ModifyImageAttribute", &[("ImageId", &made), ("Description.Value", "web")]).await;
    let kept = [("ResourceId.1", made.as_str()), ("Tag.1.Key", "golden-image:state"), ("Tag.1.Value", "kept")];
    ok(&rig, "CreateTags", &kept).await;
    denied(&rig, "DeregisterImage", &[("ImageId", &made)]).await;
    ok(&rig, "TerminateInstances", &[("InstanceId.1", &instance)]).await;
    assert_eq!(
        call(&rig, "DeleteVolume", &[("VolumeId", &volume)]).await.text("Code"),
        "UnauthorizedOperation",
        "it is gone with its tags"
    );
    ok(&rig, "DeleteSecurityGroup", &[("GroupId", &group)]).await;

    let unused: Vec<_> = rig.simulator.unused_actions().into_iter().map(|unused| unused.action).collect();
    let expected =
        ["ec2:DeleteSnapshot", "ec2:DeleteVolume", "ec2:DeregisterImage", "ec2:DeleteTags"].map(str::to_owned);
    assert_eq!(unused, expected);
    assert!(rig.simulator.denied_calls().iter().all(|denied| denied.denied_by.is_none()));
}

#[tokio::test]
async fn a_role_has_its_own_policies() {
    let rig = Rig::with(Simulator::builder().account(ACCOUNT)).await;
    let role = format!("arn:aws:iam::{ACCOUNT}:role/ci/builder");
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Sid": "Look", "Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
        {"Sid": "Never", "Effect": "Deny", "Action": "ec2:DescribeTags", "Resource": "*"}
    ]}"#;
    rig.simulator.attach_policy(&Principal::Role(role.clone()), "look", policy.parse().unwrap()).unwrap();
    let assume = json!([{ "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role,
        "Condition": { "StringLike": { "sts:RoleSessionName": "run-*" } } }]);
    attach(&rig, &assume);

    let sts = async |body: String| rig.send("test", REGION, "sts", "POST", "/", &[], body.into_bytes()).await;
    let ask = |name: &str| format!("Action=AssumeRole&RoleArn={role}&RoleSessionName={name}");
    let refused = sts(ask("me")).await;
    assert_eq!((refused.status, refused.text("Code").as_str()), (403, "AccessDenied"));
    let who = sts("Action=GetCallerIdentity".to_owned()).await;
    assert_eq!(who.status, 200, "who one is can always be asked");
    let session = sts(ask("run-1")).await;
    assert_eq!(session.status, 200, "{}", session.body);
    let token = session.text("SessionToken");
    let as_session = async |action: &str| {
        let body = format!("Action={action}&Version=2016-11-15");
        let (id, secret) = (session.text("AccessKeyId"), session.text("SecretAccessKey"));
        rig.send_with((&id, &secret), REGION, "ec2", "POST", "/", &[("x-amz-security-token", &token)], body.into())
            .await
    };
    assert_eq!(as_session("DescribeVpcs").await.status, 200);
    assert!(as_session("DescribeTags").await.has("with an explicit deny"));
    assert_eq!(as_session("EnableEbsEncryptionByDefault").await.text("Code"), "UnauthorizedOperation");
    assert_eq!(call(&rig, "DescribeVpcs", &[]).await.text("Code"), "UnauthorizedOperation", "the user has another");

    let denied = rig.simulator.denied_calls();
    let by: Vec<_> = denied.iter().map(|denied| denied.denied_by.as_deref()).collect();
    assert_eq!(by, [None, Some("look/Never"), None, None]);
    assert!(denied[1].principal.ends_with(":assumed-role/builder/run-1"), "{}", denied[1].principal);
    assert_eq!(denied[0].context["sts:rolesessionname"], ["me"]);
    assert!(rig.simulator.unused_actions().iter().all(|unused| unused.action != "ec2:DescribeVpcs"));
}

#[tokio::test]
async fn parameters_and_commands_have_resources_too() {
    let rig = Rig::with(Simulator::builder().account(ACCOUNT)).await;
    attach(
        &rig,
        &json!([
            { "Effect": "Allow", "Action": ["ssm:GetParameter", "ssm:PutParameter"],
              "Resource": format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/golden/*") },
            { "Effect": "Allow", "Action": "ssm:SendCommand",
              "Resource": [format!("arn:aws:ssm:{REGION}::document/AWS-RunShellScript")] },
        ]),
    );
    let ssm = async |action: &str, input: Value| {
        let target = format!("AmazonSSM.{action}");
        let (headers, body) = ([("x-amz-target", target.as_str())], input.to_string().into());
        let answer = rig.send("test", REGION, "ssm", "POST", "/", &headers, body).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, body["__type"].as_str().unwrap_or_default().to_owned())
    };
    let refused = (400, "AccessDeniedException".to_owned());
    let put = json!({ "Name": "/golden/web", "Value": "ami-1", "Type": "String" });
    assert_eq!(ssm("PutParameter", put).await.0, 200);
    assert_eq!(ssm("GetParameter", json!({ "Name": "/golden/web:1" })).await.0, 200);
    assert_eq!(ssm("GetParameter", json!({ "Name": "/other/web" })).await, refused);
    assert_eq!(ssm("DeleteParameter", json!({ "Name": "/golden/web" })).await, refused);
    let tags = json!([{ "Key": "a", "Value": "b" }]);
    let put = json!({ "Name": "/golden/db", "Value": "ami-1", "Type": "String", "Tags": tags });
    assert_eq!(ssm("PutParameter", put).await, refused);
    let send = json!({ "DocumentName": "AWS-RunShellScript", "InstanceIds": ["i-0123456789abcdef0"] });
    assert_eq!(ssm("SendCommand", send).await, refused);
    let resources: Vec<_> = rig.simulator.denied_calls().into_iter().map(|denied| denied.resource).collect();
    assert_eq!(
        resources,
        [
            format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/other/web"),
            format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/golden/web"),
            format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/golden/db"),
            format!("arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0123456789abcdef0"),
        ]
    );
}

#[tokio::test]
async fn an_action_that_the_table_lacks_is_refused_and_not_let_through() {
    let rig = Rig::with(Simulator::builder().account(ACCOUNT)).await;
    attach(&rig, &json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }]));
    assert_eq!(call(&rig, "MakeCoffee", &[]).await.status, 501);
    assert_eq!(call(&rig, "TerminateInstances", &[("InstanceId.1", "i-0123456789abcdef0")]).await.status, 400);
}

#[tokio::test]
async fn the_endpoint_of_the_simulator_attaches_policies_and_reports() {
    let rig = Rig::with(Simulator::builder().account(ACCOUNT)).await;
    let admin = async |method: &str, path: &str, body: Value| {
        rig.send("test", REGION, "ec2", method, path, &[], body.to_string().into_bytes()).await
    };
    let statement = json!({ "Effect": "Allow", "Action": ["ec2:DescribeVpcs", "ec2:DescribeTags"], "Resource": "*" });
    let policy = json!({ "Version": "2012-10-17", "Statement": statement });
    let attach = |principal: Value| json!({ "principal": principal, "name": "p", "policy": policy });
    assert_eq!(admin("POST", "/_sim/policies", attach(json!({ "access_key": "test" }))).await.status, 200);
    for wrong in [
        attach(json!({ "access_key": "nobody" })),
        attach(json!({ "role": "builder" })),
        attach(json!({ "user": "test" })),
        json!({ "principal": { "access_key": "test" }, "name": "p", "policy": {} }),
    ] {
        assert_eq!(admin("POST", "/_sim/policies", wrong.clone()).await.status, 400, "{wrong}");
    }
    ok(&rig, "DescribeVpcs", &[]).await;
    denied(&rig, "DescribeImages", &[]).await;
    let report: Value = serde_json::from_str(&admin("GET", "/_sim/iam", Value::Null).await.body).unwrap();
    assert_eq!(report["denied"][0]["action"], "ec2:DescribeImages");
    assert_eq!(report["denied"][0]["context"]["ec2:region"], json!([REGION]));
    assert_eq!(report["unused"].as_array().unwrap().len(), 1);
    assert_eq!(report["unused"][0]["action"], "ec2:DescribeTags");
    assert_eq!(report["unused"][0]["simulated"], true);
    assert_eq!(admin("DELETE", "/_sim/policies", Value::Null).await.status, 200);
    ok(&rig, "DescribeImages", &[]).await;
}
