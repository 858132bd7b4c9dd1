//! What can go wrong between the start of QEMU and the last command.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::request::Finished;

/// Failure to boot a guest or to work in it.
///
/// A command that exits with a status other than 0 is none: see [`Finished::exit`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QemuError {
    /// The guest will not become ready: it said so on its console.
    #[error("guest does not boot: {reason}{}", tail(.console))]
    BootFailed {
        /// What was recognized on the console.
        reason: BootFailure,
        /// The end of the serial console.
        console: String,
    },
    /// An earlier exchange ended in the middle; the channel to the agent is lost for good.
    #[error("channel to the guest is unusable since {reason}")]
    ChannelBroken {
        /// What happened to it.
        reason: String,
    },
    /// What arrived is not what was sent.
    #[error("transfer of {path:?} is corrupt: expected sha256 {expected}, got {actual}")]
    DigestMismatch {
        /// Path in the guest.
        path: String,
        /// Digest at the source, in hexadecimal.
        expected: String,
        /// Digest at the destination, in hexadecimal.
        actual: String,
    },
    /// QEMU ended.
    #[error("QEMU ended with {status}{}{}", stderr_tail(.stderr), tail(.console))]
    Exited {
        /// Exit status or signal.
        status: String,
        /// The end of its standard error.
        stderr: String,
        /// The end of the serial console.
        console: String,
    },
    /// No UEFI firmware for the guest's architecture.
    #[error("no UEFI firmware for {architecture} guests, looked for {}; install the Debian package {package}", paths(.looked))]
    FirmwareMissing {
        /// Architecture of the guest.
        architecture: &'static str,
        /// Debian package that has it.
        package: &'static str,
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// A field of the boot specification has a value that cannot work.
    #[error("{field} is {value}: accepted is {accepted}")]
    InvalidSpec {
        /// Field of [`BootSpec`](super::BootSpec).
        field: &'static str,
        /// Its value.
        value: String,
        /// What is accepted.
        accepted: String,
    },
    /// A field of a request has a value that cannot work.
    #[error("request field {field} is {value}: accepted is {accepted}")]
    InvalidRequest {
        /// Field of [`Request`](super::Request), or argument.
        field: &'static str,
        /// Its value; never a secret's.
        value: String,
        /// What is accepted.
        accepted: String,
    },
    /// Reading or writing on the host failed.
    #[error("cannot {operation}")]
    Io {
        /// What was attempted, with the path.
        operation: String,
        /// Cause.
        source: io::Error,
    },
    /// The guest was lost while a command ran: whether it finished is unknown.
    #[error("guest was lost during a command: {reason}{}", tail(.console))]
    Lost {
        /// What happened to it.
        reason: String,
        /// The end of the serial console.
        console: String,
    },
    /// The agent did not answer in time.
    #[error("guest is not ready within {after:?}{}", tail(.console))]
    NotReady {
        /// Time waited.
        after: Duration,
        /// The end of the serial console.
        console: String,
    },
    /// The agent has not been heard since the guest booted: [`Guest::ready`](super::Guest::ready) was not awaited.
    #[error("guest is not ready yet")]
    NotYetReady,
    /// A command ran out of time and was killed, with its whole session.
    #[error("command did not finish within {timeout:?} and was killed")]
    TimedOut {
        /// Its timeout.
        timeout: Duration,
        /// What it had written until then.
        output: Box<Finished>,
    },
    /// A program of the host is missing or unfit.
    #[error("{tool} {problem}, looked for in {looked}; install the Debian package {package}")]
    Tool {
        /// Program.
        tool: String,
        /// What is wrong with it.
        problem: &'static str,
        /// Where it was looked for.
        looked: String,
        /// Debian package that has it.
        package: &'static str,
    },
    /// A file could not be transferred.
    #[error("cannot {operation} {path:?} in the guest: {message}")]
    Transfer {
        /// `upload` or `download`.
        operation: &'static str,
        /// Path in the guest.
        path: String,
        /// What the guest said.
        message: String,
    },
}

/// Why a guest will not boot, as its console tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootFailure {
    /// systemd or dracut gave up and waits for an administrator.
    #[error("it stopped in emergency mode")]
    EmergencyMode,
    /// The initramfs could not mount the root file system and opened a shell.
    #[error("its initramfs gave up and opened a shell")]
    InitramfsShell,
    /// The kernel, or the first process, died.
    #[error("its kernel panicked")]
    KernelPanic,
    /// The firmware found nothing to start.
    #[error("the firmware found nothing to boot")]
    NothingToBoot,
    /// The agent could not start beside the image's initramfs.
    #[error("the agent could not start")]
    NoAgent,
}

/// Lines of the console that fit a message; the field has the rest.
const LINES: usize = 12;

fn tail(console: &str) -> String {
    excerpt("console", console)
}

fn stderr_tail(stderr: &str) -> String {
    excerpt("standard error", stderr)
}

fn excerpt(name: &str, text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return format!("; its {name} is empty");
    }
    // What led to a failure stands before its first sign; after it come traces.
    let end = lines.iter().position(|line| BootFailure::of(line).is_some()).map_or(lines.len(), |sign| sign + 1);
    format!("; its {name} ends:\n{}", lines[end.saturating_sub(LINES)..end].join("\n"))
}

fn paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl QemuError {
    pub(crate) fn io(operation: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let operation = operation.into();
        move |source| Self::Io { operation, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_with_the_first_sign_of_failure() {
        let mut console: String = (0..100).map(|line| format!("line {line}\r\n\n")).collect();
        assert_eq!(tail(&console).lines().count(), LINES + 1);
        assert!(tail(&console).ends_with("line 99"));
        console.push_str("cannot mount root\nKernel panic - not syncing: init died\n");
        console.extend((0..100).map(|line| format!("trace {line}\n")));
        console.push_str("Kernel panic - not syncing: init died\n");
        assert!(tail(&console).ends_with("line 99\ncannot mount root\nKernel panic - not syncing: init died"));
        assert_eq!(tail("\n"), "; its console is empty");
    }
}
