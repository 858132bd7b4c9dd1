//! Sends blocks to a snapshot: as many at once as the network and EBS take, each until it is there.

use super::{
    blocks::{BLOCK, Disk},
    digests::{BlockMap, Digest},
    pace::Pace,
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
    time::{Instant, sleep_until, timeout},
};

/// After this a request is given up and made again: 512 KiB take that long at 9 KiB a second.
const ATTEMPT: Duration = Duration::from_secs(60);
/// How often a block is sent that fails for reasons of its own.
const ATTEMPTS: u32 = 8;
/// How long nothing may go through while EBS throttles.
const PATIENCE: Duration = Duration::from_secs(120);
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

/// What to send of a block.
#[derive(Debug)]
enum Data {
    Read(super::pool::Buffer),
    Zeros,
    /// Its data was sent already, and has to be read again.
    Again,
}

/// A block on its way.
#[derive(Debug)]
struct Sent {
    index: u32,
    digest: Digest,
    zeros: bool,
    attempts: u32,
    outcome: Result<()>,
}

/// An upload: everything under way ends with it.
#[derive(Debug)]
pub(crate) struct Upload<'c> {
    cx: &'c Context,
    target: Arc<Target>,
    pace: Pace,
    under_way: JoinSet<Sent>,
    again: Arc<Semaphore>,
    zeros: (Bytes, Digest),
    started: Instant,
    /// When a block last went through.
    moved: Instant,
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
            moved: Instant::now(),
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
                Some(sent) = self.under_way.join_next() => self.settle(sent?)?,
                block = blocks.recv(), if more && self.pace.has_room(self.under_way.len()) => match block {
                    Some(block) => {
                        let Block { index, digest, data } = block?;
                        self.send(index, digest, Data::Read(data), 1);
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
                self.send(index, self.zeros.1, Data::Zeros, 1);
            }
            tokio::select! {
                biased;
                ended = cx.ended() => return Err(ended),
                sent = self.under_way.join_next() => match sent {
                    Some(sent) => self.settle(sent?)?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// What was sent, by index.
    pub(crate) fn finish(self) -> BlockMap {
        self.done
    }

    fn send(&mut self, index: u32, digest: Digest, data: Data, attempts: u32) {
        let now = Instant::now();
        let at = self.pace.reserve(now).max(now + pause(attempts));
        let (target, again, zeros) = (Arc::clone(&self.target), Arc::clone(&self.again), self.zeros.0.clone());
        self.under_way.spawn(async move {
            sleep_until(at).await;
            let is_zeros = matches!(data, Data::Zeros);
            let outcome = match data {
                Data::Read(buffer) => target.put(index, digest, Bytes::from_owner(buffer)).await,
                Data::Zeros => target.put(index, digest, zeros).await,
                Data::Again => target.put_again(index, digest, &again).await,
            };
            Sent { index, digest, zeros: is_zeros, attempts, outcome }
        });
    }

    /// Takes note of how a request ended, and makes it again where that can help.
    fn settle(&mut self, sent: Sent) -> Result<()> {
        let Sent { index, digest, zeros, attempts, outcome } = sent;
        let Err(error) = outcome else {
            self.pace.succeeded();
            self.moved = Instant::now();
            self.done.insert(index, digest);
            if self.done.len().is_multiple_of(REPORT) {
                let detail = format!("{} MiB sent to {}", self.done.len() / 2, self.target.snapshot);
                self.cx.progress(self.done.len() as u64, None, detail);
            }
            return Ok(());
        };
        let throttled = error.kind() == ErrorKind::RateLimited;
        if throttled {
            self.pace.throttled(Instant::now());
        }
        let patient = match error.kind() {
            ErrorKind::RateLimited => self.moved.elapsed() < PATIENCE,
            ErrorKind::NotFound => self.started.elapsed() < SETTLE,
            _ => false,
        };
        if !patient && (attempts >= ATTEMPTS || !error.is_retryable()) {
            return Err(error.with_context("block", index).with_context("attempts", attempts));
        }
        let data = if zeros { Data::Zeros } else { Data::Again };
        self.send(index, digest, data, attempts + 1);
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
    async fn put_again(&self, index: u32, digest: Digest, again: &Semaphore) -> Result<()> {
        let _turn = again.acquire().await.map_err(|_| Error::bug("the upload is over"))?;
        let data = read_again(Arc::clone(&self.disk), index).await?;
        self.put(index, digest, Bytes::from(data)).await
    }

    /// Writes a block. EBS refuses data that do not have the digest.
    async fn put(&self, index: u32, digest: Digest, data: Bytes) -> Result<()> {
        const OPERATION: &str = "ebs:PutSnapshotBlock";
        let (length, block) = (data.len(), i32::try_from(index).map_err(|e| Error::bug("block index").with_source(e))?);
        let length = i32::try_from(length).map_err(|e| Error::bug("block length").with_source(e))?;
        let checksum = digest.base64();
        // A body that cannot be sent twice is not held until the reply.
        let body = ByteStream::new(SdkBody::from_body_1_x(Full::new(data)));
        let call = self
            .client
            .put_snapshot_block()
            .snapshot_id(&self.snapshot)
            .block_index(block)
            .data_length(length)
            .checksum(&checksum)
            .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
            .block_data(body)
            .send();
        let late = |_| Error::new(ErrorKind::TimedOut, "no reply in time").with_operation(OPERATION);
        let reply = timeout(ATTEMPT, call).await.map_err(late)?.map_err(|e| sdk_error(OPERATION, &self.place, e))?;
        match reply.checksum() {
            Some(stored) if stored != checksum => {
                let message = format!("block {index} was stored as {stored} and not as {checksum}");
                Err(Error::new(ErrorKind::Unavailable, message).with_operation(OPERATION))
            }
            _ => Ok(()),
        }
    }
}
