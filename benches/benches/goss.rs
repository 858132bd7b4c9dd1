//! What checking a machine costs: goss beside this library, on the same gossfile with the same outcomes, which goss
//! itself writes of the machine that this runs on.
#![expect(clippy::print_stdout, reason = "the table is the result")]

use benches::{
    ChildUsage, measure_if_asked,
    resources::{self, found},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    ffi::OsString,
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const GOSS: &str = "0.4.10";
/// Alternating pairs of runs.
const PAIRS: usize = 10;
/// The argument that makes this bench run the commands of the mixed suite and nothing else.
const COMMANDS_ALONE: &str = "--commands-alone";

fn main() -> Result<()> {
    if measure_if_asked()? {
        return Ok(());
    }
    if std::env::args().nth(1).is_some_and(|argument| argument == COMMANDS_ALONE) {
        return commands_alone();
    }
    let version = Command::new("goss").arg("--version").output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(GOSS)) {
        println!("SKIPPED: no goss {GOSS} on the PATH; `cargo xtask peers` builds it, `cargo xtask bench` finds it");
        return Ok(());
    }
    let ours = build()?;
    let directory = tempfile::tempdir()?;
    let packages = found("package", usize::MAX, directory.path())?;
    let (mixed, filled) = resources::mixed(directory.path())?;
    if !filled.is_empty() {
        println!("This machine has fewer, the rest is checked to be absent: {}.\n", filled.join(", "));
    }
    let suites = [
        ("one file", vec![("file", vec!["/etc/passwd".to_owned()])]),
        ("mixed", mixed),
        ("packages", vec![("package", packages.into_iter().take(700).collect())]),
    ];
    println!(
        "| suite | checker | outcomes | wall s, min | wall s, median | CPU s, median | peak MiB | programs started |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    for (name, resources) in suites {
        let gossfile = write(name, &resources, directory.path())?;
        let commands = [
            ("goss 0.4.10", command(Path::new("goss"), &gossfile, &[])),
            ("this library", command(&ours, &gossfile, &["--compat", "goss"])),
        ];
        let [theirs, our] = [outcomes(&commands[0].1)?, outcomes(&commands[1].1)?];
        if theirs != our {
            let differ: Vec<_> =
                theirs.iter().filter(|(key, outcome)| our.get(*key) != Some(*outcome)).take(10).collect();
            return Err(format!("{name}: the outcomes differ: {} and {}: {differ:?}", theirs.len(), our.len()).into());
        }
        let mut runs = [vec![], vec![]];
        for pair in 0..PAIRS {
            // Who is first changes, too.
            for at in if pair % 2 == 0 { [0, 1] } else { [1, 0] } {
                runs[at].push(ChildUsage::of(&commands[at].1)?);
            }
        }
        for ((checker, command), runs) in commands.iter().zip(runs) {
            print(name, checker, theirs.len(), &runs, started(command));
        }
    }
    let alone = vec![std::env::current_exe()?.into(), COMMANDS_ALONE.into()];
    let runs = (0..PAIRS).map(|_| ChildUsage::of(&alone)).collect::<std::io::Result<Vec<_>>>()?;
    print("mixed", "none: its commands alone", "-", &runs, started(&alone));
    Ok(())
}

/// What no checker can do without: the commands of the mixed suite, as many at once as there are processors.
fn commands_alone() -> Result<()> {
    let scripts: Vec<String> = resources::commands().collect();
    let at_once = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let run = |scripts: Vec<&String>| {
            scripts
                .into_iter()
                .try_for_each(|script| Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output().map(drop))
        };
        let mut workers = vec![];
        for first in 0..at_once {
            let share = scripts.iter().skip(first).step_by(at_once).collect();
            workers.push(scope.spawn(move || run(share)));
        }
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?.map_err(Into::into))
    })
}

/// Our checker, optimised as this bench is.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build =
        ["build", "--quiet", "--release", "--package", "examples", "--features", "network", "--example", "goss-check"];
    if !Command::new(cargo).args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status()?.success() {
        return Err("goss-check does not build".into());
    }
    // We are `target/release/deps/goss-*`.
    let bench = std::env::current_exe()?;
    Ok(bench.ancestors().nth(2).ok_or("no target directory")?.join("examples/goss-check"))
}

/// Lets goss write what it sees, and takes out what is not the same a moment later.
fn write(name: &str, resources: &[(&'static str, Vec<String>)], directory: &Path) -> Result<PathBuf> {
    let path = directory.join(format!("{name}.yaml"));
    for (kind, names) in resources {
        let mut add = Command::new("goss");
        add.arg("-g").arg(&path).args(["add", kind]).args(names).stdout(Stdio::null()).stderr(Stdio::null());
        if !add.status()?.success() {
            return Err(format!("goss cannot add {} of type {kind}", names.len()).into());
        }
    }
    let failed = outcomes(&command(Path::new("goss"), &path, &[]))?;
    let failed: BTreeSet<String> =
        failed.into_iter().filter(|(_, outcome)| *outcome == 1).map(|(key, _)| key.1).collect();
    if !failed.is_empty() {
        println!("Left out, because they change: {}.\n", failed.iter().cloned().collect::<Vec<_>>().join(", "));
        let text = fs::read_to_string(&path)?;
        fs::write(&path, without(&text, &failed))?;
    }
    Ok(path)
}

/// A gossfile as goss writes it, without some of its resources.
fn without(gossfile: &str, keys: &BTreeSet<String>) -> String {
    let mut dropping = false;
    let mut kept = String::new();
    for line in gossfile.lines() {
        let indent = line.len() - line.trim_start().len();
        if indent == 4 {
            dropping = keys.contains(line.trim().trim_end_matches(':').trim_matches(['"', '\'']));
        } else if indent == 0 {
            dropping = false;
        }
        if !dropping {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn command(checker: &Path, gossfile: &Path, further: &[&str]) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![checker.into(), "-g".into(), gossfile.into()];
    command.extend(["validate", "-f", "json"].iter().chain(further).map(OsString::from));
    command
}

/// Results by type, id and property: 0 passed, 1 failed, 2 skipped.
fn outcomes(command: &[OsString]) -> Result<BTreeMap<(String, String, String), u64>> {
    let output = Command::new(&command[0]).args(&command[1..]).output()?;
    let report = output.stdout.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"{\"")).ok_or_else(|| {
        format!("{} said no report: {}", command[0].display(), String::from_utf8_lossy(&output.stderr))
    })?;
    let report: serde_json::Value = serde_json::from_slice(report)?;
    let results = report["results"].as_array().ok_or("a report without results")?;
    let text = |result: &serde_json::Value, name: &str| result[name].as_str().unwrap_or_default().to_owned();
    let outcome = |result: &serde_json::Value| {
        let key = (text(result, "resource-type"), text(result, "resource-id"), text(result, "property"));
        (key, result["result"].as_u64().unwrap_or(u64::MAX))
    };
    Ok(results.iter().map(outcome).collect())
}

/// How many programs a command starts, itself included; none without strace.
fn started(command: &[OsString]) -> Option<usize> {
    let trace = tempfile::NamedTempFile::new().ok()?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=execve", "-e", "status=successful", "-o"]).arg(trace.path()).args(command);
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Some(fs::read_to_string(trace.path()).ok()?.matches("execve(").count())
}

fn print(suite: &str, checker: &str, outcomes: impl Display, runs: &[ChildUsage], started: Option<usize>) {
    let sorted = |of: fn(&ChildUsage) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (values[0], (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0)
    };
    let (wall, cpu) = (sorted(|run| run.wall), sorted(|run| run.cpu));
    let (_, peak) = sorted(|run| run.peak_rss_kib as f64 / 1024.0);
    let started = started.map_or_else(|| "?".to_owned(), |count| count.to_string());
    println!(
        "| {suite} | {checker} | {outcomes} | {:.3} | {:.3} | {:.3} | {peak:.1} | {started} |",
        wall.0, wall.1, cpu.1
    );
}
