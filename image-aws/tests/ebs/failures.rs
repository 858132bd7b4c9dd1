//! Lost replies, throttling, refusals, cancels: blocks arrive, and nothing is left behind.

use crate::site::{Site, blocks_of, context, disk, import};
use image_aws::{EbsDirect, tag};
use image_core::{Context, Error, ErrorKind, Guard, Keep, Query, Result, Timestamp, Undo, Undone};
use image_sim::{Effect, EventualConsistency, Rule, Simulator};

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

#[tokio::test(flavor = "multi_thread")]
async fn lost_replies_are_no_loss() {
    for action in ["StartSnapshot", "PutSnapshotBlock", "CompleteSnapshot"] {
        for effect in [Effect::ReplyLost, Effect::ConnectionReset, Effect::ErrorAfter { status: 500 }] {
            let site = Site::start().await;
            site.simulator.inject(on(effect.clone(), action).times(2));
            imports_whole(&site).await.unwrap_or_else(|e| panic!("{action} {effect:?}: {}", e.chain()));
            assert_eq!(site.live().len(), 2, "{action} {effect:?}: one snapshot and one image");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_whose_registration_was_lost_is_found_by_its_token() {
    let site = Site::start().await;
    site.simulator.inject(Rule::new(Effect::ReplyLost).action("RegisterImage").times(1));
    imports_whole(&site).await.unwrap();
    assert_eq!(site.live().len(), 2);
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
async fn a_refusal_ends_the_import_and_names_the_block() {
    let site = Site::start().await;
    let effect = Effect::Error { code: "ValidationException".into(), message: "checksum".into(), status: 400 };
    site.simulator.inject(on(effect, "PutSnapshotBlock").after(20));
    let importer = site.importer();
    let error = imports_whole(&site).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.context().any(|(key, _)| key == "block"), "{error}");
    // What is open is undone from its tags alone, as after a crash.
    let live = site.live();
    assert_eq!(live.len(), 1);
    undo_all(&importer, &context(&importer).await).await.unwrap();
    assert!(site.live().is_empty());
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
    let blocks: Vec<(u32, u8)> = (0..400).map(|n| (n, 7)).collect();
    let file = disk(256, &blocks);
    {
        let importing = import(&cx, &importer, &file);
        let half = async {
            while site.count("PutSnapshotBlock") < 50 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
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
