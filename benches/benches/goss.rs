//! What checking a machine costs: goss beside this library, on the same gossfile with the same outcomes, which goss
//! itself writes of the machine that this runs on.
#![expect(clippy::print_stdout, reason = "the table is the result")]

use benches::{ChildUsage, measure_if_asked};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const GOSS: &str = "0.4.10";
/// Alternating pairs of runs.
const PAIRS: usize = 10;
/// Resources of each type in the mixed suite.
const MIXED: [(&str, usize); 10] = [
    ("file", 400),
    ("package", 200),
    ("service", 80),
    ("user", 80),
    ("kernel-param", 80),
    ("group", 40),
    ("port", 40),
    ("process", 30),
    ("command", 30),
    ("mount", 20),
];

fn main() -> Result<()> {
    if measure_if_asked()? {
        return Ok(());
    }
    let version = Command::new("goss").arg("--version").output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(GOSS)) {
        println!("SKIPPED: no goss {GOSS} on the PATH; `cargo xtask peers` builds it, `cargo xtask bench` finds it");
        return Ok(());
    }
    let ours = build()?;
    let directory = tempfile::tempdir()?;
    let packages = found("package", usize::MAX, directory.path())?;
    let suites = [
        ("one file", vec![("file", vec!["/etc/passwd".to_owned()])]),
        ("mixed", mixed(directory.path())?),
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
    Ok(())
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

/// What there is of each type, filled up with names that are not there.
fn mixed(directory: &Path) -> Result<Vec<(&'static str, Vec<String>)>> {
    let mut suite = vec![];
    let mut filled = vec![];
    for (kind, count) in MIXED {
        let mut names = found(kind, count, directory)?;
        if names.len() < count {
            filled.push(format!("{kind} {} of {count}", names.len()));
        }
        for n in names.len()..count {
            names.push(match kind {
                "port" => format!("tcp:{}", 20_000 + n),
                // Their absence is an error for goss.
                "kernel-param" | "mount" => break,
                _ => format!("not-there-{n}"),
            });
        }
        suite.push((kind, names));
    }
    if !filled.is_empty() {
        println!("This machine has fewer, the rest is checked to be absent: {}.\n", filled.join(", "));
    }
    Ok(suite)
}

/// Names of things that this machine has.
fn found(kind: &str, count: usize, directory: &Path) -> Result<Vec<String>> {
    let column = |path: &str, separator: char| -> Result<Vec<String>> {
        let text = fs::read_to_string(path)?;
        Ok(text.lines().filter_map(|line| line.split(separator).next()).map(str::to_owned).collect())
    };
    let names: BTreeSet<String> = match kind {
        "file" => {
            let place = directory.join("files");
            fs::create_dir_all(&place)?;
            for n in 0..count {
                fs::write(place.join(n.to_string()), n.to_string())?;
            }
            (0..count).map(|n| place.join(n.to_string()).display().to_string()).collect()
        }
        "package" => lines(Command::new("dpkg-query").args(["-W", "-f", "${Package}\n"]))?,
        "service" => {
            let units = fs::read_dir("/usr/lib/systemd/system").into_iter().flatten().flatten();
            let names = units.filter_map(|unit| Some(unit.file_name().to_str()?.strip_suffix(".service")?.to_owned()));
            names.filter(|name| !name.ends_with('@')).collect()
        }
        "user" => column("/etc/passwd", ':')?.into_iter().collect(),
        "group" => column("/etc/group", ':')?.into_iter().collect(),
        "kernel-param" => parameters(Path::new("/proc/sys"), "")?.into_iter().collect(),
        "port" => listening()?,
        "process" => {
            let processes = fs::read_dir("/proc")?.flatten().map(|entry| entry.path().join("comm"));
            processes.filter_map(|comm| fs::read_to_string(comm).ok()).map(|comm| comm.trim_end().to_owned()).collect()
        }
        "command" => (0..count).map(|n| format!("echo line {n} | grep -c line")).collect(),
        _ => {
            let mounts = fs::read_to_string("/proc/self/mountinfo")?;
            mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
        }
    };
    Ok(names.into_iter().take(count).collect())
}

fn lines(command: &mut Command) -> Result<BTreeSet<String>> {
    let output = command.stderr(Stdio::null()).output();
    Ok(output
        .map(|output| String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
        .unwrap_or_default())
}

/// Kernel parameters of names that can be said with dots, in the order of the directories.
fn parameters(directory: &Path, prefix: &str) -> Result<Vec<String>> {
    let mut found = vec![];
    for entry in fs::read_dir(directory)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.contains('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            found.extend(parameters(&entry.path(), &format!("{prefix}{name}."))?);
        } else if fs::read_to_string(entry.path()).is_ok_and(|value| value.len() < 100 && value.is_ascii()) {
            found.push(format!("{prefix}{name}"));
        }
    }
    Ok(found)
}

fn listening() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        for line in fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [_, local, _, state, ..] = fields[..]
                && (state == "0A" || table.starts_with("udp"))
                && let Some((_, port)) = local.rsplit_once(':')
            {
                found.insert(format!("{table}:{}", u16::from_str_radix(port, 16)?));
            }
        }
    }
    Ok(found)
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

fn print(suite: &str, checker: &str, outcomes: usize, runs: &[ChildUsage], started: Option<usize>) {
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
