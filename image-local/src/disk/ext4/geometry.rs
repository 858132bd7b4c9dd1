//! Where the fixed metadata of a file system lies. All numbers follow the defaults of `mke2fs -t ext4`.

use super::error::Ext4Error;

/// Bytes in a block.
pub(super) const BLOCK: u64 = 4096;
/// Bytes in an inode.
pub(super) const INODE: u64 = 256;
/// Bytes in a group descriptor (`64bit`).
pub(super) const DESCRIPTOR: u64 = 64;
/// Blocks in a group: as many as one block of bitmap has bits.
pub(super) const GROUP: u64 = BLOCK * 8;
/// Groups whose bitmaps and inode tables lie together.
pub(super) const FLEX: u64 = 16;
/// The first inode that is not reserved; it is `lost+found`.
pub(super) const FIRST_INODE: u32 = 11;

/// Block numbers in an indirect block.
pub(super) const POINTERS: u64 = BLOCK / 4;
const BYTES_PER_INODE: u64 = 16384;
/// Block numbers in the resize inode have 32 bits.
const BLOCKS_LIMIT: u64 = u32::MAX as u64;
/// Below this a journal does not pay, and the fixed metadata leaves little.
const BLOCKS_MINIMUM: u64 = 2048;

/// The fixed layout of a file system of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Blocks of the file system.
    pub(super) blocks: u64,
    /// Block groups.
    pub(super) groups: u64,
    /// Inodes in each group.
    pub(super) inodes_per_group: u64,
    /// Blocks of the group descriptor table.
    pub(super) descriptor_blocks: u64,
    /// Blocks after each copy of that table that it may grow into.
    pub(super) reserved_blocks: u64,
    /// Blocks of the journal.
    pub(super) journal_blocks: u64,
}

impl Geometry {
    /// The layout for a region of `bytes`.
    ///
    /// # Errors
    ///
    /// If no file system has that size.
    pub(super) fn new(bytes: u64) -> Result<Self, Ext4Error> {
        let mut blocks = bytes / BLOCK;
        if blocks > BLOCKS_LIMIT {
            return Err(Ext4Error::TooLarge { given: bytes, limit: BLOCKS_LIMIT * BLOCK });
        }
        if blocks < BLOCKS_MINIMUM {
            return Err(Ext4Error::TooSmall { needed: BLOCKS_MINIMUM * BLOCK, given: bytes });
        }
        loop {
            let geometry = Self::of_blocks(blocks);
            let last = blocks % GROUP;
            let overhead = geometry.superblock_overhead(geometry.groups - 1) + geometry.table_blocks() + 2;
            // A last group with no room for data is left off.
            if last == 0 || last >= overhead + 50 {
                return Ok(geometry);
            }
            blocks -= last;
        }
    }

    fn of_blocks(blocks: u64) -> Self {
        let groups = blocks.div_ceil(GROUP);
        let per_block = BLOCK / INODE;
        let inodes_per_group = (blocks * BLOCK / BYTES_PER_INODE).div_ceil(groups).next_multiple_of(per_block);
        let descriptors_per_block = BLOCK / DESCRIPTOR;
        let descriptor_blocks = groups.div_ceil(descriptors_per_block);
        // Room to grow 1024-fold, as far as 32-bit block numbers and one indirect block reach.
        let grown_groups = (blocks * 1024).min(BLOCKS_LIMIT).div_ceil(GROUP);
        let reserved_blocks = grown_groups.div_ceil(descriptors_per_block).saturating_sub(descriptor_blocks);
        // The resize inode is never empty, even where there is nothing left to grow into.
        let reserved_blocks = reserved_blocks.clamp(1, POINTERS);
        let journal_blocks = journal_blocks(blocks);
        Self { blocks, groups, inodes_per_group, descriptor_blocks, reserved_blocks, journal_blocks }
    }

    /// Inodes of the file system, reserved ones included.
    pub(super) fn inodes(&self) -> u64 {
        self.inodes_per_group * self.groups
    }

    /// Blocks of one group's inode table.
    pub(super) fn table_blocks(&self) -> u64 {
        self.inodes_per_group * INODE / BLOCK
    }

    /// The first block of a group.
    pub(super) fn group_start(&self, group: u64) -> u64 {
        group * GROUP
    }

    /// The number of blocks in a group; only the last may be short.
    pub(super) fn group_blocks(&self, group: u64) -> u64 {
        GROUP.min(self.blocks - self.group_start(group))
    }

    /// Whether a group starts with a copy of the superblock (`sparse_super`: 0, 1 and powers of 3, 5 and 7).
    pub(super) fn has_superblock(&self, group: u64) -> bool {
        let power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        };
        group <= 1 || power_of(3) || power_of(5) || power_of(7)
    }

    /// The groups other than 0 that hold a copy of the superblock, in order.
    pub(super) fn backup_groups(&self) -> impl Iterator<Item = u64> + '_ {
        (1..self.groups).filter(|group| self.has_superblock(*group))
    }

    /// Blocks at the start of a group for superblock, descriptors and their room to grow.
    pub(super) fn superblock_overhead(&self, group: u64) -> u64 {
        if self.has_superblock(group) { 1 + self.descriptor_blocks + self.reserved_blocks } else { 0 }
    }

    /// The first reserved descriptor block of group 0.
    pub(super) fn reserved_start(&self) -> u64 {
        1 + self.descriptor_blocks
    }

    /// Where a group's block bitmap lies.
    pub(super) fn block_bitmap(&self, group: u64) -> u64 {
        self.flex_start(group) + group % FLEX
    }

    /// Where a group's inode bitmap lies.
    pub(super) fn inode_bitmap(&self, group: u64) -> u64 {
        self.flex_start(group) + self.flex_groups(group) + group % FLEX
    }

    /// Where a group's inode table starts.
    pub(super) fn inode_table(&self, group: u64) -> u64 {
        self.flex_start(group) + 2 * self.flex_groups(group) + (group % FLEX) * self.table_blocks()
    }

    /// Blocks at the start of a group that hold fixed metadata, its own or its neighbours'.
    pub(super) fn fixed_blocks(&self, group: u64) -> u64 {
        let tables = if group.is_multiple_of(FLEX) { self.flex_groups(group) * (2 + self.table_blocks()) } else { 0 };
        self.superblock_overhead(group) + tables
    }

    /// Blocks of all fixed metadata; the journal does not count.
    pub(super) fn fixed_total(&self) -> u64 {
        (0..self.groups).map(|group| self.fixed_blocks(group)).sum()
    }

    fn flex_start(&self, group: u64) -> u64 {
        let first = group - group % FLEX;
        self.group_start(first) + self.superblock_overhead(first)
    }

    fn flex_groups(&self, group: u64) -> u64 {
        FLEX.min(self.groups - (group - group % FLEX))
    }
}

/// What `mke2fs` gives a file system of that many blocks.
fn journal_blocks(blocks: u64) -> u64 {
    const STEPS: [(u64, u64); 7] = [
        (1 << 15, 1 << 10),
        (1 << 18, 1 << 12),
        (1 << 19, 1 << 13),
        (1 << 22, 1 << 14),
        (1 << 23, 1 << 15),
        (1 << 24, 1 << 16),
        (1 << 25, 1 << 17),
    ];
    STEPS.iter().find(|(below, _)| blocks < *below).map_or(1 << 18, |(_, journal)| *journal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometry_of_two_gibibytes_is_that_of_mke2fs() {
        let geometry = Geometry::new(2 << 30).unwrap();
        assert_eq!(geometry.blocks, 524_288);
        assert_eq!(geometry.inodes(), 131_072);
        assert_eq!(geometry.reserved_blocks, 255);
        assert_eq!(geometry.journal_blocks, 16_384);
        assert_eq!([geometry.block_bitmap(1), geometry.inode_bitmap(1), geometry.inode_table(1)], [258, 274, 801]);
        assert_eq!(geometry.fixed_total() + geometry.journal_blocks, 26_150);
    }

    #[test]
    fn last_group_without_room_for_data_is_left_off() {
        let geometry = Geometry::new((GROUP + 20) * BLOCK).unwrap();
        assert_eq!((geometry.groups, geometry.blocks), (1, GROUP));
    }
}
