//! Opens a root filesystem archive, whatever it is compressed with.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use super::tar::is_header;

/// The most memory an xz stream may ask for; `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;
const BUFFER: usize = 128 << 10;

/// How an archive is compressed, told by its first bytes and never by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// Not at all: a tar archive.
    None,
    /// The .xz format; not the older .lzma.
    Xz,
    /// RFC 8878, with windows of up to 128 MiB.
    Zstd,
}

/// Why an archive cannot be read. After [`open`], it comes inside the [`io::Error`] of a read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The compressed data is damaged.
    #[error("{} is damaged: cannot decompress {compression:?} after {offset} bytes of output", path.display())]
    Corrupt {
        /// The archive.
        path: PathBuf,
        /// How it is compressed.
        compression: Compression,
        /// How many bytes came out before.
        offset: u64,
        /// What the decompressor says.
        source: io::Error,
    },
    /// The file has no content.
    #[error("{} is empty; a tar archive, plain or compressed with gzip, xz or zstd is accepted", path.display())]
    Empty {
        /// The archive.
        path: PathBuf,
    },
    /// The file cannot be opened or read.
    #[error("cannot read {} after {offset} bytes", path.display())]
    Read {
        /// The archive.
        path: PathBuf,
        /// How many bytes came out before.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The compressed data ends too early.
    #[error("{} is cut off: its {compression:?} stream ends early, after {offset} bytes of output", path.display())]
    Truncated {
        /// The archive.
        path: PathBuf,
        /// How it is compressed.
        compression: Compression,
        /// How many bytes came out before.
        offset: u64,
    },
    /// The file is neither a tar archive nor compressed in a known way.
    #[error("{} is {found}; a tar archive, plain or compressed with gzip, xz or zstd is accepted", path.display())]
    UnknownFormat {
        /// The archive.
        path: PathBuf,
        /// What it seems to be.
        found: &'static str,
    },
}

/// Opens a tar archive: plain, or compressed with gzip, xz or zstd, also in several concatenated members.
///
/// Whoever reads it to the end has had every checksum of the compression proved.
///
/// # Errors
/// When the file cannot be opened, is empty, or is of another format. Damage that lies deeper is an [`io::Error`] of a
/// later read; its inner error is an [`ArchiveError`].
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn Read + Send>, ArchiveError> {
    let path = path.as_ref().to_path_buf();
    let read = |source| ArchiveError::Read { path: path.clone(), offset: 0, source };
    let mut start = Vec::with_capacity(512);
    let mut file = File::open(&path).map_err(read)?;
    file.by_ref().take(512).read_to_end(&mut start).map_err(read)?;
    if start.is_empty() {
        return Err(ArchiveError::Empty { path });
    }
    let Some(compression) = Compression::detect(&start) else {
        return Err(ArchiveError::UnknownFormat { path, found: guess(&start) });
    };
    let input = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(file));
    let input = compression.decoder(input).map_err(read)?;
    Ok(Box::new(ArchiveReader { path, compression, input, offset: 0 }))
}

impl Compression {
    /// The compression of data that starts with `start`; 512 bytes tell all. `None` when it is none that is known.
    #[must_use]
    pub fn detect(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            // A skippable frame may come first; parallel compressors put their index there.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => {
                let block = start.first_chunk::<512>()?;
                (is_header(block) || block.iter().all(|&byte| byte == 0)).then_some(Self::None)
            }
        }
    }

    pub(super) fn decoder<'a>(self, input: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::None => Box::new(input),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(input)?),
        })
    }
}

fn guess(start: &[u8]) -> &'static str {
    match start {
        [b'B', b'Z', b'h', ..] => "compressed with bzip2",
        [0x04, 0x22, 0x4d, 0x18, ..] => "compressed with lz4",
        [0x5d, 0, 0, ..] => "compressed with lzma",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        [b'0', b'7', b'0', b'7', b'0', ..] => "a cpio archive",
        [b'Q', b'F', b'I', 0xfb, ..] => "a qcow2 disk",
        [b'h', b's', b'q', b's', ..] => "a squashfs filesystem",
        _ => "of an unknown format, or damaged at its start",
    }
}

struct ArchiveReader {
    path: PathBuf,
    compression: Compression,
    input: Box<dyn Read + Send>,
    offset: u64,
}

impl Read for ArchiveReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let error = match self.input.read(buffer) {
            Ok(read) => {
                self.offset += read as u64;
                return Ok(read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => error,
        };
        let (path, compression, offset) = (self.path.clone(), self.compression, self.offset);
        // An error of the operating system has a number; one of a decompressor has none.
        let (kind, error) = if error.raw_os_error().is_some() {
            (error.kind(), ArchiveError::Read { path, offset, source: error })
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            (error.kind(), ArchiveError::Truncated { path, compression, offset })
        } else {
            (io::ErrorKind::InvalidData, ArchiveError::Corrupt { path, compression, offset, source: error })
        };
        Err(io::Error::new(kind, error))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tar() -> Vec<u8> {
        let content: Vec<u8> =
            (0..50_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        super::super::tar::testing::Builder::default().file("etc/noise", &content).finish()
    }

    fn compress(compression: Compression, data: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Compression::None => data.to_vec(),
            Compression::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn read(data: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(data).unwrap();
        let mut content = Vec::new();
        open(file.path())?.read_to_end(&mut content).map_err(|error| error.downcast().expect("a typed error"))?;
        Ok(content)
    }

    const COMPRESSED: [Compression; 3] = [Compression::Gzip, Compression::Xz, Compression::Zstd];

    #[test]
    fn every_compression_is_detected_and_members_are_joined() {
        let tar = tar();
        assert_eq!(read(&tar).unwrap(), tar);
        for compression in COMPRESSED {
            let (first, second) = tar.split_at(100_000);
            let joined = [compress(compression, first), compress(compression, second)].concat();
            assert_eq!(Compression::detect(&joined), Some(compression));
            assert!(read(&joined).unwrap() == tar, "{compression:?}");
        }
        let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &compress(Compression::Zstd, &tar)].concat();
        assert!(read(&skippable).unwrap() == tar);
    }

    #[test]
    fn every_cut_is_found() {
        let tar = tar();
        for compression in COMPRESSED {
            let whole = compress(compression, &tar);
            for cut in [20, 100, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
                let error = read(&whole[..cut]).unwrap_err();
                assert!(matches!(error, ArchiveError::Truncated { .. }), "{compression:?} {cut}: {error:?}");
            }
        }
    }

    #[test]
    fn every_flipped_bit_of_content_is_found() {
        let tar = tar();
        for compression in COMPRESSED {
            let whole = compress(compression, &tar);
            for at in (40..whole.len()).step_by(whole.len() / 11) {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x10;
                match read(&damaged) {
                    Err(ArchiveError::Corrupt { path, .. } | ArchiveError::Truncated { path, .. }) => {
                        assert!(path.exists() || !path.as_os_str().is_empty());
                    }
                    other => panic!("{compression:?} {at}: {:?}", other.map(|content| content.len())),
                }
            }
        }
    }

    #[test]
    fn other_files_are_named() {
        assert!(matches!(read(b""), Err(ArchiveError::Empty { .. })));
        let error = read(b"BZh91AY&SY and so on").unwrap_err();
        assert!(error.to_string().contains("is compressed with bzip2; a tar archive"), "{error}");
        assert!(matches!(read(&[7; 4096]), Err(ArchiveError::UnknownFormat { .. })));
        assert!(matches!(read(&tar()[..300]), Err(ArchiveError::UnknownFormat { .. })));
        assert!(matches!(open("/nonexistent/rootfs.tar"), Err(ArchiveError::Read { .. })));
        assert!(read(&[&compress(Compression::Gzip, &tar())[..], b"junk"].concat()).is_err());
    }
}
