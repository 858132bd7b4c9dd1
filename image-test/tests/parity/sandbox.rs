//! A small system with fixed answers, in namespaces of its own: files, accounts, packages, services, mounts, processes.

use super::network::Network;
use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use tempfile::TempDir;

/// Where the checkers and the corpus are inside.
pub(crate) const CHECKERS: &str = "/checkers";
pub(crate) const CORPUS: &str = "/corpus";
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A system that runs until it is dropped.
pub(crate) struct Sandbox {
    init: Child,
    /// The init as the host sees it.
    pid: u32,
    /// The root, which must outlive the processes in it.
    _root: TempDir,
}

/// What this machine lacks to run sandboxes.
pub(crate) fn lacking() -> Option<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        return Some("not root: the fixture has files of other users and devices");
    }
    let runs = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if busybox().is_none() {
        return Some("no static busybox in /bin or /usr/bin");
    }
    if !Path::new("/proc/net/if_inet6").exists() {
        return Some("no IPv6");
    }
    let namespaces = ["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "true"];
    (!runs("unshare", &namespaces) || !runs("nsenter", &["--version"])).then_some("no namespaces by util-linux")
}

fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|path| path.is_file())
}

impl Sandbox {
    /// Starts the system of a flavour, with these programs in [`CHECKERS`] and their libraries where they want them.
    pub(crate) fn start(flavour: &str, checkers: &[PathBuf]) -> io::Result<Self> {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
        let root = tempfile::tempdir()?;
        copy(&ours.join("root/base"), root.path())?;
        copy(&ours.join("root").join(flavour), root.path())?;
        copy(&ours.join("corpus"), &root.path().join(&CORPUS[1..]))?;
        let busybox = busybox().ok_or(io::ErrorKind::NotFound)?;
        place(&busybox, &root.path().join("bin/busybox"))?;
        for checker in checkers {
            let name = checker.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            place(checker, &root.path().join(&CHECKERS[1..]).join(name))?;
            for library in libraries(checker)? {
                place(&library, &root.path().join(library.strip_prefix("/").map_err(io::Error::other)?))?;
            }
        }
        let mut init = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"])
            .arg(busybox)
            .arg("sh")
            .arg(ours.join("enter.sh"))
            .args([root.path().as_os_str(), flavour.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(init.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut line)?;
        if line != "READY\n" {
            let _ = init.kill();
            return Err(io::Error::other(format!("the fixture of {flavour} says {line:?}: {}", init.wait()?)));
        }
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", init.id()))?;
        let pid = children.trim().parse().map_err(io::Error::other)?;
        Network::serve(pid)?;
        Ok(Self { init, pid, _root: root })
    }

    /// Runs a program of [`CHECKERS`] in [`CORPUS`] with an environment that has a `PATH`, a `HOME` and what is given.
    pub(crate) fn run(&self, args: &[String], env: &[(String, String)], input: &[u8]) -> io::Result<Output> {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid.to_string(), "--mount", "--net", "--pid", "--ipc", "--uts"]);
        command.args(["--root", &format!("--wd=/proc/{}/root{CORPUS}", self.pid)]);
        command.args(["/bin/busybox", "env", "-i", &format!("PATH={PATH}"), "HOME=/root"]);
        command.args(env.iter().map(|(name, value)| format!("{name}={value}"))).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read its input may have closed it.
            let _ = stdin.write_all(input);
        }
        child.wait_with_output()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The init of a process namespace takes all others with it, and its mounts end with it.
        let _ = self.init.kill();
        let _ = self.init.wait();
    }
}

/// Copies a tree; what is executable stays so.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn place(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
    fs::copy(from, to).map(drop)
}

/// The libraries and the loader of a dynamic program, by absolute path.
fn libraries(program: &Path) -> io::Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // `libc.so.6 => /lib/libc.so.6 (0x..)`, `/lib64/ld-linux-x86-64.so.2 (0x..)`, and nothing for a static one.
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}
