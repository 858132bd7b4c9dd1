//! Sends blocks to a snapshot: as many at once as the network and EBS take, each until it is there.

use super::{
    blocks::{BLOCK, Disk},
    digests::{BlockMap, Digest},
    pace::Pace,
    pool::Buffer,
    reader::{Block, read_again},
};
use crate::{Place, error::sdk_error};
use aws_sdk_ebs::{Client, types::ChecksumAlgorithm};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use bytes::Bytes;
use http_body_util::Full;
use image_core::{Context, Error, ErrorKind, Result};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// How long a block is sent again before its upload fails: less than EBS waits for one, see
/// [`IDLE_MINUTES`](super::snapshot::IDLE_MINUTES).
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How long a snapshot may be unknown here and there after it was started.
const SETTLE: Duration = Duration::from_secs(60);
/// Before a block is sent again; it doubles each time.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Blocks that are read and sent again at once: their memory comes on top of the pool's.
const AGAIN: usize = 8;
/// Blocks between two reports of progress.
const REPORT: usize = 64;

/// Where blocks go.
#[derive(Debug)]
pub(crate) struct Target {
    /// It must not repeat requests: the upload does, and then more slowly.
    pub(crate) client: Client,
    pub(crate) place: Place,
    pub(crate) snapshot: String,
    pub(crate) disk: Arc<Disk>,
}

/// A block that must get there.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    index: u32,
    digest: Digest,
    zeros: bool,
    /// The attempt that is under way, from 1 on.
    attempt: u32,
    since: Instant,
}

impl Wanted {
    fn new(index: u32, digest: Digest, zeros: bool) -> Self {
        Self { index, digest, zeros, attempt: 1, since: Instant::now() }
    }
}

/// What to send of a block.
#[derive(Debug)]
enum Data {
    Read(Buffer),
    Zeros,
    /// Its data was sent already, and has to be read again.
    Again,
}

/// An upload: everything under way ends with it.
#[derive(Debug)]
pub(crate) struct Upload<'c> {
    cx: &'c Context,
    target: Arc<Target>,
    pace: Pace,
    under_way: JoinSet<(Wanted, Result<()>)>,
    again: Arc<Semaphore>,
    zeros: (Bytes, Digest),
    started: Instant,
    done: BlockMap,
}

impl<'c> Upload<'c> {
    pub(crate) fn new(cx: &'c Context, target: Target) -> Self {
        let zeros = Bytes::from(vec![0; BLOCK]);
        let digest = Digest::of(&zeros);
        Self {
            cx,
            target: Arc::new(target),
            pace: Pace::new(),
            under_way: JoinSet::new(),
            again: Arc::new(Semaphore::new(AGAIN)),
            zeros: (zeros, digest),
            started: Instant::now(),
            done: BlockMap::new(),
        }
    }

    /// Sends what a reader reads.
    ///
    /// # Errors
    /// The reader's, and that of the first block that cannot be sent; `Cancelled` and `TimedOut` with the run.
    pub(crate) async fn data(&mut self, mut blocks: mpsc::Receiver<Result<Block>>) -> Result<()> {
        let cx = self.cx;
        let mut more = true;
        while more || !self.under_way.is_empty() {
            tokio::select! {
                biased;
                ended = cx.ended() => return Err(ended),
                Some(ended) = self.under_way.join_next() => self.settle(ended?)?,
                block = blocks.recv(), if more && self.pace.has_room(self.under_way.len()) => match block {
                    Some(block) => {
                        let Block { index, digest, data } = block?;
                        self.send(Wanted::new(index, digest, false), Data::Read(data));
                    }
                    None => more = false,
                },
            }
        }
        Ok(())
    }

    /// Writes blocks of zeros.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub(crate) async fn zeros(&mut self, mut blocks: impl Iterator<Item = u32> + Send) -> Result<()> {
        let cx = self.cx;
        loop {
            while self.pace.has_room(self.under_way.len()) {
                let Some(index) = blocks.next() else { break };
                self.send(Wanted::new(index, self.zeros.1, true), Data::Zeros);
            }
            tokio::select! {
                biased;
                ended = cx.ended() => return Err(ended),
                ended = self.under_way.join_next() => match ended {
                    Some(ended) => self.settle(ended?)?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// What was sent, by index.
    pub(crate) fn finish(self) -> BlockMap {
        self.done
    }

    fn send(&mut self, wanted: Wanted, data: Data) {
        let now = Instant::now();
        let at = self.pace.reserve(now).max(now + pause(wanted.attempt));
        let (target, again, zeros) = (Arc::clone(&self.target), Arc::clone(&self.again), self.zeros.0.clone());
        self.under_way.spawn(async move {
            sleep_until(at).await;
            let sent = match data {
                Data::Read(buffer) => target.put(&wanted, Bytes::from_owner(buffer)).await,
                Data::Zeros => target.put(&wanted, zeros).await,
                Data::Again => target.put_again(&wanted, &again).await,
            };
            (wanted, sent)
        });
    }

    /// Takes note of how a request ended, and makes it again where that can help.
    fn settle(&mut self, (wanted, sent): (Wanted, Result<()>)) -> Result<()> {
        let Err(error) = sent else {
            self.pace.succeeded();
            self.done.insert(wanted.index, wanted.digest);
            if self.done.len().is_multiple_of(REPORT) {
                let detail = format!("{} MiB sent to {}", self.done.len() / 2, self.target.snapshot);
                self.cx.progress(self.done.len() as u64, None, detail);
            }
            return Ok(());
        };
        if error.kind() == ErrorKind::RateLimited {
            self.pace.throttled(Instant::now());
        }
        let patient = match error.kind() {
            ErrorKind::NotFound => self.started.elapsed() < SETTLE,
            _ => error.is_retryable() && wanted.since.elapsed() < PATIENCE,
        };
        if !patient {
            return Err(error.with_context("block", wanted.index).with_context("attempts", wanted.attempt));
        }
        let data = if wanted.zeros { Data::Zeros } else { Data::Again };
        self.send(Wanted { attempt: wanted.attempt.saturating_add(1), ..wanted }, data);
        Ok(())
    }
}

/// Half of the pause is random, so that blocks that were turned away together do not come back together.
fn pause(attempt: u32) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let whole = PAUSE.saturating_mul(2u32.saturating_pow(attempt - 2)).min(LONGEST_PAUSE);
    let thousandths = u32::try_from(uuid::Uuid::new_v4().as_u128() % 1000).unwrap_or_default();
    whole / 2 + whole * thousandths / 2000
}

impl Target {
    async fn put_again(&self, wanted: &Wanted, again: &Semaphore) -> Result<()> {
        let _turn = again.acquire().await.map_err(|_| Error::bug("the upload is over"))?;
        let data = read_again(Arc::clone(&self.disk), wanted.index).await?;
        self.put(wanted, Bytes::from(data)).await
    }

    /// Writes a block, which may be done any number of times. EBS refuses data that do not have the digest.
    async fn put(&self, wanted: &Wanted, data: Bytes) -> Result<()> {
        const OPERATION: &str = "ebs:PutSnapshotBlock";
        let index = i32::try_from(wanted.index).map_err(|e| Error::bug("block index").with_source(e))?;
        let length = i32::try_from(data.len()).map_err(|e| Error::bug("block length").with_source(e))?;
        let checksum = wanted.digest.base64();
        // A body that cannot be sent twice is not held until the reply.
        let body = ByteStream::new(SdkBody::from_body_1_x(Full::new(data)));
        let call = self
            .client
            .put_snapshot_block()
            .snapshot_id(&self.snapshot)
            .block_index(index)
            .data_length(length)
            .checksum(&checksum)
            .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
            .block_data(body);
        let reply = call.send().await.map_err(|e| sdk_error(OPERATION, &self.place, e))?;
        match reply.checksum() {
            Some(stored) if stored != checksum => {
                let message = format!("block {index} was stored as {stored} and not as {checksum}");
                Err(Error::new(ErrorKind::Unavailable, message).with_operation(OPERATION))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_are_never_shorter_than_half() {
        assert_eq!(pause(1), Duration::ZERO);
        for (attempt, whole) in
            [(2, PAUSE), (3, PAUSE * 2), (5, PAUSE * 8), (40, LONGEST_PAUSE), (u32::MAX, LONGEST_PAUSE)]
        {
            let paused = pause(attempt);
            assert!(whole / 2 <= paused && paused <= whole, "{attempt}: {paused:?}");
        }
    }
}
