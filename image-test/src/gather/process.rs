//! Commands with a time and an amount of output that they must keep to.

use crate::facts::CommandResult;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{ffi::OsStr, io, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::sleep,
};

/// How long output is awaited of what a command leaves running, such as a daemon that keeps the pipe open. What the
/// command itself wrote is in the pipe when it ends.
const LINGER: Duration = Duration::from_millis(100);

/// Runs a command without input, in a process group of its own. At its timeout the whole group is killed, and so it is when
/// this future is dropped; what a command that ends in time leaves running is let be.
///
/// # Errors
///
/// Says why the command did not start, or which of its outputs has more than `limit` bytes.
pub(super) async fn run<A: AsRef<OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = A>,
    timeout: Duration,
    limit: u64,
) -> Result<CommandResult, String> {
    let failed = |error: io::Error| format!("{program}: {error}");
    let mut command = Command::new(program);
    command.args(args).process_group(0);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let mut group = Group::of(&child);
    let (mut out, mut err) = (vec![], vec![]);
    let ended = {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reading = async {
            tokio::try_join!(read(stdout, &mut out, "stdout", limit), read(stderr, &mut err, "stderr", limit))
        };
        tokio::pin!(reading);
        let deadline = sleep(timeout);
        tokio::pin!(deadline);
        let mut is_read = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break Ok(Some(status.map_err(failed)?)),
                read = &mut reading, if !is_read => match read {
                    Ok(_) => is_read = true,
                    Err(why) => break Err(why),
                },
                () = &mut deadline => break Ok(None),
            }
        };
        if let Ok(Some(_)) = status {
            group.disarm();
            if !is_read {
                tokio::select! {
                    read = &mut reading => { read?; }
                    () = sleep(LINGER) => {}
                }
            }
        }
        status
    };
    let Ok(Some(status)) = ended else {
        group.kill();
        child.wait().await.map_err(failed)?;
        group.disarm();
        return ended.map(|_| CommandResult::TimedOut);
    };
    Ok(CommandResult::Exited { status: status.code().unwrap_or(-1), stdout: out.into(), stderr: err.into() })
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>, name: &str, limit: u64) -> Result<(), String> {
    let Some(pipe) = pipe else { return Err(format!("{name} is not a pipe")) };
    pipe.take(limit.saturating_add(1)).read_to_end(into).await.map_err(|error| format!("{name}: {error}"))?;
    match u64::try_from(into.len()) {
        Ok(length) if length <= limit => Ok(()),
        _ => Err(format!("{name} is larger than the limit of {limit} bytes")),
    }
}

/// A process group that ends with its owner. Its id is not given to others until its leader is waited for.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)))
    }

    fn kill(&self) {
        if let Some(id) = self.0 {
            // It fails only where all of the group is gone.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }

    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::test_kill_process;

    const LONG: Duration = Duration::from_secs(60);

    async fn sh(script: &str, timeout: Duration) -> Result<CommandResult, String> {
        run("sh", ["-c", script], timeout, 1 << 20).await
    }

    fn exited(status: i32, stdout: &str, stderr: &str) -> Result<CommandResult, String> {
        Ok(CommandResult::Exited { status, stdout: stdout.into(), stderr: stderr.into() })
    }

    #[tokio::test]
    async fn status_and_output_are_kept_apart() {
        assert_eq!(sh("echo out; echo err >&2; exit 3", LONG).await, exited(3, "out\n", "err\n"));
        assert_eq!(sh("kill -9 $$", LONG).await, exited(-1, "", ""));
        assert_eq!(sh("cat", LONG).await, exited(0, "", ""), "there is no input");
        assert!(run("/none/such", [""; 0], LONG, 1).await.unwrap_err().starts_with("/none/such: "));
    }

    #[tokio::test]
    async fn a_timeout_kills_all_that_was_started() {
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid_file.display());
        assert_eq!(sh(&script, Duration::from_millis(500)).await, Ok(CommandResult::TimedOut));
        let pid = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        wait_for_end(pid).await;
    }

    #[tokio::test]
    async fn a_dropped_run_kills_all_that_was_started() {
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pid_file.display());
        let running = tokio::spawn(async move { sh(&script, LONG).await });
        while !pid_file.exists() {
            tokio::task::yield_now().await;
        }
        running.abort();
        let _ = running.await;
        wait_for_end(std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap()).await;
    }

    /// Ends when the process is gone, or is a zombie that nobody here can collect; the test's own limit is the runner's.
    async fn wait_for_end(pid: i32) {
        let is_zombie = |stat: String| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z"));
        while test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
            && !std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(is_zombie)
        {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_keeps_the_pipe_open_is_not_awaited() {
        let started = sh("sleep 1000 & echo $!", LONG).await.unwrap();
        let CommandResult::Exited { status: 0, stdout, .. } = started else { panic!("{started:?}") };
        let pid = Pid::from_raw(stdout.to_str().trim().parse().unwrap()).unwrap();
        test_kill_process(pid).expect("it is let be");
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn too_much_output_is_an_error() {
        let why = run("sh", ["-c", "yes >&2"], LONG, 1000).await.unwrap_err();
        assert_eq!(why, "stderr is larger than the limit of 1000 bytes");
        assert!(run("sh", ["-c", "printf 1234"], LONG, 4).await.is_ok());
    }
}
