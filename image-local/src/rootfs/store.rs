//! A canonical archive kept in a directory, together with its manifest.
//!
//! `rootfs.tar.zst` is written first and `manifest.json.zst` last, each under another name until it is complete and on
//! stable storage. A directory with a manifest therefore has the archive, and a reader proves that the two belong
//! together.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::digest::Digest;
use super::manifest::Manifest;

/// The name of the archive in its directory.
pub const ARCHIVE: &str = "rootfs.tar.zst";
/// The name of the manifest in its directory.
pub const MANIFEST: &str = "manifest.json.zst";
/// Level 1 writes three times as fast as level 3, and a root filesystem grows by a few percent only.
const LEVEL: i32 = 1;
/// The most bytes of JSON to read; 60,000 entries need 15 MB.
const MAX_MANIFEST: u64 = 4 << 30;

/// Why an archive cannot be stored or read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The archive read back is not the one the manifest describes. Comes inside the [`io::Error`] of a read.
    #[error("{} has digest {found} and {found_size} bytes; its manifest says {expected} and {size}", path.display())]
    Mismatch {
        /// The archive.
        path: PathBuf,
        /// The digest of what was read.
        found: Digest,
        /// How much was read.
        found_size: u64,
        /// The digest in the manifest.
        expected: Digest,
        /// The size in the manifest.
        size: u64,
    },
    /// The manifest is damaged or of another version.
    #[error("cannot parse {}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest describes something else than what was written.
    #[error("wrote {written} with {written_size} bytes, but the manifest is of {expected} with {size}")]
    WrongManifest {
        /// The digest of what was written.
        written: Digest,
        /// How much was written.
        written_size: u64,
        /// The digest in the manifest.
        expected: Digest,
        /// The size in the manifest.
        size: u64,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes a canonical archive; nothing is visible before [`commit`](Self::commit), and dropping it leaves nothing.
pub struct LayerWriter {
    directory: PathBuf,
    output: zstd::Encoder<'static, BufWriter<NamedTempFile>>,
    hasher: Sha256,
    written: u64,
}

impl LayerWriter {
    /// Starts an archive in `directory`, which must exist.
    ///
    /// # Errors
    /// When no file can be created there.
    pub fn create(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let directory = directory.into();
        let error = |source| StoreError::Write { path: directory.join(ARCHIVE), source };
        let file = NamedTempFile::with_prefix_in(".rootfs.", &directory).map_err(error)?;
        let mut output = zstd::Encoder::new(BufWriter::with_capacity(128 << 10, file), LEVEL).map_err(error)?;
        output.include_checksum(true).map_err(error)?;
        Ok(Self { directory, output, hasher: Sha256::new(), written: 0 })
    }

    /// Makes the archive and its manifest visible, durably; an earlier pair is replaced.
    ///
    /// # Errors
    /// When `manifest` is not of what was written, and when a file cannot be written. The earlier archive is then
    /// still there, or, after a failure between the two files, is refused when it is read back.
    pub fn commit(self, manifest: &Manifest) -> Result<(), StoreError> {
        let written = Digest::finish(self.hasher);
        if (written, self.written) != (manifest.digest, manifest.size) {
            let (expected, size) = (manifest.digest, manifest.size);
            return Err(StoreError::WrongManifest { written, written_size: self.written, expected, size });
        }
        let archive = self.directory.join(ARCHIVE);
        let file = self.output.finish().map_err(|source| StoreError::Write { path: archive.clone(), source })?;
        let described = self.directory.join(MANIFEST);
        let error = |source| StoreError::Write { path: described.clone(), source };
        let sidecar = NamedTempFile::with_prefix_in(".manifest.", &self.directory).map_err(error)?;
        let mut encoder = zstd::Encoder::new(BufWriter::new(sidecar), LEVEL).map_err(error)?;
        serde_json::to_writer(&mut encoder, manifest).map_err(|source| error(source.into()))?;
        let sidecar = encoder.finish().map_err(error)?;
        persist(file, &archive)?;
        persist(sidecar, &described)?;
        File::open(&self.directory).and_then(|directory| directory.sync_all()).map_err(error)
    }
}

fn persist(file: BufWriter<NamedTempFile>, path: &Path) -> Result<(), StoreError> {
    let error = |source| StoreError::Write { path: path.to_path_buf(), source };
    let file = file.into_inner().map_err(|failed| error(failed.into_error()))?;
    file.as_file().sync_all().map_err(error)?;
    file.persist(path).map_err(|failed| error(failed.error))?;
    Ok(())
}

impl Write for LayerWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.output.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl std::fmt::Debug for LayerWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerWriter").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// Reads a stored archive back, uncompressed. The read that would report the end fails instead when the whole is not
/// what the manifest describes, so nothing may be trusted before the end was reached.
pub struct LayerReader {
    path: PathBuf,
    manifest: Manifest,
    input: zstd::Decoder<'static, BufReader<File>>,
    hasher: Option<Sha256>,
    read: u64,
}

impl LayerReader {
    /// Opens the archive in `directory`.
    ///
    /// # Errors
    /// When one of its two files is missing, cannot be read, or the manifest is damaged.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        let manifest = read_manifest(&directory)?;
        let path = directory.as_ref().join(ARCHIVE);
        let error = |source| StoreError::Read { path: path.clone(), source };
        let input = zstd::Decoder::new(File::open(&path).map_err(error)?).map_err(error)?;
        Ok(Self { path, manifest, input, hasher: Some(Sha256::new()), read: 0 })
    }

    /// What the archive contains.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn mismatch(&self, found: Digest) -> io::Error {
        let Manifest { digest: expected, size, .. } = self.manifest;
        let (path, found_size) = (self.path.clone(), self.read);
        io::Error::new(io::ErrorKind::InvalidData, StoreError::Mismatch { path, found, found_size, expected, size })
    }
}

/// Reads only the manifest of the archive in `directory`.
///
/// # Errors
/// When it is missing, cannot be read, or is damaged.
pub fn read_manifest(directory: impl AsRef<Path>) -> Result<Manifest, StoreError> {
    let path = directory.as_ref().join(MANIFEST);
    let error = |source| StoreError::Read { path: path.clone(), source };
    let input = zstd::Decoder::new(File::open(&path).map_err(error)?).map_err(error)?;
    let input = BufReader::with_capacity(128 << 10, input.take(MAX_MANIFEST));
    serde_json::from_reader(input).map_err(|source| StoreError::Manifest { path: path.clone(), source })
}

impl Read for LayerReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read += read as u64;
        let Some(hasher) = &mut self.hasher else { return Ok(read) };
        hasher.update(&buffer[..read]);
        if (read > 0 || buffer.is_empty()) && self.read <= self.manifest.size {
            return Ok(read);
        }
        let found = Digest::finish(hasher.clone());
        if (found, self.read) != (self.manifest.digest, self.manifest.size) {
            return Err(self.mismatch(found));
        }
        self.hasher = None;
        Ok(0)
    }
}

impl std::fmt::Debug for LayerReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerReader").field("path", &self.path).field("read", &self.read).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tar::testing::Builder;
    use super::super::{NormalizeOptions, normalize};
    use super::*;

    fn stored(directory: &Path, content: &[u8]) -> Manifest {
        let mut writer = LayerWriter::create(directory).unwrap();
        let tar = Builder::default().file("etc/motd", content).finish();
        let manifest = normalize(&tar[..], &mut writer, &NormalizeOptions::default()).unwrap();
        writer.commit(&manifest).unwrap();
        manifest
    }

    fn read(directory: &Path) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        let mut reader = LayerReader::open(directory).map_err(|error| error.to_string())?;
        reader.read_to_end(&mut content).map_err(|error| error.to_string())?;
        assert_eq!(reader.read(&mut [0; 10]).unwrap(), 0);
        Ok(content)
    }

    #[test]
    fn pairs_round_trip_and_replace_each_other() {
        let directory = tempfile::tempdir().unwrap();
        for content in [&b"one"[..], b"another"] {
            let manifest = stored(directory.path(), content);
            assert_eq!(read_manifest(directory.path()).unwrap(), manifest);
            assert_eq!(Digest::of(read(directory.path()).unwrap()), manifest.digest);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn an_abandoned_writer_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let manifest = stored(directory.path(), b"first");
        LayerWriter::create(directory.path()).unwrap().write_all(b"half").unwrap();
        assert_eq!(read_manifest(directory.path()).unwrap(), manifest);
        let mut writer = LayerWriter::create(directory.path()).unwrap();
        writer.write_all(b"other").unwrap();
        assert!(matches!(writer.commit(&manifest), Err(StoreError::WrongManifest { .. })));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        assert!(read(directory.path()).is_ok());
    }

    #[test]
    fn a_pair_that_does_not_belong_together_is_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        stored(one.path(), b"one");
        stored(two.path(), b"two");
        fs::copy(two.path().join(ARCHIVE), one.path().join(ARCHIVE)).unwrap();
        assert!(read(one.path()).unwrap_err().contains("its manifest says sha256:"));
        fs::remove_file(one.path().join(ARCHIVE)).unwrap();
        assert!(read(one.path()).unwrap_err().starts_with("cannot read"));
    }

    #[test]
    fn damage_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        stored(directory.path(), &[7; 5000]);
        for name in [ARCHIVE, MANIFEST] {
            let path = directory.path().join(name);
            let whole = fs::read(&path).unwrap();
            for at in 0..whole.len() {
                fs::write(&path, &whole[..at]).unwrap();
                assert!(read(directory.path()).is_err(), "{name} cut at {at}");
            }
            // Some bits of a zstd frame header mean nothing; what comes out is then still what the manifest says.
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x20;
                fs::write(&path, &damaged).unwrap();
                if let Ok(content) = read(directory.path()) {
                    assert_eq!(Digest::of(content), read_manifest(directory.path()).unwrap().digest, "{name} {at}");
                }
            }
            fs::write(&path, whole).unwrap();
        }
    }
}
