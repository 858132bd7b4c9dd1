use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::body::{Bodies, Body, BodyError, Content, Exec, ExecOutput, Start};
use crate::testing::Rig;
use crate::{EventualConsistency, Simulator};

/// Runs scripts with the shell of this machine, in no sandbox: the scripts here are harmless.
#[derive(Debug)]
struct Shells;

#[derive(Debug)]
struct Shell;

#[async_trait]
impl Bodies for Shells {
    async fn start(&self, _start: Start) -> Result<Arc<dyn Body>, BodyError> {
        Ok(Arc::new(Shell))
    }
}

#[async_trait]
impl Body for Shell {
    async fn exec(&self, command: Exec) -> Result<ExecOutput, BodyError> {
        let mut process = tokio::process::Command::new(&command.argv[0]);
        process.args(&command.argv[1..]).kill_on_drop(true);
        tokio::select! {
            output = process.output() => {
                let output = output.map_err(|e| BodyError::new(e.to_string()))?;
                Ok(ExecOutput::new(output.status.code().unwrap_or(-1), output.stdout, output.stderr))
            }
            () = tokio::time::sleep(command.timeout) => Ok(ExecOutput::new(-1, vec![], vec![]).timed_out()),
        }
    }

    async fn capture(&self) -> Result<BTreeMap<String, Content>, BodyError> {
        Ok(BTreeMap::new())
    }

    async fn stop(&self) -> Result<BTreeMap<String, Content>, BodyError> {
        Ok(BTreeMap::new())
    }

    async fn terminate(&self) {}

    async fn reboot(&self) -> Result<(), BodyError> {
        Ok(())
    }
}

async fn ssm(rig: &Rig, action: &str, input: &Value) -> (u16, Value) {
    let target = format!("AmazonSSM.{action}");
    let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
    let answer = rig.send("test", "us-east-1", "ssm", "POST", "/", &headers, input.to_string().into_bytes()).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
}

async fn ok(rig: &Rig, action: &str, input: Value) -> Value {
    let (status, answer) = ssm(rig, action, &input).await;
    assert_eq!(status, 200, "{action} {input}: {answer}");
    answer
}

async fn error(rig: &Rig, action: &str, input: Value) -> String {
    let (status, answer) = ssm(rig, action, &input).await;
    assert_ne!(status, 200, "{action} {input}: {answer}");
    answer["__type"].as_str().unwrap_or_default().to_owned()
}

/// A managed instance.
async fn instance(rig: &Rig) -> String {
    let filter = [("Owner.1", "amazon"), ("Filter.1.Name", "architecture"), ("Filter.1.Value.1", "x86_64")];
    let images = rig.ok("DescribeImages", &filter).await;
    let subnets = rig.ok("DescribeSubnets", &[]).await;
    let answer = rig
        .ok(
            "RunInstances",
            &[
                ("ImageId", &images.text("imageId")),
                ("InstanceType", "t3.micro"),
                ("MinCount", "1"),
                ("MaxCount", "1"),
                ("SubnetId", &subnets.text("subnetId")),
                ("IamInstanceProfile.Name", "managed"),
            ],
        )
        .await;
    answer.text("instanceId")
}

async fn ended(rig: &Rig, command: &Value, instance: &str) -> Value {
    for _ in 0..2000 {
        let input = json!({ "CommandId": command, "InstanceId": instance });
        let answer = ok(rig, "GetCommandInvocation", input).await;
        if !matches!(answer["Status"].as_str(), Some("Pending" | "InProgress")) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the command never ended");
}

fn script(instance: &str, text: &str) -> Value {
    json!({ "DocumentName": "AWS-RunShellScript", "InstanceIds": [instance], "Parameters": { "commands": [text] } })
}

#[tokio::test]
async fn commands_really_run() {
    let rig = Rig::with(Simulator::builder().bodies(Shells)).await;
    let id = instance(&rig).await;
    let managed = ok(&rig, "DescribeInstanceInformation", json!({})).await;
    assert_eq!(managed["InstanceInformationList"][0]["InstanceId"], json!(id));
    for (text, status, code, stdout) in [
        ("echo here", "Success", 0, "here\n"),
        ("echo here; exit 3", "Failed", 3, "here\n"),
        ("cd /; pwd", "Success", 0, "/\n"),
    ] {
        let sent = ok(&rig, "SendCommand", script(&id, text)).await;
        let answer = ended(&rig, &sent["Command"]["CommandId"], &id).await;
        assert_eq!(answer["Status"], json!(status), "{text}");
        assert_eq!(answer["ResponseCode"], json!(code), "{text}");
        assert_eq!(answer["StandardOutputContent"], json!(stdout), "{text}");
    }
    let all = ok(&rig, "ListCommandInvocations", json!({ "Details": true, "MaxResults": 2 })).await;
    assert_eq!(all["CommandInvocations"].as_array().unwrap().len(), 2);
    let rest = ok(&rig, "ListCommandInvocations", json!({ "MaxResults": 2, "NextToken": all["NextToken"] })).await;
    assert_eq!(rest["CommandInvocations"].as_array().unwrap().len(), 1);
    assert_eq!(rest["NextToken"], Value::Null);
}

#[tokio::test]
async fn commands_end_by_time_and_by_wish() {
    let rig = Rig::with(Simulator::builder().bodies(Shells)).await;
    let id = instance(&rig).await;
    let mut input = script(&id, "sleep 600");
    input["Parameters"]["executionTimeout"] = json!(["1"]);
    let sent = ok(&rig, "SendCommand", input).await;
    let answer = ended(&rig, &sent["Command"]["CommandId"], &id).await;
    assert_eq!(answer["StatusDetails"], json!("Execution Timed Out"));

    let sent = ok(&rig, "SendCommand", script(&id, "sleep 600")).await;
    ok(&rig, "CancelCommand", json!({ "CommandId": sent["Command"]["CommandId"] })).await;
    let answer = ended(&rig, &sent["Command"]["CommandId"], &id).await;
    assert_eq!(answer["Status"], json!("Cancelled"));
}

#[tokio::test]
async fn a_new_command_may_not_be_seen_yet() {
    let rig = Rig::with(Simulator::builder().bodies(Shells).consistency(EventualConsistency::reads(2))).await;
    let id = instance(&rig).await;
    // The instance settles first.
    for _ in 0..4 {
        ok(&rig, "DescribeInstanceInformation", json!({})).await;
        rig.ok("DescribeInstances", &[]).await;
    }
    let sent = ok(&rig, "SendCommand", script(&id, "true")).await;
    let input = json!({ "CommandId": sent["Command"]["CommandId"], "InstanceId": id });
    assert_eq!(error(&rig, "GetCommandInvocation", input.clone()).await, "InvocationDoesNotExist");
    assert_eq!(error(&rig, "GetCommandInvocation", input.clone()).await, "InvocationDoesNotExist");
    ended(&rig, &sent["Command"]["CommandId"], &id).await;
}

#[tokio::test]
async fn what_the_api_refuses_is_refused() {
    let rig = Rig::with(Simulator::builder().bodies(Shells)).await;
    let id = instance(&rig).await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut input = script(&id, "true");
        change(&mut input);
        input
    };
    for (input, code) in [
        (script("i-0123456789abcdef0", "true"), "InvalidInstanceId"),
        (with(&|v| v["DocumentName"] = json!("Other")), "InvalidDocument"),
        (with(&|v| v["TimeoutSeconds"] = json!(29)), "ValidationException"),
        (with(&|v| v["Parameters"]["command"] = json!(["x"])), "InvalidParameters"),
        (with(&|v| v["Parameters"] = json!({})), "InvalidParameters"),
        (with(&|v| v["Unheard"] = json!(1)), "ValidationException"),
        (with(&|v| v["Parameters"]["commands"] = json!(["#".repeat(70_000)])), "MaxDocumentSizeExceeded"),
    ] {
        assert_eq!(error(&rig, "SendCommand", input).await, code);
    }
    assert_eq!(error(&rig, "ListCommandInvocations", json!({ "CommandId": "none" })).await, "InvalidCommandId");
    assert_eq!(error(&rig, "CancelCommand", json!({ "CommandId": "none" })).await, "InvalidCommandId");
}

#[tokio::test]
async fn parameters_have_versions() {
    let rig = Rig::start().await;
    let put = |value: &str, more: Value| {
        let mut input = json!({ "Name": "/golden/web", "Value": value });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let first = put("one", json!({ "Type": "String", "Tags": [{ "Key": "run", "Value": "1" }] }));
    assert_eq!(ok(&rig, "PutParameter", first).await["Version"], json!(1));
    assert_eq!(error(&rig, "PutParameter", put("two", json!({ "Type": "String" }))).await, "ParameterAlreadyExists");
    assert_eq!(ok(&rig, "PutParameter", put("two", json!({ "Overwrite": true }))).await["Version"], json!(2));
    for (name, value) in [("/golden/web", "two"), ("/golden/web:1", "one")] {
        assert_eq!(ok(&rig, "GetParameter", json!({ "Name": name })).await["Parameter"]["Value"], json!(value));
    }
    assert_eq!(error(&rig, "GetParameter", json!({ "Name": "/golden/web:9" })).await, "ParameterVersionNotFound");
    let many = ok(&rig, "GetParameters", json!({ "Names": ["/golden/web", "/none"] })).await;
    assert_eq!(many["InvalidParameters"], json!(["/none"]));
    let history = ok(&rig, "GetParameterHistory", json!({ "Name": "/golden/web" })).await;
    assert_eq!(history["Parameters"].as_array().unwrap().len(), 2);
    let tags = json!({ "ResourceType": "Parameter", "ResourceId": "/golden/web" });
    assert_eq!(ok(&rig, "ListTagsForResource", tags).await["TagList"], json!([{ "Key": "run", "Value": "1" }]));
    ok(&rig, "DeleteParameter", json!({ "Name": "/golden/web" })).await;
    assert_eq!(error(&rig, "DeleteParameter", json!({ "Name": "/golden/web" })).await, "ParameterNotFound");
}

#[tokio::test]
async fn a_pointer_to_no_image_is_accepted_and_never_arrives() {
    let rig = Rig::start().await;
    let image = rig.ok("DescribeImages", &[("Owner.1", "amazon")]).await.text("imageId");
    for (name, value, arrives) in [("/p/good", image.as_str(), true), ("/p/bad", "ami-0123456789abcdef0", false)] {
        let input = json!({ "Name": name, "Value": value, "Type": "String", "DataType": "aws:ec2:image" });
        ok(&rig, "PutParameter", input).await;
        let (status, _) = ssm(&rig, "GetParameter", &json!({ "Name": name })).await;
        assert_eq!(status == 200, arrives, "{name}");
    }
}
