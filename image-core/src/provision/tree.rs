//! Files and directory trees of the controller as values: what is in them, by digest.

use crate::{Error, Result, fingerprint::sha256_read, sha256};
use rustix::fs::OFlags;
use serde::Serialize;
use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// What one path of a tree is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) enum Node {
    Directory,
    File { mode: u32, size: u64, sha256: String },
    Link { target: String },
}

/// One path of a tree, relative to its root; empty for the root itself.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) node: Node,
}

/// A file, or a directory with all below it, parents before children and otherwise sorted by name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Tree(pub(super) Vec<Entry>);

impl Tree {
    /// Reads what `root` names; a link there is followed, links below it are not.
    ///
    /// # Errors
    /// `InvalidInput` for what is no file, directory or link, and for names that are not one line of UTF-8; the I/O error
    /// of the path.
    pub(super) async fn read(root: &Path) -> Result<Self> {
        let root = root.to_owned();
        tokio::task::spawn_blocking(move || {
            let found = fs::metadata(&root).map_err(|e| Error::io("read", &root, e))?;
            let mut entries = vec![];
            if found.is_dir() {
                walk(&root, String::new(), &mut entries)?;
            } else {
                let file = File::open(&root).map_err(|e| Error::io("open", &root, e))?;
                entries.push(Entry { path: String::new(), node: file_node(&root, file)? });
            }
            Ok(Self(entries))
        })
        .await?
    }

    /// A digest of names, modes, contents and link targets.
    ///
    /// # Errors
    /// `Internal` when it has no JSON form.
    pub(super) fn digest(&self) -> Result<String> {
        let json = serde_json::to_vec(&self.0).map_err(|e| Error::bug("digest of a tree").with_source(e))?;
        Ok(sha256(json))
    }
    /// Whether it is a single file.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.0.as_slice(), [Entry { path, node: Node::File { .. } }] if path.is_empty())
    }
}

fn walk(path: &Path, relative: String, entries: &mut Vec<Entry>) -> Result<()> {
    let mut names = vec![];
    for entry in fs::read_dir(path).map_err(|e| Error::io("list", path, e))? {
        let name = entry.map_err(|e| Error::io("list", path, e))?.file_name();
        names.push(line(name.into_string().ok(), path)?);
    }
    names.sort_unstable();
    entries.push(Entry { path: relative.clone(), node: Node::Directory });
    for name in names {
        let child = path.join(&name);
        let relative = if relative.is_empty() { name } else { format!("{relative}/{name}") };
        let kind = fs::symlink_metadata(&child).map_err(|e| Error::io("read", &child, e))?.file_type();
        if kind.is_dir() {
            walk(&child, relative, entries)?;
            continue;
        }
        let node = if kind.is_symlink() {
            let target = fs::read_link(&child).map_err(|e| Error::io("read", &child, e))?;
            Node::Link { target: line(target.into_os_string().into_string().ok(), &child)? }
        } else if kind.is_file() {
            file_node(&child, open_here(&child)?)?
        } else {
            return Err(Error::invalid("source", child.display(), "files, directories and symbolic links"));
        };
        entries.push(Entry { path: relative, node });
    }
    Ok(())
}

/// Names travel as lines of text.
fn line(text: Option<String>, path: &Path) -> Result<String> {
    text.filter(|text| !text.contains(['\n', '\0']))
        .ok_or_else(|| Error::invalid("source", path.display(), "names and link targets that are one line of UTF-8"))
}

/// Opens what is there and not what a link names, if one takes its place meanwhile.
fn open_here(path: &PathBuf) -> Result<File> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|e| Error::io("open", path, e))
}

fn file_node(path: &Path, file: File) -> Result<Node> {
    let found = file.metadata().map_err(|e| Error::io("read", path, e))?;
    if !found.is_file() {
        return Err(Error::invalid("source", path.display(), "a file or a directory"));
    }
    let sha256 = sha256_read(file).map_err(|e| Error::io("read", path, e))?;
    Ok(Node::File { mode: found.mode() & 0o7777, size: found.len(), sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use std::os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener};

    #[tokio::test]
    async fn a_tree_is_sorted_and_its_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("b/empty")).unwrap();
        fs::write(root.join("b/file"), "x").unwrap();
        fs::write(dir.path().join("outside"), "secret").unwrap();
        symlink("../outside", root.join("a")).unwrap();
        symlink("/nonexistent", root.join("c")).unwrap();
        let tree = Tree::read(&root).await.unwrap();
        let paths: Vec<&str> = tree.0.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["", "a", "b", "b/empty", "b/file", "c"]);
        assert_eq!(tree.0[1].node, Node::Link { target: "../outside".into() });
        assert!(!tree.is_file());
        let again = Tree::read(&root).await.unwrap();
        assert_eq!(again.digest().unwrap(), tree.digest().unwrap());
        fs::write(root.join("b/file"), "y").unwrap();
        assert_ne!(Tree::read(&root).await.unwrap().digest().unwrap(), tree.digest().unwrap());
        assert!(Tree::read(&root.join("b/file")).await.unwrap().is_file());
    }

    #[tokio::test]
    async fn what_cannot_travel_is_refused() {
        for name in [&b"two\nlines"[..], b"\xff"] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
            assert_eq!(Tree::read(dir.path()).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        let dir = tempfile::tempdir().unwrap();
        let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
        assert_eq!(Tree::read(dir.path()).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(Tree::read(&dir.path().join("none")).await.unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_link_that_takes_the_place_of_a_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", dir.path().join("a")).unwrap();
        assert!(open_here(&dir.path().join("a")).is_err());
    }
}
