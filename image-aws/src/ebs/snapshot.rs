//! The life of a snapshot: started, completed, waited for, and seen to hold what was sent.

use super::{
    digests::{self, BlockMap},
    kind::{EbsKind, OWNER, tags_of},
};
use crate::{
    Place,
    client::Clients,
    ec2::{client::filter, create::again},
    error::{is_refusal, sdk_error},
};
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm, Tag};
use aws_sdk_ec2::types::{Filter, Snapshot, SnapshotState};
use image_core::{
    Context, CreateError, CreateRequest, Created, Error, ErrorKind, Guard, Result,
    wait::{self, Poll, WaitPolicy},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// EBS gives a snapshot up by itself when no block came for so many minutes: the second net, should we be gone.
const IDLE_MINUTES: i32 = 15;
/// From the last block to `completed`.
const SEALING: Duration = Duration::from_secs(1800);
/// From `completed` until its blocks can be listed.
const LISTABLE: Duration = Duration::from_secs(60);
/// How often a snapshot is asked to complete.
const ATTEMPTS: u32 = 6;
/// After the first time; the next ones are longer by as much each.
const PAUSE: Duration = Duration::from_millis(500);
/// The most blocks that one call lists.
const PAGE: i32 = 10_000;

/// What is asked of a snapshot when it is started.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) gib: u64,
    pub(crate) parent: Option<String>,
    pub(crate) encrypted: Option<bool>,
    pub(crate) key: Option<String>,
    pub(crate) description: String,
    pub(crate) tags: BTreeMap<String, String>,
}

/// The snapshots of a place.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    pub(crate) clients: Clients,
    pub(crate) place: Place,
}

impl Snapshots {
    /// Starts a snapshot. What it says in `undo_data` is whether it is encrypted, for [`is_encrypted`].
    pub(crate) async fn start(&self, cx: &Context, start: Start) -> Result<Guard> {
        let (this, kind) = (self.clone(), EbsKind::Snapshot);
        let create = move |request: CreateRequest| async move { this.start_once(request, start).await };
        cx.create(OWNER, &self.place.scope(), kind.kind(), &self.place.region, create).await
    }

    async fn start_once(&self, request: CreateRequest, start: Start) -> Result<Created, CreateError> {
        let client = self.clients.ebs_once(&self.place).await.map_err(CreateError::Rejected)?;
        let tags: Vec<Tag> = tags_of(&request, start.tags)
            .into_iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect();
        let gib = i64::try_from(start.gib).map_err(|e| CreateError::Rejected(Error::bug("size").with_source(e)))?;
        let call = client
            .start_snapshot()
            .volume_size(gib)
            .set_parent_snapshot_id(start.parent)
            .set_encrypted(start.encrypted)
            .set_kms_key_arn(start.key)
            .description(start.description)
            .timeout(IDLE_MINUTES)
            .set_tags(Some(tags))
            .client_token(request.token);
        let started = again("ebs:StartSnapshot", &self.place, || call.clone().send()).await?;
        let id = started.snapshot_id().ok_or_else(|| Error::bug("ebs:StartSnapshot names no snapshot"))?;
        if started.block_size().is_some_and(|size| usize::try_from(size) != Ok(super::blocks::BLOCK)) {
            let message = format!("{id} has blocks of {:?} bytes", started.block_size());
            return Err(CreateError::Unclear(Error::new(ErrorKind::Unsupported, message)));
        }
        Ok(Created::new(id).with_undo_data(json!({ "version": 1, "encrypted": started.kms_key_arn().is_some() })))
    }

    /// Says that all blocks were sent, and waits until EBS has them. EBS holds number and digests against what arrived.
    ///
    /// # Errors
    /// EBS's refusal; `Unavailable` when the snapshot fails; `TimedOut`.
    pub(crate) async fn complete(&self, cx: &Context, id: &str, sent: &BlockMap) -> Result<()> {
        let doubt = self.ask_to_complete(cx, id, sent).await?;
        // A snapshot that was completed by a request whose reply was lost refuses the next one.
        let patience = if doubt.is_some() { Duration::from_secs(60) } else { SEALING };
        let policy = WaitPolicy::new(patience).interval(Duration::from_millis(500), Duration::from_secs(5));
        let what = format!("{id} to be completed");
        let sealed = wait::until(cx, policy, &what, || self.sealed(id)).await;
        match (sealed, doubt) {
            (Err(late), Some(refusal)) if late.kind() == ErrorKind::TimedOut => Err(refusal),
            (sealed, _) => sealed,
        }
    }

    /// `Some`: it was refused, but may have been granted before.
    async fn ask_to_complete(&self, cx: &Context, id: &str, sent: &BlockMap) -> Result<Option<Error>> {
        const OPERATION: &str = "ebs:CompleteSnapshot";
        let client = self.clients.ebs_once(&self.place).await?;
        let count = i32::try_from(sent.len()).map_err(|e| Error::bug("number of blocks").with_source(e))?;
        let mut call = client.complete_snapshot().snapshot_id(id).changed_blocks_count(count);
        if !sent.is_empty() {
            call = call
                .checksum(digests::linear(sent).base64())
                .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
                .checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear);
        }
        let mut lost = false;
        for attempt in 1.. {
            let asked = cx.race(async { Ok(call.clone().send().await) }).await?;
            let Err(error) = asked else { break };
            let refused = is_refusal(&error);
            let error = sdk_error(OPERATION, &self.place, error);
            if refused && lost && !error.is_retryable() {
                return Ok(Some(error));
            }
            if !error.is_retryable() || attempt == ATTEMPTS {
                return Err(error);
            }
            lost |= !refused;
            cx.sleep(PAUSE * attempt).await?;
        }
        Ok(None)
    }

    async fn sealed(&self, id: &str) -> Result<Poll<()>> {
        let Some(snapshot) = self.describe(filter("snapshot-id", [id])).await?.pop() else {
            return Ok(Poll::Pending("not seen yet".into()));
        };
        match snapshot.state() {
            Some(SnapshotState::Completed) => Ok(Poll::Ready(())),
            Some(SnapshotState::Error) => {
                let why = snapshot.state_message().unwrap_or("it gives no reason");
                Err(Error::new(ErrorKind::Unavailable, format!("{id} failed: {why}")).with_retryable(false))
            }
            _ => Ok(Poll::Pending(format!("pending, {}", snapshot.progress().unwrap_or("no progress said")))),
        }
    }

    /// The blocks that were ever written to a snapshot or to one of its parents, and their tokens; and its GiB.
    pub(crate) async fn list(&self, cx: &Context, id: &str) -> Result<Listing> {
        let client = self.clients.ebs(&self.place).await?;
        let mut pages = client.list_snapshot_blocks().snapshot_id(id).max_results(PAGE).into_paginator().send();
        let mut listing = Listing::default();
        loop {
            let Some(page) = cx.race(async { Ok(pages.next().await) }).await? else { return Ok(listing) };
            let page = page.map_err(|e| sdk_error("ebs:ListSnapshotBlocks", &self.place, e))?;
            listing.gib = page.volume_size().and_then(|gib| gib.try_into().ok()).unwrap_or(listing.gib);
            for block in page.blocks.unwrap_or_default() {
                let (Some(Ok(index)), Some(token)) = (block.block_index.map(u32::try_from), block.block_token) else {
                    return Err(Error::bug("ebs:ListSnapshotBlocks names a block without index or token"));
                };
                listing.blocks.insert(index, token);
            }
        }
    }

    /// Refuses a snapshot that holds other blocks than those that were sent and those of its parent.
    ///
    /// # Errors
    /// `Conflict`, naming the first block.
    pub(crate) async fn verify(&self, cx: &Context, id: &str, expected: BTreeSet<u32>) -> Result<()> {
        let policy = WaitPolicy::new(LISTABLE).interval(Duration::from_millis(250), Duration::from_secs(5));
        let what = format!("the blocks of {id} to be listed");
        let listing = wait::until(cx, policy, &what, || async move {
            match self.list(cx, id).await {
                Ok(listing) => Ok(Poll::Ready(listing)),
                // EC2 knew before EBS does.
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
                    Ok(Poll::Pending(e.to_string()))
                }
                Err(e) => Err(e),
            }
        });
        let listed: BTreeSet<u32> = listing.await?.blocks.into_keys().collect();
        let Some(index) = listed.symmetric_difference(&expected).next() else { return Ok(()) };
        let how = if listed.contains(index) { "that was never sent" } else { "too few" };
        let message =
            format!("{id} has {} blocks of {} expected: block {index} is one {how}", listed.len(), expected.len());
        Err(Error::new(ErrorKind::Conflict, message).with_operation("ebs:ListSnapshotBlocks"))
    }

    pub(crate) async fn describe(&self, filter: Filter) -> Result<Vec<Snapshot>> {
        let client = self.clients.ec2(&self.place).await?;
        let call = client.describe_snapshots().owner_ids("self").filters(filter).max_results(1000);
        let mut pages = call.into_paginator().items().send();
        let mut found = vec![];
        while let Some(snapshot) = pages.next().await {
            found.push(snapshot.map_err(|e| sdk_error("ec2:DescribeSnapshots", &self.place, e))?);
        }
        Ok(found)
    }
}

/// What a snapshot has.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) gib: u64,
    /// The token that each block is read by.
    pub(crate) blocks: BTreeMap<u32, String>,
}

/// Whether a snapshot that was started came out encrypted; the account's default or its parent can say so.
pub(crate) fn is_encrypted(snapshot: &Guard) -> bool {
    // What cannot be read counts as encrypted: that costs time, and the other error a disk.
    snapshot.resource().undo_data.get("encrypted").and_then(serde_json::Value::as_bool).unwrap_or(true)
}
