//! Snapshots written and read over the wire.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::BLOCK;
use crate::testing::{Answer, Rig};
use crate::{Clock, Content, EventualConsistency, Simulator, Timings};

fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

fn block(byte: u8) -> Vec<u8> {
    vec![byte; BLOCK]
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

async fn send(rig: &Rig, method: &str, path: &str, headers: &[(&'static str, &str)], body: Vec<u8>) -> Answer {
    rig.send("test", "us-east-1", "ebs", method, path, headers, body).await
}

async fn start(rig: &Rig, body: Value) -> Answer {
    send(rig, "POST", "/snapshots", &[], body.to_string().into_bytes()).await
}

async fn started(rig: &Rig, body: Value) -> String {
    let answer = start(rig, body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    json_of(&answer)["SnapshotId"].as_str().unwrap().to_owned()
}

async fn put_as(rig: &Rig, id: &str, index: u32, data: Vec<u8>, checksum: &str) -> Answer {
    let length = data.len().to_string();
    let headers: [(&'static str, &str); 4] = [
        ("x-amz-data-length", &length),
        ("x-amz-checksum", checksum),
        ("x-amz-checksum-algorithm", "SHA256"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    ];
    send(rig, "PUT", &format!("/snapshots/{id}/blocks/{index}"), &headers, data).await
}

async fn put(rig: &Rig, id: &str, index: u32, byte: u8) -> Answer {
    put_as(rig, id, index, block(byte), &STANDARD.encode(sha256(&block(byte)))).await
}

async fn complete_as(rig: &Rig, id: &str, count: usize, checksum: [u8; 32]) -> Answer {
    let (count, checksum) = (count.to_string(), STANDARD.encode(checksum));
    let headers: [(&'static str, &str); 4] = [
        ("x-amz-changedblockscount", &count),
        ("x-amz-checksum", &checksum),
        ("x-amz-checksum-algorithm", "SHA256"),
        ("x-amz-checksum-aggregation-method", "LINEAR"),
    ];
    send(rig, "POST", &format!("/snapshots/completion/{id}"), &headers, vec![]).await
}

/// Completes a snapshot of blocks that are one byte each, in order.
async fn complete(rig: &Rig, id: &str, bytes: &[u8]) -> Answer {
    let digests: Vec<u8> = bytes.iter().flat_map(|byte| sha256(&block(*byte))).collect();
    complete_as(rig, id, bytes.len(), sha256(&digests)).await
}

async fn listed(rig: &Rig, path: &str) -> Value {
    let answer = send(rig, "GET", path, &[], vec![]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    json_of(&answer)
}

/// Code and reason of a refusal.
fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, json_of(answer)["Reason"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn what_was_written_is_read_and_a_child_has_its_parents_blocks() {
    let rig = Rig::start().await;
    let parent = started(&rig, json!({ "VolumeSize": 1 })).await;
    assert_eq!(put(&rig, &parent, 7, b'a').await.status, 201);
    assert_eq!(put(&rig, &parent, 9, b'b').await.status, 201);
    assert_eq!(complete(&rig, &parent, b"ab").await.status, 202);

    let child = started(&rig, json!({ "VolumeSize": 2, "ParentSnapshotId": parent })).await;
    assert_eq!(put(&rig, &child, 9, 0).await.status, 201);
    assert_eq!(complete(&rig, &child, &[0]).await.status, 202);
    let blocks = listed(&rig, &format!("/snapshots/{child}/blocks")).await;
    assert_eq!((blocks["VolumeSize"].as_u64(), blocks["BlockSize"].as_u64()), (Some(2), Some(524_288)));
    let mut bytes = vec![];
    for block in blocks["Blocks"].as_array().unwrap() {
        let token = block["BlockToken"].as_str().unwrap().replace('=', "%3D").replace('+', "%2B").replace('/', "%2F");
        let path = format!("/snapshots/{child}/blocks/{}?blockToken={token}", block["BlockIndex"]);
        let answer = send(&rig, "GET", &path, &[], vec![]).await;
        assert_eq!((answer.status, answer.body.len()), (200, BLOCK));
        bytes.push(answer.body.as_bytes()[0]);
    }
    assert_eq!(bytes, [b'a', 0]);
    let Some(Content::Blocks(held)) = rig.simulator.snapshot(&child) else { panic!("the child is not there") };
    let mut byte = [0];
    held.disk().read_exact_at(&mut byte, 7 * BLOCK as u64 + 5).unwrap();
    assert_eq!((byte, held.disk().metadata().unwrap().len()), ([b'a'], 2 << 30));
    assert!(rig.simulator.snapshot("snap-00000000000000000").is_none());
    let changed = listed(&rig, &format!("/snapshots/{child}/changedblocks?firstSnapshotId={parent}")).await;
    assert_eq!(changed["ChangedBlocks"].as_array().unwrap().len(), 1);
    assert_eq!(changed["ChangedBlocks"][0]["BlockIndex"], 9);
}

#[tokio::test]
async fn every_checksum_and_number_is_held_against_the_data() {
    let rig = Rig::start().await;
    let id = started(&rig, json!({ "VolumeSize": 1 })).await;
    let wrong = put_as(&rig, &id, 0, block(1), &STANDARD.encode(sha256(b"other"))).await;
    assert_eq!(refused(&wrong), (400, "INVALID_PARAMETER_VALUE".into()));
    let short = put_as(&rig, &id, 0, vec![1; 4096], &STANDARD.encode(sha256(&[1; 4096]))).await;
    assert_eq!(refused(&short), (400, "INVALID_BLOCK".into()));
    assert_eq!(refused(&put(&rig, &id, 2048, 1).await), (400, "INVALID_BLOCK".into()));
    assert_eq!(put(&rig, &id, 2047, 1).await.status, 201);
    assert_eq!(refused(&complete(&rig, &id, &[1, 1]).await), (400, "INVALID_PARAMETER_VALUE".into()));
    assert_eq!(refused(&complete(&rig, &id, &[2]).await), (400, "INVALID_PARAMETER_VALUE".into()));
    assert_eq!(complete(&rig, &id, &[1]).await.status, 202);
    assert_eq!(refused(&put(&rig, &id, 1, 1).await), (400, "INVALID_SNAPSHOT_ID".into()));
    assert_eq!(refused(&put(&rig, "snap-00000000000000000", 1, 1).await), (404, "SNAPSHOT_NOT_FOUND".into()));
}

#[tokio::test]
async fn a_client_token_starts_one_snapshot() {
    let rig = Rig::start().await;
    let first = started(&rig, json!({ "VolumeSize": 1, "ClientToken": "t" })).await;
    assert_eq!(started(&rig, json!({ "VolumeSize": 1, "ClientToken": "t" })).await, first);
    let other = start(&rig, json!({ "VolumeSize": 2, "ClientToken": "t" })).await;
    assert!(other.status == 503 && other.body.contains("parameters"), "{other:?}");
    let snapshots =
        rig.simulator.state().into_iter().filter(|resource| resource.kind == "snapshot" && !resource.seeded);
    assert_eq!(snapshots.count(), 1);
}

#[tokio::test]
async fn what_excludes_each_other_is_refused() {
    let rig = Rig::start().await;
    let parent = started(&rig, json!({ "VolumeSize": 2 })).await;
    for (body, reason) in [
        (json!({ "VolumeSize": 0 }), "INVALID_VOLUME_SIZE"),
        (json!({ "VolumeSize": 2, "ParentSnapshotId": parent, "Encrypted": true }), "INVALID_PARAMETER_VALUE"),
        (json!({ "VolumeSize": 2, "KmsKeyArn": "arn:aws:kms:x" }), "INVALID_PARAMETER_VALUE"),
        (json!({ "VolumeSize": 2, "Timeout": 5 }), "INVALID_PARAMETER_VALUE"),
        (json!({ "VolumeSize": 2, "Unknown": 5 }), "INVALID_PARAMETER_VALUE"),
        (json!({ "VolumeSize": 2, "ParentSnapshotId": parent }), "INVALID_SNAPSHOT_ID"),
    ] {
        assert_eq!(refused(&start(&rig, body.clone()).await), (400, reason.into()), "{body}");
    }
    assert_eq!(complete_as(&rig, &parent, 0, sha256(b"")).await.status, 202);
    let smaller = start(&rig, json!({ "VolumeSize": 1, "ParentSnapshotId": parent })).await;
    assert_eq!(refused(&smaller), (400, "INVALID_VOLUME_SIZE".into()));
}

#[tokio::test]
async fn states_follow_the_clock() {
    let clock = Clock::manual();
    let timings = Timings { snapshot: Duration::from_secs(90), ..Timings::instant() };
    let builder = Simulator::builder().clock(clock.clone()).timings(timings).consistency(EventualConsistency::reads(1));
    let rig = Rig::with(builder).await;
    let id = started(&rig, json!({ "VolumeSize": 1, "Timeout": 10 })).await;
    assert_eq!(put(&rig, &id, 0, 1).await.status, 404, "not known everywhere yet");
    assert_eq!(put(&rig, &id, 0, 1).await.status, 201);
    assert_eq!(complete(&rig, &id, &[1]).await.status, 202);
    let state = |id: &str| {
        let all = rig.simulator.state();
        all.into_iter().find(|resource| resource.id == id).map(|resource| resource.state).unwrap_or_default()
    };
    assert_eq!(state(&id), "pending");
    let early = send(&rig, "GET", &format!("/snapshots/{id}/blocks"), &[], vec![]).await;
    assert_eq!(refused(&early), (400, "INVALID_SNAPSHOT_ID".into()));
    assert!(clock.advance(Duration::from_secs(90)));
    assert_eq!(state(&id), "completed");
    let idle = started(&rig, json!({ "VolumeSize": 1, "Timeout": 10 })).await;
    assert!(clock.advance(Duration::from_secs(601)));
    assert_eq!(state(&idle), "error");
}

#[tokio::test]
async fn a_snapshot_takes_a_thousand_blocks_a_second() {
    let rig = Rig::with(Simulator::builder().clock(Clock::manual()).throttling(true)).await;
    let id = started(&rig, json!({ "VolumeSize": 1 })).await;
    let mut throttled = 0;
    for index in 0..1010u32 {
        let answer = put(&rig, &id, index.min(3), 1).await;
        throttled += u32::from(json_of(&answer)["Reason"] == "RESOURCE_LEVEL_THROTTLE");
    }
    assert_eq!(throttled, 10);
    assert!(rig.simulator.advance(Duration::from_secs(1)));
    assert_eq!(put(&rig, &id, 0, 1).await.status, 201);
}

#[tokio::test]
async fn listings_come_in_pages() {
    let rig = Rig::start().await;
    let id = started(&rig, json!({ "VolumeSize": 1 })).await;
    for index in 0..101 {
        assert_eq!(put(&rig, &id, index * 3, 0).await.status, 201);
    }
    assert_eq!(complete(&rig, &id, &[0; 101]).await.status, 202);
    let first = listed(&rig, &format!("/snapshots/{id}/blocks?maxResults=100")).await;
    assert_eq!(first["Blocks"].as_array().unwrap().len(), 100);
    let next = first["NextToken"].as_str().unwrap();
    let rest = listed(&rig, &format!("/snapshots/{id}/blocks?maxResults=100&pageToken={next}")).await;
    assert_eq!(rest["Blocks"].as_array().unwrap().len(), 1);
    assert_eq!((rest["Blocks"][0]["BlockIndex"].as_u64(), rest.get("NextToken")), (Some(300), None));
}
