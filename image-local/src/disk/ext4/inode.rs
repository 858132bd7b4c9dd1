//! Inodes as bytes.

use super::checksum::Checksum;
use super::geometry::{BLOCK, INODE};

/// `EXT4_EXTENTS_FL`.
pub(super) const EXTENTS: u32 = 0x8_0000;
/// Bits of `i_mode` that say what an inode is.
pub(super) const REGULAR: u16 = 0o100_000;
pub(super) const DIRECTORY: u16 = 0o040_000;
pub(super) const SYMLINK: u16 = 0o120_000;
pub(super) const BLOCK_DEVICE: u16 = 0o060_000;
pub(super) const CHARACTER_DEVICE: u16 = 0o020_000;
pub(super) const FIFO: u16 = 0o010_000;

const EXTRA: u16 = 32;
/// Seconds have 32 bits with a sign and two more bits for epochs after 2038.
const EARLIEST: i64 = i32::MIN as i64;
const LATEST: i64 = EARLIEST + (1 << 34) - 1;

/// A point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Timestamp {
    /// Since 1970.
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

/// The fields of an inode that differ between inodes of ours.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    /// Type and permission bits.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) links: u16,
    pub(super) flags: u32,
    /// All blocks that belong to the inode.
    pub(super) blocks: u64,
    /// The extent tree's root, a short symlink's target or a device number.
    pub(super) data: [u8; 60],
    /// Access, change, modification and creation: an image has no other history.
    pub(super) time: Timestamp,
    /// The block with extended attributes, or 0.
    pub(super) xattr_block: u64,
    /// Extended attributes in the inode.
    pub(super) xattrs: Vec<u8>,
}

impl Inode {
    /// An inode of no size that belongs to root.
    pub(super) fn new(mode: u16, time: Timestamp) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            links: 1,
            flags: 0,
            blocks: 0,
            data: [0; 60],
            time,
            xattr_block: 0,
            xattrs: Vec::new(),
        }
    }

    /// The inode as it is stored; `seed` is the checksum seed of the inode.
    pub(super) fn encode(&self, seed: Checksum) -> [u8; INODE as usize] {
        let mut inode = [0; INODE as usize];
        let mut put = |at: usize, bytes: &[u8]| inode[at..at + bytes.len()].copy_from_slice(bytes);
        let sectors = self.blocks * (BLOCK / 512);
        let (seconds, extra) = encode_time(self.time);
        put(0x00, &self.mode.to_le_bytes());
        put(0x02, &(self.uid as u16).to_le_bytes());
        put(0x04, &(self.size as u32).to_le_bytes());
        for at in [0x08, 0x0C, 0x10, 0x90] {
            put(at, &seconds.to_le_bytes());
        }
        put(0x18, &(self.gid as u16).to_le_bytes());
        put(0x1A, &self.links.to_le_bytes());
        put(0x1C, &(sectors as u32).to_le_bytes());
        put(0x20, &self.flags.to_le_bytes());
        put(0x28, &self.data);
        put(0x68, &(self.xattr_block as u32).to_le_bytes());
        put(0x6C, &((self.size >> 32) as u32).to_le_bytes());
        put(0x74, &((sectors >> 32) as u16).to_le_bytes());
        put(0x76, &((self.xattr_block >> 32) as u16).to_le_bytes());
        put(0x78, &((self.uid >> 16) as u16).to_le_bytes());
        put(0x7A, &((self.gid >> 16) as u16).to_le_bytes());
        put(0x80, &EXTRA.to_le_bytes());
        for at in [0x84, 0x88, 0x8C, 0x94] {
            put(at, &extra.to_le_bytes());
        }
        put(0xA0, &self.xattrs);
        let checksum = seed.over(&inode).value();
        inode[0x7C..0x7E].copy_from_slice(&(checksum as u16).to_le_bytes());
        inode[0x82..0x84].copy_from_slice(&((checksum >> 16) as u16).to_le_bytes());
        inode
    }
}

/// A device number: the old 16 bits where they are enough, else the new 32.
///
/// # Errors
///
/// A reason if Linux has no such number.
pub(super) fn device(major: u32, minor: u32) -> Result<[u8; 60], String> {
    if major >= 1 << 12 || minor >= 1 << 20 {
        return Err(format!("device {major}:{minor} is above {}:{}", (1 << 12) - 1, (1 << 20) - 1));
    }
    let mut data = [0; 60];
    if major < 256 && minor < 256 {
        data[..4].copy_from_slice(&(major << 8 | minor).to_le_bytes());
    } else {
        let number = (minor & 0xFF) | (major << 8) | ((minor & !0xFF) << 12);
        data[4..8].copy_from_slice(&number.to_le_bytes());
    }
    Ok(data)
}

/// The 32 bits of seconds, and the extra field of epoch and nanoseconds. Times out of range become the nearest one.
pub(super) fn encode_time(time: Timestamp) -> (u32, u32) {
    let seconds = time.seconds.clamp(EARLIEST, LATEST);
    let nanoseconds = if seconds == time.seconds { time.nanoseconds } else { 0 };
    let low = seconds as i32;
    let epoch = ((seconds - i64::from(low)) >> 32) as u32;
    (low.cast_unsigned(), epoch | nanoseconds << 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_use_the_epoch_bits_after_2038() {
        let encode = |seconds| encode_time(Timestamp { seconds, nanoseconds: 0 });
        assert_eq!(encode(-1), (u32::MAX, 0));
        assert_eq!(encode(0x7FFF_FFFF), (0x7FFF_FFFF, 0));
        assert_eq!(encode(0x8000_0000), (0x8000_0000, 1));
        assert_eq!(encode(i64::MAX), (0x7FFF_FFFF, 3));
        assert_eq!(encode_time(Timestamp { seconds: 1, nanoseconds: 3 }), (1, 12));
    }

    #[test]
    fn device_numbers_are_old_or_new() {
        assert_eq!(device(5, 1).unwrap()[..8], [1, 5, 0, 0, 0, 0, 0, 0]);
        assert_eq!(device(259, 300).unwrap()[..8], [0, 0, 0, 0, 0x2C, 0x03, 0x11, 0x00]);
        assert!(device(1 << 12, 0).is_err());
    }
}
