use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why a sandbox could not do what it was asked. A command that ran and failed is not an error: see
/// [`Exit`](super::Exit).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// An archive could not be read, written or unpacked.
    #[error("cannot {action} {}: {message}", path.display())]
    Archive {
        /// What was done: `extract into`, `pack` or `remove`.
        action: &'static str,
        /// The directory it was done to.
        path: PathBuf,
        /// What the tool said.
        message: String,
    },
    /// The caller cancelled; every process of the sandbox is gone.
    #[error("cancelled while a command ran in the sandbox")]
    Cancelled,
    /// A file could not be copied in or out.
    #[error("cannot copy {path:?} of the root filesystem: {message}")]
    Copy {
        /// The path inside the root filesystem.
        path: String,
        /// What the command inside said.
        message: String,
    },
    /// The work directory and the root filesystem must not contain each other.
    #[error("{} and {} must lie beside each other: neither may contain the other", rootfs.display(), work.display())]
    Nested {
        /// The root filesystem.
        rootfs: PathBuf,
        /// The work directory.
        work: PathBuf,
    },
    /// A file or directory of the host could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The sandbox was killed from outside, so how the command ended is unknown.
    #[error("the sandbox was killed from outside while a command ran in it")]
    Lost,
    /// A tool of the host is missing.
    #[error("{tool} is missing: install the package {package}")]
    MissingTool {
        /// The program.
        tool: &'static str,
        /// The package of Debian and Ubuntu that has it.
        package: &'static str,
    },
    /// A directory of the root filesystem that something has to be mounted on is something else, or leads elsewhere.
    #[error("{} is no directory of the root filesystem, but is needed as a mount point", path.display())]
    MountPoint {
        /// The path on the host.
        path: PathBuf,
    },
    /// The kernel or the distribution refuses namespaces.
    #[error("namespaces are not available: {message}; {advice}")]
    Namespaces {
        /// What `unshare` said.
        message: String,
        /// What to install or enable.
        advice: &'static str,
    },
    /// A value that cannot be passed to a command.
    #[error("{field} has the value {value:?}: accepted is {accepted}")]
    Request {
        /// The field of the request.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is accepted.
        accepted: &'static str,
    },
    /// The namespaces were made, but not filled: a mount failed.
    #[error("cannot set up the sandbox: {message}")]
    Setup {
        /// What the tools said.
        message: String,
    },
    /// The command ran longer than it may; every process of the sandbox is gone.
    #[error("the command was killed after its timeout of {after:?}")]
    TimedOut {
        /// The timeout of the request.
        after: Duration,
    },
    /// The root filesystem does not know the user.
    #[error("user {user:?} is neither a number nor in /etc/passwd of the root filesystem")]
    UnknownUser {
        /// The name of the request.
        user: String,
    },
}

impl SandboxError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
