//! SHA-256 of blocks: hashed once, kept for the next region and for the next build.

use super::blocks::{Disk, Identity, is_zero};
use base64::{Engine, engine::general_purpose::STANDARD};
use image_core::{ContentDigest, Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// SHA-256 of a block.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(block: &[u8]) -> Self {
        Self(Sha256::digest(block).into())
    }
    /// As the API writes it.
    pub(crate) fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base64())
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.base64()
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        let bytes = STANDARD.decode(&text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| Error::invalid("digest", text, "a SHA-256 in Base64"))
    }
}

/// Blocks by their index, each with the digest of its content.
pub(crate) type BlockMap = BTreeMap<u32, Digest>;

/// The checksum that completes a snapshot: over the digests of its blocks, in order.
/// <https://docs.aws.amazon.com/ebs/latest/APIReference/API_CompleteSnapshot.html>
pub(crate) fn linear(blocks: &BlockMap) -> Digest {
    let mut hash = Sha256::new();
    blocks.values().for_each(|digest| hash.update(digest.0));
    Digest(hash.finalize().into())
}

/// What an image is by its blocks: SHA-256 over the index (four bytes, the highest first) and the digest of each block
/// that is not zeros, in order. It says nothing of holes, of regions and of parents, so it is the same wherever the same
/// bytes are.
pub(crate) fn content(blocks: &BlockMap) -> ContentDigest {
    let mut hash = Sha256::new();
    for (index, digest) in blocks {
        hash.update(index.to_be_bytes());
        hash.update(digest.0);
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    ContentDigest::Blocks { sha256 }
}

/// The digests of disks that were hashed before, shared by importers: a second region hashes nothing again.
///
/// Disks are told apart by device, inode, length and times; one that was written to since is hashed anew. It holds about
/// 50 bytes for each block that was hashed, 100 MiB for a TiB, until it is dropped.
#[derive(Clone, Debug, Default)]
pub struct BlockDigests(Arc<Mutex<Disks>>);

/// The latest content of each file.
type Disks = HashMap<(u64, u64), (Identity, Arc<DiskDigests>)>;

impl BlockDigests {
    /// Without any disk yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// What is known of a disk; importers that run at once fill and read it together.
    pub(crate) fn of(&self, disk: &Disk) -> Arc<DiskDigests> {
        let identity = disk.identity();
        let mut disks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = disks.entry(identity.file()).or_insert_with(|| (identity, Arc::default()));
        if known.0 != identity {
            *known = (identity, Arc::default());
        }
        Arc::clone(&known.1)
    }
}

/// What a block holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    Zeros,
    Data(Digest),
}

impl Content {
    pub(crate) fn of(block: &[u8]) -> Self {
        if is_zero(block) { Self::Zeros } else { Self::Data(Digest::of(block)) }
    }
}

/// The digests of one disk.
#[derive(Debug, Default)]
pub(crate) struct DiskDigests {
    known: Mutex<Known>,
    hashed: Condvar,
}

#[derive(Debug, Default)]
struct Known {
    blocks: BTreeMap<u32, Content>,
    /// Those that somebody is hashing.
    busy: BTreeSet<u32>,
}

impl DiskDigests {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn get(&self, index: u32) -> Option<Content> {
        self.lock().blocks.get(&index).copied()
    }
    /// What a block holds, by `hash` where nobody has hashed it yet. Importers that run at once wait for one another, and
    /// never for more than the hash of one block.
    pub(crate) fn get_or_hash(&self, index: u32, hash: impl FnOnce() -> Content) -> Content {
        let mut known = self.lock();
        loop {
            if let Some(content) = known.blocks.get(&index) {
                return *content;
            }
            if known.busy.insert(index) {
                break;
            }
            known = self.hashed.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
        drop(known);
        let content = hash();
        let mut known = self.lock();
        known.busy.remove(&index);
        known.blocks.insert(index, content);
        drop(known);
        self.hashed.notify_all();
        content
    }
    /// The blocks that are not zeros, of those that were hashed.
    pub(crate) fn data(&self) -> BlockMap {
        let data = |(index, content): (&u32, &Content)| match content {
            Content::Data(digest) => Some((*index, *digest)),
            Content::Zeros => None,
        };
        self.lock().blocks.iter().filter_map(data).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebs::blocks::BLOCK;
    use std::{
        os::unix::fs::FileExt,
        sync::{
            Barrier,
            atomic::{AtomicU32, Ordering},
        },
    };

    #[test]
    fn a_block_of_zeros_has_the_digest_that_is_published() {
        let text = Digest::of(&vec![0; BLOCK]).base64();
        assert_eq!(text, "B4VNL+8pega6gWheZgwzLeNtXRjVRpJ9MNqtbX/aFUE=");
        assert_eq!(Digest::try_from(text).unwrap(), Digest::of(&vec![0; BLOCK]));
        assert!(Digest::try_from("B4VN".to_owned()).is_err());
    }

    #[test]
    fn the_aggregate_is_over_digests_in_order_and_the_content_over_places_too() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let blocks = BlockMap::from([(7, b), (3, a)]);
        assert_eq!(linear(&blocks), Digest::of(&[a.0, b.0].concat()));
        assert_eq!(linear(&blocks), linear(&BlockMap::from([(1, a), (2, b)])));
        assert_ne!(content(&blocks), content(&BlockMap::from([(1, a), (2, b)])));
    }

    #[test]
    fn a_block_is_hashed_once_however_many_ask() {
        let (digests, hashes) = (DiskDigests::default(), AtomicU32::new(0));
        let together = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    together.wait();
                    for index in 0..100u32 {
                        let block = vec![1; 4096];
                        let content = digests.get_or_hash(index, || {
                            hashes.fetch_add(1, Ordering::Relaxed);
                            Content::of(&block)
                        });
                        assert_eq!(content, Content::Data(Digest::of(&block)));
                    }
                });
            }
        });
        assert_eq!(hashes.into_inner(), 100);
    }

    #[test]
    fn a_disk_that_was_written_to_is_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        let digests = BlockDigests::new();
        let open = || digests.of(&Disk::open(file.path()).unwrap());
        open().get_or_hash(0, || Content::Zeros);
        assert_eq!(open().get(0), Some(Content::Zeros));
        file.as_file().set_len(8192).unwrap();
        file.as_file().write_all_at(b"x", 0).unwrap();
        assert_eq!(open().get(0), None);
    }
}
