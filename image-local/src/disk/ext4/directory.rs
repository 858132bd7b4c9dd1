//! Directory blocks.

use super::checksum::Checksum;
use super::geometry::BLOCK;

const HEADER: usize = 8;
const TAIL: usize = 12;
/// What entries may use of a block; the tail with the checksum has the rest.
const SPACE: usize = BLOCK as usize - TAIL;

/// `file_type` of directory entries.
pub(super) const TYPE_REGULAR: u8 = 1;
pub(super) const TYPE_DIRECTORY: u8 = 2;
pub(super) const TYPE_CHARACTER_DEVICE: u8 = 3;
pub(super) const TYPE_BLOCK_DEVICE: u8 = 4;
pub(super) const TYPE_FIFO: u8 = 5;
pub(super) const TYPE_SYMLINK: u8 = 7;

/// One name in a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u32,
    pub(super) file_type: u8,
}

/// The bytes an entry takes.
fn footprint(name: &[u8]) -> usize {
    (HEADER + name.len()).next_multiple_of(4)
}

/// The number of blocks that a directory with these names needs, `.` and `..` among them.
pub(super) fn block_count<'a>(names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let (mut blocks, mut used) = (1, 0);
    for name in names {
        let length = footprint(name);
        if used + length > SPACE {
            blocks += 1;
            used = 0;
        }
        used += length;
    }
    blocks
}

/// Lays entries out, `.` and `..` first, in at least `minimum` blocks; `seed` is the inode's.
pub(super) fn encode(entries: &[Entry<'_>], minimum: u64, seed: Checksum) -> Vec<u8> {
    let mut blocks = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() || (blocks.len() as u64) < minimum * BLOCK {
        let mut used = 0;
        let count = rest.iter().take_while(|entry| fits(&mut used, entry)).count();
        blocks.extend(block(&rest[..count], seed));
        rest = &rest[count..];
    }
    blocks
}

fn fits(used: &mut usize, entry: &Entry<'_>) -> bool {
    *used += footprint(entry.name);
    *used <= SPACE
}

fn block(entries: &[Entry<'_>], seed: Checksum) -> Vec<u8> {
    let mut block = vec![0; BLOCK as usize];
    let mut at = 0;
    for (index, entry) in entries.iter().enumerate() {
        // The last entry reaches to the tail.
        let length = if index + 1 == entries.len() { SPACE - at } else { footprint(entry.name) };
        block[at..at + 4].copy_from_slice(&entry.inode.to_le_bytes());
        block[at + 4..at + 6].copy_from_slice(&(length as u16).to_le_bytes());
        block[at + 6] = entry.name.len() as u8;
        block[at + 7] = entry.file_type;
        block[at + HEADER..at + HEADER + entry.name.len()].copy_from_slice(entry.name);
        at += length;
    }
    if entries.is_empty() {
        block[4..6].copy_from_slice(&(SPACE as u16).to_le_bytes());
    }
    block[SPACE + 4..SPACE + 6].copy_from_slice(&(TAIL as u16).to_le_bytes());
    block[SPACE + 7] = 0xDE;
    let checksum = seed.over(&block[..SPACE]).value();
    block[SPACE + 8..].copy_from_slice(&checksum.to_le_bytes());
    block
}
