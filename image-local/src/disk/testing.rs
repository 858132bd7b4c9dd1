//! Archives for tests, and the tools that judge images.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use tar::{EntryType, Header};

/// A tar archive under construction.
#[derive(Debug, Default)]
pub(crate) struct TestTar(Vec<u8>);

impl TestTar {
    pub(crate) fn header(kind: EntryType, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(size);
        header
    }

    /// Appends a member; names that a header cannot hold become GNU long names.
    pub(crate) fn member(&mut self, mut header: Header, path: &[u8], link: &[u8], data: &[u8]) -> &mut Self {
        for (flag, name) in [(b'L', path), (b'K', link)] {
            if name.len() > 100 {
                self.extension(flag, &[name, b"\0"].concat());
            }
        }
        let bytes = header.as_mut_bytes();
        let fit = |name: &[u8]| name.len().min(100);
        bytes[..fit(path)].copy_from_slice(&path[..fit(path)]);
        bytes[157..157 + fit(link)].copy_from_slice(&link[..fit(link)]);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.data(data)
    }

    /// Appends an extension member.
    pub(crate) fn extension(&mut self, flag: u8, data: &[u8]) -> &mut Self {
        let mut header = Self::header(EntryType::new(flag), 0, data.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.data(data)
    }

    /// Appends pax records for the next member.
    pub(crate) fn pax(&mut self, records: &[(&str, &[u8])]) -> &mut Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while rest + length.to_string().len() != length {
                length += 1;
            }
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.extension(b'x', &data)
    }

    pub(crate) fn file(&mut self, path: &str, mode: u32, data: &[u8]) -> &mut Self {
        self.member(Self::header(EntryType::Regular, mode, data.len() as u64), path.as_bytes(), b"", data)
    }

    pub(crate) fn directory(&mut self, path: &str, mode: u32) -> &mut Self {
        self.member(Self::header(EntryType::Directory, mode, 0), path.as_bytes(), b"", b"")
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) -> &mut Self {
        self.member(Self::header(EntryType::Symlink, 0o777, 0), path.as_bytes(), target.as_bytes(), b"")
    }

    pub(crate) fn hard_link(&mut self, path: &str, target: &str) -> &mut Self {
        self.member(Self::header(EntryType::Link, 0o644, 0), path.as_bytes(), target.as_bytes(), b"")
    }

    pub(crate) fn device(&mut self, path: &str, kind: EntryType, major: u32, minor: u32) -> &mut Self {
        let mut header = Self::header(kind, 0o600, 0);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.member(header, path.as_bytes(), b"", b"")
    }

    /// The archive with its end mark.
    pub(crate) fn finish(&self) -> Vec<u8> {
        [&self.0[..], &[0; 1024]].concat()
    }

    /// What was appended so far.
    pub(crate) fn unfinished(&self) -> &[u8] {
        &self.0
    }

    fn data(&mut self, data: &[u8]) -> &mut Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }
}

/// A file of `len` bytes that reads as zeros.
pub(crate) fn empty_image(len: u64) -> tempfile::NamedTempFile {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(len).unwrap();
    image
}

/// Opens a file for reading and writing.
pub(crate) fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

/// Runs a tool; `None`, said aloud, if it is not installed.
pub(crate) fn tool(name: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(name).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: {name} is not installed");
            None
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Runs a tool that must succeed and returns what it printed.
pub(crate) fn tool_output(name: &str, arguments: &[&str]) -> Option<String> {
    let output = tool(name, arguments)?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}: {}\n{printed}\n{complaints}", output.status);
    Some(printed)
}
