//! Committing, distributing, publishing.

use crate::support::{Failing, RUN, calls, context, pipeline, recover};
use image_conformance::fake::{FakeCloud, FakePlugin};
use image_core::{Context, MemoryStore};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_commit_record_that_may_be_written_is_left_to_recovery() {
    for written in [true, false] {
        let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
        let failing = Failing { store: store.clone(), from: "\"committing\"", written };
        let cx = Context::builder(failing).run_id(RUN).open().await.unwrap();
        let error = pipeline(&cloud).run(&cx).await.unwrap_err();
        assert_eq!((error.committed, cloud.ids().len()), (false, 2), "neither undone nor kept: {:?}", cloud.ids());
        assert_eq!(error.leftovers.stuck.len(), 2);
        drop(cx);
        let done = recover(&store, pipeline(&cloud).undoers()).await.unwrap();
        let kept = if written { 2 } else { 0 };
        assert_eq!((done.kept.len(), cloud.ids().len(), done.leftovers.is_empty()), (kept, kept, true));
    }
}

#[tokio::test(start_paused = true)]
async fn every_distributor_verifies_before_any_publishes() {
    for second_fails in [false, true] {
        let cloud = FakeCloud::default();
        let second = FakePlugin::new(&cloud).named("b");
        let second = if second_fails { second.spoiling_copies() } else { second };
        let result = pipeline(&cloud).distributor(second).run(&context(&MemoryStore::default()).await).await;
        let log = cloud.calls();
        let last_verify = log.iter().rposition(|line| line.starts_with("verify")).unwrap();
        let first_publish = log.iter().position(|line| line.starts_with("set pointer/"));
        assert_eq!((result.is_err(), first_publish.is_none()), (second_fails, second_fails), "{log:?}");
        assert!(first_publish.is_none_or(|publish| last_verify < publish), "{log:?}");
        assert_eq!(cloud.ids().len(), if second_fails { 0 } else { 3 });
        assert_eq!(cloud.value("pointer/a-0") == json!("last-week"), second_fails);
    }
}

/// A run that fails after its commit says so; the images stay, the pointers go back.
#[tokio::test(start_paused = true)]
async fn images_stay_when_publishing_fails() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    let clean = {
        let cx = context(&store).await;
        pipeline(&cloud).run(&cx).await.unwrap();
        cx.creates()
    };
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    let faults = image_core::Faults::at_create(clean, image_core::FaultSide::After);
    let cx = Context::builder(store).run_id(RUN).faults(faults).open().await.unwrap();
    let error = pipeline(&cloud).run(&cx).await.unwrap_err();
    assert!(error.committed && error.leftovers.is_empty(), "{error:?}");
    assert!(error.to_string().contains("images were committed before and stay"), "{error}");
    assert_eq!(cloud.ids().len(), 2);
    assert_eq!((calls(&cloud, "set").len(), cloud.value("pointer/a-0")), (2, json!("last-week")));
}
