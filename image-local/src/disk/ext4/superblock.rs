//! The superblock, group descriptors and journal superblock as bytes.

use uuid::Uuid;

use super::checksum::Checksum;
use super::geometry::{BLOCK, DESCRIPTOR, FIRST_INODE, GROUP, Geometry, INODE};
use super::inode::Inode;

/// Where the primary superblock starts, in bytes.
pub(super) const PRIMARY: u64 = 1024;
/// Bytes in a superblock.
pub(super) const LENGTH: usize = 1024;
/// The inode of the journal.
pub(super) const JOURNAL_INODE: u32 = 8;
/// The inode that holds the room for more group descriptors.
pub(super) const RESIZE_INODE: u32 = 7;

/// `has_journal`, `ext_attr`, `resize_inode`, `dir_index` (for what is created later).
const COMPATIBLE: u32 = 0x04 | 0x08 | 0x10 | 0x20;
/// `filetype`, `extent`, `64bit`, `flex_bg`.
const INCOMPATIBLE: u32 = 0x02 | 0x40 | 0x80 | 0x200;
/// `sparse_super`, `large_file`, `huge_file`, `dir_nlink`, `extra_isize`, `metadata_csum`.
const READ_ONLY_COMPATIBLE: u32 = 0x01 | 0x02 | 0x08 | 0x20 | 0x40 | 0x400;
const CHECKSUM_AT: usize = 0x3FC;
const HALF_MD4: u8 = 1;

/// No inode of the group is in use: its bitmap need not be read.
pub(super) const INODE_UNINIT: u16 = 1;
/// No block of the group is in use but for its own fixed metadata.
pub(super) const BLOCK_UNINIT: u16 = 2;
/// The inode table reads as zeros where nothing is in use.
pub(super) const TABLE_ZEROED: u16 = 4;

/// What the superblock says beyond the geometry.
#[derive(Clone, Debug)]
pub(super) struct Superblock<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) uuid: Uuid,
    pub(super) hash_seed: Uuid,
    pub(super) label: &'a str,
    /// Seconds since 1970.
    pub(super) timestamp: u64,
    pub(super) free_blocks: u64,
    pub(super) free_inodes: u64,
    pub(super) journal: &'a Inode,
}

impl Superblock<'_> {
    /// The copy that lies in `group`.
    pub(super) fn encode(&self, group: u64) -> [u8; LENGTH] {
        let geometry = self.geometry;
        let mut block = [0; LENGTH];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        let split = |value: u64| (value as u32, (value >> 32) as u32);
        // Five of a hundred blocks are for root, so that a full disk can still be repaired.
        let counts =
            [(0x04, 0x150, geometry.blocks), (0x08, 0x154, geometry.blocks / 20), (0x0C, 0x158, self.free_blocks)];
        for (low_at, high_at, value) in counts {
            let (low, high) = split(value);
            put(low_at, &low.to_le_bytes());
            put(high_at, &high.to_le_bytes());
        }
        let overhead = geometry.fixed_total() + geometry.journal_blocks;
        // Seconds after 2106 do not fit the fields that matter to nobody; they are cut off as in the kernel.
        let time = self.timestamp as u32;
        for (at, value) in [
            (0x00, geometry.inodes() as u32),
            (0x10, self.free_inodes as u32),
            (0x18, 2),
            (0x1C, 2),
            (0x20, GROUP as u32),
            (0x24, GROUP as u32),
            (0x28, geometry.inodes_per_group as u32),
            (0x30, time),
            (0x40, time),
            (0x4C, 1),
            (0x54, FIRST_INODE),
            (0x5C, COMPATIBLE),
            (0x60, INCOMPATIBLE),
            (0x64, READ_ONLY_COMPATIBLE),
            (0xE0, JOURNAL_INODE),
            // user_xattr, acl.
            (0x100, 0x0C),
            (0x108, time),
            // Hashes of names treat bytes as signed, whatever the architecture.
            (0x160, 1),
            (0x248, overhead as u32),
        ] {
            put(at, &u32::to_le_bytes(value));
        }
        for (at, value) in [
            // No check after a number of mounts.
            (0x36, 0xFFFF),
            (0x38, 0xEF53),
            (0x3A, 1),
            (0x3C, 1),
            (0x58, INODE as u16),
            (0x5A, group as u16),
            (0xCE, geometry.reserved_blocks as u16),
            (0xFE, DESCRIPTOR as u16),
            (0x15C, 32),
            (0x15E, 32),
        ] {
            put(at, &u16::to_le_bytes(value));
        }
        put(0x68, self.uuid.as_bytes());
        put(0x78, self.label.as_bytes());
        put(0xEC, self.hash_seed.as_bytes());
        // The hash, the journal's backup type, groups that lie together (2^4), crc32c.
        for (at, value) in [(0xFC, HALF_MD4), (0xFD, 1), (0x174, 4), (0x175, 1)] {
            put(at, &[value]);
        }
        put(0x10C, &self.journal.data);
        let (low, high) = split(self.journal.size);
        put(0x10C + 60, &high.to_le_bytes());
        put(0x10C + 64, &low.to_le_bytes());
        let checksum = Checksum::new().over(&block[..CHECKSUM_AT]).value();
        block[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        block
    }
}

/// What a group descriptor says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Descriptor {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
    pub(super) free_blocks: u64,
    pub(super) free_inodes: u64,
    pub(super) directories: u64,
    pub(super) unused_inodes: u64,
    pub(super) flags: u16,
    pub(super) block_bitmap_checksum: u32,
    pub(super) inode_bitmap_checksum: u32,
}

impl Descriptor {
    /// The descriptor of `group` as it is stored.
    pub(super) fn encode(&self, group: u64, seed: Checksum) -> [u8; DESCRIPTOR as usize] {
        let mut bytes = [0; DESCRIPTOR as usize];
        for (low, high, value) in
            [(0x00, 0x20, self.block_bitmap), (0x04, 0x24, self.inode_bitmap), (0x08, 0x28, self.inode_table)]
        {
            bytes[low..low + 4].copy_from_slice(&(value as u32).to_le_bytes());
            bytes[high..high + 4].copy_from_slice(&((value >> 32) as u32).to_le_bytes());
        }
        for (low, high, value) in [
            (0x0C, 0x2C, self.free_blocks),
            (0x0E, 0x2E, self.free_inodes),
            (0x10, 0x30, self.directories),
            (0x18, 0x38, u64::from(self.block_bitmap_checksum)),
            (0x1A, 0x3A, u64::from(self.inode_bitmap_checksum)),
            (0x1C, 0x32, self.unused_inodes),
        ] {
            bytes[low..low + 2].copy_from_slice(&(value as u16).to_le_bytes());
            bytes[high..high + 2].copy_from_slice(&((value >> 16) as u16).to_le_bytes());
        }
        bytes[0x12..0x14].copy_from_slice(&self.flags.to_le_bytes());
        let checksum = seed.over(&(group as u32).to_le_bytes()).over(&bytes).value() as u16;
        bytes[0x1E..0x20].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

/// The first block of an empty journal (JBD2, version 2, big-endian).
pub(super) fn journal(blocks: u64, uuid: Uuid) -> Vec<u8> {
    let mut block = vec![0; BLOCK as usize];
    for (at, value) in [
        (0x00, 0xC03B_3998),
        (0x04, 4),
        (0x0C, BLOCK as u32),
        (0x10, blocks as u32),
        // The first block of the log, and the first transaction expected there; start 0 means clean.
        (0x14, 1),
        (0x18, 1),
        // One user, whose name follows.
        (0x40, 1),
    ] {
        block[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
    }
    block[0x30..0x40].copy_from_slice(uuid.as_bytes());
    block
}
