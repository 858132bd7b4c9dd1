use super::*;
use crate::host_machine::{HostMachine, context};
use std::{fs, os::unix::fs::symlink, path::Path};

async fn verdict_on(machine: &HostMachine, check: CommandCheck) -> (Verdict, String) {
    let (cx, _) = context().await;
    let report = Command::new("v").with(check).validate(&cx, Subject::Booted(machine)).await.unwrap();
    (report.checks[0].verdict, report.checks[0].message.clone())
}

async fn verdict(check: CommandCheck) -> (Verdict, String) {
    verdict_on(&HostMachine::new(), check).await
}

#[tokio::test]
async fn a_check_is_its_exit_code_and_its_output() {
    let check = |script: &str| CommandCheck::new("c", script);
    let passes = [
        check("true"),
        check("exit 3").exit(3),
        check("echo a b").stdout_contains("a b").stdout_lacks("c").stdout_equals("a b"),
    ];
    for check in passes {
        assert_eq!(verdict(check.clone()).await, (Verdict::Pass, String::new()), "{check:?}");
    }
    let mut seen = vec![];
    for check in [
        check("echo why >&2; exit 3"),
        check("true").exit(3),
        check("kill -9 $$"),
        check("echo a").stdout_contains("b"),
        check("echo a b").stdout_equals("a"),
        check("echo a b").stdout_lacks("b"),
        check("exit 4").cannot_tell(4),
        check("head -c 2000000 /dev/zero").stdout_lacks("x"),
        check("printf '\\377'").stdout_lacks("x"),
        check("exec sleep 30").timeout(Duration::from_millis(50)),
    ] {
        let (verdict, message) = verdict(check).await;
        seen.push(format!("{verdict}: {message}"));
    }
    insta::assert_debug_snapshot!(seen, @r#"
    [
        "fail: exit code 3, expected exit code 0: why",
        "fail: exit code 0, expected exit code 3",
        "fail: signal 9, expected exit code 0",
        "fail: standard output lacks `b`: a",
        "fail: standard output is not `a`: a b",
        "fail: standard output contains `b`: a b",
        "unknown: exit code 4, expected exit code 0",
        "unknown: the output was too long to be seen whole",
        "unknown: standard output is not UTF-8",
        "unknown: the script took longer than 50ms",
    ]
    "#);
}

#[tokio::test]
async fn the_stage_decides_whether_a_check_applies() {
    let (machine, (cx, _)) = (HostMachine::not_booted(), context().await);
    let validator = Command::new("chrony")
        .check("both", "true")
        .with(CommandCheck::new("boot", "true").only_on(ValidationStage::Boot))
        .with(CommandCheck::service_active("chrony"));
    let build = validator.validate(&cx, Subject::BuildMachine(&machine)).await.unwrap();
    insta::assert_json_snapshot!(build, @r#"
    {
      "validator": "chrony",
      "stage": "build",
      "at": 0,
      "checks": [
        {
          "id": "both",
          "verdict": "pass"
        },
        {
          "id": "boot",
          "verdict": "not_applicable",
          "message": "looked at on stage boot only"
        },
        {
          "id": "service chrony: active",
          "verdict": "not_applicable",
          "message": "no init system runs"
        }
      ]
    }
    "#);
    let rootfs = validator.validate(&cx, Subject::Rootfs(Path::new("/"))).await.unwrap();
    assert_eq!(rootfs.count(Verdict::NotApplicable), 3);
}

#[tokio::test]
async fn what_needs_time_is_looked_at_again() {
    let machine = HostMachine::new();
    let script = format!("echo x >> {0}; [ $(wc -l < {0}) -ge 3 ]", machine.at("looks"));
    let late = || CommandCheck::new("late", &script);
    assert_eq!(verdict_on(&machine, late()).await.0, Verdict::Fail);
    assert_eq!(verdict_on(&machine, late().retry_for(Duration::from_secs(60))).await.0, Verdict::Pass);
    assert_eq!(machine.read("looks").lines().count(), 3);
    let never = CommandCheck::new("never", "echo no >&2; false").retry_for(Duration::from_millis(60));
    assert_eq!(verdict(never).await.1, "exit code 1, expected exit code 0: no");
}

#[tokio::test]
async fn a_lost_machine_is_an_error_and_no_verdict() {
    let (machine, (cx, _)) = (HostMachine::new(), context().await);
    machine.lose(1);
    let validator = Command::new("v").check("c", "true");
    let error = validator.validate(&cx, Subject::Booted(&machine)).await.unwrap_err();
    insta::assert_snapshot!(error, @"the channel was lost (check: c)");
    let over = cx.with_timeout(Duration::ZERO);
    assert_eq!(validator.validate(&over, Subject::Booted(&machine)).await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn secrets_do_not_stand_in_reports() {
    let (machine, (cx, _)) = (HostMachine::new(), context().await);
    cx.learn_secret(&crate::Secret::new("hunter22"));
    let validator = Command::new("v").check("c", "echo hunter22 >&2; false");
    let report = validator.validate(&cx, Subject::Booted(&machine)).await.unwrap();
    assert_eq!(report.checks[0].message, "exit code 1, expected exit code 0: ***");
}

#[tokio::test]
async fn files_are_there_or_not() {
    for machine in HostMachine::all() {
        fs::write(machine.path("it's"), "").unwrap();
        symlink("/nonexistent", machine.path("dangling")).unwrap();
        for (name, exists, absent) in [
            ("it's", Verdict::Pass, Verdict::Fail),
            ("none", Verdict::Fail, Verdict::Pass),
            ("dangling", Verdict::Fail, Verdict::Fail),
        ] {
            assert_eq!(verdict_on(&machine, CommandCheck::file_exists(machine.at(name))).await.0, exists, "{name}");
            assert_eq!(verdict_on(&machine, CommandCheck::file_absent(machine.at(name))).await.0, absent, "{name}");
        }
    }
}

/// Answers requests on loopback, on the port it gives: 200 for `/ok`, 404 for all else.
fn server() -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 1024];
            let n = stream.read(&mut request).unwrap_or_default();
            let ok = request[..n].starts_with(b"GET /ok ");
            let status = if ok { "200 OK" } else { "404 Not Found" };
            let answer = format!("HTTP/1.0 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
            let _ = stream.write_all(answer.as_bytes()); // a client that left is its own affair
        }
    });
    port
}

#[tokio::test]
async fn a_port_answers_by_whatever_tool_there_is() {
    let port = server();
    // Each machine lacks the tools before its own.
    for (tool, missing) in [("curl", &[][..]), ("wget", &["curl"]), ("busybox", &["curl", "wget"])] {
        if !["/bin", "/usr/bin"].iter().any(|dir| Path::new(dir).join(tool).exists()) {
            eprintln!("SKIPPED: {tool} is missing");
            continue;
        }
        let without = |machine: HostMachine, tool: &&str| machine.redirect(&format!("command -v {tool}"), "false");
        let machine = missing.iter().fold(HostMachine::new(), without);
        let ask = async |port, path| verdict_on(&machine, CommandCheck::port_answers("127.0.0.1", port, path)).await.0;
        assert_eq!(ask(port, "/ok").await, Verdict::Pass, "{tool}");
        assert_eq!(ask(port, "none").await, Verdict::Fail, "{tool}");
        assert_eq!(ask(1, "/ok").await, Verdict::Fail, "{tool}");
    }
    let none = HostMachine::new().redirect("command -v", "false");
    let (verdict, message) = verdict_on(&none, CommandCheck::port_answers("127.0.0.1", port, "/ok")).await;
    assert_eq!(verdict, Verdict::Unknown);
    assert!(message.ends_with("neither curl nor wget nor busybox is on the machine"), "{message}");
}

#[tokio::test]
async fn a_service_is_asked_for_at_the_init_system_there_is() {
    let machine =
        || HostMachine::new().redirect("command -v systemctl", "true").redirect("exec systemctl", "exec echo");
    let check = CommandCheck::service_active("a b").stdout_equals("is-active -- a b");
    assert_eq!(verdict_on(&machine(), check).await.0, Verdict::Pass);
    let openrc = HostMachine::new().redirect("command -v systemctl", "false").redirect("command -v rc-service", "true");
    let openrc = openrc.redirect("exec rc-service", "exec echo");
    let check = CommandCheck::service_active("x").stdout_equals("x status");
    assert_eq!(verdict_on(&openrc, check).await.0, Verdict::Pass);
    let none = HostMachine::new().redirect("command -v", "false");
    assert_eq!(verdict_on(&none, CommandCheck::service_active("x")).await.0, Verdict::Unknown);
}

#[tokio::test]
async fn what_cannot_work_is_refused_and_the_rest_has_a_fingerprint() {
    let (cx, _) = context().await;
    let ok = || Command::new("v").check("a", "true");
    for bad in [Command::new("v"), ok().check("a", "false"), ok().check("b", " "), ok().check("b", "\0")] {
        assert_eq!(bad.fingerprint(&cx).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}");
    }
    let print = ok().fingerprint(&cx).await.unwrap();
    assert!(print.is_some());
    assert_ne!(ok().check("b", "true").fingerprint(&cx).await.unwrap(), print);
    assert_ne!(Command::new("v").check("a", "false").fingerprint(&cx).await.unwrap(), print);
}
