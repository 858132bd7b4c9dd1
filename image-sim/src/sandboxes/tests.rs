use std::fs;
use std::path::Path;
use std::time::Duration;

use image_local::qemu::agent::find_busybox;
use image_local::sandbox::Network;
use serde_json::{Value, json};

use super::Sandboxes;
use crate::testing::Rig;
use crate::{SeedImage, Simulator};

const OWNER: &str = "111122223333";

/// A plain tar of a root file system that has a shell.
fn archive(busybox: &Path, directory: &Path) -> fs::File {
    let root = directory.join("root");
    for name in ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for name in ["sh", "cat", "echo"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    let archive = directory.join("root.tar");
    let mut tar = std::process::Command::new("tar");
    tar.arg("--create").arg("--file").arg(&archive).arg("--directory").arg(&root).arg(".");
    assert!(tar.status().unwrap().success());
    fs::File::open(archive).unwrap()
}

async fn ssm(rig: &Rig, action: &str, input: Value) -> Value {
    let target = format!("AmazonSSM.{action}");
    let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
    let answer = rig.send("test", "us-east-1", "ssm", "POST", "/", &headers, input.to_string().into_bytes()).await;
    assert_eq!(answer.status, 200, "{action}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

async fn launch(rig: &Rig, image: &str) -> String {
    let subnet = rig.ok("DescribeSubnets", &[]).await.text("subnetId");
    let parameters = [
        ("ImageId", image),
        ("InstanceType", "t3.micro"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("SubnetId", subnet.as_str()),
        ("IamInstanceProfile.Name", "managed"),
    ];
    let id = rig.ok("RunInstances", &parameters).await.text("instanceId");
    until(rig, "DescribeInstances", &[("InstanceId.1", &id)], "<name>running</name>").await;
    id
}

async fn until(rig: &Rig, action: &str, parameters: &[(&str, &str)], text: &str) {
    for _ in 0..6000 {
        if rig.ok(action, parameters).await.has(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{action} never had {text}");
}

async fn run(rig: &Rig, instance: &str, script: &str) -> String {
    let input = json!({
        "DocumentName": "AWS-RunShellScript", "InstanceIds": [instance], "Parameters": { "commands": [script] },
    });
    let id = ssm(rig, "SendCommand", input).await["Command"]["CommandId"].clone();
    for _ in 0..6000 {
        let answer = ssm(rig, "GetCommandInvocation", json!({ "CommandId": id, "InstanceId": instance })).await;
        match answer["Status"].as_str() {
            Some("Pending" | "InProgress") => tokio::time::sleep(Duration::from_millis(10)).await,
            Some("Success") => return answer["StandardOutputContent"].as_str().unwrap().to_owned(),
            _ => panic!("{script}: {answer}"),
        }
    }
    panic!("{script} never ended");
}

#[tokio::test]
async fn a_captured_image_has_what_commands_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let trees = directory.path().join("trees");
    let (busybox, sandboxes) = match (find_busybox(), Sandboxes::new(&trees, Network::None).await) {
        (Ok(busybox), Ok(sandboxes)) => (busybox, sandboxes),
        (busybox, sandboxes) => {
            eprintln!("SKIPPED: {busybox:?}, {sandboxes:?}");
            return;
        }
    };
    let content = sandboxes.tree(archive(&busybox, directory.path())).await.unwrap();
    let seed = SeedImage::new("busybox", OWNER, "x86_64").content(content);
    let image = seed.id("us-east-1");
    let rig = Rig::with(Simulator::builder().image(seed).bodies(sandboxes.clone())).await;

    let built = launch(&rig, &image).await;
    assert_eq!(run(&rig, &built, "echo golden > /etc/motd; cat /etc/motd").await, "golden\n");
    rig.ok("StopInstances", &[("InstanceId.1", &built)]).await;
    until(&rig, "DescribeInstances", &[("InstanceId.1", &built)], "<name>stopped</name>").await;
    let captured = rig.ok("CreateImage", &[("InstanceId", &built), ("Name", "golden")]).await.text("imageId");
    until(&rig, "DescribeImages", &[("ImageId.1", &captured)], "<imageState>available</imageState>").await;
    rig.ok("TerminateInstances", &[("InstanceId.1", &built)]).await;

    let tested = launch(&rig, &captured).await;
    assert_eq!(run(&rig, &tested, "cat /etc/motd").await, "golden\n");
    // The image does not see what its instances write.
    run(&rig, &tested, "echo else > /etc/motd").await;
    let again = launch(&rig, &captured).await;
    assert_eq!(run(&rig, &again, "cat /etc/motd").await, "golden\n");
    for id in [&tested, &again] {
        rig.ok("TerminateInstances", &[("InstanceId.1", id)]).await;
    }
    sandboxes.remove().await.unwrap();
    assert!(!trees.exists());
}
