//! The whole program, from its words to its streams, exit code and files.

use super::*;
use std::{
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::PathBuf,
};
use tempfile::TempDir;

/// A directory of gossfiles.
struct Bench(TempDir);

/// What came of the program.
struct Ended {
    code: u8,
    out: String,
    err: String,
}

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the program on `goss.yaml`, unless the words name another gossfile.
    async fn run(&self, words: &[&str]) -> Ended {
        self.run_with(words, "", &[]).await
    }

    async fn run_with(&self, words: &[&str], stdin: &str, env: &[(&str, &str)]) -> Ended {
        let gossfile = self.path("goss.yaml").display().to_string();
        let look = |name: &str| match env.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => Some((*value).to_owned()),
            None => (name == "GOSS_FILE").then(|| gossfile.clone()),
        };
        let (mut input, mut out, mut err) = (stdin.as_bytes(), vec![], vec![]);
        let streams = Streams { input: &mut input, out: &mut out, err: &mut err };
        let code = goss_check(words, look, streams).await;
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(&self.0.path().display().to_string(), "DIR");
        Ended { code, out: text(out), err: text(err) }
    }

    /// Adds to `goss.yaml` and gives what is in it then.
    async fn added(&self, words: &[&str]) -> String {
        let ended = self.run(&[&["add"], words].concat()).await;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{words:?}: {}", ended.out);
        self.read("goss.yaml")
    }
}

const PASSES: &str = "matching: {yes: {content: 1, matches: 1}}\n";
const FAILS: &str = "matching: {no: {title: its title, content: 1, matches: 2}}\n";

#[tokio::test]
async fn exit_codes_are_those_of_goss() {
    let bench = Bench::new();
    bench.write("goss.yaml", PASSES);
    let fails = bench.write("fails.yaml", FAILS);
    let broken = bench.write("broken.yaml", "file: [");
    let empty = bench.write("empty.yaml", "{}\n");
    for (words, code) in [
        (&["validate"][..], 0),
        (&["v"], 0),
        (&["-g", &fails, "validate"], 1),
        (&["-g", &fails, "validate", "-f", "nagios"], 2),
        (&["-g", &fails, "validate", "-r", "1ms", "-s", "1h"], 3),
        (&["-g", &broken, "validate"], 78),
        (&["-g", &empty, "validate"], 78),
        (&["-g", "/nonexistent.yaml", "validate"], 78),
        (&["-g", &broken, "render"], 78),
        (&["--vars", "/nonexistent.yaml", "validate"], 78),
        (&["--vars-inline", "[1]", "validate"], 78),
        (&["--facts", "/nonexistent.json", "validate"], 78),
        (&["--root", "/nonexistent", "validate"], 1),
        (&["validate", "--bogus"], 1),
        (&["--bogus", "validate"], 1),
        (&["validate", "-f", "bogus"], 1),
        (&["validate", "-o", "bogus"], 1),
        (&["-L", "bogus", "validate"], 1),
        (&["bogus"], 1),
        (&["--help"], 0),
        (&["--version"], 0),
        (&[], 0),
    ] {
        let ended = bench.run(words).await;
        assert_eq!(ended.code, code, "{words:?}: {} {}", ended.out, ended.err);
        if code == 78 {
            assert!(ended.err.starts_with("Error: "), "{words:?}: {}", ended.err);
        }
    }
    // Goss exits with 0 there, whatever failed.
    for (compat, code) in [("goss", 0), ("fixed", 1)] {
        let ended = bench.run(&["-g", &fails, "--compat", compat, "validate", "-f", "structured"]).await;
        assert_eq!(ended.code, code, "{compat}");
    }
}

#[tokio::test]
async fn every_format_says_what_failed() {
    let bench = Bench::new();
    bench.write("goss.yaml", &format!("{FAILS}file: {{/nonexistent: {{exists: false, skip: true}}}}\n"));
    for (format, marks) in [
        ("documentation", &["Matching: no: matches:", "Count: 2, Failed: 1, Skipped: 1"][..]),
        ("json", &["\"failed-count\":1", "\"title\":\"its title\""]),
        ("junit", &["<testsuite ", "failures=\"1\"", "<skipped"]),
        ("nagios", &["GOSS CRITICAL"]),
        ("prometheus", &["goss_tests_outcomes_total{outcome=\"fail\",type=\"matching\"} 1"]),
        ("rspecish", &["Failures/Skipped:", "Count: 2, Failed: 1, Skipped: 1"]),
        ("silent", &[]),
        ("structured", &["\"failed-count\":1"]),
        ("tap", &["1..2", "not ok ", "# SKIP"]),
    ] {
        let ended = bench.run(&["validate", "--no-color", "--format", format]).await;
        assert_eq!(ended.code, if format == "nagios" { 2 } else { 1 }, "{format}");
        assert_eq!(ended.out.is_empty(), marks.is_empty(), "{format}: {}", ended.out);
        assert!(marks.iter().all(|mark| ended.out.contains(mark)), "{format}: {}", ended.out);
        let from_env = bench.run_with(&["validate", "--no-color"], "", &[("GOSS_FMT", format)]).await;
        assert_eq!(from_env.code, ended.code, "{format}");
    }
}

#[tokio::test]
async fn options_change_the_report() {
    let bench = Bench::new();
    bench.write("goss.yaml", &format!("{PASSES}addr: {{\"tcp://127.0.0.1:1\": {{reachable: false}}}}\n"));
    let out = async |words: &[&str]| bench.run(&[&["validate"], words].concat()).await.out;
    assert!(out(&["-f", "nagios", "-o", "perfdata"]).await.contains("|total=2"));
    assert!(out(&["-f", "json", "-o", "pretty"]).await.starts_with("{\n"));
    let sorted = out(&["-f", "documentation", "-o", "sort", "--color"]).await;
    assert!(sorted.find("Addr:") < sorted.find("Matching:") && sorted.contains('\u{1b}'), "{sorted}");
    assert!(!out(&["-f", "documentation", "--no-color"]).await.contains('\u{1b}'));
    assert!(out(&["-f", "prometheus", "-o", "verbose,sort"]).await.contains("resource_id="));
    assert!(!out(&["-f", "json", "-o", "exclude_raw"]).await.is_empty());
    let most = bench.run(&["validate", "--max-concurrent", "1"]).await;
    assert_eq!(most.code, 0, "{}", most.err);
}

#[tokio::test]
async fn gossfiles_and_variables_come_from_many_places() {
    let bench = Bench::new();
    bench.write("goss.yaml", "matching: {x: {content: \"{{ .Vars.a.x }}{{ .Vars.b }}\", matches: \"12\"}}\n");
    let first = bench.write("first.yaml", "a: {x: 1}\nb: 1\n");
    let second = bench.write("second.json", "{\"b\": 2}");
    let list = format!("{first},{second}");
    for words in [
        &["--vars", &first, "--vars", &second, "validate"][..],
        &["--vars", &list, "validate"],
        &["--vars", &first, "--vars-inline", "b: 2", "validate"],
        &["--vars-inline", "{\"a\": {\"x\": 1}, \"b\": 2}", "validate"],
    ] {
        let ended = bench.run(words).await;
        assert_eq!(ended.code, 0, "{words:?}: {}{}", ended.out, ended.err);
    }
    let env = [("GOSS_VARS", list.as_str())];
    assert_eq!(bench.run_with(&["validate"], "", &env).await.code, 0);
    let env = [("GOSS_VARS", first.as_str()), ("GOSS_VARS_INLINE", "b: 2")];
    assert_eq!(bench.run_with(&["validate"], "", &env).await.code, 0);
    for stdin in [PASSES, "{\"matching\": {\"yes\": {\"content\": 1, \"matches\": 1}}}"] {
        assert_eq!(bench.run_with(&["-g", "-", "validate"], stdin, &[]).await.code, 0, "{stdin}");
    }
    let wrong = bench.run_with(&["-g", "-", "validate"], "file: [", &[]).await;
    assert!(wrong.code == 78 && wrong.err.contains("<stdin>:1:"), "{}", wrong.err);
}

#[tokio::test]
async fn what_looks_wrong_is_said_as_loudly_as_asked() {
    let bench = Bench::new();
    // A note, a warning and an error.
    bench.write("goss.yaml", "group:\nflie: {}\nfile: {/: {exists: true, contents: [], mode: 0755}}\n");
    let lines = async |level: &str| bench.run(&["-L", level, "render"]).await.err.lines().count();
    let (fatal, error, warn, info) =
        (lines("FATAL").await, lines("ERROR").await, lines("WARN").await, lines("info").await);
    assert!(fatal == 0 && error == 1 && warn > error && info > warn, "{fatal} {error} {warn} {info}");
    let from_env = bench.run_with(&["render"], "", &[("GOSS_LOGLEVEL", "FATAL")]).await;
    assert_eq!(from_env.err, "");
    let strict = bench.run(&["-L", "FATAL", "--strict", "render"]).await;
    assert!(strict.code == 78 && strict.err.contains("did you mean `file`?"), "{}", strict.err);
}

#[tokio::test]
async fn render_shows_what_is_read() {
    let bench = Bench::new();
    bench.write("goss.yaml", "gossfile: {\"d/*.yaml\": {}}\nfile: {\"/{{ .Vars.name }}\": {exists: true}}\n");
    bench.write("d/a.yaml", "group: {root: {exists: true}}\n");
    let rendered = bench.run(&["--vars-inline", "name: x", "render"]).await;
    assert_eq!(rendered.out, "file:\n  /x:\n    exists: true\ngroup:\n  root:\n    exists: true\n");
    let debug = bench.run(&["--vars-inline", "name: x", "r", "-d"]).await.out;
    assert!(debug.starts_with("# file /x: DIR/goss.yaml:2:8\n# group root: DIR/d/a.yaml:1:9\n"), "{debug}");
}

#[tokio::test]
async fn retries_go_on_until_it_passes_or_the_time_is_over() {
    let bench = Bench::new();
    let mark = bench.path("ran").display().to_string();
    bench.write(
        "goss.yaml",
        &format!("command: {{\"[ -e {mark} ] || {{ touch {mark}; false; }}\": {{exit-status: 0}}}}\n"),
    );
    let ended = bench.run(&["validate", "--retry-timeout", "1m", "--sleep", "1ms", "-f", "tap"]).await;
    assert_eq!(ended.code, 0, "{}", ended.out);
    assert!(ended.out.contains("Retrying in 1ms") && ended.out.contains("Attempt #2:"), "{}", ended.out);
    bench.write("goss.yaml", FAILS);
    let env = [("GOSS_RETRY_TIMEOUT", "2ms"), ("GOSS_SLEEP", "1ms")];
    let ended = bench.run_with(&["validate"], "", &env).await;
    assert!(ended.code == 3 && ended.err.contains("did not pass within 2ms"), "{}", ended.err);
}

#[tokio::test]
async fn a_root_file_system_and_snapshots_are_looked_at() {
    let bench = Bench::new();
    bench.write("root/etc/motd", "hello\n");
    let root = bench.path("root").display().to_string();
    bench.write(
        "goss.yaml",
        "file: {/etc/motd: {exists: true, contents: [hello]}}\ncommand: {\"false\": {exit-status: 0}}\n",
    );
    // A command neither passes nor fails there.
    let ended = bench.run(&["--root", &root, "validate"]).await;
    assert_eq!(ended.code, 0, "{}", ended.out);
    let before = bench.write("before.json", &bench.run(&["--root", &root, "snapshot"]).await.out);
    bench.write("root/etc/motd", "changed\n");
    assert_eq!(bench.run(&["--root", &root, "validate"]).await.code, 1);
    assert_eq!(bench.run(&["--facts", &before, "validate"]).await.code, 0);
    let after = bench.write("after.json", &bench.run(&["--root", &root, "snapshot"]).await.out);
    assert_eq!(bench.run(&["diff", &before, &before]).await.code, 0);
    let differs = bench.run(&["diff", &before, &after]).await;
    assert!(differs.code == 1 && differs.out.contains("/etc/motd"), "{}", differs.out);
    let both = bench.run(&["--root", &root, "--facts", &before, "validate"]).await;
    assert!(both.code == 1 && both.err.contains("exclude each other"), "{}", both.err);
}

#[tokio::test]
async fn what_is_added_passes() {
    let bench = Bench::new();
    let file = bench.write("file", "x");
    for words in [
        &["addr", "--timeout", "2s", "127.0.0.1:1"][..],
        &["command", "--timeout", "20s", "echo out; echo err >&2; exit 3"],
        &["dns", "--timeout", "20s", "localhost"],
        &["--exclude-attr", "m*,owner", "file", &file, "/nonexistent"],
        &["group", "root", "nonexistent"],
        &["interface", "lo", "nonexistent"],
        &["kernel-param", "kernel.ostype"],
        &["mount", "--timeout", "2s", "/proc"],
        &["package", "nonexistent"],
        &["port", "1", "udp:1"],
        &["process", "nonexistent"],
        &["service", "nonexistent"],
        &["user", "root", "nonexistent"],
    ] {
        bench.added(words).await;
    }
    let text = bench.read("goss.yaml");
    for part in [
        "  tcp://127.0.0.1:1:\n    timeout: 2000\n    reachable: false\n",
        "    timeout: 20000\n    exit-status: 3\n    stdout:\n      have-patterns:\n        - out\n    stderr:\n      have-patterns:\n        - err\n",
        "  /nonexistent:\n    exists: false\n",
        "  tcp:1:\n    listening: false\n",
        "  udp:1:\n",
        "  /proc:\n    timeout: 2000\n    exists: true\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("mode:") && !text.contains("owner:"), "{text}");
    let ended = bench.run(&["validate", "-f", "tap"]).await;
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
}

#[tokio::test]
async fn requests_are_added_with_how_they_are_made() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        answer(&mut stream)
    });
    let words = ["http", "-k", "-r", "-u", "me", "-p", "pw", "-H", "X-A: b", "--timeout", "30s", &url];
    let ended = bench.run(&[&["add"][..], &words].concat()).await;
    if !cfg!(feature = "network") {
        eprintln!("SKIPPED: requests need the feature `network`");
        assert!(ended.code == 1 && ended.err.contains("`network`"), "{}", ended.err);
        drop(TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).unwrap());
        drop(server.join().unwrap());
        return;
    }
    assert_eq!(ended.code, 0, "{}", ended.err);
    let asked = server.join().unwrap().to_ascii_lowercase();
    assert!(asked.contains("authorization: basic bwu6chc=") && asked.contains("x-a: b"), "{asked}");
    let text = bench.read("goss.yaml");
    for part in [
        "allow-insecure: true",
        "no-follow-redirects: true",
        "timeout: 30000",
        "username: me",
        "password: pw",
        "status: 302",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let wrong = bench.run(&["add", "http", "-H", "none", &url]).await;
    assert!(wrong.code == 1 && wrong.err.contains("--header: none"), "{}", wrong.err);
}

/// Answers one request and tells what was asked.
fn answer(stream: &mut TcpStream) -> String {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let answer = "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // Whoever only knocks is gone.
    let _ = stream.write_all(answer.as_bytes());
    request.join("\n")
}

#[tokio::test]
async fn a_gossfile_that_is_added_to_keeps_what_it_includes() {
    let bench = Bench::new();
    bench.write("goss.yaml", "gossfile:\n  a.yaml: {skip: true}\n");
    let text = bench.added(&["goss", "b/*.yaml", "a.yaml"]).await;
    assert_eq!(text, "gossfile:\n  a.yaml: {skip: true}\n  \"b/*.yaml\": {}\n");
    let text = bench.added(&["group", "nonexistent"]).await;
    assert_eq!(
        text,
        "group:\n  nonexistent:\n    exists: false\ngossfile:\n  a.yaml: {skip: true}\n  \"b/*.yaml\": {}\n"
    );
    let json = bench.write("goss.json", "{\"gossfile\": {\"a.json\": {}}}");
    for words in [&["goss", "b.json"], &["group", "nonexistent"]] {
        assert_eq!(bench.run(&[&["-g", &json, "add"][..], words].concat()).await.code, 0);
    }
    let parsed: serde_json::Value = serde_json::from_str(&bench.read("goss.json")).unwrap();
    let expected =
        serde_json::json!({"gossfile": {"a.json": {}, "b.json": {}}, "group": {"nonexistent": {"exists": false}}});
    assert_eq!(parsed, expected);
    for text in ["{{ if true }}\n{{ end }}\n", "gossfile: {a.yaml: {}}\n", "file: [\n"] {
        bench.write("goss.yaml", text);
        let refused = bench.run(&["add", "group", "root"]).await;
        assert!(refused.code != 0 && refused.err.contains("goss.yaml"), "{}", refused.err);
        assert_eq!(bench.read("goss.yaml"), text, "it was changed");
    }
    let refused = bench.run(&["-g", "-", "add", "group", "root"]).await;
    assert!(refused.code == 1 && refused.err.contains("standard input"), "{}", refused.err);
}

#[tokio::test]
async fn only_what_can_be_found_out_is_added() {
    let bench = Bench::new();
    let ended = bench.run(&["add", "kernel-param", "kernel.ostype", "no.such"]).await;
    assert!(ended.code == 1 && ended.err.contains("kernel-param no.such: there is none"), "{}", ended.err);
    assert_eq!(bench.read("goss.yaml"), "kernel-param:\n  kernel.ostype:\n    value: Linux\n");
    for words in [&["add", "matching", "x"][..], &["add", "bogus", "x"], &["add", "file"], &["autoadd"]] {
        assert_eq!(bench.run(words).await.code, 1, "{words:?}");
    }
    let ended = bench.run(&["autoadd", "root", "/etc/passwd", "nonexistent"]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let text = bench.read("goss.yaml");
    assert!(text.contains("user:\n  root:") && text.contains("file:\n  /etc/passwd:"), "{text}");
    assert!(!text.contains("nonexistent"), "{text}");
}
