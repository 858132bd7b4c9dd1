//! Writes cpio archives in the "newc" format, which the kernel unpacks as an initramfs.
//!
//! The format is in the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`. Archives are
//! deterministic: owner root, time 0, inodes numbered in order.

use std::fmt;

/// Names and contents above this do not fit the eight hexadecimal digits of the header.
const MAX_SIZE: u64 = u32::MAX as u64;

/// Why an entry cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("cpio entry {name:?} is too large: {size} bytes, accepted are at most 4294967295")]
pub struct EntryTooLarge {
    /// Path of the entry.
    pub name: String,
    /// Size of its contents in bytes.
    pub size: u64,
}

/// An archive in memory. Directories have to be added before what is in them: the kernel creates no parents.
#[derive(Clone, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("entries", &self.entries).field("bytes", &self.bytes.len()).finish()
    }
}

impl Archive {
    /// An archive without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory with these permission bits.
    ///
    /// # Errors
    /// A name of 4 GiB.
    pub fn directory(&mut self, name: &str, permissions: u32) -> Result<(), EntryTooLarge> {
        self.entry(name, 0o040_000 | permissions & 0o7777, &[])
    }

    /// Adds a regular file with these permission bits.
    ///
    /// # Errors
    /// Contents of 4 GiB or more.
    pub fn file(&mut self, name: &str, permissions: u32, contents: &[u8]) -> Result<(), EntryTooLarge> {
        self.entry(name, 0o100_000 | permissions & 0o7777, contents)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// A target of 4 GiB or more.
    pub fn symlink(&mut self, name: &str, target: &str) -> Result<(), EntryTooLarge> {
        self.entry(name, 0o120_777, target.as_bytes())
    }

    /// The archive with its trailer, padded with zeros to a multiple of 512 bytes.
    ///
    /// Whatever follows it in one initrd is thereby aligned, as the kernel requires of a further archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.header("TRAILER!!!", 0, 0);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) -> Result<(), EntryTooLarge> {
        let size = contents.len().max(name.len() + 1) as u64;
        if size > MAX_SIZE {
            return Err(EntryTooLarge { name: name.to_owned(), size });
        }
        self.entries += 1;
        self.header(name, mode, contents.len());
        self.bytes.extend_from_slice(contents);
        self.align();
        Ok(())
    }

    fn header(&mut self, name: &str, mode: u32, size: usize) {
        // Numbers: inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name size, checksum.
        let inode = if mode == 0 { 0 } else { self.entries };
        let fields = [inode as usize, mode as usize, 0, 0, 1, 0, size, 0, 0, 0, 0, name.len() + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_follow_the_format() {
        let mut archive = Archive::new();
        archive.directory("bin", 0o755).unwrap();
        archive.file("bin/a", 0o644, b"hello").unwrap();
        archive.symlink("bin/b", "a").unwrap();
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 512, 0);
        let text: String = bytes.iter().map(|byte| if *byte == 0 { '.' } else { char::from(*byte) }).collect();
        let zeros = "00000000";
        let (one, two, four) = ("00000001", "00000002", "00000004");
        let expected = format!(
            "070701{one}000041ED{zeros}{zeros}{one}{zeros}{zeros}{zeros}{zeros}{zeros}{zeros}{four}{zeros}bin...\
             070701{two}000081A4{zeros}{zeros}{one}{zeros}00000005{zeros}{zeros}{zeros}{zeros}00000006{zeros}bin/a.\
             hello...070701"
        );
        assert!(text.starts_with(&expected), "{text}");
        assert!(text.contains("bin/b.a...070701"), "{text}");
        assert!(text.trim_end_matches('.').ends_with("TRAILER!!!"), "{text}");
    }

    #[test]
    fn archives_are_deterministic() {
        let archive = || {
            let mut archive = Archive::new();
            archive.file("a", 0o600, &[7; 1000]).unwrap();
            archive.finish()
        };
        assert_eq!(archive(), archive());
    }
}
