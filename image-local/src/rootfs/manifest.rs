//! What a root filesystem contains, path by path.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};

use super::digest::Digest;
use super::path::{LinkTarget, RootfsPath};
use super::tar::Member;

/// The version of the serialised form; another one is refused.
const VERSION: u32 = 1;

/// The contents of a canonical archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    #[serde(deserialize_with = "this_version")]
    version: u32,
    /// The digest of the canonical archive, uncompressed.
    pub digest: Digest,
    /// The size of the canonical archive in bytes, uncompressed.
    pub size: u64,
    /// All entries, sorted by the bytes of their paths.
    pub entries: BTreeMap<RootfsPath, Entry>,
}

/// One entry of a root filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// Permission bits and setuid, setgid and sticky.
    pub mode: u32,
    /// The owner.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// The group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
    /// The time of the last change, in seconds since 1970.
    pub mtime: i64,
    /// A digest over the names and values of all extended attributes; `None` when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xattrs: Option<Digest>,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A regular file.
    File {
        /// Bytes of content.
        size: u64,
        /// The digest of the content.
        digest: Digest,
    },
    /// Another name of an entry that comes before it in the archive. All other fields are those of that entry.
    HardLink {
        /// The first name; never itself a hard link.
        target: RootfsPath,
    },
    /// A symbolic link.
    Symlink {
        /// What it points to.
        target: LinkTarget,
    },
}

impl Manifest {
    pub(super) const fn new(digest: Digest, size: u64, entries: BTreeMap<RootfsPath, Entry>) -> Self {
        Self { version: VERSION, digest, size, entries }
    }
}

impl Entry {
    pub(super) fn new(kind: Kind, member: &Member) -> Self {
        let xattrs = (!member.xattrs.is_empty()).then(|| xattrs_digest(&member.xattrs));
        Self { kind, mode: member.mode, uid: member.uid, gid: member.gid, mtime: member.mtime, xattrs }
    }
}

/// Lengths go in too, so that no two different sets hash the same bytes.
fn xattrs_digest(xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> Digest {
    let mut hasher = Sha256::new();
    for part in xattrs.iter().flat_map(|(name, value)| [name, value]) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Digest::finish(hasher)
}

const fn is_zero(id: &u32) -> bool {
    *id == 0
}

fn this_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        VERSION => Ok(VERSION),
        other => Err(serde::de::Error::custom(format!("manifest version {other}; version {VERSION} is accepted"))),
    }
}
