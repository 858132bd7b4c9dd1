//! Child processes that cannot outlive us, and the search for those of an earlier process that crashed.
//!
//! `kill_on_drop` covers panics and dropped futures; nothing in our address space covers SIGKILL. For that the kernel
//! has the parent-death signal, `PR_SET_PDEATHSIG` in prctl(2), which util-linux' `setpriv` sets without any code of
//! ours running between fork and exec.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Exit status of a supervised command whose parent died before the parent-death signal was in place.
pub const ORPHANED: i32 = 125;

/// Shortest token that [`find`] accepts, in bytes: a short one would match processes that are none of ours.
pub const MIN_TOKEN: usize = 8;

/// Between two looks at processes that were killed.
const POLL: Duration = Duration::from_millis(10);

/// A command that is killed when this process ends, however it ends (SIGKILL too).
///
/// It leads its own process group, and is killed when its [`Child`] is dropped. Start it with [`spawn`]: the signal
/// follows the thread that forks. The signal reaches this one process only; a program with children of its own needs a
/// pid namespace, as `unshare --kill-child --pid` makes. A program that gains privileges on exec (set-user-ID) loses
/// it.
///
/// The program starts through `setpriv` and `/bin/sh`, so one that does not exist shows as exit status 127 or 126 and
/// not as an error of [`spawn`].
#[must_use]
pub fn supervised(program: impl AsRef<OsStr>) -> Command {
    supervised_by(std::process::id(), program.as_ref())
}

fn supervised_by(parent: u32, program: &OsStr) -> Command {
    // Our death before the signal is set would go unnoticed, hence the second look at the parent once it is set.
    let start = format!(r#"[ "$PPID" = {parent} ] || exit {ORPHANED}; exec "$@""#);
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "/bin/sh", "-c", &start, "sh"]).arg(program);
    command.kill_on_drop(true).process_group(0);
    command
}

struct Job {
    command: Command,
    runtime: tokio::runtime::Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// Spawns from a thread that lives as long as the process: the parent-death signal follows the spawning *thread*, and a
/// runtime's blocking threads end early.
///
/// A child whose future is dropped meanwhile is killed if the command says [`kill_on_drop`](Command::kill_on_drop), as
/// [`supervised`] does.
///
/// # Errors
/// Those of [`Command::spawn`], and of starting the thread.
///
/// # Panics
/// Outside a Tokio runtime, as every Tokio function does.
pub async fn spawn(command: Command) -> io::Result<Child> {
    let (reply, child) = oneshot::channel();
    let job = Job { command, runtime: tokio::runtime::Handle::current(), reply };
    spawner()?.send(job).map_err(|_| io::Error::other("the spawning thread has ended"))?;
    child.await.map_err(|_| io::Error::other("the spawning thread has ended"))?
}

fn spawner() -> io::Result<&'static mpsc::UnboundedSender<Job>> {
    static SPAWNER: OnceLock<mpsc::UnboundedSender<Job>> = OnceLock::new();
    if let Some(spawner) = SPAWNER.get() {
        return Ok(spawner);
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    // Of two callers that come here at once, the loser's thread ends with its sender, before it spawned anything.
    std::thread::Builder::new().name("spawner".into()).spawn(move || serve(receiver))?;
    Ok(SPAWNER.get_or_init(|| sender))
}

fn serve(mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(Job { mut command, runtime, reply }) = jobs.blocking_recv() {
        let _context = runtime.enter();
        // The end of this thread would kill every child, so a runtime that panics while it shuts down must not end it.
        let child = catch_unwind(AssertUnwindSafe(|| command.spawn()))
            .unwrap_or_else(|_| Err(io::Error::other("the runtime could not spawn a process")));
        // Nobody waits any more: the child comes back in the error, and dropping it kills it.
        drop(reply.send(child));
    }
}

/// Pids of processes whose command line contains `token` (reads /proc; never ourselves).
///
/// Zombies have no command line and are not found.
///
/// # Errors
/// A token shorter than [`MIN_TOKEN`], and `/proc` that cannot be read.
pub fn find(token: &str) -> io::Result<Vec<u32>> {
    if token.len() < MIN_TOKEN {
        let message = format!("process token {token:?} is too short: accepted are {MIN_TOKEN} bytes and more");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if pid != std::process::id() && carries(pid, token) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// Whether the process runs with `token` on its command line. One that ended, or hides from us, does not.
fn carries(pid: u32, token: &str) -> bool {
    let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    cmdline.windows(token.len()).any(|window| window == token.as_bytes())
}

/// SIGKILLs what [`find`] finds until none is left or the deadline has passed, and returns how many it killed.
///
/// For the time after a crash. A pidfd makes sure that a recycled pid is never hit; before Linux 5.3 a second look at
/// the command line has to do.
///
/// # Errors
/// Those of [`find`]; a process of another user; [`io::ErrorKind::TimedOut`], with the pids, when some did not end.
pub async fn kill_all(token: &str, deadline: Duration) -> io::Result<usize> {
    let deadline = Instant::now() + deadline;
    let mut killed = BTreeSet::new();
    loop {
        let pids = find(token)?;
        if pids.is_empty() {
            return Ok(killed.len());
        }
        if Instant::now() >= deadline {
            let message = format!("processes with {token:?} on their command line do not end: {pids:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        for pid in pids {
            if kill(pid, token)? {
                killed.insert(pid);
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Kills one process if it still carries the token. False when it has ended.
fn kill(pid: u32, token: &str) -> io::Result<bool> {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
    let sent = |result: Result<(), Errno>| match result {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(error) => Err(io::Error::new(
            io::Error::from(error).kind(),
            format!("cannot kill process {pid} with {token:?} on its command line: {error}"),
        )),
    };
    match pidfd_open(id, PidfdFlags::empty()) {
        // The second look comes after the open: what carries the token now is what the pidfd stands for.
        Ok(pidfd) if carries(pid, token) => sent(pidfd_send_signal(&pidfd, Signal::KILL)),
        Err(Errno::NOSYS) if carries(pid, token) => sent(kill_process(id, Signal::KILL)),
        Ok(_) | Err(Errno::NOSYS | Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
