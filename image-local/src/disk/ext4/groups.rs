//! Block groups: bitmaps and descriptors, made from what is still free when all else is in its place.

use std::io;
use std::ops::Range;

use super::checksum::Checksum;
use super::free::FreeSpace;
use super::geometry::{BLOCK, DESCRIPTOR, FLEX, GROUP, Geometry};
use super::superblock::{BLOCK_UNINIT, Descriptor, INODE_UNINIT, TABLE_ZEROED};
use super::writer::BlockWriter;

/// What bitmaps and descriptors are made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Groups<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) seed: Checksum,
    /// Inodes from 1 to this are in use.
    pub(super) used_inodes: u64,
    /// Directories by group.
    pub(super) directories: &'a [u64],
}

impl Groups<'_> {
    /// Writes the bitmaps of all groups that have something in use, and returns the descriptor table.
    pub(super) fn write(&self, writer: &mut BlockWriter<'_>, free: &FreeSpace) -> io::Result<Vec<u8>> {
        let free = self.free_by_group(free);
        let mut table = Vec::with_capacity((self.geometry.groups * DESCRIPTOR) as usize);
        for (group, free) in (0..self.geometry.groups).zip(&free) {
            let descriptor = self.write_group(writer, group, free)?;
            table.extend_from_slice(&descriptor.encode(group, self.seed));
        }
        Ok(table)
    }

    fn write_group(&self, writer: &mut BlockWriter<'_>, group: u64, free: &[Free]) -> io::Result<Descriptor> {
        let geometry = self.geometry;
        let inodes = geometry.inodes_per_group;
        let used = self.used_inodes.saturating_sub(group * inodes).min(inodes);
        let mut descriptor = Descriptor {
            block_bitmap: geometry.block_bitmap(group),
            inode_bitmap: geometry.inode_bitmap(group),
            inode_table: geometry.inode_table(group),
            free_blocks: free.iter().map(|free| free.blocks as u64).sum(),
            free_inodes: inodes - used,
            directories: self.directories.get(group as usize).copied().unwrap_or(0),
            unused_inodes: inodes - used,
            flags: TABLE_ZEROED,
            ..Descriptor::default()
        };
        // The bitmap of an untouched group is known from the layout, unless other groups' metadata lies in it or it is
        // cut short by the end of the file system.
        let untouched = descriptor.free_blocks == geometry.group_blocks(group) - geometry.superblock_overhead(group);
        if untouched && !group.is_multiple_of(FLEX) && group + 1 != geometry.groups {
            descriptor.flags |= BLOCK_UNINIT;
        } else {
            let mut bitmap = vec![0xFF; BLOCK as usize];
            for free in free {
                clear(&mut bitmap, free.start..free.start + free.blocks);
            }
            descriptor.block_bitmap_checksum = self.seed.over(&bitmap).value();
            writer.write(descriptor.block_bitmap, &bitmap)?;
        }
        if used == 0 {
            descriptor.flags |= INODE_UNINIT;
        } else {
            let mut bitmap = vec![0xFF; BLOCK as usize];
            clear(&mut bitmap, used as usize..inodes as usize);
            descriptor.inode_bitmap_checksum = self.seed.over(&bitmap[..inodes as usize / 8]).value();
            writer.write(descriptor.inode_bitmap, &bitmap)?;
        }
        Ok(descriptor)
    }

    fn free_by_group(&self, free: &FreeSpace) -> Vec<Vec<Free>> {
        let mut groups = vec![Vec::new(); self.geometry.groups as usize];
        for run in free.runs() {
            let (mut start, end) = (run.start, run.start + run.blocks);
            while start < end {
                let stop = end.min((start / GROUP + 1) * GROUP);
                let piece = Free { start: (start % GROUP) as usize, blocks: (stop - start) as usize };
                groups[(start / GROUP) as usize].push(piece);
                start = stop;
            }
        }
        groups
    }
}

/// Free blocks of one group, counted from its start.
#[derive(Clone, Copy, Debug)]
struct Free {
    start: usize,
    blocks: usize,
}

/// Clears bits, whole bytes at once where it can.
fn clear(bitmap: &mut [u8], bits: Range<usize>) {
    let mut bit = bits.start;
    while bit < bits.end {
        if bit.is_multiple_of(8) && bits.end - bit >= 8 {
            let bytes = bit / 8..bits.end / 8;
            bit = bytes.end * 8;
            bitmap[bytes].fill(0);
        } else {
            bitmap[bit / 8] &= !(1 << (bit % 8));
            bit += 1;
        }
    }
}
