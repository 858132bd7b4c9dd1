use std::io;

use super::path::RootfsPath;
use super::tar::TarError;

/// Why an archive cannot become a canonical root filesystem.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootfsError {
    /// A device node lies outside `dev/`.
    #[error("entry {path} is a device node; device nodes are accepted (and dropped) below dev/ only")]
    Device {
        /// The entry.
        path: RootfsPath,
    },
    /// The archive has two entries of one name, which only programs that extract it could reconcile.
    #[error("entry {path} occurs twice; one entry a path is accepted")]
    Duplicate {
        /// The entry.
        path: RootfsPath,
    },
    /// An entry that is not a directory has the name of a directory that earlier entries lie in.
    #[error("entry {path} is not a directory, but earlier entries lie below it")]
    HidesEntries {
        /// The entry.
        path: RootfsPath,
    },
    /// A hard link does not point to an earlier file, symbolic link or fifo that is kept.
    #[error("entry {path}: hard link target {target} {reason}")]
    HardLink {
        /// The entry.
        path: RootfsPath,
        /// The target.
        target: RootfsPath,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The entry has access rules in a form that is not carried over.
    #[error("entry {path}: record {record} is not supported, and dropping it was not asked for")]
    Metadata {
        /// The entry.
        path: RootfsPath,
        /// The extended header record, for example `SCHILY.acl.access`.
        record: String,
    },
    /// The entry lies below something that is not a directory.
    #[error("entry {path} lies below {parent}, which is not a directory")]
    NotADirectory {
        /// The entry.
        path: RootfsPath,
        /// What it lies below.
        parent: RootfsPath,
    },
    /// The archive is well-formed, but holds no root filesystem.
    #[error("not a root filesystem: no bin, etc or usr directory at its top; found {}", found.join(", "))]
    NotARootfs {
        /// The first names at its top.
        found: Vec<String>,
    },
    /// The input cannot be read.
    #[error("cannot read the archive")]
    Read {
        /// Why.
        source: io::Error,
    },
    /// The entry lies below a symbolic link, so where it ends up depends on who extracts it.
    #[error("entry {path} lies below {parent}, which is a symbolic link")]
    SymlinkParent {
        /// The entry.
        path: RootfsPath,
        /// The symbolic link.
        parent: RootfsPath,
    },
    /// The archive is malformed.
    #[error("malformed archive")]
    Tar {
        /// What is wrong with it.
        source: TarError,
    },
    /// A limit of [`Limits`](super::Limits) is exceeded.
    #[error("the archive exceeds the limit {limit} of {accepted} at entry {path}")]
    TooLarge {
        /// The name of the limit.
        limit: &'static str,
        /// Its value.
        accepted: u64,
        /// The entry that exceeds it.
        path: RootfsPath,
    },
    /// The canonical archive cannot be written.
    #[error("cannot write entry {path}")]
    Write {
        /// The entry being written; the root at the end of the archive.
        path: RootfsPath,
        /// Why.
        source: io::Error,
    },
}

impl RootfsError {
    /// An error of a reader below, which may carry a [`TarError`].
    pub(super) fn from_read(error: io::Error) -> Self {
        error.downcast::<TarError>().map_or_else(|source| Self::Read { source }, |source| Self::Tar { source })
    }
}

impl From<TarError> for RootfsError {
    fn from(source: TarError) -> Self {
        Self::Tar { source }
    }
}
