//! Changes to a region that stay in memory until it is clear what they are.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::region::Region;

const PAGE: usize = 4096;

/// A readable, writable and seekable copy of a region; what is written stays in memory, page by page.
#[derive(Debug)]
pub(crate) struct Overlay<'f> {
    base: Region<'f>,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
    position: u64,
}

impl<'f> Overlay<'f> {
    /// An overlay that has no changes yet.
    pub(crate) fn new(base: Region<'f>) -> Self {
        Self { base, pages: BTreeMap::new(), position: 0 }
    }

    /// What differs from the region below, as byte offsets in it and data, in order; neighbours are one range.
    pub(crate) fn changes(&self) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut changes: Vec<(u64, Vec<u8>)> = Vec::new();
        for (number, page) in &self.pages {
            let start = number * PAGE as u64;
            let len = (self.base.len() - start).min(PAGE as u64) as usize;
            if self.load(*number)?[..len] == page[..len] {
                continue;
            }
            match changes.last_mut() {
                Some((at, data)) if *at + data.len() as u64 == start => data.extend_from_slice(&page[..len]),
                _ => changes.push((start, page[..len].to_vec())),
            }
        }
        Ok(changes)
    }

    /// The page of the region below, zeros after its end.
    fn load(&self, number: u64) -> io::Result<Box<[u8; PAGE]>> {
        let mut page = Box::new([0; PAGE]);
        let start = number * PAGE as u64;
        let len = self.base.len().saturating_sub(start).min(PAGE as u64) as usize;
        self.base.read_exact_at(&mut page[..len], start)?;
        Ok(page)
    }

    /// The page and the part of it that the next `wanted` bytes lie in.
    fn window(&self, wanted: usize) -> (u64, std::ops::Range<usize>) {
        let left = self.base.len().saturating_sub(self.position);
        let start = (self.position % PAGE as u64) as usize;
        let len = wanted.min(PAGE - start).min(usize::try_from(left).unwrap_or(usize::MAX));
        (self.position / PAGE as u64, start..start + len)
    }
}

impl Read for Overlay<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (number, range) = self.window(buffer.len());
        let len = range.len();
        match self.pages.get(&number) {
            Some(page) => buffer[..len].copy_from_slice(&page[range]),
            None => self.base.read_exact_at(&mut buffer[..len], self.position)?,
        }
        self.position += len as u64;
        Ok(len)
    }
}

impl Write for Overlay<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let (number, range) = self.window(data.len());
        let len = range.len();
        if !self.pages.contains_key(&number) {
            let page = if len == PAGE { Box::new([0; PAGE]) } else { self.load(number)? };
            self.pages.insert(number, page);
        }
        if let Some(page) = self.pages.get_mut(&number) {
            page[range].copy_from_slice(&data[..len]);
        }
        self.position += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Overlay<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.base.len().checked_add_signed(offset),
        };
        self.position = position
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek to before the start of a region"))?;
        Ok(self.position)
    }
}
