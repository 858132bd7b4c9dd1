//! Names of what there is on the machine that a bench runs on, for suites that look at it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

const COMMANDS: usize = 30;
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
    ("command", COMMANDS),
    ("mount", 20),
];

/// Names by the section of a gossfile that they belong to.
pub type Names = Vec<(&'static str, Vec<String>)>;

/// A thousand names of ten types, filled up with some that are not there. Files are made in the directory. The second
/// list says which types were filled up.
///
/// # Errors
/// The I/O error of what was looked at.
pub fn mixed(directory: &Path) -> io::Result<(Names, Vec<String>)> {
    let (mut suite, mut filled) = (vec![], vec![]);
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
    Ok((suite, filled))
}

/// At most so many names of one type: of things that this machine has, of files made in the directory, and of commands.
///
/// # Errors
/// The I/O error of what was looked at.
pub fn found(kind: &str, count: usize, directory: &Path) -> io::Result<Vec<String>> {
    let column = |path: &str, separator: char| -> io::Result<Vec<String>> {
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
            let files = fs::read_dir("/proc")?.flatten().map(|entry| entry.path().join("comm"));
            let names = files.filter_map(|comm| fs::read_to_string(comm).ok()).map(|comm| comm.trim_end().to_owned());
            // The kernel's workers come, go and change their names between one checker's run and the next.
            names.filter(|name| !name.starts_with("kworker/")).collect()
        }
        "command" => commands().take(count).collect(),
        _ => {
            let mounts = fs::read_to_string("/proc/self/mountinfo")?;
            mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
        }
    };
    Ok(names.into_iter().take(count).collect())
}

/// The commands of the mixed suite: a shell and one more program each.
pub fn commands() -> impl Iterator<Item = String> {
    (0..COMMANDS).map(|n| format!("echo line {n} | grep -c line"))
}

fn lines(command: &mut Command) -> io::Result<BTreeSet<String>> {
    let output = command.stderr(Stdio::null()).output();
    Ok(output
        .map(|output| String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
        .unwrap_or_default())
}

/// Kernel parameters of names that can be said with dots, in the order of the directories.
fn parameters(directory: &Path, prefix: &str) -> io::Result<Vec<String>> {
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

fn listening() -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        for line in fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [_, local, _, state, ..] = fields[..]
                && (state == "0A" || table.starts_with("udp"))
                && let Some((_, port)) = local.rsplit_once(':')
            {
                found.insert(format!("{table}:{}", u16::from_str_radix(port, 16).map_err(io::Error::other)?));
            }
        }
    }
    Ok(found)
}
