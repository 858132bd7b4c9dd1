//! Extent trees: which blocks of the file system hold which blocks of a file.

use super::checksum::Checksum;
use super::free::Run;
use super::geometry::BLOCK;

const MAGIC: u16 = 0xF30A;
const RECORD: usize = 12;
/// The longest extent that is not marked as unwritten.
const EXTENT_LIMIT: u64 = 32768;
/// Records in the 60 bytes of an inode.
const ROOT_RECORDS: usize = 4;
/// Records in a block: the header takes the place of one, and the checksum the rest.
const BLOCK_RECORDS: usize = BLOCK as usize / RECORD - 1;

#[derive(Clone, Copy, Debug)]
struct Extent {
    logical: u64,
    physical: u64,
    blocks: u64,
}

fn extents(runs: &[Run]) -> Vec<Extent> {
    let mut extents = Vec::new();
    let mut logical = 0;
    for run in runs {
        let mut done = 0;
        while done < run.blocks {
            let blocks = EXTENT_LIMIT.min(run.blocks - done);
            extents.push(Extent { logical, physical: run.start + done, blocks });
            done += blocks;
            logical += blocks;
        }
    }
    extents
}

/// The number of blocks that an extent tree over `runs` needs besides the inode.
pub(super) fn index_blocks(runs: &[Run]) -> u64 {
    let mut level = runs.iter().map(|run| run.blocks.div_ceil(EXTENT_LIMIT)).sum::<u64>() as usize;
    let mut blocks = 0;
    while level > ROOT_RECORDS {
        level = level.div_ceil(BLOCK_RECORDS);
        blocks += level as u64;
    }
    blocks
}

/// An extent tree: its root, which goes into the inode, and its other blocks with their places.
pub(super) struct ExtentTree {
    pub(super) root: [u8; 60],
    pub(super) blocks: Vec<(u64, Vec<u8>)>,
}

/// Lays the tree over `runs` out. `index` are the blocks that [`index_blocks`] asked for; `seed` is the inode's.
pub(super) fn tree(runs: &[Run], index: &[u64], seed: Checksum) -> ExtentTree {
    // A record is the first logical block it covers, and its twelve bytes.
    let mut level: Vec<(u64, [u8; RECORD])> = extents(runs).iter().map(leaf_record).collect();
    let mut depth = 0;
    let mut places = index.iter();
    let mut blocks = Vec::new();
    while level.len() > ROOT_RECORDS {
        let mut parents = Vec::new();
        for (records, place) in level.chunks(BLOCK_RECORDS).zip(places.by_ref()) {
            let mut block = vec![0; BLOCK as usize];
            fill(&mut block, records, BLOCK_RECORDS, depth);
            let end = (BLOCK_RECORDS + 1) * RECORD;
            let checksum = seed.over(&block[..end]).value();
            block[end..end + 4].copy_from_slice(&checksum.to_le_bytes());
            blocks.push((*place, block));
            parents.push(index_record(records[0].0, *place));
        }
        level = parents;
        depth += 1;
    }
    let mut root = [0; 60];
    fill(&mut root, &level, ROOT_RECORDS, depth);
    ExtentTree { root, blocks }
}

fn fill(block: &mut [u8], records: &[(u64, [u8; RECORD])], capacity: usize, depth: u16) {
    for (at, value) in [(0, MAGIC), (2, records.len() as u16), (4, capacity as u16), (6, depth)] {
        block[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    for (slot, (_, record)) in block[RECORD..].chunks_mut(RECORD).zip(records) {
        slot.copy_from_slice(record);
    }
}

fn leaf_record(extent: &Extent) -> (u64, [u8; RECORD]) {
    let mut record = [0; RECORD];
    record[..4].copy_from_slice(&(extent.logical as u32).to_le_bytes());
    record[4..6].copy_from_slice(&(extent.blocks as u16).to_le_bytes());
    record[6..8].copy_from_slice(&((extent.physical >> 32) as u16).to_le_bytes());
    record[8..].copy_from_slice(&(extent.physical as u32).to_le_bytes());
    (extent.logical, record)
}

fn index_record(logical: u64, place: u64) -> (u64, [u8; RECORD]) {
    let mut record = [0; RECORD];
    record[..4].copy_from_slice(&(logical as u32).to_le_bytes());
    record[4..8].copy_from_slice(&(place as u32).to_le_bytes());
    record[8..10].copy_from_slice(&((place >> 32) as u16).to_le_bytes());
    (logical, record)
}
