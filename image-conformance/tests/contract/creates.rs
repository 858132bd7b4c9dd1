//! Creating, changing, recovering.

use crate::support::{Failing, RUN, calls, context, open, pipeline, recover, undoers};
use image_conformance::fake::{FakeCloud, FakePlugin, FakeScanner};
use image_core::{
    Context, CreateError, CreateRequest, Created, Error, ErrorKind, JournalStore, MemoryStore, Scope, Undoers,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_failed_append_creates_nothing_and_later_ones_do_not_stop_the_unwind() {
    for (from, creates) in [("\"intended\"", 0), ("{\"created\"", 1), ("\"undone\"", 4)] {
        let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
        let failing = Failing { store, from, written: false };
        let cx = Context::builder(failing).open().await.unwrap();
        let error = pipeline(&cloud).scanner(FakeScanner::covering(0)).run(&cx).await.unwrap_err();
        assert!(calls(&cloud, "create").len() <= creates, "{from}: {:?}", cloud.calls());
        assert_eq!(calls(&cloud, "create").is_empty(), creates == 0, "{from}");
        assert!(cloud.ids().is_empty() && error.leftovers.stuck.is_empty(), "{from}: {:?}", cloud.ids());
        assert!(!error.leftovers.journal_errors.is_empty(), "{from}: a journal that failed must be reported");
    }
}

/// The caller and then the process go away while the call is in the cloud, which shows its effect 80 s later.
#[tokio::test(start_paused = true)]
async fn a_lost_create_is_closed_only_after_its_deadline_and_settle_window() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    let (cx, plugin) = open(&cloud, &store).await;
    let api = cloud.clone();
    let call = |request: CreateRequest| async move {
        api.create_lagging("image", request.tags, "", Duration::from_secs(80)).await;
        std::future::pending::<()>().await;
        Ok(Created::new("never"))
    };
    let caller = tokio::spawn({
        let (cx, cloud) = (cx.clone(), cloud.clone());
        async move { cx.create("fake", &cloud.account(), cloud.kind("image"), "here", call).await.map(drop) }
    });
    sleep(Duration::from_millis(50)).await;
    caller.abort();
    let live = recover(&store, undoers(&cloud)).await.unwrap_err();
    assert_eq!(live.kind(), ErrorKind::Conflict, "the claim is exclusive");
    store.expire(RUN);
    let began = Instant::now();
    let done = recover(&store, undoers(&cloud)).await.unwrap();
    assert!(done.leftovers.is_empty() && cloud.ids().is_empty() && began.elapsed() >= Duration::from_secs(79));
    drop((cx, plugin));
}

#[tokio::test(start_paused = true)]
async fn refusals_close_at_once_and_nobody_creates_what_nobody_can_undo() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    let (cx, _) = open(&cloud, &store).await;
    let refused = |_| async { Err(CreateError::Rejected(Error::new(ErrorKind::QuotaExceeded, "quota"))) };
    let error = cx.create("fake", &cloud.account(), cloud.kind("image"), "here", refused).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    assert!(store.text(RUN).lines().last().unwrap().contains("rejected"));
    let before = store.text(RUN);
    cx.create("fake", &Scope::new("333"), cloud.kind("image"), "here", refused).await.unwrap_err();
    cx.create("other", &cloud.account(), cloud.kind("image"), "here", refused).await.unwrap_err();
    assert_eq!(store.text(RUN), before, "refused before the intent");
    store.expire(RUN);
    let began = Instant::now();
    assert!(recover(&store, undoers(&cloud)).await.unwrap().leftovers.is_empty());
    assert_eq!(began.elapsed(), Duration::ZERO, "a definite refusal leaves nothing to wait for");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_restored_only_while_it_is_ours() {
    for (theirs, want) in [(None, "last-week"), (Some("hotfix"), "hotfix")] {
        let cloud = FakeCloud::default();
        let (cx, plugin) = open(&cloud, &MemoryStore::default()).await;
        let guard = plugin.point(&cx, "pointer/a-0", "ours").await.unwrap();
        if let Some(value) = theirs {
            cloud.set_value("pointer/a-0", json!(value));
        }
        guard.release().await.unwrap();
        assert_eq!(cloud.value("pointer/a-0"), json!(want));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_owner_is_stuck_the_old_writer_is_fenced_and_a_later_recovery_succeeds() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    let (cx, plugin) = open(&cloud, &store).await;
    let _guard = plugin.create(&cx, "image", &[], "").await.unwrap();
    store.expire(RUN);
    let done = recover(&store, Undoers::new()).await.unwrap();
    assert_eq!((done.leftovers.stuck.len(), cloud.ids().len()), (1, 1));
    assert!(done.leftovers.stuck[0].reason.contains("no undoer is registered for fake in 111"));
    plugin.create(&cx, "image", &[], "").await.unwrap_err();
    assert_eq!(cloud.ids().len(), 1, "a writer without a claim creates nothing");
    let foreign = FakePlugin::new(&FakeCloud::new("222")).configured_for(cloud.account());
    let done = recover(&store, Undoers::new().with(Arc::new(foreign))).await.unwrap();
    assert!(done.leftovers.stuck[0].reason.contains("reach 222, not 111"), "{done:?}");
    assert!(recover(&store, undoers(&cloud)).await.unwrap().leftovers.is_empty() && cloud.ids().is_empty());
}

/// A slow create whose caller was dropped finishes before anything is undone: otherwise its parent goes first.
#[tokio::test(start_paused = true)]
async fn outstanding_creates_are_awaited_before_anything_is_undone() {
    use image_core::{Handle, Launch, Launched, async_trait};
    #[derive(Clone, Debug)]
    struct Slow(FakePlugin);
    crate::support::delegate_undo!(Slow);
    #[async_trait]
    impl image_core::Builder for Slow {
        fn capabilities(&self) -> image_core::Capabilities {
            image_core::Builder::capabilities(&self.0)
        }
        async fn check(&self, cx: &Context, spec: &image_core::BuildSpec) -> image_core::Result<image_core::Checked> {
            image_core::Builder::check(&self.0, cx, spec).await
        }
        async fn lookup(
            &self,
            _: &Context,
            _: &image_core::Checked,
            _: &image_core::Fingerprint,
        ) -> image_core::Result<Option<image_core::Cached>> {
            Ok(None)
        }
        async fn launch(&self, cx: &Context, _: Launch<'_>) -> image_core::Result<Launched> {
            let parent = self.0.create(cx, "key", &[], "").await?;
            let cloud = self.0.cloud().clone();
            let slow = |request: CreateRequest| async move {
                sleep(Duration::from_secs(40)).await;
                Ok(Created::new(cloud.create_lagging("child", request.tags, "", Duration::ZERO).await))
            };
            let kind = self.0.cloud().kind("child");
            let child = cx.create("fake", &self.0.cloud().account(), kind, "here", slow).await?;
            let machine = image_conformance::fake::FakeMachine::new(self.0.cloud(), child.id());
            Ok(Launched::new(Arc::new(machine), Handle::new(()), vec![parent, child]))
        }
        async fn capture(
            &self,
            cx: &Context,
            handle: Handle,
            capture: image_core::Capture<'_>,
        ) -> image_core::Result<image_core::Captured> {
            self.0.capture(cx, handle, capture).await
        }
        async fn boot(&self, cx: &Context, image: &image_core::Image) -> image_core::Result<Launched> {
            image_core::Builder::boot(&self.0, cx, image).await
        }
    }
    let cloud = FakeCloud::default();
    let pipeline =
        crate::support::gates().layer(crate::support::layer("base", "x")).builder(Slow(FakePlugin::new(&cloud)));
    let cx = context(&MemoryStore::default()).await;
    let handle = pipeline.start(&cx);
    sleep(Duration::from_secs(25)).await; // the key is visible, the child is under way
    handle.cancel();
    let error = handle.wait().await.unwrap_err();
    assert!(error.leftovers.is_empty() && error.exit_code() == 130);
    let order = [calls(&cloud, "create"), calls(&cloud, "delete")].concat();
    assert_eq!(cloud.calls(), order, "everything is created before anything is deleted");
    assert_eq!(order, ["create key-1", "create child-2", "delete child-2", "delete key-1"]);
}

/// What cannot be released stays open, and the unwind at the end tries again.
#[tokio::test(start_paused = true)]
async fn a_failed_release_stays_open_and_a_recovery_undoes_it() {
    let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
    let (cx, undoers) = (context(&store).await, undoers(&cloud));
    let other = FakePlugin::new(&FakeCloud::new("222")).configured_for(cloud.account());
    cx.register(Undoers::new().with(Arc::new(other))).unwrap();
    let guard = FakePlugin::new(&cloud).create(&cx, "image", &[], "").await.unwrap();
    let error = guard.release().await.unwrap_err();
    assert!(error.to_string().contains("could not be released") && !error.is_retryable(), "{error}");
    assert_eq!(cloud.ids().len(), 1);
    store.expire(RUN);
    assert!(recover(&store, undoers).await.unwrap().leftovers.is_empty() && cloud.ids().is_empty());
}

/// Drops the handle at many moments of a run; whatever the moment, the journal and the cloud agree.
#[tokio::test(start_paused = true)]
async fn dropping_the_handle_unwinds_at_any_moment() {
    let (mut ends, mut at) = (BTreeMap::new(), 0);
    while at < 400_000 {
        let (cloud, store) = (FakeCloud::default(), MemoryStore::default());
        let handle = pipeline(&cloud).start(&context(&store).await);
        sleep(Duration::from_millis(at)).await;
        drop(handle);
        while store.claim(RUN).await.is_err() {
            sleep(Duration::from_secs(1)).await; // the claim ends with the unwind
        }
        let committed = store.text(RUN).contains("\"committing\"");
        assert_eq!(cloud.ids().len(), if committed { 2 } else { 0 }, "dropped at {at} ms: {:?}", cloud.ids());
        *ends.entry(committed).or_insert(0) += 1;
        at = if at < 120 { at + 3 } else { at * 11 / 10 };
    }
    assert_eq!(ends.len(), 2, "both before and after the commit: {ends:?}");
}

/// A release goes on when its run is cancelled, and the unwind may be done before it. The run has ended when both are.
#[tokio::test(start_paused = true)]
async fn the_journal_is_free_once_a_run_has_ended_that_was_cancelled_in_a_release() {
    use image_core::{Launch, Launched, Provisioner, Resource, Undone, async_trait};
    /// Whose first undo takes a minute, and any later one no time.
    #[derive(Clone, Debug)]
    struct Late(FakePlugin, Arc<AtomicBool>);
    #[async_trait]
    impl image_core::Undo for Late {
        fn owner(&self) -> &str {
            self.0.owner()
        }
        fn scopes(&self) -> Vec<Scope> {
            self.0.scopes()
        }
        async fn identity(&self, cx: &Context, scope: &Scope) -> image_core::Result<Scope> {
            self.0.identity(cx, scope).await
        }
        async fn undo(&self, cx: &Context, created: &Resource) -> image_core::Result<Undone> {
            if !self.1.swap(true, Ordering::SeqCst) {
                sleep(Duration::from_secs(60)).await;
            }
            self.0.undo(cx, created).await
        }
        async fn restore(&self, cx: &Context, changed: &Resource) -> image_core::Result<Undone> {
            self.0.restore(cx, changed).await
        }
        async fn keep(&self, cx: &Context, created: &Resource, keep: &image_core::Keep) -> image_core::Result<()> {
            self.0.keep(cx, created, keep).await
        }
        async fn find(&self, cx: &Context, query: &image_core::Query) -> image_core::Result<Vec<image_core::Found>> {
            self.0.find(cx, query).await
        }
    }
    #[async_trait]
    impl image_core::Builder for Late {
        fn capabilities(&self) -> image_core::Capabilities {
            image_core::Builder::capabilities(&self.0)
        }
        async fn check(&self, cx: &Context, spec: &image_core::BuildSpec) -> image_core::Result<image_core::Checked> {
            image_core::Builder::check(&self.0, cx, spec).await
        }
        async fn lookup(
            &self,
            cx: &Context,
            checked: &image_core::Checked,
            fingerprint: &image_core::Fingerprint,
        ) -> image_core::Result<Option<image_core::Cached>> {
            self.0.lookup(cx, checked, fingerprint).await
        }
        async fn launch(&self, cx: &Context, launch: Launch<'_>) -> image_core::Result<Launched> {
            self.0.launch(cx, launch).await
        }
        async fn capture(
            &self,
            cx: &Context,
            handle: image_core::Handle,
            capture: image_core::Capture<'_>,
        ) -> image_core::Result<image_core::Captured> {
            self.0.capture(cx, handle, capture).await
        }
        async fn boot(&self, cx: &Context, image: &image_core::Image) -> image_core::Result<Launched> {
            image_core::Builder::boot(&self.0, cx, image).await
        }
    }
    /// Releases something of its own.
    #[derive(Debug)]
    struct Releases(FakePlugin);
    #[async_trait]
    impl Provisioner for Releases {
        fn id(&self) -> &str {
            "releases"
        }
        async fn fingerprint(&self, _: &Context) -> image_core::Result<Option<image_core::Fingerprint>> {
            Ok(None)
        }
        async fn provision(&self, cx: &Context, _: &dyn image_core::Machine) -> image_core::Result<()> {
            self.0.create(cx, "key", &[], "").await?.release().await
        }
    }
    let (cloud, store) = (FakeCloud::default().prompt(), MemoryStore::default());
    let plugin = FakePlugin::new(&cloud);
    let layer = image_core::Layer::new("base").provision(Releases(plugin.clone()));
    let pipeline = crate::support::gates().layer(layer).builder(Late(plugin, Arc::default()));
    let handle = pipeline.start(&context(&store).await);
    while calls(&cloud, "create key").is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_secs(1)).await;
    handle.cancel();
    let error = handle.wait().await.unwrap_err();
    assert!(error.leftovers.is_empty() && cloud.ids().is_empty(), "{error:?}");
    drop(error);
    assert!(store.claim(RUN).await.is_ok(), "somebody still writes");
}

/// A task that a plugin left behind cannot create anything while the run unwinds: nobody would undo it.
#[tokio::test(start_paused = true)]
async fn nothing_is_created_while_the_run_unwinds() {
    let (cloud, cx) = (FakeCloud::default(), context(&MemoryStore::default()).await);
    let handle = pipeline(&cloud).scanner(FakeScanner::covering(0)).start(&cx);
    sleep(Duration::from_secs(5)).await; // it has failed, and its instance is not visible yet
    let before = calls(&cloud, "create");
    let error = FakePlugin::new(&cloud).create(&cx, "image", &[], "").await.map(drop).unwrap_err();
    assert!(error.to_string().contains("the run is unwinding"), "{error}");
    assert_eq!(handle.wait().await.unwrap_err().cause.kind(), ErrorKind::PolicyViolation);
    assert_eq!((calls(&cloud, "create"), cloud.ids().len()), (before, 0));
}
