//! An ext4 file system from a tar stream, in one pass, without mounting anything.
//!
//! File data goes straight from the archive to where it stays; all else is kept in memory (some 300 bytes a file) and
//! written at the end. The result has the features and proportions that `mke2fs -t ext4` gives, and depends on nothing
//! but the archive and the [`Options`]. Directories are not indexed; those that Linux makes later are.

mod checksum;
mod content;
mod directory;
mod error;
mod extents;
mod filesystem;
mod finish;
mod formatter;
mod free;
mod geometry;
mod groups;
mod inode;
mod superblock;
#[cfg(test)]
mod tests;
mod tree;
mod writer;
mod xattr;

use std::fs::File;
use std::io::Read;

use uuid::Uuid;

pub use content::Content;
pub use error::Ext4Error;
pub use filesystem::{Filesystem, Usage};

use super::region::Region;
use formatter::Formatter;

/// What a file system is made with besides its content.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The file system's UUID; it also seeds every checksum.
    pub uuid: Uuid,
    /// The seed of hashes of names in directories that Linux indexes later.
    pub hash_seed: Uuid,
    /// The volume label, at most 16 bytes.
    pub label: String,
    /// When the file system is made, in seconds since 1970. Files keep the times that the archive has.
    pub timestamp: u64,
}

impl Options {
    /// Options for a file system without a label, made in 1970.
    pub fn new(uuid: Uuid, hash_seed: Uuid) -> Self {
        Self { uuid, hash_seed, label: String::new(), timestamp: 0 }
    }

    /// Sets the volume label.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sets the time of creation in seconds since 1970.
    #[must_use]
    pub fn with_timestamp(mut self, seconds: u64) -> Self {
        self.timestamp = seconds;
        self
    }
}

/// Writes a file system with the content of `archive`, a plain tar stream, to the `len` bytes of `file` from `offset`.
///
/// That part of the file must read as zeros, as a new or just extended file does: blocks of zeros are not written.
/// Missing parent directories are made (0755, root); a later member replaces an earlier one of the same path, as with
/// `tar -x`; symlinks on the way to a member are followed inside the tree. The archive is read to its end.
///
/// # Errors
///
/// [`Ext4Error::TooSmall`] says which size is enough; the others say what is wrong with the archive or the system. After
/// any error the region holds no file system.
pub fn format<'f>(
    archive: impl Read,
    file: &'f File,
    offset: u64,
    len: u64,
    options: &Options,
) -> Result<Filesystem<'f>, Ext4Error> {
    let formatter = Formatter::new(Region::new(file, offset, len), options)?;
    formatter.fill(archive)?.finish(options)
}

/// Reads `archive` as [`format()`] does, and returns what a file system must have room for.
///
/// # Errors
///
/// Where the archive is damaged, or a member cannot be represented.
pub fn measure(archive: impl Read) -> Result<Content, Ext4Error> {
    Ok(Formatter::counting().fill(archive)?.content())
}
