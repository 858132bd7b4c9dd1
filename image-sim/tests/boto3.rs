//! The simulator as boto3 sees it: a whole build, with every reply checked against AWS's own model of the API, and snapshots
//! block by block.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by a panic, and says what it skips")]

use std::path::{Path, PathBuf};
use std::process::Command;

use image_sim::Simulator;

/// A Python that has boto3: the system's, or a virtual environment of ours.
fn python() -> Option<PathBuf> {
    let has_boto3 = |python: &Path| {
        Command::new(python).args(["-c", "import boto3"]).output().is_ok_and(|out| out.status.success())
    };
    let system = PathBuf::from("python3");
    if has_boto3(&system) {
        return Some(system);
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boto3");
    let python = directory.join("bin/python3");
    let run = |command: &mut Command| command.output().is_ok_and(|out| out.status.success());
    let ready = has_boto3(&python)
        || run(Command::new(&system).args(["-m", "venv"]).arg(&directory))
            && run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "boto3"]));
    ready.then_some(python)
}

/// Runs a script against a simulator, which must have nothing left in the end.
async fn run(script: &str) {
    let Some(python) = python() else {
        eprintln!("SKIPPED: neither the system's Python nor pip has boto3");
        return;
    };
    let simulator = Simulator::builder().account("111122223333").account("444455556666").start().await.unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/boto3").join(script);
    let mut command = Command::new(python);
    command.arg(script).arg(simulator.endpoint()).env("AWS_EC2_METADATA_DISABLED", "true");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    let left: Vec<_> = simulator.state().into_iter().filter(|resource| !resource.seeded).collect();
    assert!(left.iter().all(|resource| resource.state == "terminated"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_with_boto3() {
    run("build.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_with_boto3() {
    run("ebs.py").await;
}
