//! A root directory that nothing below it leads out of.

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};
use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Component, Path, PathBuf},
};

/// Largest database or configuration file that is read, in bytes.
const LARGEST: u64 = 256 << 20;

/// As many symbolic links as the kernel follows on one path.
const MOST_LINKS: u32 = 40;

/// A root directory. Paths are taken below it, with or without a leading slash, and so are the targets of symbolic links
/// on the way, absolute or not.
#[derive(Debug)]
pub(super) enum Root {
    /// The root directory of this process, where the kernel needs no help.
    Own,
    /// Another one.
    Other(OwnedFd),
}

/// What happens to a symbolic link at the end of a path.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Last {
    Follow,
    Keep,
}

impl Root {
    /// The directory at this path.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("/") {
            return Ok(Self::Own);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self::Other(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Metadata of what is at a path, which may be a symbolic link.
    pub(super) fn lstat(&self, path: &str) -> io::Result<Stat> {
        match self {
            Self::Own => Ok(rustix::fs::lstat(path)?),
            Self::Other(_) => Ok(rustix::fs::fstat(self.resolve(path, OFlags::PATH, Last::Keep)?)?),
        }
    }

    /// Whether anything is at a path once links are followed. What cannot be looked at is taken as missing.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.resolve(path, OFlags::PATH, Last::Follow).is_ok()
    }

    /// Where the symbolic link at a path points.
    pub(super) fn readlink(&self, path: &str) -> io::Result<OsString> {
        let target = match self {
            Self::Own => rustix::fs::readlink(path, vec![])?,
            Self::Other(_) => rustix::fs::readlinkat(self.resolve(path, OFlags::PATH, Last::Keep)?, "", vec![])?,
        };
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Opens a regular file to read it. Anything else is not even opened: that may wait for ever, or do something.
    pub(super) fn open_file(&self, path: &str) -> io::Result<File> {
        let refuse = |stat: &Stat| match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(()),
            FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
            other => Err(io::Error::other(format!("is a {}, and only regular files are read", name_of(other)))),
        };
        refuse(&self.stat(path)?)?;
        let file = self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Last::Follow)?;
        // It may have been replaced in between.
        refuse(&rustix::fs::fstat(&file)?)?;
        Ok(file.into())
    }

    fn stat(&self, path: &str) -> io::Result<Stat> {
        match self {
            Self::Own => Ok(rustix::fs::stat(path)?),
            Self::Other(_) => Ok(rustix::fs::fstat(self.resolve(path, OFlags::PATH, Last::Follow)?)?),
        }
    }

    /// The whole of a database or configuration file.
    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = vec![];
        self.open_file(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST) {
            Ok(bytes)
        } else {
            Err(io::Error::other(format!("is larger than {LARGEST} bytes")))
        }
    }

    /// As [`read`](Self::read), or none where there is no such file.
    pub(super) fn read_if_there(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match self.read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(format!("{path}: {error}")),
        }
    }

    /// The names in a directory with their types, sorted; none where there is no such directory.
    pub(super) fn list(&self, path: &str) -> io::Result<Vec<(OsString, FileType)>> {
        let directory = match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, Last::Follow) {
            Err(error) if is_absence(&error) => return Ok(vec![]),
            opened => opened?,
        };
        let mut names = vec![];
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            if name == "." || name == ".." {
                continue;
            }
            // Not every file system keeps types in its directories.
            let file_type = match entry.file_type() {
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                known => known,
            };
            names.push((name, file_type));
        }
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(names)
    }

    fn resolve(&self, path: &str, flags: OFlags, last: Last) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | if last == Last::Keep { OFlags::NOFOLLOW } else { OFlags::empty() };
        let root = match self {
            Self::Own => return Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?),
            Self::Other(root) => root,
        };
        let relative = Path::new(path.trim_start_matches('/'));
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        match rustix::fs::openat2(root, relative, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            // Kernels before 5.6 lack it, some sandboxes forbid it.
            Err(Errno::NOSYS | Errno::PERM) => walk(root, relative, flags, last),
            opened => Ok(opened?),
        }
    }
}

/// What `openat2` does with `RESOLVE_IN_ROOT`, in steps. Unlike there, a directory that is moved out of the root at the
/// same time is followed.
fn walk(root: &OwnedFd, path: &Path, flags: OFlags, last: Last) -> io::Result<OwnedFd> {
    const STEP: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let mut rest: VecDeque<OsString> = components(path);
    // The directories entered below the root, innermost last.
    let mut entered: Vec<OwnedFd> = vec![];
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            entered.pop();
            continue;
        }
        let directory = entered.last().unwrap_or(root);
        let step = rustix::fs::openat(directory, &name, STEP, Mode::empty())?;
        let is_link = FileType::from_raw_mode(rustix::fs::fstat(&step)?.st_mode) == FileType::Symlink;
        if is_link && (last == Last::Follow || !rest.is_empty()) {
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP.into());
            }
            let target = PathBuf::from(OsString::from_vec(rustix::fs::readlinkat(&step, "", vec![])?.into_bytes()));
            if target.is_absolute() {
                entered.clear();
            }
            for name in components(&target).into_iter().rev() {
                rest.push_front(name);
            }
        } else if rest.is_empty() {
            return Ok(rustix::fs::openat(directory, &name, flags | OFlags::NOFOLLOW, Mode::empty())?);
        } else {
            entered.push(step);
        }
    }
    let directory = entered.last().unwrap_or(root);
    Ok(rustix::fs::openat(directory.as_fd(), ".", flags, Mode::empty())?)
}

fn components(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::Prefix(_) | Component::RootDir => None,
    });
    names.collect()
}

/// Whether an error says that there is nothing at a path, or nothing can be: it goes on below a file.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The name of a file type, as goss prints it.
pub(super) fn name_of(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::Socket => "socket",
        FileType::Fifo => "pipe",
        FileType::BlockDevice => "block-device",
        FileType::CharacterDevice => "character-device",
        FileType::RegularFile | FileType::Unknown => "file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    /// A root with ways out of it, beside a secret.
    fn hostile() -> (tempfile::TempDir, Root) {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("etc/deep")).unwrap();
        fs::create_dir_all(root.join(outside.path().strip_prefix("/").unwrap())).unwrap();
        fs::write(outside.path().join("secret"), "outside").unwrap();
        fs::write(root.join("etc/motd"), "inside").unwrap();
        symlink(outside.path().join("secret"), root.join("absolute")).unwrap();
        symlink("../../../../../../../../etc/motd", root.join("etc/deep/up")).unwrap();
        symlink("/etc", root.join("etc-link")).unwrap();
        symlink("loop-b", root.join("loop-a")).unwrap();
        symlink("loop-a", root.join("loop-b")).unwrap();
        symlink("..", root.join("parent")).unwrap();
        let opened = Root::open(&root).unwrap();
        (outside, opened)
    }

    #[test]
    fn nothing_leads_out() {
        let (_outside, root) = hostile();
        let Root::Other(fd) = &root else { panic!("not another root") };
        let by_walk = |path: &str| {
            let file = walk(fd, Path::new(path.trim_start_matches('/')), OFlags::RDONLY, Last::Follow)?;
            let mut text = String::new();
            File::from(file).read_to_string(&mut text)?;
            Ok::<_, io::Error>(text)
        };
        for (path, expected) in [
            ("/etc/motd", Ok("inside")),
            ("etc/motd", Ok("inside")),
            ("/../../etc/motd", Ok("inside")),
            ("/etc/deep/up", Ok("inside")),
            ("/etc-link/motd", Ok("inside")),
            ("/parent/parent/etc/motd", Ok("inside")),
            ("/etc-link/../etc/motd", Ok("inside")),
            ("/absolute", Err(Errno::NOENT)),
            ("/loop-a", Err(Errno::LOOP)),
            ("/etc/motd/below", Err(Errno::NOTDIR)),
        ] {
            let expected = expected.map(String::from).map_err(|errno: Errno| Some(errno.raw_os_error()));
            let by_kernel = root.read(path).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(by_kernel.map_err(|error| error.raw_os_error()), expected, "{path}");
            assert_eq!(by_walk(path).map_err(|error| error.raw_os_error()), expected, "{path}, in steps");
        }
    }

    #[test]
    fn the_last_link_is_kept_where_asked() {
        let (_outside, root) = hostile();
        let Root::Other(fd) = &root else { panic!("not another root") };
        for path in ["absolute", "loop-a", "etc-link", "parent"] {
            let step = walk(fd, Path::new(path), OFlags::PATH, Last::Keep).unwrap();
            for stat in [root.lstat(path).unwrap(), rustix::fs::fstat(step).unwrap()] {
                assert_eq!(FileType::from_raw_mode(stat.st_mode), FileType::Symlink, "{path}");
            }
        }
        assert_eq!(root.readlink("etc-link").unwrap(), "/etc");
        assert!(root.exists("/etc-link") && !root.exists("/absolute") && !root.exists("/loop-a"));
        assert_eq!(root.list("/parent").unwrap(), root.list("/").unwrap());
        assert_eq!(root.list("/none").unwrap(), []);
        assert_eq!(root.list("/etc").unwrap().len(), 2);
    }

    #[test]
    fn only_regular_files_are_opened() {
        let (outside, root) = hostile();
        let fifo = outside.path().join("root/fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        symlink("fifo", outside.path().join("root/to-fifo")).unwrap();
        for path in ["fifo", "to-fifo"] {
            let message = root.open_file(path).unwrap_err().to_string();
            assert_eq!(message, "is a pipe, and only regular files are read", "{path}");
        }
        assert_eq!(root.open_file("etc").unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(root.read_if_there("none"), Ok(None));
    }
}
