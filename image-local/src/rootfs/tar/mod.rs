//! The tar format: a reader that trusts nothing, and a writer with one form for each entry.
//!
//! Sources: POSIX.1-2024 `pax` (ustar and extended headers) and the GNU tar manual, appendix "Tar Internals".

mod error;
mod header;
mod pax;
mod read;
mod write;

use std::collections::BTreeMap;

pub use self::error::TarError;
pub(super) use self::header::is_header;
pub(crate) use self::read::{EndMarker, TarReader};
pub(super) use self::write::CanonicalWriter;
use super::path::{LinkTarget, RootfsPath};

const BLOCK: usize = 512;

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) path: RootfsPath,
    pub(crate) kind: MemberKind,
    /// Permission bits and setuid, setgid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Whole seconds since 1970; a fraction is rounded down.
    pub(crate) mtime: i64,
    /// Nanoseconds after that.
    pub(crate) mtime_nanoseconds: u32,
    /// Bytes of content; zero for all but files.
    pub(crate) size: u64,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A record with access rules that has no place in [`Member`].
    pub(crate) unsupported: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberKind {
    BlockDevice { major: u32, minor: u32 },
    CharDevice { major: u32, minor: u32 },
    Directory,
    Fifo,
    File,
    HardLink(RootfsPath),
    Socket,
    Symlink(LinkTarget),
}

impl Member {
    /// A directory that an archive implies but does not have: `root:root`, 0755.
    pub(super) fn implied_directory(path: RootfsPath, mtime: i64) -> Self {
        let (kind, xattrs) = (MemberKind::Directory, BTreeMap::new());
        let (mtime_nanoseconds, size, unsupported) = (0, 0, None);
        Self { path, kind, mode: 0o755, uid: 0, gid: 0, mtime, mtime_nanoseconds, size, xattrs, unsupported }
    }
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
