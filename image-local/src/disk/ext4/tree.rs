//! The file tree while it is built, as plain values: no path of an archive ever reaches the host's file system.

use std::collections::BTreeMap;

use super::free::Run;
use super::inode::Timestamp;
use super::xattr::Xattr;

/// The index of a node in its tree.
pub(super) type NodeId = usize;

/// The root directory.
pub(super) const ROOT: NodeId = 0;
/// As many symlinks may be followed on one path as Linux allows.
const SYMLINK_LIMIT: usize = 40;

/// What a node is, with what belongs to that.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    BlockDevice { major: u32, minor: u32 },
    CharacterDevice { major: u32, minor: u32 },
    Directory { parent: NodeId, entries: BTreeMap<Box<[u8]>, NodeId> },
    Fifo,
    Regular { size: u64, runs: Vec<Run> },
    Symlink { target: Vec<u8>, runs: Vec<Run> },
}

/// What every inode has.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    /// The twelve permission bits.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timestamp,
    pub(super) xattrs: Vec<Xattr>,
}

/// One inode to be.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) attributes: Attributes,
    pub(super) kind: Kind,
    /// Names that refer to it; a node without any is gone.
    pub(super) names: u32,
}

impl Node {
    pub(super) fn new(kind: Kind, attributes: Attributes) -> Self {
        Self { attributes, kind, names: 0 }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory { .. })
    }
}

/// All nodes; the root directory is the first.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    live: u64,
}

impl Tree {
    /// A tree of nothing but a root directory.
    pub(super) fn new(mtime: Timestamp) -> Self {
        let attributes = Attributes { mode: 0o755, mtime, ..Attributes::default() };
        let mut root = Node::new(Kind::Directory { parent: ROOT, entries: BTreeMap::new() }, attributes);
        root.names = 1;
        Self { nodes: vec![root], live: 1 }
    }

    /// The number of nodes that have a name.
    pub(super) fn live(&self) -> u64 {
        self.live
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id]
    }

    /// The number of node ids ever given out.
    pub(super) fn capacity(&self) -> usize {
        self.nodes.len()
    }

    /// Adds a node without a name.
    pub(super) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// What `name` is in a directory.
    pub(super) fn child(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        match &self.nodes[directory].kind {
            Kind::Directory { entries, .. } => entries.get(name).copied(),
            _ => None,
        }
    }

    /// Gives a node a name in a directory; the name must be free.
    pub(super) fn link(&mut self, directory: NodeId, name: &[u8], id: NodeId) {
        if let Kind::Directory { entries, .. } = &mut self.nodes[directory].kind {
            entries.insert(name.into(), id);
            self.nodes[id].names += 1;
            self.live += u64::from(self.nodes[id].names == 1);
        }
    }

    /// Takes a name away and returns the blocks that were its node's, if that was the last name.
    pub(super) fn unlink(&mut self, directory: NodeId, name: &[u8]) -> Vec<Run> {
        let Kind::Directory { entries, .. } = &mut self.nodes[directory].kind else { return Vec::new() };
        let Some(id) = entries.remove(name) else { return Vec::new() };
        let node = &mut self.nodes[id];
        node.names -= 1;
        if node.names > 0 {
            return Vec::new();
        }
        self.live -= 1;
        match &mut node.kind {
            Kind::Regular { runs, .. } | Kind::Symlink { runs, .. } => std::mem::take(runs),
            _ => Vec::new(),
        }
    }

    /// Finds what a path leads to, with `directory` as start of a relative path. Symlinks are followed inside the
    /// tree, as in a chroot; the last component's only if `follow` says so.
    pub(super) fn resolve(&self, directory: NodeId, path: &[u8], follow: bool) -> Option<NodeId> {
        let mut links = 0;
        self.walk(directory, path, follow, &mut links)
    }

    fn walk(&self, directory: NodeId, path: &[u8], follow: bool, links: &mut usize) -> Option<NodeId> {
        let mut at = if path.starts_with(b"/") { ROOT } else { directory };
        let mut components = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).peekable();
        while let Some(name) = components.next() {
            let Kind::Directory { parent, .. } = &self.nodes[at].kind else { return None };
            let next = match name {
                b"." => at,
                b".." => *parent,
                _ => self.child(at, name)?,
            };
            at = match &self.nodes[next].kind {
                Kind::Symlink { target, .. } if follow || components.peek().is_some() => {
                    *links += 1;
                    if *links > SYMLINK_LIMIT {
                        return None;
                    }
                    self.walk(at, target, true, links)?
                }
                _ => next,
            };
        }
        Some(at)
    }
}
