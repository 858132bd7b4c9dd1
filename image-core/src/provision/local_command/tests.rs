use super::*;
use crate::{
    EventBody,
    host_machine::{HostMachine, context},
};
use std::time::Instant;

fn sh(script: impl Into<OsString>) -> LocalCommand {
    LocalCommand::new("local", "sh").arg("-c").arg(script)
}

/// Whether a process is gone or only waits to be reaped, looked at until it is.
async fn ends(pid: &str) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

#[tokio::test]
async fn it_runs_with_its_settings_and_its_output_is_events() {
    let (machine, (cx, events)) = (HostMachine::new(), context().await);
    let script = "echo \"$PWD $A $TOKEN $IMAGE_RUN_ID $IMAGE_MACHINE_ID $IMAGE_MACHINE_SHELL\"; printf end >&2";
    let command = sh(script).env("A", "1").secret("TOKEN", Secret::new("hunter22")).cwd("/");
    command.provision(&cx, &machine).await.unwrap();
    let said = |stream, text: &str| EventBody::Output { stream, text: text.into() };
    let bodies = events.bodies();
    assert!(bodies.contains(&said(Stream::Stdout, "/ 1 *** run-1 host sh")), "{bodies:?}");
    assert!(bodies.contains(&said(Stream::Stderr, "end")), "{bodies:?}");
    let clean = LocalCommand::new("local", "/bin/sh").args(["-c", "[ -z \"${HOME-}\" ]"]).clean_env();
    clean.provision(&cx, &machine).await.unwrap();
}

#[tokio::test]
async fn a_failure_says_how_it_ended_and_its_last_words() {
    let (machine, (cx, _)) = (HostMachine::new(), context().await);
    let failing = sh("echo no $TOKEN >&2; exit 4").secret("TOKEN", Secret::new("hunter22"));
    let error = failing.clone().provision(&cx, &machine).await.unwrap_err();
    insta::assert_snapshot!(error, @"provisioner local ended with exit code 4: no ***");
    failing.valid_exit_codes([0, 4]).provision(&cx, &machine).await.unwrap();
    let error = sh("kill -9 $$").provision(&cx, &machine).await.unwrap_err();
    insta::assert_snapshot!(error, @"provisioner local ended with signal 9");
    let missing = LocalCommand::new("local", "/nonexistent").provision(&cx, &machine).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let huge = sh(
        "i=0; while [ $i -lt 3000 ]; do echo 'a line of some words and more words'; i=$((i+1)); done; echo last; exit 1",
    );
    let error = huge.provision(&cx, &machine).await.unwrap_err().to_string();
    assert!(error.ends_with("| last"), "{error}");
}

#[tokio::test]
async fn a_timeout_a_cancel_and_its_own_end_kill_the_group() {
    for how in ["timeout", "deadline", "end"] {
        let (machine, (cx, _)) = (HostMachine::new(), context().await);
        let pid = machine.at("pid");
        let began = Instant::now();
        let tail = if how == "end" { "" } else { "wait" };
        // The name shows up at once and whole, so that the time limits cannot come before it.
        let command = sh(format!("sleep 600 & echo $! > {pid}; {tail}"));
        let cx = if how == "deadline" { cx.with_timeout(Duration::from_secs(1)) } else { cx };
        let done =
            command.timeout(Duration::from_secs(if how == "timeout" { 1 } else { 60 })).provision(&cx, &machine).await;
        match how {
            "end" => done.unwrap(),
            _ => assert_eq!(done.unwrap_err().kind(), ErrorKind::TimedOut),
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{how}");
        assert!(ends(&machine.read("pid")).await, "{how}");
    }
}

#[tokio::test]
async fn a_process_that_left_the_group_does_not_hold_up_the_run() {
    if !std::path::Path::new("/usr/bin/setsid").exists() {
        eprintln!("SKIPPED: setsid is missing");
        return;
    }
    let (machine, (cx, events)) = (HostMachine::new(), context().await);
    let pid = machine.at("pid");
    let began = Instant::now();
    let script = format!("setsid sh -c 'echo $$ > {pid}; exec sleep 600' & while [ ! -s {pid} ]; do :; done");
    sh(script).provision(&cx, &machine).await.unwrap();
    let escaped = Pid::from_raw(machine.read("pid").trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(escaped, Signal::KILL).unwrap();
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(events.warnings(), ["provisioner local: a process it left running holds its output open"]);
}

#[tokio::test]
async fn only_declared_inputs_give_a_fingerprint() {
    let (machine, (cx, _)) = (HostMachine::new(), context().await);
    assert_eq!(sh("true").fingerprint(&cx).await.unwrap(), None);
    assert!(sh("true").inputs(Vec::<PathBuf>::new()).fingerprint(&cx).await.unwrap().is_some());
    std::fs::write(machine.path("in"), "a").unwrap();
    let declared = || sh("true").inputs([machine.path("in")]).secret("T", Secret::new("one"));
    let before = declared().fingerprint(&cx).await.unwrap();
    assert_eq!(declared().secret("T", Secret::new("two")).fingerprint(&cx).await.unwrap(), before);
    assert_ne!(declared().env("A", "1").fingerprint(&cx).await.unwrap(), before);
    assert_ne!(declared().arg("x").fingerprint(&cx).await.unwrap(), before);

    let planned = declared();
    planned.fingerprint(&cx).await.unwrap();
    std::fs::write(machine.path("in"), "b").unwrap();
    let error = planned.provision(&cx, &machine).await.unwrap_err();
    insta::assert_snapshot!(error, @"an input of provisioner local has changed since the run was planned");
    assert_ne!(declared().fingerprint(&cx).await.unwrap(), before);
}
