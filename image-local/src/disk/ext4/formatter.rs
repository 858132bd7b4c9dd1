//! The streaming half: members come in, data goes out, the tree grows.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};

use crate::disk::region::Region;
use crate::rootfs::tar::{EndMarker, Member, MemberKind, TarReader};

use super::Options;
use super::content::Content;
use super::directory;
use super::error::Ext4Error;
use super::extents;
use super::free::{FreeSpace, Run};
use super::geometry::{BLOCK, Geometry};
use super::inode::{self, Timestamp};
use super::tree::{Attributes, Kind, Node, NodeId, ROOT, Tree};
use super::writer::BlockWriter;
use super::xattr::{self, Xattr};

const CHUNK: usize = 1 << 20;
const LABEL_LIMIT: usize = 16;
/// A logical block number has 32 bits.
const FILE_LIMIT: u64 = (u32::MAX as u64) * BLOCK;
/// Symlinks that are shorter are stored in the inode.
pub(super) const FAST_SYMLINK: usize = 60;
const HARD_LINK_LIMIT: u32 = 65000;
/// The name of the directory for what `e2fsck` finds, and its size so that a check needs no new blocks.
pub(super) const LOST_FOUND: &[u8] = b"lost+found";
pub(super) const LOST_FOUND_BLOCKS: u64 = 4;

/// Where data goes.
#[derive(Debug)]
pub(super) enum Sink<'f> {
    /// Nowhere: blocks are only counted. Formatting ends like this when there are too few.
    Count,
    /// To allocated blocks.
    Write { writer: BlockWriter<'f>, free: FreeSpace },
}

/// A file system that is being filled.
#[derive(Debug)]
pub(super) struct Formatter<'f> {
    pub(super) sink: Sink<'f>,
    pub(super) tree: Tree,
    /// The size of the region in bytes, and its layout; none if content is only measured.
    pub(super) target: Option<(u64, Geometry)>,
    pub(super) journal: Vec<Run>,
    /// The block of the resize inode.
    pub(super) resize: Vec<Run>,
    buffer: Vec<u8>,
}

impl<'f> Formatter<'f> {
    /// A formatter of a region that reads as zeros.
    pub(super) fn new(region: Region<'f>, options: &Options) -> Result<Self, Ext4Error> {
        if options.label.len() > LABEL_LIMIT {
            return Err(Ext4Error::Label { label: options.label.clone(), limit: LABEL_LIMIT });
        }
        let geometry = Geometry::new(region.len())?;
        let mut free = FreeSpace::new(&geometry);
        let too_small = || Ext4Error::TooSmall { needed: 2 * region.len(), given: region.len() };
        let resize = free.take(1).ok_or_else(too_small)?;
        let journal = free.take(geometry.journal_blocks).ok_or_else(too_small)?;
        let sink = Sink::Write { writer: BlockWriter::new(region), free };
        let mut formatter = Self::with(sink, options.timestamp);
        formatter.target = Some((region.len(), geometry));
        (formatter.resize, formatter.journal) = (resize, journal);
        Ok(formatter)
    }

    /// A formatter that writes nothing.
    pub(super) fn counting() -> Self {
        Self::with(Sink::Count, 0)
    }

    fn with(sink: Sink<'f>, timestamp: u64) -> Self {
        let mtime = Timestamp { seconds: timestamp.cast_signed(), nanoseconds: 0 };
        let mut tree = Tree::new(mtime);
        let attributes = Attributes { mode: 0o700, mtime, ..Attributes::default() };
        let lost_found = tree.add(Node::new(empty_directory(ROOT), attributes));
        tree.link(ROOT, LOST_FOUND, lost_found);
        Self { sink, tree, target: None, journal: Vec::new(), resize: Vec::new(), buffer: Vec::new() }
    }

    /// Takes all members of an archive in.
    pub(super) fn fill(mut self, archive: impl Read) -> Result<Self, Ext4Error> {
        let mut archive = TarReader::new(BufReader::with_capacity(1 << 16, archive), EndMarker::Required);
        while let Some(member) = archive.next_member()? {
            self.add(member, &mut archive)?;
        }
        Ok(self)
    }

    /// What a file system with this tree needs.
    pub(super) fn content(&self) -> Content {
        let mut content = Content { blocks: 0, inodes: self.tree.live() - 2 };
        for id in self.live() {
            let node = self.tree.node(id);
            content.blocks += match &node.kind {
                Kind::Regular { size, runs } => {
                    let blocks = size.div_ceil(BLOCK);
                    // While counting no runs are known; metadata splits a file at most every 15,000 blocks or so.
                    let pieces = (blocks / 15_000 + 3) as usize;
                    let split: Vec<Run> = vec![Run { start: 0, blocks: 1 }; pieces.max(runs.len())];
                    blocks + extents::index_blocks(&split)
                }
                Kind::Symlink { target, .. } => u64::from(target.len() >= FAST_SYMLINK),
                Kind::Directory { .. } => self.directory_blocks(id),
                Kind::BlockDevice { .. } | Kind::CharacterDevice { .. } | Kind::Fifo => 0,
            };
            let placed = xattr::place(&node.attributes.xattrs);
            content.blocks += u64::from(placed.is_ok_and(|placement| !placement.block.is_empty()));
        }
        content
    }

    /// The ids of all nodes that have a name, in the order they came.
    pub(super) fn live(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0..self.tree.capacity()).filter(|id| self.tree.node(*id).names > 0)
    }

    /// The number of blocks that a directory's entries take.
    pub(super) fn directory_blocks(&self, id: NodeId) -> u64 {
        let Kind::Directory { entries, .. } = &self.tree.node(id).kind else { return 0 };
        let names = entries.keys().map(|name| &**name);
        let blocks = directory::block_count([&b"."[..], b".."].into_iter().chain(names));
        if self.tree.child(ROOT, LOST_FOUND) == Some(id) { blocks.max(LOST_FOUND_BLOCKS) } else { blocks }
    }

    fn add<R: Read>(&mut self, member: Member, archive: &mut TarReader<R>) -> Result<(), Ext4Error> {
        let path = member.path.as_bytes();
        let refuse = |reason: String| Ext4Error::member(path, reason);
        // Dropping an access rule silently would open a file to others.
        if let Some(record) = &member.unsupported {
            return Err(refuse(format!("{record} is not supported, write access rules as SCHILY.xattr")));
        }
        let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
        let xattrs = member.xattrs.iter().map(|(name, value)| Xattr::new(name, value));
        let xattrs = xattrs.collect::<Result<Vec<_>, _>>().map_err(refuse)?;
        xattr::place(&xattrs).map_err(refuse)?;
        let mtime = Timestamp { seconds: member.mtime, nanoseconds: member.mtime_nanoseconds };
        let mode = (member.mode & 0o7777) as u16;
        let attributes = Attributes { mode, uid: member.uid, gid: member.gid, mtime, xattrs };

        let Some((name, parents)) = names.split_last() else {
            if member.kind != MemberKind::Directory {
                return Err(refuse("only a directory can be the root directory".into()));
            }
            self.tree.node_mut(ROOT).attributes = attributes;
            return Ok(());
        };
        let directory = self.parent(parents, mtime).map_err(refuse)?;
        let mut kind = match member.kind {
            MemberKind::Directory => {
                let same = self.tree.child(directory, name).filter(|id| self.tree.node(*id).is_directory());
                if let Some(id) = same {
                    self.tree.node_mut(id).attributes = attributes;
                    return Ok(());
                }
                empty_directory(directory)
            }
            MemberKind::HardLink(ref target) => {
                let id = self.hard_link_target(target.as_bytes()).map_err(refuse)?;
                if self.tree.child(directory, name) != Some(id) {
                    self.remove(directory, name, path)?;
                    self.tree.link(directory, name, id);
                }
                return Ok(());
            }
            MemberKind::BlockDevice { major, minor } => {
                inode::device(major, minor).map_err(refuse)?;
                Kind::BlockDevice { major, minor }
            }
            MemberKind::CharDevice { major, minor } => {
                inode::device(major, minor).map_err(refuse)?;
                Kind::CharacterDevice { major, minor }
            }
            MemberKind::Fifo => Kind::Fifo,
            MemberKind::File if member.size > FILE_LIMIT => {
                return Err(refuse(format!("{} bytes, the limit is {FILE_LIMIT}", member.size)));
            }
            MemberKind::File => Kind::Regular { size: member.size, runs: Vec::new() },
            MemberKind::Socket => return Err(refuse("a socket is made by the program that listens on it".into())),
            MemberKind::Symlink(ref target) => Kind::Symlink { target: target.as_bytes().to_vec(), runs: Vec::new() },
        };
        self.remove(directory, name, path)?;
        match &mut kind {
            Kind::Regular { size, runs } => *runs = self.store(*size, archive)?,
            Kind::Symlink { target, runs } if target.len() >= FAST_SYMLINK => *runs = self.store_bytes(target)?,
            _ => {}
        }
        let id = self.tree.add(Node::new(kind, attributes));
        self.tree.link(directory, name, id);
        Ok(())
    }

    /// The directory that a member lies in; missing ones are made.
    fn parent(&mut self, parents: &[&[u8]], mtime: Timestamp) -> Result<NodeId, String> {
        let mut directory = ROOT;
        for name in parents {
            directory = match self.tree.child(directory, name) {
                Some(_) => {
                    let found = self.tree.resolve(directory, name, true);
                    let found = found.filter(|id| self.tree.node(*id).is_directory());
                    found.ok_or_else(|| format!("its parent {:?} is no directory", String::from_utf8_lossy(name)))?
                }
                None => {
                    let attributes = Attributes { mode: 0o755, mtime, ..Attributes::default() };
                    let id = self.tree.add(Node::new(empty_directory(directory), attributes));
                    self.tree.link(directory, name, id);
                    id
                }
            };
        }
        Ok(directory)
    }

    fn hard_link_target(&self, target: &[u8]) -> Result<NodeId, String> {
        let shown = String::from_utf8_lossy(target).into_owned();
        let id = self.tree.resolve(ROOT, target, false);
        let id = id.ok_or_else(|| format!("hard link to {shown:?}, which no earlier member is"))?;
        let node = self.tree.node(id);
        if node.is_directory() {
            return Err(format!("hard link to {shown:?}, which is a directory"));
        }
        if node.names >= HARD_LINK_LIMIT {
            return Err(format!("hard link to {shown:?}, which has {HARD_LINK_LIMIT} names already"));
        }
        Ok(id)
    }

    /// Takes away what has a name that a member is to have.
    fn remove(&mut self, directory: NodeId, name: &[u8], path: &[u8]) -> Result<(), Ext4Error> {
        if let Some(Kind::Directory { entries, .. }) =
            self.tree.child(directory, name).map(|id| &self.tree.node(id).kind)
            && (!entries.is_empty() || (directory == ROOT && name == LOST_FOUND))
        {
            return Err(Ext4Error::member(path, "it would replace a directory that is not empty, or lost+found"));
        }
        for run in self.tree.unlink(directory, name) {
            if let Sink::Write { writer, free } = &mut self.sink {
                writer.erase(run).map_err(Ext4Error::write)?;
                free.give(run);
            }
        }
        Ok(())
    }

    /// Allocates blocks; from the first time that there are too few on, everything is only counted.
    pub(super) fn allocate(&mut self, blocks: u64) -> Vec<Run> {
        if let Sink::Write { free, .. } = &mut self.sink {
            if let Some(runs) = free.take(blocks) {
                return runs;
            }
            self.sink = Sink::Count;
        }
        Vec::new()
    }

    fn store<R: Read>(&mut self, size: u64, archive: &mut TarReader<R>) -> Result<Vec<Run>, Ext4Error> {
        let runs = self.allocate(size.div_ceil(BLOCK));
        let Sink::Write { writer, .. } = &mut self.sink else { return Ok(runs) };
        self.buffer.resize(CHUNK, 0);
        for run in &runs {
            let mut done = 0;
            while done < run.blocks {
                let want = CHUNK.min(((run.blocks - done) * BLOCK) as usize);
                let got = archive.fill_content(&mut self.buffer[..want])?;
                writer.write(run.start + done, &self.buffer[..got]).map_err(Ext4Error::write)?;
                done += (want as u64).div_ceil(BLOCK);
            }
        }
        Ok(runs)
    }

    fn store_bytes(&mut self, data: &[u8]) -> Result<Vec<Run>, Ext4Error> {
        let runs = self.allocate((data.len() as u64).div_ceil(BLOCK));
        if let (Sink::Write { writer, .. }, Some(run)) = (&mut self.sink, runs.first()) {
            writer.write(run.start, data).map_err(Ext4Error::write)?;
        }
        Ok(runs)
    }
}

fn empty_directory(parent: NodeId) -> Kind {
    Kind::Directory { parent, entries: BTreeMap::new() }
}
