//! A build that dies at any moment leaves what its journal kept, and nothing else.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "helpers of tests")]

#[path = "support/builds.rs"]
mod builds;
#[path = "support/site.rs"]
mod site;
mod support;

use std::{fs, sync::Arc, time::Duration};

use builds::Order;
use image_core::{
    Context, Event, EventBody, EventSink, Faults, FileStore, JournalStore, MemoryStore, ReapOutcome, Undo, reap,
    recover,
};
use site::{Site, names};
use tokio::sync::mpsc;

#[test]
#[ignore = "the other tests run it in a process of its own"]
fn build_in_a_process() {
    builds::obey();
}

/// Recovers a run and checks that nothing but what its journal kept is there.
async fn recovers(site: &Site, fixture: &std::path::Path, run: &str, why: &str) {
    let journals: Arc<dyn JournalStore> = Arc::new(FileStore::open(site.journals()).unwrap());
    let undoers = || site.pipeline(fixture, "recovery", true).undoers();
    let recovered = recover(Arc::clone(&journals), run, undoers()).await.unwrap();
    assert!(recovered.leftovers.is_empty(), "{why}: {:?}", recovered.leftovers);
    site.assert_only_kept(why).await;
    // Again, as by two people who saw the same alarm.
    let again = recover(journals, run, undoers()).await.unwrap();
    assert!(again.leftovers.is_empty() && again.kept == recovered.kept, "{why}: {again:?}");
    site.assert_only_kept(why).await;
}

/// Kills a build after its `first` entry, the one after that, and so on to its end. Gives the number of the last.
async fn dies_after_every_entry(fixture: &std::path::Path, boot: bool, first: u64, late: Duration) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::new(directory.path());
    // What is published before must stay published.
    assert!(Order::new(&site, "run-000").finish().await.success());
    site.assert_only_kept("an undisturbed run").await;
    for n in first.. {
        let (run, why) = (format!("run-{n:03}"), format!("killed {late:?} after entry {n}"));
        let order = Order { boot, kill_after: Some((n, late)), ..Order::new(&site, &run) };
        let died = order.dies().await;
        recovers(&site, fixture, &run, &why).await;
        if !died {
            return n - 1;
        }
    }
    unreachable!("a run has an end")
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_every_journal_entry() {
    let Some(fixture) = support::fixture() else { return };
    let entries = dies_after_every_entry(fixture, false, 1, Duration::ZERO).await;
    assert!(entries > 20, "only {entries} entries were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_around_the_boot() {
    let Some(fixture) = support::fixture() else { return };
    // The disk is captured about here; everything before is the same as without a boot.
    let entries = dies_after_every_entry(fixture, true, 14, Duration::ZERO).await;
    assert!(entries > 24, "only {entries} entries were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_journal_entries() {
    let Some(fixture) = support::fixture() else { return };
    let directory = tempfile::tempdir().unwrap();
    let site = Site::new(directory.path());
    assert!(Order::new(&site, "run-000").finish().await.success());
    // Where work is done between two entries: unpacking, provisioning, capturing, copying.
    for (n, millis) in [(3, 1), (4, 30), (4, 400), (6, 2), (7, 60), (7, 300), (13, 200), (16, 250), (16, 600), (20, 5)]
    {
        let (run, why) = (format!("run-{n:02}-{millis:03}"), format!("killed {millis} ms after entry {n}"));
        let kill_after = Some((n, Duration::from_millis(millis)));
        Order { kill_after, ..Order::new(&site, &run) }.dies().await;
        recovers(&site, fixture, &run, &why).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_builds_leave_nothing() {
    let Some(_) = support::fixture() else { return };
    let directory = tempfile::tempdir().unwrap();
    let site = Site::new(directory.path());
    for (n, stage) in [
        "check",
        "layer base/launch",
        "layer base/provision/base",
        "layer base/capture",
        "layer application/release",
        "test local/boot",
        "distribute",
    ]
    .into_iter()
    .enumerate()
    {
        let order = Order { boot: true, talk: true, ..Order::new(&site, &format!("run-{n:03}")) };
        assert_eq!(order.start().interrupted_at(stage).await, 130, "{stage}");
        site.assert_only_kept(stage).await;
        assert_eq!(site.kept().latest, None, "{stage}");
    }
    // Too late to stop is a success.
    let order = Order { talk: true, ..Order::new(&site, "run-last") };
    let code = order.start().interrupted_at("publish").await;
    assert!(code == 0 || code == 130, "{code}");
    site.assert_only_kept("publish").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_runs_leave_nothing() {
    let Some(fixture) = support::fixture() else { return };
    let directory = tempfile::tempdir().unwrap();
    let site = Site::new(directory.path());
    for (n, stage) in
        ["layer base/launch", "layer base/capture", "layer application/provision/application", "test local/boot"]
            .into_iter()
            .enumerate()
    {
        let (at, mut reached) = Milestone::at(stage);
        let (end, mut ended) = Milestone::end();
        let settings = Context::builder(FileStore::open(site.journals()).unwrap()).run_id(format!("run-{n}"));
        let cx = settings.sink(at).sink(end).open().await.unwrap();
        let pipeline = site.pipeline(fixture, &format!("drop-{n}"), true);
        tokio::select! {
            done = pipeline.run(&cx) => panic!("{stage}: {:?}", done.err()),
            Some(()) = reached.recv() => {} // and the run is dropped
        }
        ended.recv().await.unwrap();
        drop(cx);
        site.assert_only_kept(stage).await;
    }
}

/// Tells when an event comes.
#[derive(Debug)]
struct Milestone(Option<&'static str>, mpsc::UnboundedSender<()>);

impl Milestone {
    fn at(stage: &'static str) -> (Self, mpsc::UnboundedReceiver<()>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Some(stage), sender), receiver)
    }
    fn end() -> (Self, mpsc::UnboundedReceiver<()>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(None, sender), receiver)
    }
}

impl EventSink for Milestone {
    fn emit(&self, event: &Event) {
        let passed = match (&event.body, self.0) {
            (EventBody::StageStarted, Some(stage)) => event.stage == stage,
            (EventBody::RunFinished { .. }, None) => true,
            _ => false,
        };
        if passed {
            // Nobody listens any more where the test has failed already.
            let _ = self.1.send(());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reaped_without_a_journal() {
    let Some(fixture) = support::fixture() else { return };
    let directory = tempfile::tempdir().unwrap();
    let site = Site::new(directory.path());
    assert!(Order::new(&site, "run-000").finish().await.success());
    let mut kept = site.kept();
    for (n, millis) in [(3, 1), (4, 0), (7, 100), (12, 0), (17, 100), (20, 50)] {
        let (run, why) = (format!("run-{n:03}"), format!("lost the journal {millis} ms after entry {n}"));
        let kill_after = Some((n, Duration::from_millis(millis)));
        if !(Order { kill_after, ..Order::new(&site, &run) }).dies().await {
            // A run that finds a layer of an earlier one has fewer entries, and came to its end before this one.
            assert!(n > 7, "{why}: the run was over before");
            return;
        }
        fs::remove_file(site.journals().join(format!("{run}.journal"))).unwrap();
        // All that is left to go by is on the things themselves.
        kept.images.extend(lasting(&site.root.join("builder/images")));
        site.adopt_published(&mut kept);
        reap_both(&site, fixture, Duration::ZERO).await;
        for place in ["work", "vms"] {
            let expected = if place == "work" && (4..6).contains(&n) { 1 } else { 0 };
            assert!(names(&site.root.join("builder").join(place)).len() >= expected, "{why}: too early");
        }
        reap_both(&site, fixture, Duration::from_secs(2 * 24 * 3600)).await;
        site.assert_only(&kept, &why).await;
    }
}

/// The directories whose tags say that they stay.
fn lasting(images: &std::path::Path) -> Vec<String> {
    let stays = |name: &String| {
        let Ok(text) = fs::read(images.join(name).join("tags.json")) else { return false };
        let tags: serde_json::Value = serde_json::from_slice(&text).unwrap();
        tags["state"] == "kept" || tags["state"] == "layer"
    };
    names(images).into_iter().filter(stays).collect()
}

async fn reap_both(site: &Site, fixture: &std::path::Path, ahead: Duration) {
    let cx = Context::builder(MemoryStore::default()).faults(Faults::clock_ahead(ahead)).open().await.unwrap();
    let undoers: [Arc<dyn Undo>; 2] = [Arc::new(site.builder(fixture)), Arc::new(site.store())];
    for undoer in undoers {
        for scope in undoer.scopes() {
            for reaped in reap(&cx, &*undoer, &scope, true).await.unwrap() {
                assert_eq!(reaped.outcome, ReapOutcome::Gone, "{reaped:?}");
            }
        }
    }
}
