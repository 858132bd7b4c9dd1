//! StartSnapshot, PutSnapshotBlock, CompleteSnapshot.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::snapshot::{Upload, block_count, blocks, is_zero, own, write};
use super::{BLOCK, broken, invalid, no_snapshot, place};
use crate::call::{Call, Reply, Request};
use crate::clock::after;
use crate::cloud::Cloud;
use crate::ec2::{Snapshot, kms_arn};
use crate::error::ApiError;
use crate::tokens::fingerprint;
use crate::world::Region;

/// The body of StartSnapshot.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Start {
    volume_size: u32,
    parent_snapshot_id: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    description: Option<String>,
    client_token: Option<String>,
    encrypted: Option<bool>,
    kms_key_arn: Option<String>,
    timeout: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    value: String,
}

impl Start {
    fn parse(request: &Request) -> Result<Self, ApiError> {
        let start: Self = serde_json::from_slice(&request.body)
            .map_err(|error| invalid("INVALID_PARAMETER_VALUE", format!("The request cannot be read: {error}")))?;
        if !(1..=65_536).contains(&start.volume_size) {
            return Err(invalid("INVALID_VOLUME_SIZE", format!("VolumeSize {} is not in 1..65536", start.volume_size)));
        }
        if start.parent_snapshot_id.is_some() && start.encrypted.is_some() {
            let message = "Encrypted and ParentSnapshotId cannot be specified in the same request";
            return Err(invalid("INVALID_PARAMETER_VALUE", message));
        }
        if start.kms_key_arn.is_some() && start.encrypted != Some(true) {
            return Err(invalid("INVALID_PARAMETER_VALUE", "KmsKeyArn needs Encrypted to be true"));
        }
        if start.timeout.is_some_and(|minutes| !(10..=4320).contains(&minutes)) {
            return Err(invalid("INVALID_PARAMETER_VALUE", "Timeout is not in 10..4320"));
        }
        if start.tags.iter().any(|tag| tag.key.is_empty() || tag.key.starts_with("aws:") || tag.key.len() > 127) {
            return Err(invalid("INVALID_TAG", "A tag's key is empty, too long, or begins with aws:"));
        }
        Ok(start)
    }
}

pub(super) fn start(cloud: &Arc<Cloud>, call: &Call) -> Result<Reply, ApiError> {
    let start = Start::parse(&call.request)?;
    let (place, now) = (place(call), call.now);
    let print = fingerprint([(&"Body".to_owned(), &String::from_utf8_lossy(&call.request.body).into_owned())]);
    let mut world = cloud.world();
    let region = world.region(&place, now);
    if let Some(token) = &start.client_token {
        let used = region
            .tokens
            .used("StartSnapshot", token, &print)
            .map_err(|error| ApiError::new("ConflictException", error.message).with_status(503))?;
        if let Some(id) = used.and_then(|ids| ids.into_iter().next()) {
            let snapshot = own(region, &id)?.clone();
            return Ok(started(&id, &snapshot, region.ec2.tags.of(&id), start.parent_snapshot_id.as_deref(), call));
        }
    }
    let parent = match &start.parent_snapshot_id {
        None => None,
        Some(id) => {
            let parent = own(region, id)?;
            if parent.state(now) != "completed" {
                let message = format!("The parent '{id}' is not in the 'completed' state");
                return Err(invalid("INVALID_SNAPSHOT_ID", message));
            }
            if parent.size > start.volume_size {
                let message = format!("VolumeSize {} is less than the parent's {}", start.volume_size, parent.size);
                return Err(invalid("INVALID_VOLUME_SIZE", message));
            }
            let content = parent.content.clone().unwrap_or_default();
            let blocks = blocks(&content).map_err(|error| broken(&error))?;
            let blocks = blocks.ok_or_else(|| ApiError::unsupported("a parent that is a tree of files"))?;
            Some((blocks, parent.kms_key.clone()))
        }
    };
    let default_key = region.ec2.default_kms_key.clone().unwrap_or_else(|| kms_arn(&place, None));
    let key = match (&start.kms_key_arn, start.encrypted, &parent) {
        (Some(key), ..) => Some(key.clone()),
        (None, Some(true), _) => Some(default_key),
        (.., Some((_, key))) => key.clone(),
        _ => region.ec2.encrypt_by_default.then_some(default_key),
    };
    let timeout = Duration::from_secs(60 * u64::from(start.timeout.unwrap_or(60)));
    let parent = parent.as_ref().map(|(blocks, _)| &**blocks);
    let upload = Upload::new(start.volume_size, parent, timeout).map_err(|error| broken(&error))?;
    let snapshot = Snapshot {
        encrypted: key.is_some(),
        kms_key: key,
        description: start.description.unwrap_or_default(),
        idle_until: Some(after(now, timeout)),
        ..Snapshot::new(start.volume_size, now, now)
    };
    let id = snapshot.id.clone();
    let tags = start.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    let reply = started(&id, &snapshot, &tags, start.parent_snapshot_id.as_deref(), call);
    region.ebs.insert(id.clone(), upload);
    region.ec2.snapshots.insert(id.clone(), snapshot);
    region.ec2.tags.set(&id, tags);
    region.unsettled.created(&id, cloud.config.consistency, now);
    if let Some(token) = &start.client_token {
        region.tokens.remember("StartSnapshot", token, &print, vec![id], now);
    }
    Ok(reply)
}

fn started(id: &str, snapshot: &Snapshot, tags: &BTreeMap<String, String>, parent: Option<&str>, call: &Call) -> Reply {
    let tags: Vec<_> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let mut body = json!({
        "SnapshotId": id,
        "OwnerId": call.identity.account,
        "Status": "pending",
        "StartTime": snapshot.started.as_second(),
        "VolumeSize": snapshot.size,
        "BlockSize": BLOCK,
        "Description": snapshot.description,
        "Tags": tags,
    });
    if let Some(parent) = parent {
        body["ParentSnapshotId"] = json!(parent);
    }
    if let Some(key) = &snapshot.kms_key {
        body["KmsKeyArn"] = json!(key);
        body["SseType"] = json!("sse-kms");
    }
    Reply::json(&body).status(201)
}

/// A SHA-256 in Base64, from a header.
fn checksum(request: &Request) -> Result<[u8; 32], ApiError> {
    if request.header("x-amz-checksum-algorithm") != Some("SHA256") {
        return Err(invalid("INVALID_PARAMETER_VALUE", "x-amz-Checksum-Algorithm is not SHA256"));
    }
    let text = request.header("x-amz-checksum").unwrap_or_default();
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| invalid("INVALID_PARAMETER_VALUE", "x-amz-Checksum is not a SHA-256 in Base64"))
}

/// The number in a header.
fn number(request: &Request, name: &str) -> Result<u64, ApiError> {
    let number = request.header(name).and_then(|text| text.parse().ok());
    number.ok_or_else(|| invalid("INVALID_PARAMETER_VALUE", format!("{name} is not a number")))
}

/// The upload of a snapshot that takes blocks.
fn open<'r>(region: &'r mut Region, id: &str, call: &Call) -> Result<&'r mut Upload, ApiError> {
    let state = own(region, id)?.state(call.now);
    match region.ebs.get_mut(id) {
        Some(upload) if state == "pending" => Ok(upload),
        _ => Err(invalid("INVALID_SNAPSHOT_ID", format!("The snapshot '{id}' takes no blocks: it is {state}"))),
    }
}

pub(super) async fn put(cloud: &Arc<Cloud>, call: &Call, id: &str, index: &str) -> Result<Reply, ApiError> {
    let request = &call.request;
    let claimed = checksum(request)?;
    let length = number(request, "x-amz-data-length")?;
    if request.body.len() != BLOCK || length != BLOCK as u64 {
        let message = format!("A block has {BLOCK} bytes, not {length} announced and {} sent", request.body.len());
        return Err(invalid("INVALID_BLOCK", message));
    }
    let place = place(call);
    let (disk, before, index) = {
        let mut world = cloud.world();
        let region = world.region(&place, call.now);
        if !region.unsettled.visible(id, call.now) {
            return Err(no_snapshot(id));
        }
        let count = block_count(own(region, id)?.size);
        if cloud.config.throttling && !cloud.buckets.take_block(&place.account, id, call.now) {
            return Err(ApiError::new("RequestThrottledException", "Too many blocks a second for this snapshot")
                .with_reason("RESOURCE_LEVEL_THROTTLE"));
        }
        let index = index.parse::<u32>().ok().filter(|index| u64::from(*index) < count);
        let index = index.ok_or_else(|| invalid("INVALID_BLOCK", format!("The volume has {count} blocks")))?;
        let upload = open(region, id, call)?;
        let before = upload.inherited.contains_key(&index) || upload.written.contains_key(&index);
        (Arc::clone(&upload.disk), before, index)
    };
    let data = request.body.clone();
    let stored = tokio::task::spawn_blocking(move || {
        let actual = digest(&data);
        if actual != claimed {
            let (actual, claimed) = (STANDARD.encode(actual), STANDARD.encode(claimed));
            let message = format!("The data of block {index} has the checksum {actual} and not {claimed}");
            return Err(invalid("INVALID_PARAMETER_VALUE", message));
        }
        write(&disk, &data, index, before).map_err(|error| broken(&error))
    });
    stored.await.map_err(|error| broken(&error.into()))??;
    let mut world = cloud.world();
    let region = world.region(&place, call.now);
    let upload = open(region, id, call)?;
    upload.written.insert(index, claimed);
    let idle_until = after(call.now, upload.timeout);
    own(region, id)?.idle_until = Some(idle_until);
    let reply = Reply::json(&json!({})).status(201);
    Ok(reply.header("x-amz-checksum", STANDARD.encode(claimed)).header("x-amz-checksum-algorithm", "SHA256"))
}

pub(super) fn complete(cloud: &Arc<Cloud>, call: &Call, id: &str) -> Result<Reply, ApiError> {
    let request = &call.request;
    let count = number(request, "x-amz-changedblockscount")?;
    let mut world = cloud.world();
    let region = world.region(&place(call), call.now);
    if !region.unsettled.visible(id, call.now) {
        return Err(no_snapshot(id));
    }
    let upload = open(region, id, call)?;
    if count != upload.written.len() as u64 {
        let message = format!("{} blocks were written and not {count}", upload.written.len());
        return Err(invalid("INVALID_PARAMETER_VALUE", message));
    }
    if request.header("x-amz-checksum").is_some() {
        if request.header("x-amz-checksum-aggregation-method") != Some("LINEAR") {
            return Err(invalid("INVALID_PARAMETER_VALUE", "x-amz-Checksum-Aggregation-Method is not LINEAR"));
        }
        let (claimed, actual) = (checksum(request)?, linear(&upload.written));
        if claimed != actual {
            let (actual, claimed) = (STANDARD.encode(actual), STANDARD.encode(claimed));
            let message = format!("The aggregated checksum is {actual} and not {claimed}");
            return Err(invalid("INVALID_PARAMETER_VALUE", message));
        }
    }
    let sealed = region.ebs.remove(id).map(Upload::seal);
    let snapshot = own(region, id)?;
    (snapshot.content, snapshot.ready_at) = (sealed, after(call.now, cloud.config.timings.snapshot));
    Ok(Reply::json(&json!({ "Status": snapshot.state(call.now) })).status(202))
}

/// SHA-256 of a block; that of zeroes is known, as most of a disk are.
fn digest(block: &[u8]) -> [u8; 32] {
    static ZEROES: LazyLock<[u8; 32]> = LazyLock::new(|| Sha256::digest(vec![0; BLOCK]).into());
    if is_zero(block) { *ZEROES } else { Sha256::digest(block).into() }
}

/// SHA-256 over the digests of the blocks, in order.
fn linear(blocks: &BTreeMap<u32, [u8; 32]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    blocks.values().for_each(|digest| hash.update(digest));
    hash.finalize().into()
}
