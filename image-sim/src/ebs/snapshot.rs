//! What is written to a snapshot before it is complete. The snapshot itself is EC2's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use super::{BLOCK, no_snapshot};
use crate::body::{Blocks, Content};
use crate::ec2::Snapshot;
use crate::error::ApiError;
use crate::world::Region;

/// The snapshots of an account in a region that take blocks.
pub(crate) type State = BTreeMap<String, Upload>;

/// What was written so far.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) disk: Arc<File>,
    /// What the parent has.
    pub(crate) inherited: BTreeMap<u32, [u8; 32]>,
    /// What was written over it.
    pub(crate) written: BTreeMap<u32, [u8; 32]>,
    /// It fails when no block came for so long.
    pub(crate) timeout: Duration,
}

impl Upload {
    /// An empty disk, or a copy of the parent's.
    pub(crate) fn new(gib: u32, parent: Option<&Blocks>, timeout: Duration) -> io::Result<Self> {
        let disk = tempfile::tempfile()?;
        disk.set_len(u64::from(gib) << 30)?;
        let mut inherited = BTreeMap::new();
        if let Some(parent) = parent {
            let mut block = vec![0; BLOCK];
            for index in parent.digests().keys() {
                parent.disk().read_exact_at(&mut block, offset(*index))?;
                write(&disk, &block, *index, false)?;
            }
            inherited.clone_from(parent.digests());
        }
        Ok(Self { disk: Arc::new(disk), inherited, written: BTreeMap::new(), timeout })
    }

    /// What the snapshot holds when nothing more comes.
    pub(crate) fn seal(self) -> Content {
        let mut digests = self.inherited;
        digests.extend(self.written);
        Content::Blocks(Arc::new(Blocks::new(self.disk, digests)))
    }
}

/// A snapshot of the caller's.
pub(crate) fn own<'r>(region: &'r mut Region, id: &str) -> Result<&'r mut Snapshot, ApiError> {
    region.ec2.snapshots.get_mut(id).ok_or_else(|| no_snapshot(id))
}

/// The blocks of a content; `None` when it is a file system that nobody made a disk of.
pub(crate) fn blocks(content: &Content) -> io::Result<Option<Arc<Blocks>>> {
    Ok(match content {
        Content::Blocks(blocks) => Some(Arc::clone(blocks)),
        Content::Empty => Some(Arc::new(Blocks::new(Arc::new(tempfile::tempfile()?), BTreeMap::new()))),
        Content::Tree(_) => None,
    })
}

/// How many blocks a volume has.
pub(crate) fn block_count(gib: u32) -> u64 {
    (u64::from(gib) << 30) / BLOCK as u64
}

/// Where a block begins.
pub(crate) fn offset(index: u32) -> u64 {
    u64::from(index) * BLOCK as u64
}

/// Writes a block. One of zeroes stays a hole where nothing was `before`.
pub(crate) fn write(disk: &File, block: &[u8], index: u32, before: bool) -> io::Result<()> {
    if !before && is_zero(block) {
        return Ok(());
    }
    disk.write_all_at(block, offset(index))
}

/// Whether there is nothing but zeroes. Whole pages are compared at once, which is fast without optimization too.
pub(crate) fn is_zero(block: &[u8]) -> bool {
    const PAGE: [u8; 4096] = [0; 4096];
    block.chunks(PAGE.len()).all(|part| PAGE.starts_with(part))
}
