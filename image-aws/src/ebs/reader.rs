//! From the disk to blocks that are to be sent: read, compared and hashed on blocking threads.

use super::{
    blocks::{BLOCK, DataBlocks, Disk},
    digests::{BlockMap, Content, Digest, DiskDigests},
    pool::{Buffer, Pool},
};
use image_core::Result;
use std::{
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
    thread::available_parallelism,
};
use tokio::{
    sync::mpsc,
    task::{JoinSet, spawn_blocking},
};

/// More threads hash faster than any network sends.
const THREADS: usize = 4;
/// Blocks that wait for their turn, ready to be sent.
const AHEAD: usize = 8;

/// A block that is to be sent.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) index: u32,
    pub(crate) digest: Digest,
    pub(crate) data: Buffer,
}

/// Reads the data of a disk.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    disk: Arc<Disk>,
    digests: Arc<DiskDigests>,
    /// What need not be sent.
    parent: Arc<BlockMap>,
    pool: Pool,
}

impl Reader {
    pub(crate) fn new(disk: Arc<Disk>, digests: Arc<DiskDigests>, parent: Arc<BlockMap>) -> Self {
        Self { disk, digests, parent, pool: Pool::default() }
    }

    /// The blocks with data that the parent does not have, in no order. At their end `digests` knows all data of the disk.
    /// The threads end when the receiver is dropped.
    pub(crate) fn start(self) -> mpsc::Receiver<Result<Block>> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let walk = Arc::new(Mutex::new(DataBlocks::new(Arc::clone(&self.disk))));
        let mut threads = JoinSet::new();
        for _ in 0..available_parallelism().map_or(1, NonZero::get).min(THREADS) {
            let (this, walk, sender) = (self.clone(), Arc::clone(&walk), sender.clone());
            threads.spawn_blocking(move || this.read_all(&walk, &sender));
        }
        // A thread that panicked must not pass for the end of the disk.
        tokio::spawn(async move {
            while let Some(ended) = threads.join_next().await {
                if let Err(panicked) = ended {
                    // Whoever does not listen any more does not want to know.
                    let _ = sender.send(Err(panicked.into())).await;
                }
            }
        });
        receiver
    }

    fn read_all(&self, walk: &Mutex<DataBlocks>, sender: &mpsc::Sender<Result<Block>>) {
        while !sender.is_closed() {
            let next = walk.lock().unwrap_or_else(PoisonError::into_inner).next();
            let read = match next {
                None => return,
                Some(index) => index.and_then(|index| self.read(index)),
            };
            if let Some(read) = read.transpose()
                && sender.blocking_send(read).is_err()
            {
                return;
            }
        }
    }

    /// A block, where it is to be sent.
    fn read(&self, index: u32) -> Result<Option<Block>> {
        let missing = |content| match content {
            Content::Data(digest) if self.parent.get(&index) != Some(&digest) => Some(digest),
            _ => None,
        };
        if self.digests.get(index).is_some_and(|known| missing(known).is_none()) {
            return Ok(None);
        }
        let mut data = self.pool.take();
        self.disk.read(index, data.as_mut())?;
        let content = self.digests.get_or_hash(index, || Content::of(data.as_ref()));
        Ok(missing(content).map(|digest| Block { index, digest, data }))
    }
}

/// Reads one block once more, for a request that failed.
pub(crate) async fn read_again(disk: Arc<Disk>, index: u32) -> Result<Vec<u8>> {
    spawn_blocking(move || {
        let mut data = vec![0; BLOCK];
        disk.read(index, &mut data)?;
        Ok(data)
    })
    .await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    async fn read(file: &tempfile::NamedTempFile, digests: &Arc<DiskDigests>, parent: &BlockMap) -> Vec<(u32, u8)> {
        let disk = Arc::new(Disk::open(file.path()).unwrap());
        let mut receiver = Reader::new(disk, Arc::clone(digests), Arc::new(parent.clone())).start();
        let mut found = vec![];
        while let Some(block) = receiver.recv().await {
            let Block { index, digest, data } = block.unwrap();
            assert_eq!(digest, Digest::of(data.as_ref()));
            found.push((index, data.as_ref()[0]));
        }
        found.sort_unstable();
        found
    }

    /// More blocks than there are buffers, every second one a hole, and one of zeros that are no hole.
    fn disk() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(200 * BLOCK as u64).unwrap();
        for index in (0..200u64).step_by(2) {
            let byte = if index == 4 { 0 } else { u8::try_from(index).unwrap() + 1 };
            file.as_file().write_all_at(&vec![byte; BLOCK], index * BLOCK as u64).unwrap();
        }
        file
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn data_is_read_once_and_zeros_are_left_out() {
        let (file, digests) = (disk(), Arc::default());
        let found = read(&file, &digests, &BlockMap::new()).await;
        assert_eq!(found.len(), 99);
        assert!(!found.iter().any(|(index, _)| *index == 4 || index % 2 == 1));
        assert_eq!(digests.data().len(), 99);
        let parent = BlockMap::from([(0, digests.data()[&0]), (2, digests.data()[&2])]);
        assert_eq!(read(&file, &digests, &parent).await.len(), 97);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_known_is_not_hashed_again() {
        let (file, digests): (_, Arc<DiskDigests>) = (disk(), Arc::default());
        // A digest that is wrong shows that it was taken over.
        let taken_over = Digest::of(b"taken over");
        digests.get_or_hash(0, || Content::Data(taken_over));
        let disk = Arc::new(Disk::open(file.path()).unwrap());
        let mut receiver = Reader::new(disk, Arc::clone(&digests), Arc::default()).start();
        let mut first = None;
        while let Some(block) = receiver.recv().await {
            let block = block.unwrap();
            first = first.or_else(|| (block.index == 0).then_some(block.digest));
        }
        assert_eq!(first, Some(taken_over));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_receiver_that_is_dropped_ends_the_threads() {
        let file = disk();
        let reader = Reader::new(Arc::new(Disk::open(file.path()).unwrap()), Arc::default(), Arc::default());
        let alive = Arc::downgrade(&reader.disk);
        let mut receiver = reader.start();
        receiver.recv().await.unwrap().unwrap();
        drop(receiver);
        while alive.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
