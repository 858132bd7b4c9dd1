//! The golden AMI as somebody without an account runs it: the whole flow, with commands that really run.

#![cfg(feature = "aws")]
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::process::{Command, Output};

fn golden_ami(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_golden_ami")).args(arguments).output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_whole_flow_in_a_simulated_cloud_under_the_generated_policies() {
    if Command::new("mmdebstrap").arg("--version").output().is_err() {
        eprintln!("SKIPPED: mmdebstrap is missing");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = golden_ami(&["--simulate", "--dir", directory.path().to_str().unwrap()]);
    let words = words(&output);
    assert!(output.status.success(), "{words}");
    for line in [
        "done in",
        "calls that the policy denied: 0",
        // What a run grants itself and did not need is what cleans up after failures, and nothing else.
        "actions that the policy allows and this run did not need: ",
        "parameter /golden/example in us-west-2",
        "parameter /golden/example in ap-northeast-1",
        "parameter /golden/example in eu-central-1",
    ] {
        assert!(words.contains(line), "{line}: {words}");
    }
    assert_eq!(words.matches("  distributed: ").count(), 3, "{words}");
    let left = words.lines().skip_while(|line| !line.contains("and is left with:")).skip(1);
    let left: Vec<&str> = left.take_while(|line| line.starts_with("  ")).collect();
    // Two layers here, a copy in each of two regions, a snapshot of each, three parameters; no instance, group or volume.
    assert_eq!(left.len(), 4 + 4 + 3, "{left:?}");
    for unused in words.lines().skip_while(|line| !line.starts_with("actions that the policy allows")).skip(1) {
        let cleanup = ["Delete", "Deregister", "Cancel", "ListCommandInvocations"];
        assert!(cleanup.iter().any(|verb| unused.contains(verb)), "{unused}");
    }
}

#[test]
fn what_is_missing_is_said_and_nothing_is_done() {
    let output = golden_ami(&["--account", "111122223333"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("--subnet is missing"), "{}", words(&output));
}
