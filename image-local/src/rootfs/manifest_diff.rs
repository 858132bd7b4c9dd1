//! What differs between two root filesystems.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::manifest::{Entry, Kind, Manifest};
use super::path::RootfsPath;

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PathChange {
    /// The path.
    pub path: RootfsPath,
    /// How it differs.
    #[serde(flatten)]
    pub change: Change,
}

/// How a path differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// Only the new filesystem has it.
    Added,
    /// Both have it, and these aspects differ.
    Modified {
        /// What differs; never empty.
        aspects: BTreeSet<Aspect>,
    },
    /// Only the old filesystem has it.
    Removed,
}

/// A part of an entry that can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aspect {
    /// The content of a file.
    Content,
    /// What the entry is, for example a file that became a link.
    Kind,
    /// The target of a symbolic or hard link.
    LinkTarget,
    /// Permission bits.
    Mode,
    /// The time of the last change.
    Mtime,
    /// The owner or the group.
    Owner,
    /// Extended attributes.
    Xattrs,
}

impl PathChange {
    /// Whether nothing but the time of the last change differs: a real difference in the archive, but rarely in effect.
    #[must_use]
    pub fn is_mtime_only(&self) -> bool {
        matches!(&self.change, Change::Modified { aspects } if aspects.iter().eq([&Aspect::Mtime]))
    }
}

impl Manifest {
    /// What differs from `old` to `new`, sorted by path; empty when both have the same entries.
    #[must_use]
    pub fn diff(old: &Self, new: &Self) -> Vec<PathChange> {
        let mut changes = Vec::new();
        let mut push = |path: &RootfsPath, change| changes.push(PathChange { path: path.clone(), change });
        for (path, entry) in &old.entries {
            match new.entries.get(path) {
                None => push(path, Change::Removed),
                Some(other) if other != entry => push(path, Change::Modified { aspects: aspects(entry, other) }),
                Some(_) => {}
            }
        }
        for path in new.entries.keys().filter(|path| !old.entries.contains_key(*path)) {
            push(path, Change::Added);
        }
        changes.sort_by(|one, other| one.path.cmp(&other.path));
        changes
    }
}

fn aspects(old: &Entry, new: &Entry) -> BTreeSet<Aspect> {
    let kind = (old.kind != new.kind).then_some(match (&old.kind, &new.kind) {
        (Kind::File { .. }, Kind::File { .. }) => Aspect::Content,
        (Kind::HardLink { .. }, Kind::HardLink { .. }) | (Kind::Symlink { .. }, Kind::Symlink { .. }) => {
            Aspect::LinkTarget
        }
        _ => Aspect::Kind,
    });
    let fields = [
        (old.mode != new.mode, Aspect::Mode),
        (old.mtime != new.mtime, Aspect::Mtime),
        ((old.uid, old.gid) != (new.uid, new.gid), Aspect::Owner),
        (old.xattrs != new.xattrs, Aspect::Xattrs),
    ];
    kind.into_iter().chain(fields.into_iter().filter_map(|(differs, aspect)| differs.then_some(aspect))).collect()
}
