//! Writes of file data: neighbouring blocks in one call, blocks of zeros in none.

use std::io;

use crate::disk::region::Region;
use crate::disk::sparse::is_zero;

use super::free::Run;
use super::geometry::BLOCK;

const BUFFER: usize = 1 << 20;
const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// A buffered writer into a region that reads as zeros where nothing was written.
#[derive(Debug)]
pub(super) struct BlockWriter<'f> {
    region: Region<'f>,
    /// Where the buffer goes, in bytes.
    start: u64,
    buffer: Vec<u8>,
}

impl<'f> BlockWriter<'f> {
    pub(super) fn new(region: Region<'f>) -> Self {
        Self { region, start: 0, buffer: Vec::with_capacity(BUFFER + BLOCK as usize) }
    }

    /// Writes `data` from the start of block `block` on. The rest of its last block stays zero.
    pub(super) fn write(&mut self, block: u64, data: &[u8]) -> io::Result<()> {
        for (piece, at) in data.chunks(BLOCK as usize).zip((block * BLOCK..).step_by(BLOCK as usize)) {
            if is_zero(piece) {
                continue;
            }
            if at != self.start + self.buffer.len() as u64 || self.buffer.len() >= BUFFER {
                self.flush()?;
                self.start = at;
            }
            self.buffer.extend_from_slice(piece);
            self.buffer.resize(self.buffer.len().next_multiple_of(BLOCK as usize), 0);
        }
        Ok(())
    }

    /// Makes blocks read as zeros again, so that no image carries data that was replaced.
    pub(super) fn erase(&mut self, run: Run) -> io::Result<()> {
        self.flush()?;
        for block in run.start..run.start + run.blocks {
            self.region.write_all_at(&ZEROS, block * BLOCK)?;
        }
        Ok(())
    }

    /// Writes what is still in the buffer.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.region.write_all_at(&self.buffer, self.start)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// The region, once all was flushed.
    pub(super) fn into_region(self) -> Region<'f> {
        self.region
    }

    /// Writes a piece of fixed metadata at a byte offset, past the buffer.
    pub(super) fn write_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        self.region.write_all_at(data, at)
    }
}
