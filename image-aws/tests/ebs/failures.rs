//! Lost replies, throttling, refusals, cancels: blocks arrive, and nothing is left behind.

use crate::{
    rig::EbsRig,
    site::{Site, blocks_of, context, disk, import},
    wire::Mangle,
};
use image_aws::{ebs::EbsDirect, tag};
use image_conformance::Rig;
use image_core::{
    Context, Error, ErrorKind, Guard, Keep, MemoryStore, Outcome, Query, Result, RunError, Timestamp, Undo, Undone,
};
use image_sim::{Effect, EventualConsistency, Rule, Simulator};
use std::{collections::BTreeSet, time::Duration};

/// Imports a disk of 60 blocks, and compares.
async fn imports_whole(site: &Site) -> Result<Vec<Guard>> {
    let blocks: Vec<(u32, u8)> = (0..60).map(|n| (n * 3, u8::try_from(n + 1).unwrap())).collect();
    let file = disk(128, &blocks);
    let importer = site.importer();
    let cx = context(&importer).await;
    let captured = import(&cx, &importer, &file).await?;
    assert!(site.blocks(&captured.image.parts["snapshot"]).await == blocks_of(&file), "bytes differ");
    Ok(captured.guards)
}

fn on(effect: Effect, action: &str) -> Rule {
    Rule::new(effect).service("ebs").action(action)
}

/// Every call that changes something, by its service.
const MUTATING: [(&str, &str); 4] =
    [("ebs", "StartSnapshot"), ("ebs", "PutSnapshotBlock"), ("ebs", "CompleteSnapshot"), ("ec2", "RegisterImage")];

/// Runs the kit's pipeline while something goes wrong, without a socket and in no time.
async fn run(rig: &EbsRig) -> Result<Outcome, RunError> {
    let cx = Context::builder(MemoryStore::default()).open().await.unwrap();
    rig.pipeline().run(&cx).await
}

#[tokio::test(start_paused = true)]
async fn lost_replies_and_throttling_are_no_loss() {
    for (service, action) in MUTATING {
        for effect in [
            Effect::ReplyLost,
            Effect::ConnectionReset,
            Effect::ErrorAfter { status: 500 },
            Effect::ServerError { status: 503 },
            Effect::Throttle,
        ] {
            let rig = EbsRig::new();
            rig.wire.simulator().inject(Rule::new(effect.clone()).service(service).action(action).times(2));
            run(&rig).await.unwrap_or_else(|e| panic!("{action} {effect:?}: {e:?}"));
            let left = rig.left();
            let kinds: Vec<&str> = left.iter().filter_map(|id| id.split('-').next()).collect();
            assert_eq!(kinds, ["ami", "snap"], "{action} {effect:?}: one of each");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_call_ends_the_import_and_leaves_nothing() {
    for (service, action) in MUTATING {
        let rig = EbsRig::new();
        let code = if service == "ec2" { "UnauthorizedOperation" } else { "AccessDeniedException" };
        let effect = Effect::Error { code: code.into(), message: "not authorized".into(), status: 403 };
        rig.wire.simulator().inject(Rule::new(effect).service(service).action(action));
        let error = run(&rig).await.unwrap_err();
        assert_eq!(error.cause.kind(), ErrorKind::PermissionDenied, "{action}: {error:?}");
        assert!(error.cause.chain().contains(action), "{action}: {}", error.cause.chain());
        assert_eq!(rig.left(), BTreeSet::new(), "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_that_changed_on_its_way_is_refused_and_nothing_is_registered() {
    let rig = EbsRig::new();
    rig.wire.mangle(Mangle::Blocks);
    let error = run(&rig).await.unwrap_err().cause;
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    assert!(error.chain().contains("checksum") && error.context().any(|(key, _)| key == "block"), "{error:?}");
    assert!(!rig.wire.simulator().calls().iter().any(|call| call.action == "RegisterImage"));
    assert_eq!(rig.left(), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_fails_says_why_and_nothing_is_registered() {
    let rig = EbsRig::new();
    rig.wire.mangle(Mangle::Snapshots);
    let error = run(&rig).await.unwrap_err().cause;
    assert!(error.chain().contains("a block was lost"), "{}", error.chain());
    assert!(!rig.wire.simulator().calls().iter().any(|call| call.action == "RegisterImage"));
    assert_eq!(rig.left(), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_minutes_interrupts_nothing_and_no_block_is_stored_twice() {
    let rig = EbsRig::new();
    rig.wire.simulator().inject(on(Effect::ConnectionReset, "PutSnapshotBlock").after(1));
    let ends = async {
        tokio::time::sleep(Duration::from_secs(8 * 60)).await;
        rig.wire.simulator().clear_faults();
    };
    let (done, ()) = tokio::join!(run(&rig), ends);
    done.unwrap();
    let calls = rig.wire.simulator().calls();
    let stored = calls.iter().filter(|call| call.action == "PutSnapshotBlock" && call.status == 201);
    assert_eq!(stored.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_does_not_end_ends_the_import() {
    let rig = EbsRig::new();
    rig.wire.simulator().inject(on(Effect::ServerError { status: 503 }, "PutSnapshotBlock"));
    let error = run(&rig).await.unwrap_err().cause;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(rig.left(), BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_slows_and_ends_nothing() {
    let site = Site::start().await;
    site.simulator.inject(on(Effect::Throttle, "PutSnapshotBlock").after(5).times(40));
    site.simulator.inject(on(Effect::ServerError { status: 503 }, "PutSnapshotBlock").after(10).times(4));
    imports_whole(&site).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_not_known_everywhere_yet_is_tried_until_it_is() {
    let site = Site::with(Simulator::builder().consistency(EventualConsistency::reads(3))).await;
    imports_whole(&site).await.unwrap();
    let early = site.simulator.calls().iter().filter(|call| call.status == 404).count();
    assert_eq!(early, 3, "one block probes");
}

#[tokio::test(flavor = "multi_thread")]
async fn guards_undo_and_keep() {
    let site = Site::start().await;
    let guards = imports_whole(&site).await.unwrap();
    let importer = site.importer();
    let cx = context(&importer).await;
    for guard in &guards {
        importer.keep(&cx, guard.resource(), &Keep::FOREVER).await.unwrap();
    }
    for kept in site.live().values() {
        assert_eq!((kept.tags[tag::STATE].as_str(), kept.tags.contains_key(tag::EXPIRES)), ("kept", false));
    }
    let expired = Query::expired(guards[0].resource().scope.clone(), Timestamp::from_millis(4_102_444_800_000));
    assert!(importer.find(&cx, &expired).await.unwrap().is_empty(), "kept things never expire");
    assert_eq!(importer.undo(&cx, guards[0].resource()).await.unwrap_err().kind(), ErrorKind::Conflict);

    let others = imports_whole(&site).await.unwrap();
    for guard in others.into_iter().rev() {
        guard.release().await.unwrap();
    }
    assert_eq!(site.live().len(), 2, "only what was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_in_the_middle_leaves_only_what_undo_finds() {
    let site = Site::start().await;
    site.simulator.inject(on(Effect::Delay { millis: 20 }, "PutSnapshotBlock"));
    let importer = site.importer();
    let cx = context(&importer).await;
    let blocks: Vec<(u32, u8)> = (0..200).map(|n| (n, 7)).collect();
    let file = disk(128, &blocks);
    {
        let importing = import(&cx, &importer, &file);
        let half = async {
            while site.count("PutSnapshotBlock") < 50 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            done = importing => panic!("it was to be dropped: {done:?}"),
            () = half => {}
        }
    }
    assert_eq!(site.live().len(), 1);
    undo_all(&importer, &context(&importer).await).await.unwrap();
    assert!(site.live().is_empty());
}

/// Undoes whatever a look finds, without a journal, newest first.
async fn undo_all(importer: &EbsDirect, cx: &Context) -> Result<()> {
    let scope = importer.scopes().remove(0);
    for found in importer.find(cx, &Query::expired(scope, Timestamp::from_millis(4_102_444_800_000))).await? {
        match importer.undo(cx, &found.resource).await? {
            Undone::Gone => {}
            other => return Err(Error::bug(format!("{}: {other:?}", found.resource))),
        }
        assert_eq!(importer.undo(cx, &found.resource).await?, Undone::Absent);
    }
    Ok(())
}
