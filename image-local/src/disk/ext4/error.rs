//! What can go wrong while an archive becomes a file system.

use std::io;

use thiserror::Error;

use crate::rootfs::TarError;

/// Why a file system could not be written. Nothing that was written so far is usable then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Ext4Error {
    /// The archive breaks the tar format, ends early, or cannot be read.
    #[error("failed to read the root file system archive: {0}")]
    Archive(#[from] TarError),
    /// Writing the image, or reading it back, failed.
    #[error("failed to {operation}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The volume label is too long.
    #[error("label {label:?} has more than {limit} bytes")]
    Label {
        /// The label.
        label: String,
        /// The largest length in bytes.
        limit: usize,
    },
    /// A member of the archive cannot be represented.
    #[error("cannot add {path:?}: {reason}")]
    Member {
        /// The member's path, as the archive has it.
        path: String,
        /// Why not, and what is accepted.
        reason: String,
    },
    /// The region cannot hold a file system of ours at all.
    #[error("region of {given} bytes is too large for one file system, the limit is {limit} bytes")]
    TooLarge {
        /// The region's size in bytes.
        given: u64,
        /// The largest supported size in bytes.
        limit: u64,
    },
    /// The content needs more blocks or inodes than the region has.
    #[error("content needs a file system of {needed} bytes, but only {given} bytes are given")]
    TooSmall {
        /// A size in bytes that is enough.
        needed: u64,
        /// The region's size in bytes.
        given: u64,
    },
}

impl Ext4Error {
    pub(super) fn member(path: &[u8], reason: impl Into<String>) -> Self {
        Self::Member { path: String::from_utf8_lossy(path).into_owned(), reason: reason.into() }
    }

    pub(super) fn write(source: io::Error) -> Self {
        Self::Io { operation: "write the file system", source }
    }
}
