//! Files with holes: copied without filling them, and hashed without reading them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{SeekFrom as Whence, seek};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

const CHUNK: usize = 1 << 20;

/// The ranges of a file, in order, that may hold something other than zeros. Where the file system cannot tell, that is
/// the whole file.
#[derive(Debug)]
pub(crate) struct DataRanges<'f> {
    file: &'f File,
    at: u64,
    len: u64,
}

impl<'f> DataRanges<'f> {
    pub(crate) fn new(file: &'f File) -> io::Result<Self> {
        Ok(Self { file, at: 0, len: file.metadata()?.len() })
    }

    fn find(&mut self) -> io::Result<Option<Range<u64>>> {
        if self.at >= self.len {
            return Ok(None);
        }
        let start = match seek(self.file, Whence::Data(self.at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL | Errno::NOTSUP) => self.at,
            Err(error) => return Err(error.into()),
        };
        let end = match seek(self.file, Whence::Hole(start)) {
            Ok(end) => end.min(self.len),
            Err(Errno::INVAL | Errno::NOTSUP) => self.len,
            Err(error) => return Err(error.into()),
        };
        self.at = end;
        Ok((start < end).then_some(start..end))
    }
}

impl Iterator for DataRanges<'_> {
    type Item = io::Result<Range<u64>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.find().transpose()
    }
}

/// Copies a file to `to`, which is made or overwritten; holes stay holes, and blocks of zeros become holes. Returns the
/// length in bytes.
///
/// # Errors
///
/// If reading or writing fails; `to` may then hold a part. `from` and `to` must not be the same file.
pub fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    const BLOCK: usize = 4096;
    let source = File::open(from)?;
    let target = File::create(to)?;
    let len = source.metadata()?.len();
    target.set_len(len)?;
    let mut buffer = vec![0; CHUNK];
    for range in DataRanges::new(&source)? {
        let range = range?;
        let mut at = range.start;
        while at < range.end {
            let part = &mut buffer[..CHUNK.min((range.end - at) as usize)];
            source.read_exact_at(part, at)?;
            // Runs of blocks with content go in one call each.
            let mut start = 0;
            for (index, block) in part.chunks(BLOCK).enumerate() {
                if is_zero(block) {
                    target.write_all_at(&part[start..index * BLOCK], at + start as u64)?;
                    start = index * BLOCK + block.len();
                }
            }
            target.write_all_at(&part[start..], at + start as u64)?;
            at += part.len() as u64;
        }
    }
    Ok(len)
}

/// The SHA-256 of a file's content, holes as the zeros that they read as: what `sha256sum` prints.
///
/// # Errors
///
/// If reading fails.
pub fn digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let zeros = vec![0; CHUNK];
    let mut buffer = vec![0; CHUNK];
    let mut hash = Sha256::new();
    let mut at = 0;
    let len = file.metadata()?.len();
    let ranges = DataRanges::new(&file)?.collect::<io::Result<Vec<_>>>()?;
    for range in ranges.into_iter().chain(std::iter::once(len..len)) {
        let mut hole = range.start - at;
        while hole > 0 {
            let part = hole.min(CHUNK as u64);
            hash.update(&zeros[..part as usize]);
            hole -= part;
        }
        file.seek(SeekFrom::Start(range.start))?;
        at = range.start;
        while at < range.end {
            let part = &mut buffer[..CHUNK.min((range.end - at) as usize)];
            file.read_exact(part)?;
            hash.update(&*part);
            at += part.len() as u64;
        }
    }
    Ok(hash.finalize().into())
}

/// Whether there is nothing but zeros.
pub(crate) fn is_zero(data: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    data.chunks(ZEROS.len()).all(|part| *part == ZEROS[..part.len()])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::disk::testing::{empty_image, tool_output};

    #[test]
    fn copies_are_equal_and_sparse_and_digests_those_of_sha256sum() {
        for len in [0, 1, 4096, 10_000_001] {
            let source = empty_image(len);
            for at in [0, 5_000_000, 9_999_999] {
                if at < len {
                    source.as_file().write_all_at(b"x", at).unwrap();
                }
            }
            let copied = empty_image(0);
            assert_eq!(copy(source.path(), copied.path()).unwrap(), len);
            assert!(std::fs::read(source.path()).unwrap() == std::fs::read(copied.path()).unwrap(), "copies differ");
            assert!(copied.as_file().metadata().unwrap().blocks() <= 3 * 8);
            let digest: String = digest(source.path()).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
            let Some(printed) = tool_output("sha256sum", &[source.path().to_str().unwrap()]) else { return };
            assert_eq!(printed.split(' ').next(), Some(&*digest));
        }
    }
}
