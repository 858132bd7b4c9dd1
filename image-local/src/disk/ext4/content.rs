//! How much room content needs.

use super::error::Ext4Error;
use super::free::FreeSpace;
use super::geometry::{BLOCK, FIRST_INODE, Geometry};

const STEP: u64 = 1 << 20;

/// What a file system must have room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Content {
    /// Blocks of 4096 bytes for files, directories, long symlinks and extended attributes.
    pub blocks: u64,
    /// Inodes, without the eleven that every file system has.
    pub inodes: u64,
}

impl Content {
    /// The bytes that the content itself takes in blocks, without any metadata of the file system.
    pub fn bytes(&self) -> u64 {
        self.blocks * BLOCK
    }

    /// A file system size in bytes, whole mebibytes, that holds the content and little more.
    ///
    /// # Errors
    ///
    /// [`Ext4Error::TooLarge`] if no size is enough.
    pub fn minimum_size(&self) -> Result<u64, Ext4Error> {
        let (mut low, mut high) = (0, 16);
        while !self.fits(high * STEP)? {
            low = high;
            high *= 2;
        }
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.fits(middle * STEP)? { high = middle } else { low = middle }
        }
        Ok(high * STEP)
    }

    fn fits(&self, bytes: u64) -> Result<bool, Ext4Error> {
        let geometry = match Geometry::new(bytes) {
            Ok(geometry) => geometry,
            Err(Ext4Error::TooSmall { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        // The resize inode and the journal's extents take a few more blocks.
        let own = geometry.journal_blocks + 8;
        let free = FreeSpace::new(&geometry).blocks();
        Ok(self.blocks + own <= free && self.inodes + u64::from(FIRST_INODE) <= geometry.inodes())
    }
}
