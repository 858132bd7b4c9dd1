//! Layers: what is rebuilt, what is reused, what stays after a failure.

use crate::support::{calls, context, gates, later, layer};
use image_conformance::fake::{FakeCloud, FakePlugin, FakeProvisioner, FakeScanner};
use image_core::{Layer, MemoryStore, Pipeline, Ready, State};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn two(cloud: &FakeCloud, below: Layer, above: Layer) -> Pipeline<Ready> {
    gates().layer(below).layer(above).builder(FakePlugin::new(cloud))
}

/// Images captured, whatever became of them.
fn captures(cloud: &FakeCloud) -> usize {
    calls(cloud, "create image").len()
}

#[tokio::test(start_paused = true)]
async fn a_change_rebuilds_its_layer_and_those_above_and_none_below() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    let mut built = vec![];
    for (n, (below, above)) in [("a", "b"), ("a", "b2"), ("a2", "b2"), ("a2", "b2")].into_iter().enumerate() {
        let cx = later(&store, &format!("run-{n}"), HOUR * n as u32).await;
        let before = captures(&cloud);
        let outcome = two(&cloud, layer("below", below), layer("above", above)).run(&cx).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let reused: Vec<bool> = outcome.report.record.layers.iter().map(|layer| layer.reused).collect();
        built.push((captures(&cloud) - before, reused));
    }
    // The last record is the one of the run that approved it.
    let want = [(2, [false, false]), (1, [true, false]), (2, [false, false]), (0, [false, false])];
    assert_eq!(built, want.map(|(n, reused)| (n, reused.to_vec())));
}

#[tokio::test(start_paused = true)]
async fn an_undeclared_provisioner_is_never_reused_and_neither_is_what_stands_on_it() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    for n in 0..2u32 {
        let undeclared = Layer::new("below").provision(FakeProvisioner::new("shell", "x").undeclared());
        let cx = later(&store, &format!("run-{n}"), HOUR * n).await;
        two(&cloud, undeclared, layer("above", "b")).run(&cx).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(captures(&cloud), 4);
    // What nobody could find again is not kept.
    assert!(cloud.items().values().all(|item| item.state() == Some(State::Kept)), "{:?}", cloud.items());
}

#[tokio::test(start_paused = true)]
async fn a_finished_layer_survives_a_later_failure_and_is_reused() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    let pipeline = || two(&cloud, layer("below", "a"), layer("above", "b")).layer_ttl(48 * HOUR);
    let cx = later(&store, "run-0", Duration::ZERO).await;
    let error = pipeline().scanner(FakeScanner::covering(0)).run(&cx).await.unwrap_err();
    assert!(error.leftovers.is_empty() && !error.committed, "a layer is not an image: {error}");
    let items = cloud.items();
    let item = items.values().next().unwrap();
    let lives = item.expires_at().unwrap().since(cx.now());
    assert_eq!((items.len(), item.state()), (1, Some(State::Layer)), "{items:?}");
    assert!(lives > 47 * HOUR && lives <= 48 * HOUR, "{lives:?}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = captures(&cloud);
    let outcome = pipeline().run(&later(&store, "run-1", HOUR).await).await.unwrap();
    assert_eq!((captures(&cloud) - before, outcome.report.record.layers[0].reused), (1, true));
}

/// An intermediate layer is never taken for an image, even where a pipeline ends with it.
#[tokio::test(start_paused = true)]
async fn a_layer_is_not_reused_as_an_image() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    two(&cloud, layer("below", "a"), layer("above", "b")).run(&later(&store, "run-0", HOUR).await).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let one = gates().layer(layer("below", "a")).builder(FakePlugin::new(&cloud));
    let before = captures(&cloud);
    one.run(&context(&store).await).await.unwrap();
    assert_eq!(captures(&cloud) - before, 1);
}
