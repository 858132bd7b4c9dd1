//! A snapshot that is written block by block.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::BLOCK;
use crate::body::Blocks;
use crate::clock::after;

/// The snapshots of an account in a region that were started here.
#[derive(Debug, Default)]
pub(crate) struct State(BTreeMap<String, Snapshot>);

impl State {
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = (&String, &Snapshot)> {
        self.0.iter()
    }
    pub(crate) fn get(&self, id: &str) -> Option<&Snapshot> {
        self.0.get(id)
    }
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Snapshot> {
        self.0.get_mut(id)
    }
    pub(crate) fn insert(&mut self, id: String, snapshot: Snapshot) {
        self.0.insert(id, snapshot);
    }
    /// Ends a snapshot. What was built on it has its own copy.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Snapshot> {
        self.0.remove(id)
    }
}

/// A snapshot.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) gib: u64,
    pub(crate) parent: Option<String>,
    pub(crate) description: String,
    pub(crate) key: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) started: Timestamp,
    /// It fails when no block came for so long.
    pub(crate) timeout: Duration,
    pub(crate) touched: Timestamp,
    pub(crate) stage: Stage,
}

/// How far a snapshot is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// It takes blocks.
    Open(Upload),
    /// It is sealed, or will be at this moment.
    Complete(Arc<Blocks>, Timestamp),
}

/// What was written so far.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) disk: Arc<File>,
    /// What the parent has.
    pub(crate) inherited: BTreeMap<u32, [u8; 32]>,
    /// What was written over it.
    pub(crate) written: BTreeMap<u32, [u8; 32]>,
}

impl Upload {
    /// An empty disk, or a copy of the parent's.
    pub(crate) fn new(gib: u64, parent: Option<&Blocks>) -> io::Result<Self> {
        let disk = tempfile::tempfile()?;
        disk.set_len(gib << 30)?;
        let mut inherited = BTreeMap::new();
        if let Some(parent) = parent {
            let mut block = vec![0; BLOCK];
            for index in parent.digests().keys() {
                parent.disk().read_exact_at(&mut block, offset(*index))?;
                write(&disk, &block, *index, false)?;
            }
            inherited.clone_from(parent.digests());
        }
        Ok(Self { disk: Arc::new(disk), inherited, written: BTreeMap::new() })
    }

    /// What the snapshot holds when nothing more comes.
    pub(crate) fn seal(&self) -> Arc<Blocks> {
        let mut digests = self.inherited.clone();
        digests.extend(&self.written);
        Arc::new(Blocks::new(Arc::clone(&self.disk), digests))
    }
}

impl Snapshot {
    /// The state in EC2's words.
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match &self.stage {
            Stage::Open(_) if after(self.touched, self.timeout) < now => "error",
            Stage::Complete(_, at) if *at <= now => "completed",
            _ => "pending",
        }
    }
    /// What it holds, once it is completed.
    pub(crate) fn blocks(&self, now: Timestamp) -> Option<&Arc<Blocks>> {
        match &self.stage {
            Stage::Complete(blocks, at) if *at <= now => Some(blocks),
            _ => None,
        }
    }
    /// How many blocks its volume has.
    pub(crate) fn block_count(&self) -> u64 {
        (self.gib << 30) / BLOCK as u64
    }
}

/// Where a block begins.
pub(crate) fn offset(index: u32) -> u64 {
    u64::from(index) * BLOCK as u64
}

/// Writes a block. One of zeroes stays a hole where nothing was `before`.
pub(crate) fn write(disk: &File, block: &[u8], index: u32, before: bool) -> io::Result<()> {
    if !before && block.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    disk.write_all_at(block, offset(index))
}
