use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::sandbox::SandboxError;

/// Why a root filesystem could not be made of packages.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DebianError {
    /// The caller cancelled; every process is gone.
    #[error("cancelled while {suite} was bootstrapped")]
    Cancelled {
        /// The suite.
        suite: String,
    },
    /// mmdebstrap failed for another reason than those that have an entry here.
    #[error("mmdebstrap could not bootstrap {suite}: {message}")]
    Failed {
        /// The suite.
        suite: String,
        /// Its last lines.
        message: String,
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
    /// The keyring that has to verify the suite is missing.
    #[error("keyring {} of {suite} is missing: install the package {package}, or name another keyring", path.display())]
    MissingKeyring {
        /// The suite.
        suite: String,
        /// The file.
        path: PathBuf,
        /// The package of Debian and Ubuntu that has it.
        package: &'static str,
    },
    /// A mirror offers something else than what was pinned.
    #[error("the mirror of {suite} has moved since it was pinned: {file}")]
    MirrorMoved {
        /// The suite.
        suite: String,
        /// The file with another digest, as apt names it.
        file: String,
    },
    /// A mirror does not answer.
    #[error("mirror {mirror} of {suite} cannot be reached: {message}")]
    MirrorUnreachable {
        /// The suite.
        suite: String,
        /// The address.
        mirror: String,
        /// What apt said.
        message: String,
    },
    /// No space is left, neither for the tree nor for the tar.
    #[error("no space is left in {} for the root filesystem of {suite}", work.display())]
    NoSpace {
        /// The suite.
        suite: String,
        /// The work directory.
        work: PathBuf,
    },
    /// A mirror answers, but does not have the suite.
    #[error("mirror {mirror} does not have suite {suite}: {message}")]
    NotOnMirror {
        /// The suite.
        suite: String,
        /// The address.
        mirror: String,
        /// What apt said.
        message: String,
    },
    /// Namespaces or tools are missing.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A mirror did not answer in time.
    #[error("mirror {mirror} of {suite} did not answer within {after:?}")]
    TimedOut {
        /// The suite.
        suite: String,
        /// The address.
        mirror: String,
        /// How long we waited.
        after: Duration,
    },
    /// The keyring does not vouch for what the mirror offers.
    #[error("suite {suite} cannot be verified: {message}")]
    Untrusted {
        /// The suite.
        suite: String,
        /// What apt said.
        message: String,
    },
    /// The suite has no such package.
    #[error("suite {suite} has no package {package}")]
    UnknownPackage {
        /// The suite.
        suite: String,
        /// The package.
        package: String,
    },
    /// No distribution that we know has this suite.
    #[error("suite {suite:?} is unknown: accepted are {known}")]
    UnknownSuite {
        /// The name.
        suite: String,
        /// All names that are known.
        known: String,
    },
    /// A value that cannot be passed to apt.
    #[error("{field} of suite {suite} has the value {value:?}: accepted is {accepted}")]
    Value {
        /// The suite.
        suite: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is accepted.
        accepted: &'static str,
    },
}

impl DebianError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// What apt says when a mirror does not answer.
const UNREACHABLE: [&str; 6] = [
    "Could not resolve",
    "Temporary failure resolving",
    "Could not connect",
    "Cannot initiate the connection",
    "Connection failed",
    "Connection timed out",
];

/// What apt says of signatures.
const UNTRUSTED: [&str; 4] = ["NO_PUBKEY", "is not signed", "EXPKEYSIG", "BADSIG"];

/// Names the reason that apt or mmdebstrap gave, if it is a known one.
pub(super) fn recognise(suite: &str, mirror: &str, work: &std::path::Path, log: &[String]) -> Option<DebianError> {
    let find = |parts: &[&str]| log.iter().find(|line| parts.iter().any(|part| line.contains(part))).cloned();
    let (suite, mirror) = (suite.to_owned(), mirror.to_owned());
    if let Some(line) = find(&[super::bootstrap::MOVED]) {
        let file = line.rsplit(' ').next().unwrap_or_default().to_owned();
        return Some(DebianError::MirrorMoved { suite, file });
    }
    if find(&["No space left on device", "don't have enough free space"]).is_some() {
        return Some(DebianError::NoSpace { suite, work: work.into() });
    }
    if let Some(message) = find(&UNREACHABLE) {
        return Some(DebianError::MirrorUnreachable { suite, mirror, message });
    }
    if let Some(message) = find(&UNTRUSTED) {
        return Some(DebianError::Untrusted { suite, message });
    }
    if let Some(message) = find(&["404  Not Found", "does not have a Release file"]) {
        return Some(DebianError::NotOnMirror { suite, mirror, message });
    }
    if let Some(line) = find(&["Unable to locate package "]) {
        let package = line.rsplit(' ').next().unwrap_or_default().to_owned();
        return Some(DebianError::UnknownPackage { suite, package });
    }
    None
}
