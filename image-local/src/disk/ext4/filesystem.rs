//! A finished file system, which can still be read by path.

use std::io;

use crate::disk::region::Region;

use super::error::Ext4Error;
use super::geometry::BLOCK;
use super::tree::{Kind, ROOT, Tree};

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The file system's size in bytes; a region may be a little larger.
    pub size_bytes: u64,
    /// Bytes in free blocks, those that are reserved for root included.
    pub free_bytes: u64,
    /// All inodes.
    pub inodes: u64,
    /// Inodes that are not in use.
    pub free_inodes: u64,
}

/// A file system that [`format()`](super::format()) wrote. Its tree is still in memory.
#[derive(Debug)]
pub struct Filesystem<'f> {
    region: Region<'f>,
    tree: Tree,
    usage: Usage,
}

impl<'f> Filesystem<'f> {
    pub(super) fn new(region: Region<'f>, tree: Tree, usage: Usage) -> Self {
        Self { region, tree, usage }
    }

    /// How full the file system is.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// The names in a directory, sorted by their bytes; empty if there is no such directory. Symlinks are followed
    /// inside the file system.
    pub fn names(&self, directory: &str) -> Vec<String> {
        let id = self.tree.resolve(ROOT, directory.as_bytes(), true);
        match id.map(|id| &self.tree.node(id).kind) {
            Some(Kind::Directory { entries, .. }) => {
                entries.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The target of the symlink at a path, if it is one.
    pub fn symlink_target(&self, path: &str) -> Option<String> {
        let id = self.tree.resolve(ROOT, path.as_bytes(), false)?;
        match &self.tree.node(id).kind {
            Kind::Symlink { target, .. } => Some(String::from_utf8_lossy(target).into_owned()),
            _ => None,
        }
    }

    /// The size in bytes of the regular file that a path leads to, if it does.
    pub fn file_size(&self, path: &str) -> Option<u64> {
        self.file(path).map(|(size, _)| size)
    }

    /// The content of the regular file that a path leads to, or `None` if there is no such file. Symlinks are followed
    /// inside the file system.
    ///
    /// # Errors
    ///
    /// If the image cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Ext4Error> {
        let Some((size, runs)) = self.file(path) else { return Ok(None) };
        let read = |source| Ext4Error::Io { operation: "read the file system back", source };
        let length = usize::try_from(size).map_err(|error| read(io::Error::other(error)))?;
        let mut content = vec![0; length];
        let mut rest = &mut content[..];
        for run in runs {
            let (part, next) = rest.split_at_mut(rest.len().min((run.blocks * BLOCK) as usize));
            self.region.read_exact_at(part, run.start * BLOCK).map_err(read)?;
            rest = next;
        }
        Ok(Some(content))
    }

    fn file(&self, path: &str) -> Option<(u64, &[super::free::Run])> {
        let id = self.tree.resolve(ROOT, path.as_bytes(), true)?;
        match &self.tree.node(id).kind {
            Kind::Regular { size, runs } => Some((*size, runs)),
            _ => None,
        }
    }
}
