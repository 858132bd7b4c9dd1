//! Extended attributes: in the inode as far as they fit, the rest in one block.

use super::checksum::Checksum;
use super::geometry::{BLOCK, INODE};

const MAGIC: u32 = 0xEA02_0000;
const ENTRY: usize = 16;
const BLOCK_HEADER: usize = 32;
/// The part of an inode behind the 128 classic and 32 extra bytes and the magic number.
const INODE_SPACE: usize = INODE as usize - 160 - 4;
const NAME_LIMIT: usize = 255;

/// Names are stored as a number for the prefix and the rest.
const PREFIXES: [(u8, &str); 4] = [(1, "user."), (4, "trusted."), (6, "security."), (7, "system.")];
const ACCESS_ACL: (u8, &str) = (2, "system.posix_acl_access");
const DEFAULT_ACL: (u8, &str) = (3, "system.posix_acl_default");

/// One attribute as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Xattr {
    index: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Xattr {
    /// Converts an attribute from how the system calls, and so archives, have it.
    ///
    /// # Errors
    ///
    /// A reason if ext4 cannot hold it.
    pub(super) fn new(full: &[u8], value: &[u8]) -> Result<Self, String> {
        let shown = String::from_utf8_lossy(full);
        for (index, name) in [ACCESS_ACL, DEFAULT_ACL] {
            if full == name.as_bytes() {
                let value = acl(value).ok_or_else(|| format!("xattr {shown} is not a version 2 ACL"))?;
                return Ok(Self { index, name: Vec::new(), value });
            }
        }
        for (index, prefix) in PREFIXES {
            if let Some(name) = full.strip_prefix(prefix.as_bytes()) {
                if name.is_empty() || name.len() > NAME_LIMIT {
                    return Err(format!("xattr {shown} has no name of 1 to {NAME_LIMIT} bytes after its prefix"));
                }
                return Ok(Self { index, name: name.to_vec(), value: value.to_vec() });
            }
        }
        Err(format!("xattr {shown} is not in one of the name spaces user, trusted, security and system"))
    }

    fn footprint(&self) -> usize {
        ENTRY + self.name.len().next_multiple_of(4) + self.value.len().next_multiple_of(4)
    }

    fn hash(&self) -> u32 {
        let name = self.name.iter().fold(0u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
        self.value.chunks(4).fold(name, |hash, word| {
            let mut padded = [0; 4];
            padded[..word.len()].copy_from_slice(word);
            hash.rotate_left(16) ^ u32::from_le_bytes(padded)
        })
    }
}

/// An inode's attributes, split by where they go. Both are empty where nothing goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Placement {
    /// What follows the fixed part of the inode.
    pub(super) inline: Vec<u8>,
    /// The attribute block, still without its checksum.
    pub(super) block: Vec<u8>,
}

/// Lays attributes out.
///
/// # Errors
///
/// A reason if they do not fit.
pub(super) fn place(xattrs: &[Xattr]) -> Result<Placement, String> {
    let mut sorted: Vec<&Xattr> = xattrs.iter().collect();
    sorted.sort_by(|a, b| (a.index, a.name.len(), &a.name).cmp(&(b.index, b.name.len(), &b.name)));
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    // Four zero bytes end the list of entries.
    let mut left = INODE_SPACE - 4;
    for xattr in sorted {
        if xattr.footprint() <= left {
            left -= xattr.footprint();
            inside.push(xattr);
        } else {
            outside.push(xattr);
        }
    }
    let mut placement = Placement::default();
    if !inside.is_empty() {
        placement.inline = MAGIC.to_le_bytes().to_vec();
        placement.inline.extend(pack(&inside, INODE_SPACE, 0));
    }
    if !outside.is_empty() {
        let space = BLOCK as usize - BLOCK_HEADER;
        let needed = 4 + outside.iter().map(|xattr| xattr.footprint()).sum::<usize>();
        if needed > space {
            return Err(format!("extended attributes take {needed} bytes, the limit is {space}"));
        }
        let hash = outside.iter().fold(0u32, |hash, xattr| hash.rotate_left(16) ^ xattr.hash());
        let mut block = vec![0; BLOCK_HEADER];
        for (at, value) in [(0, MAGIC), (4, 1), (8, 1), (12, hash)] {
            block[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        block.extend(pack(&outside, space, BLOCK_HEADER));
        placement.block = block;
    }
    Ok(placement)
}

/// Completes an attribute block that is to lie at `number`.
pub(super) fn seal_block(block: &mut [u8], number: u64, seed: Checksum) {
    let checksum = seed.over(&number.to_le_bytes()).over(block).value();
    block[16..20].copy_from_slice(&checksum.to_le_bytes());
}

/// Entries grow from the start, values from the end; value offsets count from `base` bytes before the start.
fn pack(xattrs: &[&Xattr], space: usize, base: usize) -> Vec<u8> {
    let mut packed = vec![0; space];
    let (mut entry, mut end) = (0, space);
    for xattr in xattrs {
        end -= xattr.value.len().next_multiple_of(4);
        packed[entry] = xattr.name.len() as u8;
        packed[entry + 1] = xattr.index;
        packed[entry + 2..entry + 4].copy_from_slice(&((end + base) as u16).to_le_bytes());
        packed[entry + 8..entry + 12].copy_from_slice(&(xattr.value.len() as u32).to_le_bytes());
        packed[entry + 12..entry + 16].copy_from_slice(&xattr.hash().to_le_bytes());
        packed[entry + ENTRY..entry + ENTRY + xattr.name.len()].copy_from_slice(&xattr.name);
        packed[end..end + xattr.value.len()].copy_from_slice(&xattr.value);
        entry += ENTRY + xattr.name.len().next_multiple_of(4);
    }
    packed
}

/// An ACL as system calls have it (version 2) to how ext4 stores it (version 1): entries that name nobody are short.
fn acl(value: &[u8]) -> Option<Vec<u8>> {
    const USER: u16 = 0x02;
    const NAMED_GROUP: u16 = 0x08;
    let entries = value.strip_prefix(&2u32.to_le_bytes())?;
    let mut stored = 1u32.to_le_bytes().to_vec();
    let (entries, rest) = entries.as_chunks::<8>();
    for entry in entries {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let length = if matches!(tag, USER | NAMED_GROUP) { 8 } else { 4 };
        stored.extend_from_slice(&entry[..length]);
    }
    rest.is_empty().then_some(stored)
}
