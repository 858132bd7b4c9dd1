//! The blocks of a raw disk: which of them can hold data, and what a block holds.

use image_core::{Error, ErrorKind, Result};
use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The size of a block of the EBS direct APIs, in bytes. It is the only one there is.
/// <https://docs.aws.amazon.com/ebs/latest/APIReference/API_StartSnapshot.html>
pub(crate) const BLOCK: usize = 512 << 10;
/// Snapshots have whole GiB.
const GIB: u64 = 1 << 30;
/// The most that a volume can have: 64 TiB. <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html>
const LARGEST_GIB: u64 = 64 << 10;

/// Which content a file has, as far as the file system tells without reading it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            len: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
    /// The file, whatever its content is.
    pub(crate) fn file(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

/// A raw disk that is being imported. Nobody may write to it meanwhile; [`check_unchanged`](Self::check_unchanged) sees
/// whether somebody did.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    file: File,
    identity: Identity,
}

impl Disk {
    /// Opens a disk.
    ///
    /// # Errors
    /// The I/O error; `InvalidInput` when its size is not one that a volume can have.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let identity = Identity::of(&file).map_err(|e| Error::io("read", path, e))?;
        if !(1..=LARGEST_GIB * GIB).contains(&identity.len) {
            let size = format!("{} of {} bytes", path.display(), identity.len);
            return Err(Error::invalid("disk", size, format!("a raw disk of 1 byte to {LARGEST_GIB} GiB")));
        }
        Ok(Self { path: path.to_owned(), file, identity })
    }
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
    /// The size of the smallest volume that holds it.
    pub(crate) fn gib(&self) -> u32 {
        // `open` refuses what has more.
        u32::try_from(self.identity.len.div_ceil(GIB)).unwrap_or(u32::MAX)
    }
    /// Reads a block whole; what lies behind the end of the disk reads as zeros.
    pub(crate) fn read(&self, index: u32, block: &mut [u8]) -> Result<()> {
        let offset = u64::from(index) * BLOCK as u64;
        let held = usize::try_from(self.identity.len.saturating_sub(offset)).unwrap_or(BLOCK).min(block.len());
        let (data, behind) = block.split_at_mut(held);
        behind.fill(0);
        self.file.read_exact_at(data, offset).map_err(|e| Error::io("read", &self.path, e))
    }
    /// Refuses a disk that was written to since it was opened.
    ///
    /// # Errors
    /// `Conflict`.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        let now = Identity::of(&self.file).map_err(|e| Error::io("read", &self.path, e))?;
        if now == self.identity {
            return Ok(());
        }
        let message = format!("{} was written to while it was imported", self.path.display());
        Err(Error::new(ErrorKind::Conflict, message))
    }
}

/// The blocks of a disk that can hold something other than zeros, in order; found without reading a hole.
#[derive(Debug)]
pub(crate) struct DataBlocks {
    disk: Arc<Disk>,
    next: u32,
    data_until: u64,
}

impl DataBlocks {
    pub(crate) fn new(disk: Arc<Disk>) -> Self {
        Self { disk, next: 0, data_until: 0 }
    }

    /// The first offset from `at` on that can hold data. Where the file system cannot tell, that is `at`.
    fn data_from(&mut self, at: u64) -> io::Result<Option<u64>> {
        if at >= self.disk.identity.len {
            return Ok(None);
        }
        if at < self.data_until {
            return Ok(Some(at));
        }
        let start = match seek(&self.disk.file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL | Errno::NOTSUP) => at,
            Err(error) => return Err(error.into()),
        };
        self.data_until = match seek(&self.disk.file, SeekFrom::Hole(start)) {
            Ok(end) => end,
            Err(Errno::INVAL | Errno::NOTSUP) => self.disk.identity.len,
            Err(error) => return Err(error.into()),
        };
        Ok(Some(start))
    }

    fn find(&mut self) -> io::Result<Option<u32>> {
        let Some(start) = self.data_from(u64::from(self.next) * BLOCK as u64)? else { return Ok(None) };
        // The size of a disk was checked: its blocks can be counted.
        let Ok(index) = u32::try_from(start / BLOCK as u64) else { return Ok(None) };
        self.next = index + 1;
        Ok(Some(index))
    }
}

impl Iterator for DataBlocks {
    type Item = Result<u32>;

    fn next(&mut self) -> Option<Self::Item> {
        self.find().map_err(|e| Error::io("read", &self.disk.path, e)).transpose()
    }
}

/// Whether there is nothing but zeros.
pub(crate) fn is_zero(data: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    data.chunks(ZEROS.len()).all(|part| ZEROS.get(..part.len()) == Some(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn disk(len: u64, data: &[(u64, &[u8])]) -> (tempfile::NamedTempFile, Disk) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(len).unwrap();
        for (at, bytes) in data {
            file.as_file().write_all_at(bytes, *at).unwrap();
        }
        let disk = Disk::open(file.path()).unwrap();
        (file, disk)
    }

    #[test]
    fn holes_are_passed_over_and_data_is_not() {
        let block = BLOCK as u64;
        let (_file, sparse) = disk(64 << 30, &[(5 * block + 7, b"x"), (9 * block - 1, b"yz"), ((64 << 30) - 1, b"e")]);
        let found: Vec<u32> = DataBlocks::new(Arc::new(sparse)).map(Result::unwrap).collect();
        let expected = [5, 8, 9, 131_071];
        assert!(expected.iter().all(|index| found.contains(index)), "{found:?}");
        assert!(found.is_sorted() && found.len() < 20, "holes were not passed over: {}", found.len());
        let (_file, empty) = disk(8 << 30, &[]);
        assert!(DataBlocks::new(Arc::new(empty)).count() < 2);
    }

    #[test]
    fn the_last_block_ends_in_zeros() {
        let (_file, short) = disk(BLOCK as u64 + 3, &[(BLOCK as u64, b"abc")]);
        let mut block = vec![0xff; BLOCK];
        short.read(1, &mut block).unwrap();
        assert_eq!(&block[..3], b"abc");
        assert!(is_zero(&block[3..]));
        assert_eq!(short.gib(), 1);
    }

    #[test]
    fn a_write_is_noticed() {
        let (mut file, written) = disk(4096, &[]);
        written.check_unchanged().unwrap();
        file.write_all(&[1; 8192]).unwrap();
        assert_eq!(written.check_unchanged().unwrap_err().kind(), ErrorKind::Conflict);
    }

    #[test]
    fn one_byte_makes_a_block_no_block_of_zeros() {
        for at in [0, 1, 4095, 4096, BLOCK - 1] {
            let mut block = vec![0; BLOCK];
            assert!(is_zero(&block));
            block[at] = 1;
            assert!(!is_zero(&block), "{at}");
        }
        assert!(is_zero(&[0; 5]) && !is_zero(&[0, 0, 1]));
    }

    #[test]
    fn an_empty_file_is_no_disk() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Disk::open(file.path()).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
