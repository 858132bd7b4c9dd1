//! The names of an image, layer upon layer, without the contents.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::super::path::{LinkTarget, MAX_PATH, RootfsPath};
use super::super::tar::{Member, MemberKind};

/// As many symbolic links as Linux follows in one path.
const MAX_LINKS: usize = 40;

/// Where the header and content of an entry are: the number of the layer, and of the entry in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Inode {
    pub(super) layer: usize,
    pub(super) index: u64,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) inode: Inode,
    pub(super) kind: NodeKind,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    /// Kept whole, because directories are written before everything that lies in them.
    Directory(Box<Member>),
    Symlink(LinkTarget),
    Other,
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<RootfsPath, Node>,
}

impl Tree {
    /// Where a runtime, which extracts below a root directory, would put `path`: symbolic links in its parents are
    /// followed within the image. The last component is not followed.
    pub(super) fn resolve(&self, path: &RootfsPath) -> Result<RootfsPath, &'static str> {
        let mut resolved: Vec<u8> = Vec::new();
        let mut links = 0;
        let mut pending: Vec<&[u8]> = path.as_bytes().rsplit(|&byte| byte == b'/').collect();
        while let Some(component) = pending.pop() {
            match component {
                b"" | b"." => continue,
                b".." => {
                    let parent = resolved.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                    resolved.truncate(parent);
                    continue;
                }
                _ => {}
            }
            let above = resolved.len();
            if above > 0 {
                resolved.push(b'/');
            }
            resolved.extend_from_slice(component);
            if resolved.len() > MAX_PATH {
                return Err("its path is too long after following symbolic links");
            }
            if pending.is_empty() {
                break;
            }
            match self.nodes.get(&*resolved).map(|node| &node.kind) {
                None | Some(NodeKind::Directory(_)) => {}
                Some(NodeKind::Other) => return Err("it lies below something that is not a directory"),
                Some(NodeKind::Symlink(target)) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err("it lies below a loop of symbolic links");
                    }
                    resolved.truncate(if target.as_bytes().starts_with(b"/") { 0 } else { above });
                    pending.extend(target.as_bytes().rsplit(|&byte| byte == b'/'));
                }
            }
        }
        if resolved.is_empty() {
            return if path.is_root() { Ok(RootfsPath::root()) } else { Err("it resolves to the root") };
        }
        RootfsPath::parse(&resolved).map_err(|_| "its path is too deep after following symbolic links")
    }

    /// Removes a name and what lies below it, as a whiteout of an upper layer does.
    pub(super) fn remove(&mut self, path: &RootfsPath) {
        self.nodes.remove(path);
        self.clear(path);
    }

    /// Removes what lies below a directory, as an opaque whiteout of an upper layer does.
    pub(super) fn clear(&mut self, directory: &RootfsPath) {
        if directory.is_root() {
            self.nodes.retain(|path, _| path.is_root());
            return;
        }
        // `0` is the byte after `/`.
        let (first, end) = ([directory.as_bytes(), b"/"].concat(), [directory.as_bytes(), b"0"].concat());
        let range = (Bound::Included(&first[..]), Bound::Excluded(&end[..]));
        let below: Vec<_> = self.nodes.range::<[u8], _>(range).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.nodes.remove(&path);
        }
    }

    /// Puts one entry of a layer over what the layers below, and earlier entries of its own, left.
    pub(super) fn apply(&mut self, mut member: Member, inode: Inode) -> Result<(), &'static str> {
        let path = self.resolve(&member.path)?;
        let node = match member.kind {
            MemberKind::HardLink(target) => {
                let target = self.resolve(&target)?;
                match self.nodes.get(&target) {
                    None => return Err("its hard link target does not exist"),
                    Some(Node { kind: NodeKind::Directory(_), .. }) => {
                        return Err("its hard link target is a directory");
                    }
                    // A link to itself: there is nothing to do, and its inode must not be lost.
                    Some(_) if target == path => return Ok(()),
                    Some(Node { inode, kind: NodeKind::Symlink(to) }) => {
                        Node { inode: *inode, kind: NodeKind::Symlink(to.clone()) }
                    }
                    Some(Node { inode, kind: NodeKind::Other }) => Node { inode: *inode, kind: NodeKind::Other },
                }
            }
            MemberKind::Directory => {
                member.path = path.clone();
                Node { inode, kind: NodeKind::Directory(Box::new(member)) }
            }
            MemberKind::Symlink(target) => Node { inode, kind: NodeKind::Symlink(target) },
            _ => Node { inode, kind: NodeKind::Other },
        };
        let had_entries =
            !matches!(self.nodes.get(&path), Some(Node { kind: NodeKind::Symlink(_) | NodeKind::Other, .. }));
        if had_entries && !matches!(node.kind, NodeKind::Directory(_)) {
            self.clear(&path);
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    /// All names in the end, sorted, so that a directory comes before what lies in it.
    pub(super) fn into_nodes(self) -> BTreeMap<RootfsPath, Node> {
        self.nodes
    }
}
