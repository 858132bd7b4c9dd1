//! What a child process used, by a process of its own between: the kernel adds up all children that have ended.

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    io,
    process::{Command, Stdio},
    time::Instant,
};

/// The argument that makes a bench the process between.
const MEASURE: &str = "--measure-child";

/// What a command used, with all that it started and waited for.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ChildUsage {
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of CPU, user and system.
    pub cpu: f64,
    /// Highest resident set size of any of the processes, in KiB.
    pub peak_rss_kib: u64,
    /// Its exit code.
    pub exit: Option<i32>,
}

impl ChildUsage {
    /// Runs a command without input and output. The caller's `main` must begin with [`measure_if_asked`].
    ///
    /// # Errors
    /// The command cannot be run.
    pub fn of(command: &[OsString]) -> io::Result<Self> {
        let output = Command::new(std::env::current_exe()?).arg(MEASURE).args(command).output()?;
        serde_json::from_slice(&output.stdout)
            .map_err(|_| io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

/// Is the process between, if this process was started as one.
///
/// # Errors
/// The command cannot be run.
pub fn measure_if_asked() -> io::Result<bool> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != MEASURE) {
        return Ok(false);
    }
    let program = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
    let began = Instant::now();
    let mut command = Command::new(program);
    let status = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let wall = began.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let measured = ChildUsage {
        wall,
        cpu: micros as f64 / 1e6,
        peak_rss_kib: u64::try_from(usage.max_rss()).unwrap_or_default(),
        exit: status.code(),
    };
    serde_json::to_writer(io::stdout(), &measured)?;
    Ok(true)
}
