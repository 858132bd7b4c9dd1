//! GetSnapshotBlock, ListSnapshotBlocks, ListChangedBlocks.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::snapshot::{blocks, offset, own};
use super::{BLOCK, broken, invalid, no_snapshot, place};
use crate::body::Blocks;
use crate::call::{Call, Reply};
use crate::clock::after;
use crate::cloud::Cloud;
use crate::error::ApiError;

/// How long the tokens of a listing say that they are good for.
const TOKENS_LAST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The blocks of a completed snapshot, and its GiB.
fn completed(cloud: &Arc<Cloud>, call: &Call, id: &str) -> Result<(Arc<Blocks>, u64), ApiError> {
    let mut world = cloud.world();
    let region = world.region(&place(call), call.now);
    if !region.unsettled.visible(id, call.now) {
        return Err(no_snapshot(id));
    }
    let snapshot = own(region, id)?;
    let (state, gib) = (snapshot.state(call.now), u64::from(snapshot.size));
    if state != "completed" {
        return Err(invalid("INVALID_SNAPSHOT_ID", format!("The snapshot '{id}' is {state} and not completed")));
    }
    let content = snapshot.content.clone().unwrap_or_default();
    let blocks = blocks(&content).map_err(|error| broken(&error))?;
    Ok((blocks.ok_or_else(|| ApiError::unsupported("blocks of a snapshot that is a tree of files"))?, gib))
}

/// What a block is read by. A real one says nothing.
fn token(id: &str, index: u32) -> String {
    STANDARD.encode(format!("{id}/{index}"))
}

pub(super) async fn get(cloud: &Arc<Cloud>, call: &Call, id: &str, index: &str) -> Result<Reply, ApiError> {
    let (blocks, _) = completed(cloud, call, id)?;
    let index: u32 = index.parse().map_err(|_| invalid("INVALID_BLOCK", format!("{index} is not a block index")))?;
    if call.request.query("blockToken") != Some(token(id, index).as_str()) {
        return Err(invalid("INVALID_BLOCK_TOKEN", "The block token is not one of this block"));
    }
    let digest = *blocks.digests().get(&index).ok_or_else(|| invalid("INVALID_BLOCK", "There is no such block"))?;
    let read = tokio::task::spawn_blocking(move || {
        let mut data = vec![0; BLOCK];
        blocks.disk().read_exact_at(&mut data, offset(index)).map(|()| data)
    });
    let data = read.await.map_err(|error| broken(&error.into()))?.map_err(|error| broken(&error))?;
    Ok(Reply::new("application/octet-stream", data)
        .header("x-amz-data-length", BLOCK.to_string())
        .header("x-amz-checksum", STANDARD.encode(digest))
        .header("x-amz-checksum-algorithm", "SHA256"))
}

/// Which part of a listing is asked for.
struct Page {
    from: u32,
    size: usize,
}

impl Page {
    fn of(call: &Call) -> Result<Self, ApiError> {
        let request = &call.request;
        let number = |name: &str, default: u32| match request.query(name) {
            None => Ok(default),
            Some(text) => {
                text.parse().map_err(|_| invalid("INVALID_PARAMETER_VALUE", format!("{name} is not a number: {text}")))
            }
        };
        let size = number("maxResults", 10_000)?;
        if !(100..=10_000).contains(&size) {
            return Err(invalid("INVALID_PARAMETER_VALUE", format!("maxResults {size} is not in 100..10000")));
        }
        let from = match request.query("pageToken") {
            None => number("startingBlockIndex", 0)?,
            Some(token) => token
                .strip_prefix("from-")
                .and_then(|index| index.parse().ok())
                .ok_or_else(|| invalid("INVALID_PAGE_TOKEN", "The page token is not one of this listing"))?,
        };
        Ok(Self { from, size: size as usize })
    }

    /// The reply with one page of `all`, under `name`.
    fn reply(&self, name: &str, all: BTreeMap<u32, Value>, gib: u64, call: &Call) -> Reply {
        let mut rest = all.into_iter().skip_while(|(index, _)| *index < self.from);
        let page: Vec<Value> = rest.by_ref().take(self.size).map(|(_, value)| value).collect();
        let mut body = json!({
            "VolumeSize": gib,
            "BlockSize": BLOCK,
            "ExpiryTime": after(call.now, TOKENS_LAST).as_second(),
        });
        body[name] = json!(page);
        if let Some((next, _)) = rest.next() {
            body["NextToken"] = json!(format!("from-{next}"));
        }
        Reply::json(&body)
    }
}

pub(super) fn list(cloud: &Arc<Cloud>, call: &Call, id: &str) -> Result<Reply, ApiError> {
    let page = Page::of(call)?;
    let (blocks, gib) = completed(cloud, call, id)?;
    let block = |index: &u32| (*index, json!({ "BlockIndex": index, "BlockToken": token(id, *index) }));
    Ok(page.reply("Blocks", blocks.digests().keys().map(block).collect(), gib, call))
}

pub(super) fn changed(cloud: &Arc<Cloud>, call: &Call, second: &str) -> Result<Reply, ApiError> {
    let page = Page::of(call)?;
    let (new, gib) = completed(cloud, call, second)?;
    let first = call.request.query("firstSnapshotId");
    let old = first.map(|first| completed(cloud, call, first)).transpose()?.map(|(blocks, _)| blocks);
    let old = old.as_ref().map(|blocks| blocks.digests().clone()).unwrap_or_default();
    let differs = |index: &&u32| old.get(index) != new.digests().get(index);
    let all: BTreeMap<u32, Value> = old
        .keys()
        .chain(new.digests().keys())
        .filter(differs)
        .map(|index| {
            let mut block = json!({ "BlockIndex": index });
            if let Some(first) = first.filter(|_| old.contains_key(index)) {
                block["FirstBlockToken"] = json!(token(first, *index));
            }
            if new.digests().contains_key(index) {
                block["SecondBlockToken"] = json!(token(second, *index));
            }
            (*index, block)
        })
        .collect();
    Ok(page.reply("ChangedBlocks", all, gib, call))
}
