use super::*;
use crate::host_machine::{HostMachine, context};
use std::sync::atomic::Ordering::SeqCst;

async fn fails(shell: Shell) -> Error {
    let (cx, _) = context().await;
    shell.provision(&cx, &HostMachine::new()).await.unwrap_err()
}

async fn print(shell: Shell) -> Option<Fingerprint> {
    let (cx, _) = context().await;
    shell.fingerprint(&cx).await.unwrap()
}

#[tokio::test]
async fn a_script_runs_with_its_settings() {
    for machine in HostMachine::all() {
        let (cx, _) = context().await;
        std::fs::create_dir(machine.path("work")).unwrap();
        let script = "printf '%s|%s|%s' \"$PLAIN\" \"$TOKEN\" \"$PWD\" > out";
        let shell = Shell::inline("setup", script).env("PLAIN", "it's $HOME").cwd(machine.at("work"));
        shell.secret("TOKEN", Secret::new("s3cret")).provision(&cx, &machine).await.unwrap();
        assert_eq!(machine.read("work/out"), format!("it's $HOME|s3cret|{}", machine.at("work")));
    }
}

#[tokio::test]
async fn a_failure_names_the_provisioner_the_exit_and_the_last_words() {
    let error = fails(Shell::inline("setup", "echo one >&2\necho two >&2\nexit 7")).await;
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::CommandFailed, false));
    insta::assert_snapshot!(error, @"provisioner setup ended with exit code 7: one | two");
    insta::assert_snapshot!(fails(Shell::inline("setup", "kill -9 $$")).await, @"provisioner setup ended with signal 9");
    let codes = Shell::inline("setup", "echo said; exit 3").valid_exit_codes([0, 2]);
    insta::assert_snapshot!(fails(codes).await, @"provisioner setup ended with exit code 3 (accepted: 0, 2): said");
    let cut = Shell::inline("setup", "echo 123456789 >&2; exit 3").output_limit(4);
    insta::assert_snapshot!(fails(cut).await, @"provisioner setup ended with exit code 3: 1234 [the output was cut at its limit; this is not its end]");
}

#[tokio::test]
async fn a_script_is_strict_unless_it_asks_not_to_be() {
    for machine in HostMachine::all() {
        let (cx, _) = context().await;
        for broken in ["false\ntrue", "echo $unset\ntrue", "#!/bin/sh\nfalse\ntrue", "# why\nfalse; true"] {
            let error = Shell::inline("s", broken).provision(&cx, &machine).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CommandFailed, "{broken}");
            Shell::inline("s", broken).lenient().provision(&cx, &machine).await.unwrap();
        }
    }
    // Line numbers stay those of the script.
    let error = fails(Shell::inline("s", "true\ntrue\n$unset_variable")).await.to_string();
    assert!(error.contains(" 3: "), "{error}");
}

#[tokio::test]
async fn the_first_line_names_the_interpreter() {
    let (machine, (cx, _)) = (HostMachine::new(), context().await);
    if !Path::new("/bin/bash").exists() {
        eprintln!("SKIPPED: /bin/bash is missing");
        return;
    }
    for line in ["#!/bin/bash", "#! /usr/bin/env bash"] {
        let script = format!("{line}\n[[ $- == *e* ]] && echo $BASH_VERSION > {}", machine.at("out"));
        Shell::inline("s", script).provision(&cx, &machine).await.unwrap();
        assert!(!machine.read("out").trim().is_empty());
    }
    let set = Shell::inline("s", "#!/nonexistent\ntrue").shell("/bin/bash");
    set.provision(&cx, &machine).await.unwrap();
    insta::assert_snapshot!(fails(Shell::inline("s", "#!/bin/sh -x\ntrue")).await, @"script of provisioner s is `#!/bin/sh -x`; accepted: an interpreter without options, or `shell` and `set` in the script");
}

#[tokio::test]
async fn what_cannot_work_is_refused_when_the_run_is_planned() {
    let (cx, _) = context().await;
    let ok = || Shell::inline("s", "true");
    let refused = [
        Shell::inline("s", " \n"),
        Shell::inline("s", "a\0b"),
        Shell::inline("s", "#!/bin/sh\r\ntrue\r\n"),
        ok().env("1A", ""),
        ok().env("A=B", ""),
        ok().secret("", Secret::new("x")),
        ok().env("A", "1").secret("A", Secret::new("x")),
        ok().env("A", "\0"),
        ok().valid_exit_codes([]),
        ok().cwd("relative"),
        ok().shell("bash -x"),
    ];
    for shell in refused {
        let error = shell.fingerprint(&cx).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{shell:?}");
    }
    assert_eq!(Shell::file("/nonexistent/x").fingerprint(&cx).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn secrets_show_nowhere() {
    let (machine, (cx, events)) = (HostMachine::new(), context().await);
    let shell = Shell::inline("s", "echo $TOKEN; echo \"token is $TOKEN\" >&2; exit 1")
        .secret("TOKEN", Secret::new("hunter22"))
        .retries(1, Duration::ZERO);
    assert_eq!(shell.requirements(), Requirements::SECRETS);
    let error = shell.provision(&cx, &machine).await.unwrap_err();
    insta::assert_snapshot!(error, @"provisioner s ended with exit code 1: token is *** (attempts: 2)");
    assert_eq!(events.retries().len(), 1);
    for shown in [events.text(), format!("{error:?} {shell:?}")] {
        assert!(!shown.contains("hunter22"), "{shown}");
    }
}

#[tokio::test]
async fn the_fingerprint_covers_what_decides_and_nothing_else() {
    let base = || Shell::inline("s", "true").secret("T", Secret::new("one"));
    let same = [
        base(),
        base().secret("T", Secret::new("two")),
        base().named("other").timeout(Duration::from_secs(1)).retries(3, Duration::ZERO).output_limit(1),
    ];
    for shell in same {
        assert_eq!(print(shell.clone()).await, print(base()).await, "{shell:?}");
    }
    let others = [
        Shell::inline("s", "true ").secret("T", Secret::new("one")),
        base().secret("U", Secret::new("one")),
        base().env("A", "1"),
        base().cwd("/"),
        base().user("nobody"),
        base().valid_exit_codes([0, 1]),
        base().shell("/bin/bash"),
        base().lenient(),
        base().expect_disconnect(),
    ];
    for shell in others {
        assert_ne!(print(shell.clone()).await, print(base()).await, "{shell:?}");
    }
}

#[tokio::test]
async fn a_file_is_its_content_and_may_not_change_after_the_plan() {
    let (machine, (cx, _)) = (HostMachine::new(), context().await);
    let path = machine.path("script.sh");
    std::fs::write(&path, format!("echo a > {}", machine.at("out"))).unwrap();
    let shell = Shell::file(&path);
    assert_eq!(shell.id(), "script.sh");
    let before = shell.fingerprint(&cx).await.unwrap();
    shell.provision(&cx, &machine).await.unwrap();
    assert_eq!(machine.read("out"), "a\n");

    std::fs::write(&path, format!("echo b > {}", machine.at("out"))).unwrap();
    let error = shell.clone().provision(&cx, &machine).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    insta::assert_snapshot!(error, @"the script of provisioner script.sh has changed since the run was planned");
    assert_eq!(machine.read("out"), "a\n");
    assert_ne!(shell.fingerprint(&cx).await.unwrap(), before);
}

#[tokio::test]
async fn a_lost_channel_is_an_error_unless_expected() {
    let (machine, (cx, events)) = (HostMachine::new(), context().await);
    let shell = || Shell::inline("net", "true");
    machine.lose(1);
    let error = shell().provision(&cx, &machine).await.unwrap_err();
    insta::assert_snapshot!(error, @"the channel was lost (provisioner: net)");
    machine.lose(1);
    shell().expect_disconnect().provision(&cx, &machine).await.unwrap();
    Shell::inline("net", "kill -TERM $$").expect_disconnect().provision(&cx, &machine).await.unwrap();
    assert!(events.text().contains("the channel was lost, as expected"));
    // A script that fails is a failure all the same.
    for script in ["exit 1", "kill -SEGV $$"] {
        let error = Shell::inline("net", script).expect_disconnect().provision(&cx, &machine).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CommandFailed);
    }
    // A retry can mend a channel that was lost once.
    machine.lose(1);
    shell().retries(1, Duration::ZERO).provision(&cx, &machine).await.unwrap();
    assert_eq!((machine.lost.load(SeqCst), events.retries().len()), (0, 1));
}

#[tokio::test]
async fn a_timeout_holds_for_each_attempt() {
    let (machine, (cx, events)) = (HostMachine::new(), context().await);
    let shell = Shell::inline("slow", "exec sleep 30").timeout(Duration::from_millis(50)).retries(1, Duration::ZERO);
    let error = shell.provision(&cx, &machine).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    insta::assert_snapshot!(error, @"the command took too long (provisioner: slow, attempts: 2)");
    assert_eq!(events.retries().len(), 1);
}
