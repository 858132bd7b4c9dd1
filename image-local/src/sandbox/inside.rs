//! Paths inside a root filesystem, seen from the host: a symbolic link there must not lead out of it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As the kernel's limit, `MAXSYMLINKS`.
const MAX_LINKS: usize = 40;

/// Resolves all symbolic links of `path` as if `root` were `/`. Gives the path inside, starting with `/`; its last
/// components need not exist.
pub(super) fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut rest: VecDeque<OsString> = path.iter().map(OsString::from).collect();
    let mut inside = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        match Path::new(&name).components().next() {
            Some(Component::RootDir) => inside = PathBuf::from("/"),
            // At the root, `..` stays there.
            Some(Component::ParentDir) => drop(inside.pop()),
            Some(Component::Normal(_)) => {
                inside.push(&name);
                let Ok(target) = std::fs::read_link(host(root, &inside)) else { continue };
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::other("too many levels of symbolic links"));
                }
                inside.pop();
                for part in target.iter().rev() {
                    rest.push_front(part.into());
                }
            }
            _ => {}
        }
    }
    Ok(inside)
}

/// Where an inside path without symbolic links lies on the host.
pub(super) fn host(root: &Path, inside: &Path) -> PathBuf {
    root.join(inside.strip_prefix("/").unwrap_or(inside))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("usr/bin")).unwrap();
        std::fs::create_dir(root.join("etc")).unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink("/etc/passwd", root.join("absolute")).unwrap();
        symlink("../../../../etc/shadow", root.join("etc/upwards")).unwrap();
        symlink("../run/systemd/resolve/stub-resolv.conf", root.join("etc/resolv.conf")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let check = |path: &str, expected: &str| {
            assert_eq!(resolve(root, Path::new(path)).unwrap(), Path::new(expected), "{path}");
        };
        check("/bin/sh", "/usr/bin/sh");
        check("/absolute", "/etc/passwd");
        check("/etc/upwards", "/etc/shadow");
        check("/etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf");
        check("/../../x/./y/..", "/x");
        assert!(resolve(root, Path::new("/loop/x")).is_err());
        assert_eq!(host(root, Path::new("/etc/passwd")), root.join("etc/passwd"));
    }
}
