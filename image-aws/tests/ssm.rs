//! Machines behind Systems Manager, against an endpoint that runs the commands on this host.

#![expect(clippy::print_stderr, clippy::unwrap_used, reason = "helpers of tests, and a skipped test says so")]

#[path = "support/systems_manager.rs"]
mod systems_manager;

use image_aws::{Place, SystemsManager};
use image_core::{
    Architecture, BootMode, Command, Context, ErrorKind, Event, EventBody, EventSink, Exit, Machine, MachineExt,
    MemoryStore, Output, Platform, Result, Secret, Stream, Upload,
    wait::{self, Poll, WaitPolicy},
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    sync::{Arc, Mutex},
    time::Duration,
};
use systems_manager::Stub;

const INSTANCE: &str = "i-0123456789abcdef0";

#[derive(Debug, Default)]
struct Lines(Mutex<Vec<(Stream, String)>>);

impl EventSink for Lines {
    fn emit(&self, event: &Event) {
        if let EventBody::Output { stream, text } = &event.body {
            self.0.lock().unwrap().push((*stream, text.clone()));
        }
    }
}

struct Bench {
    stub: Stub,
    cx: Context,
    lines: Arc<Lines>,
    machine: Arc<dyn Machine>,
}

fn linux() -> Platform {
    Platform::linux(Architecture::X86_64, BootMode::Uefi)
}

fn place() -> Place {
    Place::new("111122223333", "us-west-2").unwrap()
}

async fn context() -> (Context, Arc<Lines>) {
    let lines = Arc::new(Lines::default());
    (Context::builder(MemoryStore::default()).sink(Arc::clone(&lines)).open().await.unwrap(), lines)
}

async fn connect(stub: &Stub, cx: &Context, seconds: u64) -> Result<Arc<dyn Machine>> {
    let manager = SystemsManager::new(stub.clone()).answers_within(Duration::from_secs(seconds));
    manager.connect(cx, &place(), INSTANCE, &linux()).await
}

/// A machine, where this host has what machines need.
async fn bench() -> Option<Bench> {
    let able = std::process::Command::new("setsid").args(["-f", "-w", "true"]).status().is_ok_and(|s| s.success());
    if !able {
        eprintln!("SKIPPED: setsid of util-linux 2.32 or later is missing");
        return None;
    }
    let stub = Stub::start().await;
    let (cx, lines) = context().await;
    let machine = connect(&stub, &cx, 60).await.unwrap();
    Some(Bench { stub, cx, lines, machine })
}

fn is_root() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    if !root {
        eprintln!("SKIPPED: only root gives files away");
    }
    root
}

/// Waits for something that other processes do.
async fn eventually(cx: &Context, what: &str, mut there: impl FnMut() -> bool + Send) {
    let often =
        WaitPolicy::new(Duration::from_secs(60)).interval(Duration::from_millis(20), Duration::from_millis(100));
    let look = || {
        let seen = if there() { Poll::Ready(()) } else { Poll::Pending(String::new()) };
        async { Ok(seen) }
    };
    wait::until(cx, often, what, look).await.unwrap();
}

fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    (0..length).map(|_| next().to_le_bytes()[0]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn output_and_exit_are_exact() {
    let Some(Bench { cx, machine, lines, .. }) = bench().await else { return };
    for (script, exit, stdout, stderr) in [
        ("echo out; echo err >&2; exit 3", Exit::Code(3), &b"out\n"[..], &b"err\n"[..]),
        ("printf 'no end'", Exit::Code(0), b"no end", b""),
        ("printf 'a\\r\\nb\\r\\n'", Exit::Code(0), b"a\r\nb\r\n", b""),
        ("printf '\\377\\000\\n \\n\\n'", Exit::Code(0), b"\xff\0\n \n\n", b""),
        ("echo 'golden-image 1 x done'; echo end x", Exit::Code(0), b"golden-image 1 x done\nend x\n", b""),
        ("echo '{{ssm:parameter}} $HOME'", Exit::Code(0), b"{{ssm:parameter}} $HOME\n", b""),
        ("exit 194", Exit::Code(194), b"", b""),
        ("exit 137", Exit::Code(137), b"", b""),
        ("kill -KILL $$", Exit::Signal(9), b"", b""),
        ("kill -TERM $$", Exit::Signal(15), b"", b""),
        ("", Exit::Code(0), b"", b""),
    ] {
        let output = machine.exec(&cx, Command::sh(script)).await.unwrap();
        assert_eq!((output.exit, &*output.stdout, &*output.stderr), (exit, stdout, stderr), "{script}");
        assert!(!output.truncated, "{script}");
    }
    let lines = lines.0.lock().unwrap();
    assert_eq!(lines[..2], [(Stream::Stdout, "out".into()), (Stream::Stderr, "err".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_as_they_are_asked_to() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let output = machine.exec(&cx, Command::sh("cat; cat /dev/stdin").stdin(b"\0in\xff".to_vec())).await.unwrap();
    assert_eq!(output.stdout, b"\0in\xff\0in\xff");

    let dir = stub.root().display().to_string();
    let script = "pwd; echo \"$A\"; env | cut -d= -f1 | sort | tr '\\n' ' '";
    let command = Command::sh(script).cwd(&dir).env("A", "it's \"quoted\" $HOME");
    let expected = format!("{dir}\nit's \"quoted\" $HOME\nA HOME LOGNAME PATH PWD USER ");
    assert_eq!(machine.exec(&cx, command).await.unwrap().stdout_text(), expected);

    let output = machine.exec(&cx, Command::sh("pwd").cwd("/nowhere")).await.unwrap();
    assert_eq!(output.exit, Exit::Code(126));

    let bash = Command::sh("echo ${BASH_VERSION:+bash}").shell("/bin/bash");
    assert_eq!(machine.exec(&cx, bash).await.unwrap().stdout, b"bash\n");

    if is_root() {
        let command = Command::sh("id -un; echo $HOME; cat").user("nobody").stdin("input");
        let output = machine.exec(&cx, command).await.unwrap();
        assert!(
            output.stdout_text().starts_with("nobody\n/") && output.stdout_text().ends_with("\ninput"),
            "{output:?}"
        );
        let output = machine.exec(&cx, Command::sh("").user("no-such-user")).await.unwrap();
        assert_eq!(output.exit, Exit::Code(126));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_output_and_long_input_are_whole() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let noise = noise(200_000);
    let before = stub.calls("SendCommand");
    let output = machine.exec(&cx, Command::sh("cat; echo err >&2").stdin(noise.clone())).await.unwrap();
    assert!(output.stdout == noise && output.stderr == b"err\n" && !output.truncated);
    // Seven pieces, the run, and eleven pages after the first.
    assert_eq!(stub.calls("SendCommand") - before, 7 + 1 + 11);

    for (limit, truncated) in [(200_000, false), (199_999, true), (0, true)] {
        let command = Command::sh("head -c 200000 /dev/zero").output(Output::Capture(limit));
        let output = machine.exec(&cx, command).await.unwrap();
        assert_eq!((output.stdout.len(), output.truncated), (limit, truncated), "{limit}");
    }
    let command = Command::sh("head -c 200000 /dev/zero").output(Output::Discard);
    let output = machine.exec(&cx, command).await.unwrap();
    assert!(output.stdout.is_empty() && !output.truncated && output.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn spooled_output_has_no_limit() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let (place, size) = (stub.path("spooled"), 100_000_000);
    let command =
        Command::sh(format!("head -c {size} /dev/zero; echo err >&2; exit 4")).output(Output::Spool(place.clone()));
    let output = machine.exec(&cx, command).await.unwrap();
    assert_eq!((output.exit, &*output.stdout, &*output.stderr), (Exit::Code(4), &b""[..], &b"err\n"[..]));
    assert_eq!(fs::metadata(&place).unwrap().len(), size);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_kills_all_that_was_started() {
    let Some(Bench { cx, machine, stub, lines, .. }) = bench().await else { return };
    let pid = stub.path("pid");
    let script = format!("echo said; sleep 1000 & echo $! >{}; sleep 1000", pid.display());
    let error = machine.exec(&cx, Command::sh(script).timeout(Duration::from_millis(900))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("the command was killed after 0.9 s: said"), "{error}");
    assert!(!runs(&fs::read_to_string(pid).unwrap()));
    assert_eq!(*lines.0.lock().unwrap(), [(Stream::Stdout, "said".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_leaves_running_holds_nobody_up() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let pid = stub.path("pid");
    let script = format!("echo now; sleep 1000 & echo $! >{}", pid.display());
    let output = machine.exec(&cx, Command::sh(script).timeout(Duration::from_secs(2))).await.unwrap();
    // It may have had more to say.
    assert_eq!((&*output.stdout, output.truncated, output.success()), (&b"now\n"[..], true, true));
    let pid = fs::read_to_string(pid).unwrap();
    assert!(runs(&pid), "a service that a script starts shall live");
    machine.run(&cx, &format!("kill {pid}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_command_is_killed_and_leaves_nothing() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let pid = stub.path("pid");
    let script = format!("sleep 1000 & echo $! >{0}.new; mv {0}.new {0}; sleep 1000", pid.display());
    tokio::select! {
        done = machine.exec(&cx, Command::sh(script)) => panic!("{done:?}"),
        () = eventually(&cx, "the command", || pid.exists()) => {}
    }
    let pid = fs::read_to_string(pid).unwrap();
    eventually(&cx, "the end of the command", || !runs(&pid)).await;
    eventually(&cx, "the end of its traces", || stub.traces().is_empty()).await;
    assert_eq!(stub.calls("CancelCommand"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_of_the_run_kills_too() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let pid = stub.path("pid");
    let script = format!("echo $$ >{0}.new; mv {0}.new {0}; sleep 1000", pid.display());
    // The endpoint is quick and this host may be slow: the deadline ends the command wherever it is.
    let short = cx.with_timeout(Duration::from_secs(5));
    let error = machine.exec(&short, Command::sh(script)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    eventually(&cx, "the end of the command", || fs::read_to_string(&pid).map_or(true, |pid| !runs(&pid))).await;
    eventually(&cx, "the end of its traces", || stub.traces().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_cancelled_before_it_arrived_never_starts() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let (before, place) = (stub.calls("SendCommand"), stub.path("ran"));
    stub.faults().held = true;
    tokio::select! {
        done = machine.exec(&cx, Command::sh(format!(": >{}", place.display()))) => panic!("{done:?}"),
        () = eventually(&cx, "the command", || stub.calls("SendCommand") > before) => {}
    }
    eventually(&cx, "the word that it shall not start", || stub.has_ended_one()).await;
    stub.release();
    eventually(&cx, "its late delivery", || stub.is_idle()).await;
    assert!(!place.exists());
    assert_eq!(stub.calls("CancelCommand"), 1);
    // Of the first look at the machine nothing is kept, and of this command only its guard.
    assert!(stub.traces().is_empty(), "{:?}", stub.traces());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_once_however_often_it_arrives() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let count = stub.path("count");
    let script = format!("echo ran >>{0}; sleep 1; echo done", count.display());
    stub.faults().twice = true;
    assert_eq!(machine.run(&cx, &script).await.unwrap(), "done\n");
    stub.faults().twice = false;
    stub.faults().lost_replies = 2;
    assert_eq!(machine.run(&cx, &script).await.unwrap(), "done\n");
    assert_eq!(stub.faults().lost_replies, 0);
    assert_eq!(fs::read_to_string(count).unwrap(), "ran\nran\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_service_and_late_news_are_waited_for() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let before = stub.calls("SendCommand");
    stub.faults().throttled = 2;
    stub.faults().unseen = 3;
    assert_eq!(machine.run(&cx, "echo done").await.unwrap(), "done\n");
    assert_eq!(stub.faults().throttled, 0);
    assert_eq!(stub.faults().unseen, 0);
    assert_eq!(stub.calls("SendCommand") - before, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_list_serves_all_who_wait() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let gate = stub.path("gate");
    let script = format!("until [ -e {} ]; do sleep 0.1; done; echo $0", gate.display());
    let command = |number: usize| Command::sh(format!("{script} {number}; exit {number}"));
    let all: Vec<_> = (1..=6)
        .map(|number| {
            let (machine, cx, command) = (Arc::clone(&machine), cx.clone(), command(number));
            tokio::spawn(async move { machine.exec(&cx, command).await.unwrap().exit })
        })
        .collect();
    eventually(&cx, "a few looks", || stub.calls("ListCommandInvocations") >= 3).await;
    let single = stub.calls("GetCommandInvocation");
    eventually(&cx, "more looks", || stub.calls("ListCommandInvocations") >= 5).await;
    assert_eq!(stub.calls("GetCommandInvocation"), single, "commands that run are looked at in lists");
    fs::write(gate, "").unwrap();
    for (number, task) in (1..).zip(all) {
        assert_eq!(task.await.unwrap(), Exit::Code(number));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_never_comes_is_named_with_what_it_may_lack() {
    let (stub, (cx, _)) = (Stub::start().await, context().await);
    stub.go_offline();
    let error = connect(&stub, &cx, 2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let text = error.to_string();
    for part in [INSTANCE, "us-west-2", "it has not registered", "AmazonSSMManagedInstanceCore"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(stub.calls("SendCommand"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_refused_before_anything_is_sent() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let before = stub.calls("SendCommand");
    let error = machine.exec(&cx, Command::sh("").secret("TOKEN", Secret::new("hunter22"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(!SystemsManager::capabilities().secrets && !SystemsManager::capabilities().live_output);
    let manager = SystemsManager::new(stub.clone());
    let mut windows = linux();
    windows.os = "windows".into();
    let error = manager.connect(&cx, &place(), INSTANCE, &windows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = manager.connect(&cx, &place(), "web", &linux()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(stub.calls("SendCommand"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_travel_both_ways() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    if !is_root() {
        return;
    }
    let content = noise(100_000);
    let (place, back) = (stub.path("a file's name"), stub.path("back"));
    let upload = Upload::bytes(content.clone(), place.display().to_string()).mode(0o640).owner("nobody");
    machine.upload(&cx, upload).await.unwrap();
    let found = fs::metadata(&place).unwrap();
    assert_eq!((found.permissions().mode() & 0o7777, found.uid()), (0o640, 65534));
    machine.download(&cx, &place.display().to_string(), &back).await.unwrap();
    assert!(fs::read(&place).unwrap() == content && fs::read(&back).unwrap() == content);

    let again = Upload::file(&back, place.display().to_string());
    machine.upload(&cx, again).await.unwrap();
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o7777, 0o644);

    for destination in [stub.root().join("nowhere/file"), stub.root().to_owned()] {
        let error = machine.upload(&cx, Upload::bytes("x", destination.display().to_string())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CommandFailed, "{error}");
    }
    let gone = stub.path("gone");
    let error = machine.download(&cx, "/no/such/file", &gone).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CommandFailed);
    assert!(error.to_string().contains("/no/such/file") && !gone.exists());
    let partial =
        fs::read_dir(stub.root()).unwrap().any(|e| e.unwrap().file_name().to_string_lossy().contains("partial"));
    assert!(!partial);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_changed_on_its_way_is_taken() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    let (place, back) = (stub.path("place"), stub.path("back"));
    let content = noise(60_000);
    for size in [60_000, 1_000] {
        let upload = Upload::bytes(&content[..size], place.display().to_string());
        let encoded = "sha256=";
        stub.faults().script = Some((encoded.into(), "sha256=0".into()));
        let error = machine.upload(&cx, upload).await.unwrap_err();
        assert!(error.to_string().contains("with another digest"), "{error}");
        assert!(!place.exists());
    }
    stub.faults().script = None;
    fs::write(&place, &content).unwrap();
    stub.faults().changed_page = true;
    let error = machine.download(&cx, &place.display().to_string(), &back).await.unwrap_err();
    assert!(error.to_string().contains("arrived broken") && !back.exists(), "{error}");
    machine.download(&cx, &place.display().to_string(), &back).await.unwrap();
    assert!(fs::read(back).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_over_when_another_boot_answers() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    machine.reboot(&cx).await.unwrap();
    assert_eq!(fs::read_to_string(stub.path("boot_id")).unwrap(), "boot-2\n");
    assert_eq!(machine.run(&cx, "echo up").await.unwrap(), "up\n");

    // A guard is to be kept that the restart has removed.
    stub.faults().lost_replies = 1;
    assert_eq!(machine.run(&cx, "echo up").await.unwrap(), "up\n");
    // One that nobody announced: the first command does not run on what it was not meant for.
    stub.boot("boot-3");
    let place = stub.path("ran");
    let error = machine.run(&cx, &format!(": >{}", place.display())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("has restarted") && !place.exists());
    assert_eq!(machine.run(&cx, "echo up").await.unwrap(), "up\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_that_are_not_the_commands_own_are_told_apart() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    for (status, details, kind, text) in [
        ("TimedOut", "DeliveryTimedOut", ErrorKind::Unavailable, "did not reach the agent in 60 s, and has not run"),
        ("TimedOut", "Execution Timed Out", ErrorKind::TimedOut, "the agent ended command"),
        ("Cancelled", "Cancelled", ErrorKind::Unavailable, "somebody cancelled"),
    ] {
        stub.faults().ends_as = Some((status, details));
        let error = machine.exec(&cx, Command::sh("true").timeout(Duration::from_secs(9))).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{details}: {error}");
        assert!(error.to_string().contains(text) && error.to_string().contains(INSTANCE), "{details}: {error}");
    }
    stub.faults().ends_as = None;
    stub.faults().disconnected = 1;
    let error = machine.run(&cx, "true").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("no connection to the instance's agent"), "{error}");
    machine.run(&cx, "true").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_have_arrived_are_removed_with_the_next_command() {
    let Some(Bench { cx, machine, stub, .. }) = bench().await else { return };
    machine.run(&cx, "true").await.unwrap();
    let command = Command::sh("head -c 10000000 /dev/zero").output(Output::Capture(10_000_000));
    machine.exec(&cx, command).await.unwrap();
    let last = stub.traces();
    machine.run(&cx, "true").await.unwrap();
    let now = stub.traces();
    assert_eq!(now.len(), 1, "{now:?}");
    assert!(last.iter().all(|trace| !now.contains(trace)), "{last:?} {now:?}");
}
