//! Builds in processes of their own, which kill themselves: the test binary, run again for one ignored test.

use crate::{
    site::{RUN, pipeline},
    wire::Wire,
};
use image_core::{Context, Entry, FileStore, Journal, JournalStore, Result, async_trait};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use std::{
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use tokio::task::spawn_blocking;

/// The environment variable with an [`Order`] in JSON.
const ORDER: &str = "GOLDEN_IMAGE_TEST_BUILD";

/// When a process dies.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Death {
    /// Once so many journal entries are written.
    Entry(u64),
    /// Once so many requests were answered; the last answer is not read.
    Reply(u64),
}

/// What a process needs to know.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    pub(crate) endpoint: String,
    pub(crate) subnet: String,
    pub(crate) journals: PathBuf,
    pub(crate) death: Option<Death>,
}

impl Order {
    /// Runs until the process kills itself. False where the run came to its end before.
    pub(crate) async fn obeyed(self) -> bool {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["build_in_a_process", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(ORDER, serde_json::to_string(&self).unwrap()).stdin(Stdio::null()).stdout(Stdio::null());
        let status = spawn_blocking(move || command.status().unwrap()).await.unwrap();
        let killed = status.signal() == Some(9) && self.death.is_some();
        assert!(killed || status.success(), "{:?}: {status}", self.death);
        killed
    }
}

/// The body of the test `build_in_a_process`: builds as ordered.
pub(crate) fn obey() {
    let Some(order) = std::env::var_os(ORDER) else { return };
    let order: Order = serde_json::from_str(order.to_str().unwrap()).unwrap();
    crate::tally::runtime().block_on(async move {
        let (entries, replies) = match order.death {
            Some(Death::Entry(n)) => (Some(n), None),
            Some(Death::Reply(n)) => (None, Some(n)),
            None => (None, None),
        };
        let inner = FileStore::open(&order.journals).unwrap();
        let journals = Deadly { inner, written: Arc::default(), dies_after: entries };
        let cx = Context::builder(journals).run_id(RUN).open().await.unwrap();
        let wire = Wire::new(&order.endpoint).dies_after(replies);
        pipeline(wire, &order.subnet).run(&cx).await.unwrap_or_else(|e| panic!("{}", e.cause.chain()));
    });
}

/// Ends the process at once, as a host that loses its power does.
pub(crate) fn die() -> ! {
    kill_process(getpid(), Signal::KILL).unwrap();
    unreachable!("nothing runs after SIGKILL")
}

/// Journals after whose n-th entry the process dies.
#[derive(Clone, Debug)]
struct Deadly {
    inner: FileStore,
    written: Arc<AtomicU64>,
    dies_after: Option<u64>,
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
        if Some(self.store.written.fetch_add(1, SeqCst) + 1) == self.store.dies_after {
            die();
        }
        Ok(())
    }
    async fn entries(&self) -> Result<Vec<Entry>> {
        self.inner.entries().await
    }
}
