//! Builds in processes of their own, which can be killed: the test binary, run again for one ignored test.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    process::{Child, ChildStdout, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use image_core::{Context, Entry, Event, EventBody, EventSink, FileStore, Journal, JournalStore, Result, async_trait};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

use super::{site::Site, support};

/// The environment variable with an [`Order`] in JSON.
const ORDER: &str = "GOLDEN_IMAGE_TEST_BUILD";

/// What a process builds, and when it dies.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    pub(crate) root: std::path::PathBuf,
    pub(crate) run: String,
    pub(crate) content: String,
    pub(crate) boot: bool,
    /// Dies so many journal entries and then so long after the start.
    pub(crate) kill_after: Option<(u64, Duration)>,
    /// Says on standard output which stages begin.
    pub(crate) talk: bool,
}

impl Order {
    pub(crate) fn new(site: &Site, run: &str) -> Self {
        let (root, run) = (site.root.clone(), run.to_owned());
        Self { root, content: run.clone(), run, boot: false, kill_after: None, talk: false }
    }
    pub(crate) fn start(&self) -> Build {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["build_in_a_process", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(ORDER, serde_json::to_string(self).unwrap()).env("TMPDIR", self.root.join("tmp"));
        let out = if self.talk { Stdio::piped() } else { Stdio::null() };
        let mut child = command.stdin(Stdio::null()).stdout(out).spawn().unwrap();
        let lines = child.stdout.take().map(BufReader::new);
        Build { child, lines }
    }
    /// Runs to the end, whatever that is.
    pub(crate) async fn finish(self) -> ExitStatus {
        tokio::task::spawn_blocking(move || self.start().child.wait().unwrap()).await.unwrap()
    }
    /// Runs until it kills itself. False where it came to its end before.
    pub(crate) async fn dies(self) -> bool {
        let status = self.finish().await;
        assert!(status.signal() == Some(9) || status.success(), "{status}");
        !status.success()
    }
}

/// A process that builds.
pub(crate) struct Build {
    child: Child,
    lines: Option<BufReader<ChildStdout>>,
}

impl Build {
    /// Waits for a stage to begin, sends an interrupt, and gives the exit code.
    pub(crate) async fn interrupted_at(mut self, stage: &str) -> i32 {
        let wanted = format!("stage {stage}\n");
        tokio::task::spawn_blocking(move || {
            let mut lines = self.lines.take().unwrap();
            let mut line = String::new();
            // The harness begins the first line.
            while !line.ends_with(&wanted) {
                line.clear();
                assert!(lines.read_line(&mut line).unwrap() > 0, "there was no {wanted}");
            }
            let pid = rustix::process::Pid::from_child(&self.child);
            kill_process(pid, Signal::INT).unwrap();
            // Nobody reads from here on; a full pipe must not stop it.
            std::io::copy(&mut lines, &mut std::io::sink()).unwrap();
            self.child.wait().unwrap().code().unwrap()
        })
        .await
        .unwrap()
    }
}

/// The body of the test `build_in_a_process`: builds as ordered, and ends the process with the run's exit code.
pub(crate) fn obey() {
    let Some(order) = std::env::var_os(ORDER) else { return };
    let order: Order = serde_json::from_str(order.to_str().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let code = runtime.block_on(build(order));
    std::process::exit(code)
}

async fn build(order: Order) -> i32 {
    let site = Site::new(&order.root);
    let journals = Deadly {
        inner: FileStore::open(site.journals()).unwrap(),
        entries: Arc::default(),
        kill_after: order.kill_after,
    };
    let mut settings = Context::builder(journals).run_id(order.run);
    if order.talk {
        settings = settings.sink(Talk);
    }
    let cx = settings.open().await.unwrap();
    let pipeline = site.pipeline(support::fixture().unwrap(), &order.content, order.boot);
    let mut interrupts = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).unwrap();
    let run = pipeline.start(&cx);
    let canceller = run.canceller();
    tokio::spawn(async move {
        interrupts.recv().await;
        canceller.cancel();
    });
    match run.wait().await {
        Ok(_) => 0,
        Err(error) => {
            eprintln!("{error}");
            error.exit_code().into()
        }
    }
}

/// Says which stages begin.
#[derive(Debug)]
struct Talk;

impl EventSink for Talk {
    fn emit(&self, event: &Event) {
        if event.body == EventBody::StageStarted {
            println!("stage {}", event.stage);
        }
    }
}

/// Journals after whose n-th entry the process dies as by `kill -9`.
#[derive(Clone, Debug)]
struct Deadly {
    inner: FileStore,
    entries: Arc<AtomicU64>,
    kill_after: Option<(u64, Duration)>,
}

#[derive(Debug)]
struct DeadlyJournal {
    inner: Box<dyn Journal>,
    store: Deadly,
}

#[async_trait]
impl JournalStore for Deadly {
    async fn runs(&self) -> Result<Vec<String>> {
        self.inner.runs().await
    }
    async fn claim(&self, run: &str) -> Result<Box<dyn Journal>> {
        let inner = self.inner.claim(run).await?;
        Ok(Box::new(DeadlyJournal { inner, store: self.clone() }))
    }
    async fn entries(&self, run: &str) -> Result<Vec<Entry>> {
        self.inner.entries(run).await
    }
}

#[async_trait]
impl Journal for DeadlyJournal {
    async fn append(&mut self, entry: &Entry) -> Result<()> {
        self.inner.append(entry).await?;
        let n = self.store.entries.fetch_add(1, SeqCst) + 1;
        if let Some((at, after)) = self.store.kill_after
            && n == at
        {
            if after.is_zero() {
                kill_process(getpid(), Signal::KILL).unwrap();
            }
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                kill_process(getpid(), Signal::KILL).unwrap();
            });
        }
        Ok(())
    }
    async fn entries(&self) -> Result<Vec<Entry>> {
        self.inner.entries().await
    }
}
