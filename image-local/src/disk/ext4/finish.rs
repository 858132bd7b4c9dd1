//! The second half: all that is known only when the whole archive was read.

use std::collections::VecDeque;

use super::checksum::Checksum;
use super::directory::{self, Entry};
use super::error::Ext4Error;
use super::extents;
use super::filesystem::{Filesystem, Usage};
use super::formatter::{FAST_SYMLINK, Formatter, LOST_FOUND, LOST_FOUND_BLOCKS, Sink};
use super::free::Run;
use super::geometry::{BLOCK, FIRST_INODE, Geometry, INODE, POINTERS};
use super::groups::Groups;
use super::inode::{self, Inode, Timestamp};
use super::superblock::{self, JOURNAL_INODE, RESIZE_INODE, Superblock};
use super::tree::{Kind, Node, NodeId, ROOT};
use super::writer::BlockWriter;
use super::{Options, xattr};

const ROOT_INODE: u32 = 2;
/// `dir_nlink`: from here on a directory's link count says 1, which means "many".
const DIRECTORY_LINKS: u64 = 65000;

/// The blocks of one inode besides what was allocated while its data came in.
#[derive(Debug, Default)]
struct Plan {
    /// A directory's entries.
    directory: Vec<Run>,
    /// Extent tree blocks.
    index: Vec<u64>,
    /// The block with extended attributes, or 0.
    xattr: u64,
}

/// Inode numbers by node, and nodes by inode number.
#[derive(Debug)]
struct Numbers {
    of_node: Vec<u32>,
    /// Nodes in the order of their numbers; the root directory is not among them.
    nodes: Vec<NodeId>,
}

impl<'f> Formatter<'f> {
    /// Writes directories, inodes, bitmaps, descriptors and superblocks.
    pub(super) fn finish(mut self, options: &Options) -> Result<Filesystem<'f>, Ext4Error> {
        let numbers = self.number();
        let used_inodes = u64::from(FIRST_INODE) - 1 + numbers.nodes.len() as u64;
        let mut plans = Vec::with_capacity(numbers.nodes.len() + 1);
        for id in [ROOT].into_iter().chain(numbers.nodes.iter().copied()) {
            plans.push((id, self.plan(id)));
        }
        let journal_index = self.allocate(extents::index_blocks(&self.journal));

        let Some((given, geometry)) = self.target else {
            return Err(Ext4Error::TooSmall { needed: self.content().minimum_size()?, given: 0 });
        };
        let content = self.content();
        let Self { sink: Sink::Write { mut writer, free }, tree, journal, resize, .. } = self else {
            return Err(too_small(&content, given));
        };
        if used_inodes > geometry.inodes() {
            return Err(too_small(&content, given));
        }

        let seed = Checksum::new().over(options.uuid.as_bytes());
        let mut table = InodeTable { geometry, seed, bytes: vec![0; (used_inodes * INODE) as usize] };
        let mut directories = vec![0; geometry.groups as usize];
        for (id, plan) in &plans {
            let number = numbers.of_node[*id];
            let node = tree.node(*id);
            if let Kind::Directory { parent, entries } = &node.kind {
                directories[((u64::from(number) - 1) / geometry.inodes_per_group) as usize] += 1;
                let child = |name, id: NodeId| Entry {
                    name,
                    inode: numbers.of_node[id],
                    file_type: file_type(&tree.node(id).kind),
                };
                let mut list = vec![child(b".", *id), child(b"..", *parent)];
                list.extend(entries.iter().map(|(name, id)| child(name, *id)));
                let minimum = if number == FIRST_INODE { LOST_FOUND_BLOCKS } else { 1 };
                let blocks = directory::encode(&list, minimum, seed.over_inode(number));
                write_runs(&mut writer, &plan.directory, &blocks)?;
            }
            let subdirectories = match &node.kind {
                Kind::Directory { entries, .. } => {
                    entries.values().filter(|child| tree.node(**child).is_directory()).count() as u64
                }
                _ => 0,
            };
            let encoded = encode(node, subdirectories, plan, seed.over_inode(number), seed, &mut writer)?;
            table.put(number, &encoded);
        }

        let time = Timestamp { seconds: options.timestamp.cast_signed(), nanoseconds: 0 };
        let journal_inode = write_journal(&mut writer, &journal, &journal_index, time, options, seed)?;
        table.put(JOURNAL_INODE, &journal_inode);
        table.put(RESIZE_INODE, &write_resize(&mut writer, &geometry, &resize, time)?);
        table.write(&mut writer)?;

        let groups = Groups { geometry: &geometry, seed, used_inodes, directories: &directories };
        let descriptors = groups.write(&mut writer, &free).map_err(Ext4Error::write)?;
        let superblock = Superblock {
            geometry: &geometry,
            uuid: options.uuid,
            hash_seed: options.hash_seed,
            label: &options.label,
            timestamp: options.timestamp,
            free_blocks: free.blocks(),
            free_inodes: geometry.inodes() - used_inodes,
            journal: &journal_inode,
        };
        writer.flush().map_err(Ext4Error::write)?;
        for group in geometry.backup_groups() {
            let start = geometry.group_start(group);
            writer.write_at(&descriptors, (start + 1) * BLOCK).map_err(Ext4Error::write)?;
            writer.write_at(&superblock.encode(group), start * BLOCK).map_err(Ext4Error::write)?;
        }
        writer.write_at(&descriptors, BLOCK).map_err(Ext4Error::write)?;
        // The primary superblock comes last: without it nothing takes the region for a file system.
        writer.write_at(&superblock.encode(0), superblock::PRIMARY).map_err(Ext4Error::write)?;
        let usage = Usage {
            size_bytes: geometry.blocks * BLOCK,
            free_bytes: free.blocks() * BLOCK,
            inodes: geometry.inodes(),
            free_inodes: geometry.inodes() - used_inodes,
        };
        Ok(Filesystem::new(writer.into_region(), tree, usage))
    }

    /// Numbers inodes breadth first, so that the inodes of one directory lie together.
    fn number(&self) -> Numbers {
        let mut of_node = vec![0; self.tree.capacity()];
        let mut nodes = Vec::new();
        of_node[ROOT] = ROOT_INODE;
        let mut next = FIRST_INODE;
        let lost_found = self.tree.child(ROOT, LOST_FOUND);
        let mut directories = VecDeque::from([ROOT]);
        let mut number = |id: NodeId| {
            if of_node[id] == 0 {
                of_node[id] = next;
                next += 1;
                nodes.push(id);
            }
        };
        lost_found.into_iter().for_each(&mut number);
        while let Some(directory) = directories.pop_front() {
            let Kind::Directory { entries, .. } = &self.tree.node(directory).kind else { continue };
            for id in entries.values() {
                number(*id);
                if self.tree.node(*id).is_directory() {
                    directories.push_back(*id);
                }
            }
        }
        Numbers { of_node, nodes }
    }

    fn plan(&mut self, id: NodeId) -> Plan {
        let mut plan = Plan::default();
        if self.tree.node(id).is_directory() {
            plan.directory = self.allocate(self.directory_blocks(id));
        }
        let index = match &self.tree.node(id).kind {
            Kind::Regular { runs, .. } | Kind::Symlink { runs, .. } => extents::index_blocks(runs),
            _ => extents::index_blocks(&plan.directory),
        };
        plan.index = single_blocks(&self.allocate(index));
        // What does not fit was refused when the member came.
        let block = xattr::place(&self.tree.node(id).attributes.xattrs).is_ok_and(|placed| !placed.block.is_empty());
        if block {
            plan.xattr = self.allocate(1).first().map_or(0, |run| run.start);
        }
        plan
    }
}

fn too_small(content: &super::Content, given: u64) -> Ext4Error {
    match content.minimum_size() {
        // Blocks that were given back in pieces can make a file need more extent blocks than estimated.
        Ok(needed) => Ext4Error::TooSmall { needed: needed.max(given + given / 16), given },
        Err(error) => error,
    }
}

/// The inode of a node; its extent tree and attribute block are written.
fn encode(
    node: &Node,
    subdirectories: u64,
    plan: &Plan,
    inode_seed: Checksum,
    seed: Checksum,
    writer: &mut BlockWriter<'_>,
) -> Result<Inode, Ext4Error> {
    let attributes = &node.attributes;
    let mut inode = Inode::new(attributes.mode | type_bits(&node.kind), attributes.mtime);
    (inode.uid, inode.gid) = (attributes.uid, attributes.gid);
    inode.links = node.names as u16;
    match &node.kind {
        Kind::BlockDevice { major, minor } | Kind::CharacterDevice { major, minor } => {
            inode.data = inode::device(*major, *minor).map_err(|reason| Ext4Error::member(b"device", reason))?;
        }
        Kind::Directory { .. } => {
            let links = 2 + subdirectories;
            inode.links = if links < DIRECTORY_LINKS { links as u16 } else { 1 };
            inode.size = plan.directory.iter().map(|run| run.blocks).sum::<u64>() * BLOCK;
            map(&mut inode, &plan.directory, &plan.index, inode_seed, writer)?;
        }
        Kind::Fifo => {}
        Kind::Regular { size, runs } => {
            inode.size = *size;
            map(&mut inode, runs, &plan.index, inode_seed, writer)?;
        }
        Kind::Symlink { target, runs } => {
            inode.size = target.len() as u64;
            if target.len() < FAST_SYMLINK {
                inode.data[..target.len()].copy_from_slice(target);
            } else {
                map(&mut inode, runs, &plan.index, inode_seed, writer)?;
            }
        }
    }
    let placed = xattr::place(&attributes.xattrs).map_err(|reason| Ext4Error::member(b"xattr", reason))?;
    inode.xattrs = placed.inline;
    if !placed.block.is_empty() {
        let mut block = placed.block;
        xattr::seal_block(&mut block, plan.xattr, seed);
        writer.write(plan.xattr, &block).map_err(Ext4Error::write)?;
        inode.xattr_block = plan.xattr;
        inode.blocks += 1;
    }
    Ok(inode)
}

/// Gives an inode its blocks.
fn map(
    inode: &mut Inode,
    runs: &[Run],
    index: &[u64],
    inode_seed: Checksum,
    writer: &mut BlockWriter<'_>,
) -> Result<(), Ext4Error> {
    let tree = extents::tree(runs, index, inode_seed);
    for (place, block) in &tree.blocks {
        writer.write(*place, block).map_err(Ext4Error::write)?;
    }
    inode.data = tree.root;
    inode.flags |= inode::EXTENTS;
    inode.blocks = runs.iter().map(|run| run.blocks).sum::<u64>() + tree.blocks.len() as u64;
    Ok(())
}

fn write_journal(
    writer: &mut BlockWriter<'_>,
    journal: &[Run],
    index: &[Run],
    time: Timestamp,
    options: &Options,
    seed: Checksum,
) -> Result<Inode, Ext4Error> {
    let mut inode = Inode::new(inode::REGULAR | 0o600, time);
    let blocks = journal.iter().map(|run| run.blocks).sum::<u64>();
    inode.size = blocks * BLOCK;
    map(&mut inode, journal, &single_blocks(index), seed.over_inode(JOURNAL_INODE), writer)?;
    if let Some(run) = journal.first() {
        writer.write(run.start, &superblock::journal(blocks, options.uuid)).map_err(Ext4Error::write)?;
    }
    Ok(inode)
}

/// The resize inode maps the reserved descriptor blocks of group 0, each an indirect block of those of the backups.
fn write_resize(
    writer: &mut BlockWriter<'_>,
    geometry: &Geometry,
    resize: &[Run],
    time: Timestamp,
) -> Result<Inode, Ext4Error> {
    const DOUBLE_INDIRECT: usize = 13;
    let mut inode = Inode::new(inode::REGULAR | 0o600, time);
    let place = resize.first().map_or(0, |run| run.start);
    let mut double = vec![0; BLOCK as usize];
    for index in 0..geometry.reserved_blocks {
        let primary = geometry.reserved_start() + index;
        let slot = ((geometry.descriptor_blocks + index) % POINTERS) as usize * 4;
        double[slot..slot + 4].copy_from_slice(&(primary as u32).to_le_bytes());
        let backups = geometry.backup_groups().flat_map(|group| {
            let backup = geometry.group_start(group) + primary;
            (backup as u32).to_le_bytes()
        });
        writer.write(primary, &backups.collect::<Vec<_>>()).map_err(Ext4Error::write)?;
    }
    writer.write(place, &double).map_err(Ext4Error::write)?;
    inode.size = (POINTERS * POINTERS + POINTERS + 12) * BLOCK;
    inode.blocks = 1 + geometry.reserved_blocks * (1 + geometry.backup_groups().count() as u64);
    inode.data[DOUBLE_INDIRECT * 4..][..4].copy_from_slice(&(place as u32).to_le_bytes());
    Ok(inode)
}

/// Inodes from 1 on, as many as are in use.
struct InodeTable {
    geometry: Geometry,
    seed: Checksum,
    bytes: Vec<u8>,
}

impl InodeTable {
    fn put(&mut self, number: u32, inode: &Inode) {
        let at = (number as usize - 1) * INODE as usize;
        self.bytes[at..at + INODE as usize].copy_from_slice(&inode.encode(self.seed.over_inode(number)));
    }

    fn write(&self, writer: &mut BlockWriter<'_>) -> Result<(), Ext4Error> {
        let per_group = (self.geometry.inodes_per_group * INODE) as usize;
        for (part, group) in self.bytes.chunks(per_group).zip(0..) {
            writer.write(self.geometry.inode_table(group), part).map_err(Ext4Error::write)?;
        }
        Ok(())
    }
}

fn write_runs(writer: &mut BlockWriter<'_>, runs: &[Run], mut data: &[u8]) -> Result<(), Ext4Error> {
    for run in runs {
        let (part, rest) = data.split_at(data.len().min((run.blocks * BLOCK) as usize));
        writer.write(run.start, part).map_err(Ext4Error::write)?;
        data = rest;
    }
    Ok(())
}

fn single_blocks(runs: &[Run]) -> Vec<u64> {
    runs.iter().flat_map(|run| run.start..run.start + run.blocks).collect()
}

fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::BlockDevice { .. } => directory::TYPE_BLOCK_DEVICE,
        Kind::CharacterDevice { .. } => directory::TYPE_CHARACTER_DEVICE,
        Kind::Directory { .. } => directory::TYPE_DIRECTORY,
        Kind::Fifo => directory::TYPE_FIFO,
        Kind::Regular { .. } => directory::TYPE_REGULAR,
        Kind::Symlink { .. } => directory::TYPE_SYMLINK,
    }
}

fn type_bits(kind: &Kind) -> u16 {
    match kind {
        Kind::BlockDevice { .. } => inode::BLOCK_DEVICE,
        Kind::CharacterDevice { .. } => inode::CHARACTER_DEVICE,
        Kind::Directory { .. } => inode::DIRECTORY,
        Kind::Fifo => inode::FIFO,
        Kind::Regular { .. } => inode::REGULAR,
        Kind::Symlink { .. } => inode::SYMLINK,
    }
}
