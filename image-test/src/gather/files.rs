//! Files.

use super::{
    Root,
    root::{is_absence, name_of},
};
use crate::facts::{Fact, Facts, FileFacts, FileWanted, Text, parse::Accounts};
use md5::Md5;
use rustix::fs::{FileType, Stat};
use sha2::{Digest, Sha256, Sha512};
use std::{
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

/// Looks at files below a root.
#[derive(Debug)]
pub(super) struct Files<'a> {
    pub(super) root: &'a Root,
    /// Names of owners, or why there are none.
    pub(super) accounts: &'a Result<Accounts, String>,
    /// Whose home `~` is.
    pub(super) uid: u32,
    /// What relative paths are relative to.
    pub(super) directory: &'a Path,
    /// Largest contents in bytes.
    pub(super) limit: u64,
}

impl Files<'_> {
    /// Adds what is known of the file at a path. Links are not followed, but for what is inside.
    pub(super) fn look(&self, path: &str, wanted: FileWanted, facts: &mut Facts) {
        let looked = self.expanded(path).and_then(|real| {
            let stat = match self.root.lstat(&real) {
                Err(error) if is_absence(&error) => {
                    if error.kind() == io::ErrorKind::NotADirectory {
                        facts.below_files.insert(path.into());
                    }
                    return Ok(None);
                }
                looked => looked.map_err(|error| format!("{path}: {error}"))?,
            };
            self.facts(&real, &stat, wanted).map(Some).map_err(|error| format!("{path}: {error}"))
        });
        facts.files.insert(path.into(), looked.map_or_else(Fact::Unknown, Fact::Known));
    }

    fn facts(&self, path: &str, stat: &Stat, wanted: FileWanted) -> io::Result<FileFacts> {
        let file_type = FileType::from_raw_mode(stat.st_mode);
        let linked_to = match file_type {
            FileType::Symlink => Some(self.root.readlink(path)?.to_string_lossy().into_owned()),
            _ => None,
        };
        let inside = if wanted == FileWanted::default() { Inside::default() } else { self.inside(path, wanted) };
        Ok(FileFacts {
            filetype: name_of(file_type).into(),
            mode: stat.st_mode & 0o7777,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            uid: stat.st_uid,
            owner: self.name("user", stat.st_uid, |accounts| accounts.user_name(stat.st_uid)),
            gid: stat.st_gid,
            group: self.name("group", stat.st_gid, |accounts| accounts.group_name(stat.st_gid)),
            linked_to,
            contents: inside.contents,
            md5: inside.md5,
            sha256: inside.sha256,
            sha512: inside.sha512,
        })
    }

    fn name(&self, what: &str, id: u32, find: impl FnOnce(&Accounts) -> Option<&str>) -> Fact<String> {
        match self.accounts.as_ref().map(find) {
            Ok(Some(name)) => Fact::Known(name.into()),
            Ok(None) => Fact::Unknown(format!("no {what} has the id {id}")),
            Err(why) => Fact::Unknown(why.clone()),
        }
    }

    /// The path without `~`, `.` and `..`. Dots are taken from the text, before any link is followed, as goss does.
    fn expanded(&self, path: &str) -> Result<String, String> {
        let mut full = self.directory.to_owned();
        match path.strip_prefix('~') {
            None => full.push(path),
            Some(rest) => {
                let (user, rest) = rest.split_once('/').unwrap_or((rest, ""));
                let accounts = self.accounts.as_ref().map_err(Clone::clone)?;
                let name = if user.is_empty() { accounts.user_name(self.uid) } else { Some(user) };
                let home = name.and_then(|name| accounts.home(name));
                full.push(home.ok_or_else(|| format!("{path}: no such user"))?);
                full.push(rest.trim_start_matches('/'));
            }
        }
        let clean = full.components().fold(PathBuf::new(), |mut clean, component| {
            match component {
                Component::ParentDir => {
                    clean.pop();
                }
                Component::CurDir => {}
                other => clean.push(other),
            }
            clean
        });
        clean.into_os_string().into_string().map_err(|path| format!("{}: is not UTF-8", path.display()))
    }

    /// Reads a file once for all that is wanted.
    fn inside(&self, path: &str, wanted: FileWanted) -> Inside {
        let mut contents = wanted.contents.then(|| Ok(vec![]));
        let mut digests = Digests::new(wanted);
        let mut buffer = vec![0; 64 << 10];
        let read = self.root.open_file(path).and_then(|mut file| {
            // Beyond the limit only digests need the rest.
            while contents.as_ref().is_some_and(Result::is_ok) || digests.any() {
                let Some(chunk) = read_chunk(&mut file, &mut buffer)? else { break };
                digests.update(chunk);
                if let Some(Ok(bytes)) = &mut contents {
                    bytes.extend_from_slice(chunk);
                    if u64::try_from(bytes.len()).is_ok_and(|length| length > self.limit) {
                        contents = Some(Err(format!("{path}: is larger than the limit of {} bytes", self.limit)));
                    }
                }
            }
            Ok(())
        });
        match read {
            Ok(()) => {
                let contents = contents.map(|read| read.map_or_else(Fact::Unknown, |bytes| Fact::Known(bytes.into())));
                digests.finish(contents)
            }
            Err(error) => Inside::unknown(wanted, &format!("{path}: {error}")),
        }
    }
}

fn read_chunk<'a>(file: &mut impl Read, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(None),
            Ok(length) => return Ok(buffer.get(..length)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What is in a file, as far as it was asked for.
#[derive(Debug, Default)]
struct Inside {
    contents: Option<Fact<Text>>,
    md5: Option<Fact<String>>,
    sha256: Option<Fact<String>>,
    sha512: Option<Fact<String>>,
}

impl Inside {
    fn unknown(wanted: FileWanted, why: &str) -> Self {
        let digest = |is_wanted: bool| is_wanted.then(|| Fact::Unknown(why.into()));
        Self {
            contents: wanted.contents.then(|| Fact::Unknown(why.into())),
            md5: digest(wanted.md5),
            sha256: digest(wanted.sha256),
            sha512: digest(wanted.sha512),
        }
    }
}

struct Digests {
    md5: Option<Md5>,
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl Digests {
    fn new(wanted: FileWanted) -> Self {
        Self {
            md5: wanted.md5.then(Md5::new),
            sha256: wanted.sha256.then(Sha256::new),
            sha512: wanted.sha512.then(Sha512::new),
        }
    }

    fn any(&self) -> bool {
        self.md5.is_some() || self.sha256.is_some() || self.sha512.is_some()
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    fn finish(self, contents: Option<Fact<Text>>) -> Inside {
        Inside {
            contents,
            md5: self.md5.map(|md5| Fact::Known(hexadecimal(&md5.finalize()))),
            sha256: self.sha256.map(|sha256| Fact::Known(hexadecimal(&sha256.finalize()))),
            sha512: self.sha512.map(|sha512| Fact::Known(hexadecimal(&sha512.finalize()))),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
