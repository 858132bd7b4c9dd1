//! A bounded window of a file: what is inside a partition cannot reach outside it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// `len` bytes of `file` that start at `offset`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region<'f> {
    file: &'f File,
    offset: u64,
    len: u64,
}

impl<'f> Region<'f> {
    /// The window of `file` from byte `offset` on that is `len` bytes long.
    pub(crate) fn new(file: &'f File, offset: u64, len: u64) -> Self {
        Self { file, offset, len }
    }

    /// The length of the window in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` from byte `at` of the window.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, self.position(at, buffer.len())?)
    }

    /// Writes all of `data` at byte `at` of the window.
    pub(crate) fn write_all_at(&self, data: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(data, self.position(at, data.len())?)
    }

    fn position(&self, at: u64, len: usize) -> io::Result<u64> {
        let end = at.checked_add(len as u64).filter(|end| *end <= self.len);
        end.and_then(|_| self.offset.checked_add(at)).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{len} bytes at {at} lie outside a region of {} bytes", self.len),
            )
        })
    }
}
