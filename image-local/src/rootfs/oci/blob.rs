//! Blobs, proved while they are read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::super::digest::Digest;
use super::error::OciError;

/// The content of a blob; trusted only after [`prove`](Self::prove).
pub(super) struct Blob {
    file: io::Take<File>,
    digest: Digest,
    size: u64,
    hasher: Sha256,
    read: u64,
}

impl Blob {
    /// The digest is the name, so that no name from a document becomes a path.
    pub(super) fn open(layout: &Path, digest: Digest, size: u64) -> Result<Self, OciError> {
        let path = layout.join("blobs/sha256").join(digest.to_hex());
        let error = |source| OciError::Read { path: path.clone(), source };
        // Opening a fifo would wait for a writer.
        if !path.metadata().map_err(error)?.is_file() {
            return Err(OciError::invalid(path.display(), "is not a regular file"));
        }
        let file = File::open(&path).map_err(error)?.take(size.saturating_add(1));
        Ok(Self { file, digest, size, hasher: Sha256::new(), read: 0 })
    }

    /// Reads what is left, and compares digest and size with those of the descriptor.
    pub(super) fn prove(&mut self) -> Result<(), OciError> {
        io::copy(self, &mut io::sink())
            .map_err(|source| OciError::Read { path: self.digest.to_string().into(), source })?;
        let (digest, size, found_size) = (self.digest, self.size, self.read);
        let found = Digest::finish(self.hasher.clone());
        if (found, found_size) == (digest, size) {
            Ok(())
        } else {
            Err(OciError::Blob { digest, found, found_size, size })
        }
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.read += read as u64;
        Ok(read)
    }
}
