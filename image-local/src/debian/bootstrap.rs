use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::error::recognise;
use super::{DebianError, Pinned, Suite};
use crate::process::spawn;
use crate::sandbox::{Privilege, remove_tree, require};

/// Stands before the name of a file that is not the pinned one.
pub(super) const MOVED: &str = "index is not the pinned one:";

/// As process 1 of its namespaces, so that no mount and no process of mmdebstrap outlives it. Not mmdebstrap itself:
/// it expects its signals to work.
const INIT: &str = r#"mount -n -t proc proc /proc && "$@""#;

/// What apt has verified by now has to be what was pinned. The message is in two parts, because mmdebstrap logs the text
/// of every hook.
const COMPARE: &str = r#"
cd "$1/var/lib/apt/lists"
for file in *Release; do
  set -- $(sha256sum "$file")
  case " $PINNED_RELEASES " in
    *" $1 "*) ;;
    *) echo "index is not the" "pinned one: $file" >&2; exit 1 ;;
  esac
done
"#;

/// mmdebstrap copies both from the host.
const FORGET_HOST: &str = r#"rm -f "$1/etc/resolv.conf" "$1/etc/hostname""#;

/// How much of the log is kept to say what went wrong.
const KEPT_LINES: usize = 200;

/// Makes the root filesystem of a suite and writes it as a plain tar to `out`, which is given back. `on_line` gets the
/// log as it comes. `work` is for the tree meanwhile, is made if it does not exist, and is empty again on return.
///
/// When `cancel` completes or the future is dropped, and when this process is killed, every process and mount of it
/// is gone; in the last two cases the tree stays in `work`, for [`remove_tree`].
///
/// # Errors
/// See [`DebianError`]. What was written to `out` before is worthless.
pub async fn bootstrap<W: Write + Send + 'static>(
    suite: &Suite,
    pinned: Option<&Pinned>,
    privilege: Privilege,
    work: &Path,
    out: W,
    on_line: &mut (dyn FnMut(&str) + Send),
    cancel: impl Future<Output = ()> + Send,
) -> Result<W, DebianError> {
    suite.check()?;
    suite.require_keyring()?;
    for (tool, package) in [("mmdebstrap", "mmdebstrap"), ("apt-get", "apt"), ("tar", "tar")] {
        require(tool, package)?;
    }
    let tree = work.join("bootstrap");
    std::fs::create_dir_all(&tree).map_err(DebianError::io("create directory", &tree))?;
    let result = build(suite, command(suite, pinned, privilege, &tree), work, out, on_line, cancel).await;
    let removed = remove_tree(privilege, &tree).await;
    let out = result?;
    removed?;
    Ok(out)
}

fn command(suite: &Suite, pinned: Option<&Pinned>, privilege: Privilege, tree: &Path) -> Command {
    let mut command = privilege.namespaces(&["--mount", "--pid", "--kill-child"]);
    command.args(["--", "/bin/sh", "-c", INIT, "sh", "mmdebstrap"]);
    // Root of our user namespace is root enough.
    command.args(["--mode=root", "--format=tar"]);
    command.arg(format!("--variant={}", suite.variant)).arg(format!("--architectures={}", suite.architecture));
    if !suite.packages.is_empty() {
        command.arg(format!("--include={}", suite.packages.join(",")));
    }
    if let Some(keyring) = &suite.keyring {
        let mut option = std::ffi::OsString::from("--keyring=");
        option.push(keyring);
        command.arg(option);
    }
    if let Some(pinned) = pinned {
        let digests: Vec<_> = pinned.releases.iter().map(|release| release.sha256.as_str()).collect();
        command.env("PINNED_RELEASES", digests.join(" ")).arg(format!("--extract-hook={COMPARE}"));
    }
    if let Some(proxy) = &suite.proxy {
        command.env("http_proxy", proxy).env("https_proxy", proxy);
    }
    command.arg(format!("--customize-hook={FORGET_HOST}"));
    command.arg(&suite.name).arg("-").args(suite.lines());
    command.env("TMPDIR", tree).env("SOURCE_DATE_EPOCH", suite.epoch.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn build<W: Write + Send + 'static>(
    suite: &Suite,
    command: Command,
    work: &Path,
    mut out: W,
    on_line: &mut (dyn FnMut(&str) + Send),
    cancel: impl Future<Output = ()> + Send,
) -> Result<W, DebianError> {
    let failed = || DebianError::io("run", "mmdebstrap");
    let no_pipe = || failed()(io::Error::other("it has no pipe"));
    let mut child = spawn(command).await.map_err(failed())?;
    let stdout = child.stdout.take().ok_or_else(no_pipe)?.into_owned_fd().map_err(failed())?;
    let copy = tokio::task::spawn_blocking(move || {
        let copied = io::copy(&mut std::fs::File::from(stdout), &mut out).and_then(|_| out.flush());
        copied.map(|()| out)
    });
    let mut log = VecDeque::new();
    let mut stderr = BufReader::new(child.stderr.take().ok_or_else(no_pipe)?);
    let mut line = Vec::new();
    let mut cancelled = false;
    tokio::pin!(cancel);
    loop {
        tokio::select! {
            biased;
            () = &mut cancel, if !cancelled => {
                cancelled = true;
                child.start_kill().map_err(failed())?;
            }
            // Every process inside holds the other end, so its end is theirs.
            read = stderr.read_until(b'\n', &mut line) => {
                if read.map_err(failed())? == 0 {
                    break;
                }
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                on_line(&text);
                if log.len() == KEPT_LINES {
                    log.pop_front();
                }
                log.push_back(text);
            }
        }
    }
    let status = child.wait().await.map_err(failed())?;
    let copied = copy.await.unwrap_or_else(|error| Err(error.into()));
    let name = || suite.name.clone();
    if cancelled {
        return Err(DebianError::Cancelled { suite: name() });
    }
    let log = Vec::from(log);
    match copied {
        Ok(out) if status.success() => return Ok(out),
        // Else mmdebstrap failed only because nobody took its output.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            return Err(DebianError::NoSpace { suite: name(), work: work.into() });
        }
        Err(error) => return Err(DebianError::io("write the tar of", &suite.name)(error)),
        Ok(_) => {}
    }
    Err(recognise(&suite.name, &suite.mirrors.archive, work, &log).unwrap_or_else(|| {
        let errors: Vec<_> = log.iter().filter(|line| line.starts_with("E:")).map(String::as_str).collect();
        let said = if errors.is_empty() { log.last().cloned().unwrap_or_default() } else { errors.join("; ") };
        DebianError::Failed { suite: name(), message: format!("{status}: {said}") }
    }))
}
