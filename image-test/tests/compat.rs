//! The table of `docs/guide/testing.md` that tells where `Compat::Fixed` differs from goss, row by row.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use image_core::Timestamp;
use image_test::{
    Compat, Facts, Outcome, Wanted, evaluate, gather,
    gossfile::{Loaded, Loader},
    report::{Format, Options, Run, write},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, time::Duration};

const GUIDE: &str = include_str!("../../docs/guide/testing.md");

/// The first cells of the table.
fn rows() -> BTreeSet<&'static str> {
    let table = GUIDE.split("| A gossfile says |").nth(1).unwrap();
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.split(" | ").next().unwrap().trim_start_matches("| ")).collect()
}

fn load(name: &str, text: &str, compat: Compat) -> Result<Loaded, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    fs::write(directory.path().join("included.yaml"), "file:\n  /x: {exists: true}\n").unwrap();
    Loader::new().compat(compat).load(&path).map_err(|error| error.to_string())
}

/// What the last check of a gossfile comes to on these facts, and what looks wrong with it.
fn said(name: &str, text: &str, facts: &Facts, compat: Compat) -> String {
    let loaded = match load(name, text, compat) {
        Ok(loaded) => loaded,
        Err(error) => return format!("refused: {error}"),
    };
    let outcomes = evaluate(&loaded.suite, facts, compat);
    let last = outcomes.last().map(|outcome| {
        let why = outcome.finding.reason().unwrap_or_default();
        format!("{} {} {why}", outcome.attribute, outcome.verdict())
    });
    let lints: Vec<_> = loaded.lints.iter().map(ToString::to_string).collect();
    format!("{}; {}", last.unwrap_or_default(), lints.join(", "))
}

fn file(owner: &Value, contents: &str) -> Value {
    json!({"known": {
        "filetype": "file", "mode": 420, "size": 1, "uid": 4242, "owner": owner, "gid": 0, "group": {"known": "root"},
        "linked_to": null, "contents": {"known": contents},
    }})
}

#[test]
fn the_guide_is_true() {
    let root = json!({"known": "root"});
    let nameless = json!({"unknown": "no user has the id 4242"});
    let mount = json!({"known": {
        "opts": [], "vfs_opts": {"known": []}, "source": "proc", "filesystem": "proc", "usage": {"known": null},
    }});
    let long = "x".repeat((1 << 20) + 1);
    let closes = json!({"known": {"status": 200, "headers": "Connection: close", "body": ""}});
    let text = |contents: &str| json!({"files": {"/x": file(&root, contents)}});
    let contents = |matcher: &str| format!("file:\n  /x: {{exists: true, contents: {matcher}}}\n");
    let matching =
        |content: &str, matches: &str| format!("matching:\n  x: {{content: {content}, matches: {matches}}}\n");
    // The row, a gossfile, the facts, and what is said with goss's semantics and with ours.
    let cases: Vec<(&str, String, Value, &str, &str)> = vec![
        (
            "`mount: {/x: {exists: false}}`, and nothing is mounted there",
            "mount:\n  /x: {exists: false}\n".into(),
            json!({"mounts": {"/x": {"known": null}}}),
            "exists fail Mountpoint not found",
            "exists pass",
        ),
        (
            "`mount: {/proc: {usage: 0}}`, which has no blocks to use",
            "mount:\n  /proc: {exists: true, usage: 0}\n".into(),
            json!({"mounts": {"/proc": mount}}),
            "usage fail",
            "usage pass",
        ),
        (
            "`port: {tcp:80: {listening: true}}`, and the server listens on `[::]:80`, which takes IPv4 too",
            "port:\n  tcp:80: {listening: true}\n".into(),
            json!({"ports": {"tcp:80": {"known": []}, "tcp6:80": {"known": ["::"]}}}),
            "listening fail",
            "listening pass",
        ),
        (
            "`owner: root` of a file whose owner has no name",
            "file:\n  /x: {exists: true, owner: root}\n".into(),
            json!({"files": {"/x": file(&nameless, "")}}),
            "owner fail no user has the id",
            "owner unknown no user has the id",
        ),
        (
            "`owner: root` of a file whose owner has no name",
            "file:\n  /x: {exists: true, owner: \"4242\"}\n".into(),
            json!({"files": {"/x": file(&nameless, "")}}),
            "owner fail no user has the id",
            "owner pass",
        ),
        (
            "`file: {/etc/passwd/x: {exists: false}}`, a path below a file",
            "file:\n  /etc/passwd/x: {exists: false}\n".into(),
            json!({"files": {"/etc/passwd/x": {"known": null}}, "below_files": ["/etc/passwd/x"]}),
            "exists fail /etc/passwd/x goes on below",
            "exists pass",
        ),
        (
            "a command that does not end in time",
            "command:\n  x: {exit-status: 0}\n".into(),
            json!({"commands": {"x": {"known": "TimedOut"}}}),
            "exit-status fail the command did not end in time",
            "exit-status unknown the command did not end in time",
        ),
        (
            "a check that could not be made, below `not`",
            "process:\n  x: {running: {not: true}}\n".into(),
            json!({"processes": {"x": {"unknown": "no /proc"}}}),
            "running fail no /proc",
            "running unknown no /proc",
        ),
        (
            "`headers` of an answer with `Connection: close`",
            "http:\n  x: {status: 200, headers: [\"Connection: close\"]}\n".into(),
            json!({"http": {"x": closes}}),
            "headers fail",
            "headers pass",
        ),
        (
            "`versions: {equal: [\"1.0\"]}`, of a list that the system gave",
            "package:\n  x: {installed: true, versions: {equal: [\"1.0\"]}}\n".into(),
            json!({"packages": {"x": {"known": ["1.0"]}}}),
            "versions fail",
            "versions pass",
        ),
        (
            "a pattern, and a line of more than 1 MiB",
            contents("[x]"),
            text(&format!("y\n{long}")),
            "contents fail",
            "contents pass",
        ),
        (
            "a section whose name is misspelt",
            "fiel:\n  /x: {exists: true}\nfile:\n  /x: {exists: true}\n".into(),
            text(""),
            "exists pass ; ",
            "goss.yaml:1:1: error: section `fiel` is not read, did you mean `file`?",
        ),
        (
            "a matcher `{}`",
            matching("a", "{}"),
            json!({}),
            "matches fail",
            "goss.yaml:2:28: matches of Matching `x` cannot be checked",
        ),
        ("a pattern `/`", contents("[/]"), text("a/b"), "contents fail", "contents pass"),
        (
            "`contents: []`",
            contents("[]"),
            text(""),
            "exists pass",
            "note: `contents: []` expects nothing [empty-list]",
        ),
        (
            "`matches: 18446744073709551615`, or another number beyond 63 bits",
            matching("\"18446744073709551615\"", "18446744073709551615"),
            json!({}),
            "matches fail Syntax Error",
            "matches pass",
        ),
        (
            "`matches: 2001-01-01`, a date without quotes",
            matching("\"2001-01-01\"", "2001-01-01"),
            json!({}),
            "matches fail Syntax Error",
            "which goss compares with nothing; quote it [timestamp]",
        ),
    ];
    let mut told = BTreeSet::new();
    let mut check = |row: &'static str, goss: (&str, &str), fixed: (&str, &str)| {
        assert!(goss.0.contains(goss.1), "{row}: goss: {} is not {}", goss.0, goss.1);
        assert!(fixed.0.contains(fixed.1), "{row}: fixed: {} is not {}", fixed.0, fixed.1);
        told.insert(row);
    };
    for (row, gossfile, facts, goss, fixed) in &cases {
        let facts: Facts = serde_json::from_value(facts.clone()).unwrap();
        let said = |compat| said("goss.yaml", gossfile, &facts, compat);
        check(row, (&said(Compat::Goss), goss), (&said(Compat::Fixed), fixed));
    }

    let json = |text: &str, compat| said("goss.json", text, &Facts::new(), compat);
    let number = r#"{"matching": {"x": {"content": 12345678, "matches": "12345678"}}}"#;
    let said_of_number = (json(number, Compat::Goss), json(number, Compat::Fixed));
    check("numbers in a gossfile of JSON", (&said_of_number.0, "matches fail"), (&said_of_number.1, "matches pass"));
    let including = r#"{"gossfile": {"included.yaml": {}}}"#;
    let said_of_include = (json(including, Compat::Goss), json(including, Compat::Fixed));
    check(
        "a `.yaml` that a `.json` includes",
        (&said_of_include.0, "not JSON"),
        (&said_of_include.1, "exists unknown"),
    );

    // Nothing is asked for such a request, wherever it goes.
    let request = "http:\n  http://127.0.0.1:9/: {status: 200, request-headers: [no-colon]}\n";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let wanted = Wanted::of(&load("goss.yaml", request, Compat::Fixed).unwrap().suite);
    let facts = runtime.block_on(gather::live(&wanted, &gather::Options::default()));
    let said_of_header = |compat| said("goss.yaml", request, &facts, compat);
    let why = if cfg!(feature = "network") { "request header `no-colon` must be" } else { "feature `network`" };
    check(
        "a request header without a colon",
        (&said_of_header(Compat::Goss), &format!("status fail {why}")),
        (&said_of_header(Compat::Fixed), &format!("status unknown {why}")),
    );

    let failing = load("goss.yaml", &matching("a", "b"), Compat::Fixed).unwrap().suite;
    let exit_code = |compat| {
        let outcomes: Vec<Outcome> = evaluate(&failing, &Facts::new(), compat);
        let run = Run::new(&outcomes, Timestamp::from_millis(0), Duration::ZERO);
        let mut options = Options::default();
        options.compat = compat;
        format!("exit code {}", write(Format::Structured, &run, &options, &mut vec![]).unwrap())
    };
    let codes = (exit_code(Compat::Goss), exit_code(Compat::Fixed));
    check("`-f structured` with failures", (&codes.0, "exit code 0"), (&codes.1, "exit code 1"));

    assert_eq!(told, rows(), "each row has a case, and each case a row");
}
