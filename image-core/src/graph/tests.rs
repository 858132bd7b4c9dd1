//! Graphs of pipelines over a builder in memory whose captures wait for the test.

use super::*;
use crate::*;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};
use tokio::sync::Notify;

const SCOPE: &str = "memory";

/// The world that builders of a test share.
#[derive(Debug, Default)]
struct World {
    /// Committed and open images by id, and the fingerprint they were captured for.
    images: Mutex<BTreeMap<String, Option<String>>>,
    /// Names of pipelines in the order of their captures, with the source they were built from.
    captured: Mutex<Vec<(String, String)>>,
    building: Mutex<BTreeMap<String, [usize; 2]>>,
    ids: AtomicUsize,
    changed: Notify,
}

impl World {
    fn captured(&self) -> Vec<String> {
        self.captured.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }
    fn enter(&self, keys: &[&str], by: isize) {
        let mut building = self.building.lock().unwrap();
        for key in keys {
            let [now, peak] = building.entry((*key).to_owned()).or_default();
            *now = now.checked_add_signed(by).unwrap();
            *peak = (*peak).max(*now);
        }
        drop(building);
        self.changed.notify_waiters();
    }
    fn peak(&self, key: &str) -> usize {
        self.building.lock().unwrap()[key][1]
    }
    /// Waits until this many builds are under way at once.
    async fn until_building(&self, wanted: usize) {
        loop {
            let changed = self.changed.notified();
            if self.building.lock().unwrap().get("all").is_some_and(|[now, _]| *now == wanted) {
                return;
            }
            changed.await;
        }
    }
}

/// What the provisioner of a pipeline does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Deed {
    Fail,
    Panic,
    Pass,
    Wait,
}

#[derive(Clone, Debug)]
struct Memory {
    world: Arc<World>,
    owner: &'static str,
    location: &'static str,
    check: Deed,
}

#[derive(Debug)]
struct Inert(MachineInfo, Arc<World>, [&'static str; 3]);

impl Drop for Inert {
    fn drop(&mut self) {
        self.1.enter(&self.2, -1);
    }
}

#[async_trait]
impl Machine for Inert {
    fn info(&self) -> &MachineInfo {
        &self.0
    }
    async fn exec(&self, _cx: &Context, _command: Command) -> Result<ExecOutput> {
        Ok(ExecOutput::new(Exit::Code(0), vec![], vec![]))
    }
    async fn upload(&self, _cx: &Context, _upload: Upload) -> Result<()> {
        Ok(())
    }
    async fn download(&self, _cx: &Context, _source: &str, _destination: &Path) -> Result<()> {
        Ok(())
    }
    async fn reboot(&self, _cx: &Context) -> Result<()> {
        Ok(())
    }
}

fn platform() -> Platform {
    Platform::linux(Architecture::X86_64, BootMode::None)
}

#[async_trait]
impl Undo for Memory {
    fn owner(&self) -> &str {
        self.owner
    }
    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::new(SCOPE)]
    }
    async fn identity(&self, _cx: &Context, configured: &Scope) -> Result<Scope> {
        Ok(configured.clone())
    }
    async fn undo(&self, _cx: &Context, created: &Resource) -> Result<Undone> {
        let gone = self.world.images.lock().unwrap().remove(created.name()).is_some();
        Ok(if gone { Undone::Gone } else { Undone::Absent })
    }
    async fn restore(&self, _cx: &Context, _changed: &Resource) -> Result<Undone> {
        Ok(Undone::Absent)
    }
    async fn keep(&self, _cx: &Context, _created: &Resource, _keep: &Keep) -> Result<()> {
        Ok(())
    }
    async fn find(&self, _cx: &Context, _query: &Query) -> Result<Vec<Found>> {
        Ok(vec![])
    }
}

impl Memory {
    fn image(&self, id: &str) -> Image {
        Image::new(ImageKind::Disk, self.owner, Scope::new(SCOPE), self.location, id, platform())
    }
    async fn create(&self, cx: &Context, kind: &str, fingerprint: Option<String>) -> Result<Guard> {
        let (world, prefix) = (Arc::clone(&self.world), kind.to_owned());
        let kind = Kind::new(kind, Duration::from_secs(10), Duration::ZERO);
        cx.create(self.owner, &Scope::new(SCOPE), kind, self.location, |_| async move {
            let id = format!("{prefix}-{}", world.ids.fetch_add(1, SeqCst));
            world.images.lock().unwrap().insert(id.clone(), fingerprint);
            Ok(Created::new(id))
        })
        .await
    }
}

#[async_trait]
impl Builder for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    async fn check(&self, _cx: &Context, spec: &BuildSpec) -> Result<Checked> {
        assert!(self.check != Deed::Panic, "panic in check");
        let source = spec.source.as_ref().map_or("scratch", |image| &image.id).to_owned();
        let (pinned, fingerprint) = (Source::new("source", source), Fingerprint::of("memory", "")?);
        Ok(Checked::new(pinned, platform(), Some(fingerprint), self.location, Handle::new(())))
    }
    async fn lookup(&self, _cx: &Context, _checked: &Checked, wanted: &Fingerprint) -> Result<Option<Cached>> {
        let images = self.world.images.lock().unwrap();
        let found = images.iter().find(|(_, fingerprint)| fingerprint.as_deref() == Some(wanted.as_str()));
        Ok(found.map(|(id, _)| Cached::new(self.image(id), Role::Image)))
    }
    async fn launch(&self, cx: &Context, _launch: Launch<'_>) -> Result<Launched> {
        let keys = ["all", self.owner, self.location];
        let guard = self.create(cx, "machine", None).await?;
        self.world.enter(&keys, 1);
        let info = MachineInfo::new(guard.id(), platform(), false);
        let machine = Arc::new(Inert(info, Arc::clone(&self.world), keys));
        Ok(Launched::new(machine, Handle::new(()), vec![guard]))
    }
    async fn capture(&self, cx: &Context, _handle: Handle, capture: Capture<'_>) -> Result<Captured> {
        let built = (capture.name.to_owned(), capture.checked.source.pinned.clone());
        self.world.captured.lock().unwrap().push(built);
        let guard = self.create(cx, "image", capture.fingerprint.map(ToString::to_string)).await?;
        Ok(Captured::new(self.image(guard.id()), vec![guard]))
    }
    async fn boot(&self, _cx: &Context, _image: &Image) -> Result<Launched> {
        Err(Error::new(ErrorKind::Unsupported, "no boot"))
    }
}

#[derive(Debug)]
struct Work {
    id: String,
    deed: Deed,
    go: Arc<Notify>,
}

#[async_trait]
impl Provisioner for Work {
    fn id(&self) -> &str {
        &self.id
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        Fingerprint::of("work", &self.id).map(Some)
    }
    async fn provision(&self, cx: &Context, _machine: &dyn Machine) -> Result<()> {
        match self.deed {
            Deed::Fail => Err(Error::new(ErrorKind::CommandFailed, format!("{} failed", self.id))),
            Deed::Panic => panic!("{} panicked", self.id),
            Deed::Pass => Ok(()),
            Deed::Wait => {
                tokio::select! {
                    () = self.go.notified() => Ok(()),
                    error = cx.ended() => Err(error),
                }
            }
        }
    }
}

#[derive(Debug)]
struct Refuse;

#[async_trait]
impl Approver for Refuse {
    fn id(&self) -> &str {
        "refuse"
    }
    async fn approve(&self, _cx: &Context, _record: &BuildRecord) -> Result<Approval> {
        Err(Error::new(ErrorKind::PolicyViolation, "refused"))
    }
}

/// One test: a world, a journal store, and what waiting provisioners wait for.
#[derive(Default)]
struct Bench {
    world: Arc<World>,
    store: MemoryStore,
    go: Arc<Notify>,
}

impl Bench {
    fn pipeline(&self, name: &str, deed: Deed) -> Pipeline<Ready> {
        self.pipeline_at(name, deed, "here")
    }
    fn pipeline_at(&self, name: &str, deed: Deed, location: &'static str) -> Pipeline<Ready> {
        self.pipeline_by(
            name,
            deed,
            Memory { world: Arc::clone(&self.world), owner: "memory", location, check: Deed::Pass },
        )
    }
    fn pipeline_by(&self, name: &str, deed: Deed, builder: Memory) -> Pipeline<Ready> {
        let work = Work { id: format!("work-{name}"), deed, go: Arc::clone(&self.go) };
        Pipeline::new(name)
            .builder(builder)
            .layer(Layer::new("only").provision(work))
            .without_boot_validation("a test")
            .without_scan("a test")
    }
    fn settings(&self) -> ContextBuilder {
        Context::builder(self.store.clone()).run_id("g")
    }
    /// No image but those of nodes that passed is there, and every journal says so.
    async fn assert_clean(&self, outcome: &GraphOutcome) {
        let passed = outcome.nodes.values().filter_map(NodeOutcome::passed);
        let kept: std::collections::BTreeSet<&str> =
            passed.flat_map(|outcome| &outcome.images).map(|image| image.id.as_str()).collect();
        let images = self.world.images.lock().unwrap().clone();
        assert_eq!(images.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), kept);
        for run in self.store.runs().await.unwrap() {
            let ledger = journal::ledger::Ledger::replay(&self.store.entries(&run).await.unwrap());
            assert!(ledger.open.iter().next().is_none() && ledger.committing.is_none(), "{run}: {ledger:?}");
        }
    }
}

/// Each node as one word.
fn summary(outcome: &GraphOutcome) -> BTreeMap<&str, String> {
    let word = |node: &NodeOutcome| match node {
        NodeOutcome::Failed(error) => format!("failed: {}", error.cause),
        NodeOutcome::Passed(_) => "passed".into(),
        NodeOutcome::Skipped { node, cause } => format!("skipped by {}: {cause}", node.as_deref().unwrap_or("cancel")),
    };
    outcome.nodes.iter().map(|(name, node)| (name.as_str(), word(node))).collect()
}

#[tokio::test]
async fn a_node_builds_on_the_image_of_another() {
    let bench = Bench::default();
    let graph = BuildGraph::new()
        .node_from("web", "base", bench.pipeline("web", Deed::Pass)) // declared before its source
        .node("base", bench.pipeline("base", Deed::Pass))
        .node_from("api", "base", bench.pipeline("api", Deed::Pass))
        .node_from("top", "web", bench.pipeline("top", Deed::Pass))
        .after("top", "api");
    let outcome = graph.run(bench.settings()).await.unwrap();
    assert!(outcome.is_success(), "{:?}", summary(&outcome));
    let image = |name: &str| outcome.nodes[name].passed().unwrap().images[0].id.clone();
    let mut built = bench.world.captured.lock().unwrap().clone();
    assert_eq!((&*built[0].0, &*built[3].0), ("base", "top"), "a diamond");
    built.sort();
    let from = |name: &str, source: String| (name.to_owned(), source);
    let expected = [
        from("api", image("base")),
        from("base", "scratch".into()),
        from("top", image("web")),
        from("web", image("base")),
    ];
    assert_eq!(built, expected);
    bench.assert_clean(&outcome).await;
    let report = outcome.report();
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<GraphReport>(&json).unwrap(), report);
    assert!(report.success && report.nodes["web"].run.as_ref().unwrap().record.run == "g-web");
}

#[tokio::test]
async fn a_failure_stops_its_descendants_only() {
    let bench = Bench::default();
    let graph = BuildGraph::new()
        .node("bad", bench.pipeline("bad", Deed::Fail))
        .node_from("child", "bad", bench.pipeline("child", Deed::Pass))
        .node_from("grandchild", "child", bench.pipeline("grandchild", Deed::Pass))
        .node("panics", bench.pipeline("panics", Deed::Panic))
        .node("good", bench.pipeline("good", Deed::Pass))
        .node_from("fine", "good", bench.pipeline("fine", Deed::Pass))
        .after("fine", "good")
        .node("invalid", Pipeline::new("x").builder_arc(Arc::clone(&bench.pipeline("x", Deed::Pass).state.builder)));
    let outcome = graph.run(bench.settings()).await.unwrap();
    insta::assert_debug_snapshot!(summary(&outcome), @r#"
    {
        "bad": "failed: work-bad failed",
        "child": "skipped by bad: work-bad failed",
        "fine": "passed",
        "good": "passed",
        "grandchild": "skipped by bad: work-bad failed",
        "invalid": "failed: pipeline name is `x`; accepted: 3 to 60 of a-z, 0-9 and `-`, not starting with `-`",
        "panics": "failed: panic: work-panics panicked",
    }
    "#);
    bench.assert_clean(&outcome).await;
    let report = outcome.report();
    let how = |name: &str| report.nodes[name].outcome;
    assert_eq!((how("bad"), how("child")), (StageOutcome::Failed, StageOutcome::Skipped));
    assert!(!report.success);
}

#[tokio::test]
async fn a_panic_while_planning_is_its_nodes_alone() {
    let bench = Bench::default();
    let world = Arc::clone(&bench.world);
    let panics = Memory { world, owner: "memory", location: "here", check: Deed::Panic };
    let graph = BuildGraph::new()
        .node("panics", bench.pipeline_by("panics", Deed::Pass, panics))
        .node("good", bench.pipeline("good", Deed::Pass));
    let outcome = graph.run(bench.settings()).await.unwrap();
    let summary = summary(&outcome);
    assert_eq!((&*summary["good"], &*summary["panics"]), ("passed", "failed: panic: panic in check"));
}

#[tokio::test]
async fn nothing_starts_of_a_graph_that_cannot_work() {
    let bench = Bench::default();
    let pass = |name: &str| bench.pipeline(name, Deed::Pass);
    let message = |graph: BuildGraph| {
        let error = graph.start(bench.settings()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    };
    let two = || BuildGraph::new().node("one", pass("one")).node("two", pass("two"));
    insta::assert_debug_snapshot!([
        message(BuildGraph::new()),
        message(two().node("one", pass("one"))),
        message(two().node_from("three", "tow", pass("three"))),
        message(two().after("tow", "one")),
        message(two().after("one", "two").node_from("x", "y", pass("abc")).node_from("y", "x", pass("abc"))),
        message(two().after("one", "one")),
        message(two().node("Up/down", pass("up"))),
        message(two().limit(0)),
        message(two().limit_location("here", 0)),
    ], @r#"
    [
        "graph nodes is `empty`; accepted: at least one node",
        "graph node is `one`; accepted: a name that no other node has",
        "source of graph node three is `tow`; accepted: the name of a node",
        "graph node is `tow`; accepted: the name of a node",
        "graph nodes is `x, y`; accepted: nodes that do not depend on themselves",
        "graph nodes is `one`; accepted: nodes that do not depend on themselves",
        "run id is `g-Up/down`; accepted: 1 to 96 of a-z, 0-9, `-` and `.`, not starting with `-` or `.`",
        "limit of the graph is `0`; accepted: at least 1",
        "limit of here is `0`; accepted: at least 1",
    ]
    "#);
    assert!(bench.store.runs().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold() {
    let bench = Bench::default();
    let mut graph = BuildGraph::new().limit(5).limit_provider("memory", 4).limit_location("west", 2);
    for n in 0..12 {
        let location = if n % 3 == 0 { "east" } else { "west" };
        graph = graph.node(format!("n{n}"), bench.pipeline_at(&format!("node-{n}"), Deed::Wait, location));
        let other = Memory { world: Arc::clone(&bench.world), owner: "other", location: "east", check: Deed::Pass };
        graph = graph.node(format!("o{n}"), bench.pipeline_by(&format!("other-{n}"), Deed::Wait, other));
    }
    let handle = graph.start(bench.settings()).unwrap();
    bench.world.until_building(5).await;
    let mut end = std::pin::pin!(handle.wait());
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut end => break outcome.unwrap(),
            () = tokio::task::yield_now() => bench.go.notify_one(),
        }
    };
    assert!(outcome.is_success(), "{:?}", summary(&outcome));
    let peaks = ["all", "memory", "west"].map(|key| bench.world.peak(key));
    assert!(peaks[0] == 5 && peaks[1] <= 4 && peaks[2] <= 2, "{peaks:?}");
    assert_eq!(bench.world.captured().len(), 24);
}

#[tokio::test]
async fn equal_work_is_built_once() {
    let bench = Bench::default();
    let equal = || bench.pipeline("same", Deed::Wait);
    let graph = BuildGraph::new()
        .node("one", equal())
        .node("two", equal())
        .node("three", equal())
        .node("elsewhere", bench.pipeline_at("same", Deed::Pass, "there"));
    let handle = graph.start(bench.settings()).unwrap();
    bench.world.until_building(1).await;
    bench.go.notify_one();
    let outcome = handle.wait().await.unwrap();
    assert!(outcome.is_success(), "{:?}", summary(&outcome));
    let reused = |name: &str| outcome.nodes[name].passed().unwrap().report.record.layers[0].reused;
    assert_eq!(["one", "two", "three"].map(reused).iter().filter(|reused| **reused).count(), 2);
    assert!(bench.world.captured().len() <= 2, "{:?}", bench.world.captured());
}

#[tokio::test]
async fn equal_work_that_fails_fails_once() {
    let bench = Bench::default();
    let graph = BuildGraph::new()
        .node("one", bench.pipeline("same", Deed::Fail))
        .node("two", bench.pipeline("same", Deed::Fail));
    let outcome = graph.run(bench.settings()).await.unwrap();
    let summary = summary(&outcome);
    assert_eq!(summary["one"], "failed: work-same failed");
    assert_eq!(summary["two"], "skipped by one: work-same failed");
}

#[tokio::test]
async fn a_gate_of_one_node_does_not_decide_for_equal_work() {
    let bench = Bench::default();
    let graph = BuildGraph::new()
        .node("one", bench.pipeline("same", Deed::Pass).approver(Refuse))
        .node("two", bench.pipeline("same", Deed::Pass))
        .node("three", bench.pipeline("same", Deed::Pass));
    let outcome = graph.run(bench.settings()).await.unwrap();
    let summary = summary(&outcome);
    assert_eq!((&*summary["one"], &*summary["two"], &*summary["three"]), ("failed: refused", "passed", "passed"));
    assert_eq!(bench.world.captured().len(), 2, "the refused one, and one for both others");
    bench.assert_clean(&outcome).await;
}

#[tokio::test]
async fn a_cancel_ends_all_and_leaves_nothing() {
    let bench = Bench::default();
    let mut graph = BuildGraph::new().limit(3).node("done", bench.pipeline("done", Deed::Pass));
    for n in 0..6 {
        graph = graph.node_from(format!("n{n}"), "done", bench.pipeline(&format!("node-{n}"), Deed::Wait));
    }
    let handle = graph.start(bench.settings()).unwrap();
    bench.world.until_building(3).await;
    handle.cancel();
    let outcome = handle.wait().await.unwrap();
    bench.assert_clean(&outcome).await;
    let report = outcome.report();
    let count = |wanted| report.nodes.values().filter(|node| node.outcome == wanted).count();
    let counts = [StageOutcome::Passed, StageOutcome::Cancelled, StageOutcome::Skipped].map(count);
    assert_eq!(counts, [1, 3, 3]);
}

#[tokio::test]
async fn a_dropped_handle_cancels_and_one_node_can_be_cancelled_alone() {
    let bench = Bench::default();
    let graph =
        BuildGraph::new().node("one", bench.pipeline("one", Deed::Wait)).node("two", bench.pipeline("two", Deed::Wait));
    let handle = graph.start(bench.settings()).unwrap();
    bench.world.until_building(2).await;
    handle.canceller("one").unwrap().cancel();
    bench.world.until_building(1).await;
    drop(handle);
    bench.world.until_building(0).await;
    // The unwind goes on without anybody waiting for it.
    while !bench.world.images.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_nodes() {
    let bench = Bench::default();
    let mut graph = BuildGraph::new().limit_provider("memory", 20);
    for n in 0..200 {
        let (name, pipeline) = (format!("n{n}"), bench.pipeline(&format!("node-{n}"), Deed::Pass));
        graph =
            if n < 10 { graph.node(name, pipeline) } else { graph.node_from(name, format!("n{}", n / 3), pipeline) };
    }
    let outcome = graph.run(bench.settings()).await.unwrap();
    assert!(outcome.is_success() && outcome.nodes.len() == 200);
    assert!(bench.world.peak("all") <= 20);
    assert_eq!(bench.world.captured().len(), 200);
    bench.assert_clean(&outcome).await;
}
