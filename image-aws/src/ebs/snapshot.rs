//! The life of a snapshot: started, completed, waited for, and seen to hold what was sent.

use super::{
    OWNER,
    blocks::BLOCK,
    digests::{self, BlockMap},
    tags_of,
};
use crate::{
    ec2::{
        client::Region,
        create::{again, nameless},
        kind::Ec2Kind,
        state::LastSeen,
    },
    error::{is_refusal, sdk_error},
};
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm, Tag};
use aws_sdk_ec2::types::SnapshotState;
use image_core::{
    Context, CreateError, CreateRequest, Created, Error, ErrorKind, Guard, Result,
    wait::{self, Poll, WaitPolicy},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// EBS gives a snapshot up by itself when no block came for so many minutes: the second net, should we be gone.
pub(crate) const IDLE_MINUTES: i32 = 15;
/// From the last block to `completed`.
const SEALING: Duration = Duration::from_secs(1800);
/// The same, where EBS refused to complete it a second time and so may never have done so the first time.
const SEALING_IN_DOUBT: Duration = Duration::from_secs(60);
/// Before joining the next look at its state; that one comes a second after the last.
const PAUSE: Duration = Duration::from_millis(250);
/// From `completed` until its blocks can be listed.
const LISTABLE: Duration = Duration::from_secs(60);
/// How often a snapshot is asked to complete.
const ATTEMPTS: u32 = 6;
/// After the first time; the next ones are longer by as much each.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// The most blocks that one call lists.
const PAGE: i32 = 10_000;

/// What is asked of a snapshot when it is started.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) gib: u32,
    pub(crate) parent: Option<String>,
    pub(crate) encrypted: Option<bool>,
    pub(crate) key: Option<String>,
    pub(crate) description: String,
    pub(crate) tags: BTreeMap<String, String>,
}

/// Starts a snapshot. What it says in `undo_data` is whether it is encrypted, for [`is_encrypted`].
///
/// # Errors
/// EBS's refusal; `Unsupported` when its blocks are not of the size that there is.
pub(crate) async fn start(cx: &Context, region: &Arc<Region>, start: Start) -> Result<Guard> {
    let at = Arc::clone(region);
    let create = move |request: CreateRequest| async move {
        const OPERATION: &str = "ebs:StartSnapshot";
        let client = at.ebs_once().await.map_err(CreateError::Rejected)?;
        let tags = tags_of(&request, start.tags);
        let tags = tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let call = client
            .start_snapshot()
            .volume_size(i64::from(start.gib))
            .set_parent_snapshot_id(start.parent)
            .set_encrypted(start.encrypted)
            .set_kms_key_arn(start.key)
            .description(start.description)
            .timeout(IDLE_MINUTES)
            .set_tags(Some(tags))
            .client_token(request.token);
        let started = again(OPERATION, &at.place, || call.clone().send()).await?;
        let id = started.snapshot_id().ok_or_else(|| nameless(OPERATION))?;
        if started.block_size().is_some_and(|size| usize::try_from(size) != Ok(BLOCK)) {
            let message = format!("{id} has blocks of {:?} bytes, not {BLOCK}", started.block_size());
            return Err(CreateError::Unclear(Error::new(ErrorKind::Unsupported, message)));
        }
        Ok(Created::new(id).with_undo_data(json!({ "version": 1, "encrypted": started.kms_key_arn().is_some() })))
    };
    let place = &region.place;
    cx.create(OWNER, &place.scope(), Ec2Kind::Snapshot.kind(), &place.region, create).await
}

/// Says that all blocks were sent, and waits until EBS has them. EBS holds number and digests against what arrived.
///
/// # Errors
/// EBS's refusal; `Unavailable` when the snapshot fails; `TimedOut`.
pub(crate) async fn complete(cx: &Context, region: &Region, id: &str, sent: &BlockMap) -> Result<()> {
    let doubt = ask_to_complete(cx, region, id, sent).await?;
    let patience = if doubt.is_some() { SEALING_IN_DOUBT } else { SEALING };
    let policy = WaitPolicy::new(patience).interval(PAUSE, PAUSE);
    let last_seen = &LastSeen::new();
    let what = format!("{id} to be completed");
    let sealed = wait::until(cx, policy, &what, || async move {
        let seen = cx.race(region.snapshots.look(id)).await?;
        let Some(snapshot) = last_seen.judge(id, seen)? else { return Ok(Poll::Pending("not seen yet".into())) };
        match snapshot.state() {
            Some(SnapshotState::Completed) => Ok(Poll::Ready(())),
            Some(SnapshotState::Error) => {
                let why = snapshot.state_message().unwrap_or("it gives no reason");
                Err(Error::new(ErrorKind::Unavailable, format!("{id} failed: {why}")).with_retryable(false))
            }
            _ => Ok(Poll::Pending(format!("pending, {}", snapshot.progress().unwrap_or("no progress said")))),
        }
    });
    match (sealed.await, doubt) {
        (Err(late), Some(refusal)) if late.kind() == ErrorKind::TimedOut => Err(refusal),
        (sealed, _) => sealed,
    }
}

/// Asks until there is an answer. `Some`: a request whose reply was lost may have completed it, and the next one was
/// refused, as EBS does with a snapshot that is complete.
async fn ask_to_complete(cx: &Context, region: &Region, id: &str, sent: &BlockMap) -> Result<Option<Error>> {
    const OPERATION: &str = "ebs:CompleteSnapshot";
    let client = region.ebs_once().await?;
    let count = i32::try_from(sent.len()).map_err(|e| Error::bug("number of blocks").with_source(e))?;
    let mut call = client.complete_snapshot().snapshot_id(id).changed_blocks_count(count);
    if !sent.is_empty() {
        call = call
            .checksum(digests::linear(sent).base64())
            .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
            .checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear);
    }
    let (mut lost, mut attempt) = (false, 1);
    loop {
        let asked = cx.race(async { Ok(call.clone().send().await) }).await?;
        let Err(error) = asked else { return Ok(None) };
        let refused = is_refusal(&error);
        let error = sdk_error(OPERATION, &region.place, error);
        if refused && lost && !error.is_retryable() {
            return Ok(Some(error));
        }
        if !error.is_retryable() || attempt == ATTEMPTS {
            return Err(error);
        }
        lost |= !refused;
        cx.sleep(ASK_AGAIN * attempt).await?;
        attempt += 1;
    }
}

/// What a snapshot has.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) gib: u64,
    /// The token that each block is read by.
    pub(crate) blocks: BTreeMap<u32, String>,
}

/// The blocks that were ever written to a snapshot or to one of its parents, and their tokens; and its GiB.
///
/// # Errors
/// The API's.
pub(crate) async fn list(cx: &Context, region: &Region, id: &str) -> Result<Listing> {
    let client = region.ebs().await?;
    let mut pages = client.list_snapshot_blocks().snapshot_id(id).max_results(PAGE).into_paginator().send();
    let mut listing = Listing::default();
    loop {
        let Some(page) = cx.race(async { Ok(pages.next().await) }).await? else { return Ok(listing) };
        let page = page.map_err(|e| sdk_error("ebs:ListSnapshotBlocks", &region.place, e))?;
        listing.gib = page.volume_size().and_then(|gib| gib.try_into().ok()).unwrap_or(listing.gib);
        for block in page.blocks.unwrap_or_default() {
            let (Some(Ok(index)), Some(token)) = (block.block_index.map(u32::try_from), block.block_token) else {
                return Err(Error::bug("ebs:ListSnapshotBlocks names a block without index or token"));
            };
            listing.blocks.insert(index, token);
        }
    }
}

/// Refuses a snapshot that lacks a block of `data`, or has one that is not of `written`. Whether EBS lists written zeros
/// is not said anywhere, so that it may.
///
/// # Errors
/// `Conflict`, naming the first block.
pub(crate) async fn verify(
    cx: &Context,
    region: &Region,
    id: &str,
    data: &BlockMap,
    written: &BTreeSet<u32>,
) -> Result<()> {
    let policy = WaitPolicy::new(LISTABLE).interval(Duration::from_millis(250), Duration::from_secs(5));
    let what = format!("the blocks of {id} to be listed");
    let listing = wait::until(cx, policy, &what, || async move {
        match list(cx, region, id).await {
            Ok(listing) => Ok(Poll::Ready(listing)),
            // EC2 knew before EBS does.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
                Ok(Poll::Pending(e.to_string()))
            }
            Err(e) => Err(e),
        }
    });
    let listed = listing.await?.blocks;
    let lacks = data.keys().find(|index| !listed.contains_key(index)).map(|index| ("lacks", index));
    let wrong = lacks.or_else(|| listed.keys().find(|index| !written.contains(index)).map(|index| ("has", index)));
    let Some((how, index)) = wrong else { return Ok(()) };
    let message = format!("{id} {how} block {index}: {} are listed, {} hold data", listed.len(), data.len());
    Err(Error::new(ErrorKind::Conflict, message).with_operation("ebs:ListSnapshotBlocks"))
}

/// Whether a snapshot that was started came out encrypted; the account's default or its parent can say so.
pub(crate) fn is_encrypted(snapshot: &Guard) -> bool {
    // What cannot be read counts as encrypted: that costs time, and the other error a disk.
    snapshot.resource().undo_data.get("encrypted").and_then(serde_json::Value::as_bool).unwrap_or(true)
}
