//! One pass from any tar archive of a root filesystem to the canonical one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufReader, Read, Write};

use super::error::RootfsError;
use super::manifest::{Entry, Kind, Manifest};
use super::path::RootfsPath;
use super::tar::{CanonicalWriter, EndMarker, Member, MemberKind, TarReader};

/// How [`normalize()`] works.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NormalizeOptions {
    /// Later times become this one, in seconds since 1970 (`SOURCE_DATE_EPOCH`); earlier ones stay. `None` keeps all.
    pub max_mtime: Option<i64>,
    /// What to leave out.
    pub exclude: Vec<Exclude>,
    /// What to do with device nodes outside `dev/`.
    pub device: OnDevice,
    /// What to do with access rules that a canonical archive does not carry.
    pub unsupported_metadata: OnUnsupportedMetadata,
    /// Bounds of time, space and memory.
    pub limits: Limits,
}

/// Paths to leave out of the canonical archive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exclude {
    /// What lies below the path; the path itself stays.
    Below(RootfsPath),
    /// The path only. When it is a directory with entries, it comes back as `root:root`, 0755.
    Exact(RootfsPath),
    /// The path and what lies below it.
    Tree(RootfsPath),
}

/// What to do with device nodes outside `dev/`. Those below it are dropped: `devtmpfs` makes them at boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDevice {
    /// Leave them out.
    Drop,
    /// Fail, naming the entry.
    #[default]
    Refuse,
}

/// What to do with POSIX ACLs, SELinux labels that are not extended attributes, and bsdtar's own form of these. They
/// can restrict access, so that leaving them out could open it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnsupportedMetadata {
    /// Leave them out.
    Drop,
    /// Fail, naming the entry and the record.
    #[default]
    Refuse,
}

/// Bounds of what an archive may cost. Names, link targets and one record an entry are all that is kept in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most entries, counting directories that are only implied; 4 million by default.
    pub max_entries: u64,
    /// The most bytes of content in all files together; 256 GiB by default.
    pub max_content: u64,
    /// The most bytes of names, link targets and extended attributes to remember; 512 MiB by default.
    pub max_metadata: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_entries: 4_000_000, max_content: 256 << 30, max_metadata: 512 << 20 }
    }
}

impl NormalizeOptions {
    /// Clamps times to `max_mtime`, and keeps the defaults otherwise.
    #[must_use]
    pub fn with_max_mtime(max_mtime: i64) -> Self {
        Self { max_mtime: Some(max_mtime), ..Self::default() }
    }

    fn excludes(&self, path: &RootfsPath) -> bool {
        self.exclude.iter().any(|exclude| match exclude {
            Exclude::Below(above) => path.is_below(above),
            Exclude::Exact(exact) => path == exact,
            Exclude::Tree(top) => path == top || path.is_below(top),
        })
    }
}

/// Reads a tar archive and writes the canonical one, in one pass and in the order of the input.
///
/// - Names are relative, without `./`; the root itself is `./`. Files, directories, symbolic and hard links and fifos
///   stay, sockets are dropped, and device nodes are as [`OnDevice`] says.
/// - Mode, numeric owner and group and `SCHILY.xattr.*` stay; times are whole seconds and at most
///   [`max_mtime`](NormalizeOptions::max_mtime). Names of owners, other times and everything else goes.
/// - Headers have one form, so equal entries in equal order give equal bytes, and normalising twice changes nothing.
/// - A hard link takes over the metadata of its first name, whatever its own header says: they are one inode.
/// - A path may occur once; a directory may be repeated without a difference. Directories that entries lie in but that
///   have no entry follow at the end as `root:root`, 0755, so an extractor must not rely on parents coming first.
///
/// The input is read to its end, so a reader that checks its input there (a decompressor, a digest) has done so.
///
/// # Errors
/// See [`RootfsError`]. What was written is then incomplete and must be discarded.
pub fn normalize(input: impl Read, output: impl Write, options: &NormalizeOptions) -> Result<Manifest, RootfsError> {
    let mut archive = TarReader::new(BufReader::with_capacity(128 << 10, input), EndMarker::Required);
    let mut normalizer = Normalizer::new(output, options);
    while let Some(member) = archive.next_member()? {
        normalizer.push(member, &mut archive.content())?;
    }
    normalizer.finish()
}

/// The state of a pass; whoever has entries pushes them.
#[derive(Debug)]
pub(super) struct Normalizer<'a, W: Write> {
    options: &'a NormalizeOptions,
    output: CanonicalWriter<W>,
    entries: BTreeMap<RootfsPath, Entry>,
    /// Directories that entries lie in, but that had no entry yet.
    implied: BTreeSet<RootfsPath>,
    /// What the archive has and the output has not.
    dropped: HashMap<RootfsPath, Dropped>,
    budget: Budget<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dropped {
    Directory,
    Special,
    Symlink,
    Other,
}

impl<'a, W: Write> Normalizer<'a, W> {
    pub(super) fn new(output: W, options: &'a NormalizeOptions) -> Self {
        let (output, budget) = (CanonicalWriter::new(output), Budget::new(&options.limits));
        Self { options, output, entries: BTreeMap::new(), implied: BTreeSet::new(), dropped: HashMap::new(), budget }
    }

    pub(super) fn push(&mut self, mut member: Member, content: &mut dyn Read) -> Result<(), RootfsError> {
        self.budget.entry(&member)?;
        self.check_parents(&member.path)?;
        if let Some(max) = self.options.max_mtime {
            member.mtime = member.mtime.min(max);
        }
        if self.implied.contains(&member.path) && member.kind != MemberKind::Directory {
            return Err(RootfsError::HidesEntries { path: member.path });
        }
        if self.dropped.contains_key(&member.path) {
            return Err(RootfsError::Duplicate { path: member.path });
        }
        if let Some(known) = self.entries.get(&member.path) {
            let repeated = known.kind == Kind::Directory && member.kind == MemberKind::Directory;
            if repeated && *known == Entry::new(Kind::Directory, &member) {
                return Ok(());
            }
            return Err(RootfsError::Duplicate { path: member.path });
        }
        if let Some(dropped) = self.drops(&member)? {
            self.dropped.insert(member.path, dropped);
            return Ok(());
        }
        if let Some(record) =
            member.unsupported.take_if(|_| self.options.unsupported_metadata == OnUnsupportedMetadata::Refuse)
        {
            return Err(RootfsError::Metadata { path: member.path, record });
        }
        self.write(member, content)
    }

    pub(super) fn finish(mut self) -> Result<Manifest, RootfsError> {
        let is_rootfs = ["bin", "etc", "usr"].iter().any(|name| {
            self.implied.contains(name.as_bytes())
                || self.entries.get(name.as_bytes()).is_some_and(|entry| entry.kind == Kind::Directory)
        });
        if !is_rootfs {
            let paths: BTreeSet<_> = self.entries.keys().chain(&self.implied).collect();
            let top = paths.into_iter().filter(|path| !path.is_root() && !path.as_bytes().contains(&b'/'));
            let mut found: Vec<_> = top.take(8).map(ToString::to_string).collect();
            if found.is_empty() {
                found.push("nothing".to_owned());
            }
            return Err(RootfsError::NotARootfs { found });
        }
        if !self.entries.contains_key(&RootfsPath::root()) {
            self.implied.insert(RootfsPath::root());
        }
        let mtime = self.options.max_mtime.unwrap_or(0);
        while let Some(path) = self.implied.pop_first() {
            self.write(Member::implied_directory(path, mtime), &mut std::io::empty())?;
        }
        let (digest, size) = self.output.finish()?;
        Ok(Manifest::new(digest, size, self.entries))
    }

    fn write(&mut self, mut member: Member, content: &mut dyn Read) -> Result<(), RootfsError> {
        self.imply_parents(&member.path)?;
        self.implied.remove(&member.path);
        let kind = match &member.kind {
            MemberKind::HardLink(target) => {
                let first = self.link_target(&member.path, target)?;
                let entry = &self.entries[&first];
                (member.mode, member.uid, member.gid, member.mtime) = (entry.mode, entry.uid, entry.gid, entry.mtime);
                let entry = Entry { kind: Kind::HardLink { target: first.clone() }, ..entry.clone() };
                (member.kind, member.xattrs) = (MemberKind::HardLink(first), BTreeMap::new());
                self.output.write(&member, content)?;
                self.entries.insert(member.path, entry);
                return Ok(());
            }
            MemberKind::Symlink(target) => Some(Kind::Symlink { target: target.clone() }),
            MemberKind::Directory => Some(Kind::Directory),
            MemberKind::Fifo => Some(Kind::Fifo),
            _ => None,
        };
        let digest = self.output.write(&member, content)?;
        let file = digest.map(|digest| Kind::File { size: member.size, digest });
        if let Some(kind) = kind.or(file) {
            let entry = Entry::new(kind, &member);
            self.entries.insert(member.path, entry);
        }
        Ok(())
    }

    /// Whether, and as what, the entry is left out.
    fn drops(&self, member: &Member) -> Result<Option<Dropped>, RootfsError> {
        if self.options.excludes(&member.path) {
            return Ok(Some(match member.kind {
                MemberKind::Directory => Dropped::Directory,
                MemberKind::Symlink(_) => Dropped::Symlink,
                _ => Dropped::Other,
            }));
        }
        match &member.kind {
            MemberKind::Socket => Ok(Some(Dropped::Special)),
            MemberKind::BlockDevice { .. } | MemberKind::CharDevice { .. } => {
                if member.path.as_bytes().starts_with(b"dev/") || self.options.device == OnDevice::Drop {
                    return Ok(Some(Dropped::Special));
                }
                Err(RootfsError::Device { path: member.path.clone() })
            }
            MemberKind::HardLink(target) if self.dropped.get(target) == Some(&Dropped::Special) => {
                Ok(Some(Dropped::Special))
            }
            _ => Ok(None),
        }
    }

    /// The first name of the inode that `target` names.
    fn link_target(&self, path: &RootfsPath, target: &RootfsPath) -> Result<RootfsPath, RootfsError> {
        let error = |reason| RootfsError::HardLink { path: path.clone(), target: target.clone(), reason };
        match self.entries.get(target).map(|entry| &entry.kind) {
            Some(Kind::Directory) => Err(error("is a directory")),
            Some(Kind::HardLink { target: first }) => Ok(first.clone()),
            Some(_) => Ok(target.clone()),
            None if self.dropped.contains_key(target) => Err(error("is excluded")),
            None if self.implied.contains(target) => Err(error("is a directory")),
            None => Err(error("is no earlier entry of the archive")),
        }
    }

    /// A known directory was itself checked when it came, so the walk ends there.
    fn check_parents(&self, path: &RootfsPath) -> Result<(), RootfsError> {
        for parent in path.ancestors() {
            let symlink = match (self.entries.get(parent).map(|entry| &entry.kind), self.dropped.get(parent)) {
                (Some(Kind::Directory), _) => return Ok(()),
                (Some(Kind::Symlink { .. }), _) | (None, Some(Dropped::Symlink)) => true,
                // The other name of a symbolic link is one too.
                (Some(Kind::HardLink { target }), _) => {
                    matches!(self.entries.get(target), Some(Entry { kind: Kind::Symlink { .. }, .. }))
                }
                (Some(_), _) | (None, Some(Dropped::Special | Dropped::Other)) => false,
                (None, None | Some(Dropped::Directory)) if self.implied.contains(parent) => return Ok(()),
                (None, None | Some(Dropped::Directory)) => continue,
            };
            let (path, parent) = (path.clone(), RootfsPath::from_ancestor(parent));
            return Err(if symlink {
                RootfsError::SymlinkParent { path, parent }
            } else {
                RootfsError::NotADirectory { path, parent }
            });
        }
        Ok(())
    }

    fn imply_parents(&mut self, path: &RootfsPath) -> Result<(), RootfsError> {
        for parent in path.ancestors() {
            if self.entries.contains_key(parent) || self.implied.contains(parent) {
                break;
            }
            self.budget.name(path, parent.len())?;
            self.implied.insert(RootfsPath::from_ancestor(parent));
        }
        Ok(())
    }
}

/// What is left of the [`Limits`].
#[derive(Debug)]
pub(super) struct Budget<'a> {
    limits: &'a Limits,
    entries: u64,
    content: u64,
    metadata: u64,
}

impl<'a> Budget<'a> {
    pub(super) const fn new(limits: &'a Limits) -> Self {
        let Limits { max_entries: entries, max_content: content, max_metadata: metadata } = *limits;
        Self { limits, entries, content, metadata }
    }

    /// Pays for an entry, its content and the names that are remembered of it.
    pub(super) fn entry(&mut self, member: &Member) -> Result<(), RootfsError> {
        let target = match &member.kind {
            MemberKind::HardLink(target) => target.as_bytes().len(),
            MemberKind::Symlink(target) => target.as_bytes().len(),
            _ => 0,
        };
        self.name(&member.path, member.path.as_bytes().len() + target)?;
        pay(&mut self.content, member.size, "max_content", self.limits.max_content, &member.path)
    }

    /// Pays for the extended attributes of an entry, where they are remembered.
    pub(super) fn xattrs(&mut self, member: &Member) -> Result<(), RootfsError> {
        let bytes: usize = member.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        pay(&mut self.metadata, bytes as u64, "max_metadata", self.limits.max_metadata, &member.path)
    }

    pub(super) fn name(&mut self, path: &RootfsPath, bytes: usize) -> Result<(), RootfsError> {
        pay(&mut self.entries, 1, "max_entries", self.limits.max_entries, path)?;
        pay(&mut self.metadata, bytes as u64, "max_metadata", self.limits.max_metadata, path)
    }
}

fn pay(left: &mut u64, cost: u64, limit: &'static str, accepted: u64, path: &RootfsPath) -> Result<(), RootfsError> {
    *left = left.checked_sub(cost).ok_or_else(|| RootfsError::TooLarge { limit, accepted, path: path.clone() })?;
    Ok(())
}
