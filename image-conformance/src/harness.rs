//! Runs under observation: every event, and a photograph of the backend before and after each journal entry.

use crate::{
    Failure, Fresh, Rig,
    books::{Books, Seen},
};
use image_core::{
    Context, Entry, Event, EventSink, Faults, Journal, JournalStore, MemoryStore, Outcome, Result, RunError,
    async_trait,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The id of the run under test.
pub(crate) const RUN: &str = "run-1";

/// Collects events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventSink for Events {
    fn emit(&self, event: &Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}

/// What a crash at one moment leaves behind.
#[derive(Clone, Debug)]
struct Shot {
    text: String,
    world: Arc<dyn Rig>,
}

/// What happens around each entry of the run's journal.
#[derive(Clone, Debug)]
enum Observer {
    /// Nothing.
    Ignores,
    /// A photograph, where the backend can be copied.
    Photographs(Arc<dyn Rig>, Arc<Mutex<Vec<Shot>>>),
    /// The world stands still at this moment: entry `n / 2`, before it (even) or after it (odd).
    Freezes { at: u64, moments: Arc<Mutex<u64>>, frozen: Arc<Notify> },
}

impl Observer {
    async fn moment(&self, store: &MemoryStore) {
        match self {
            Self::Ignores => {}
            Self::Photographs(rig, shots) => {
                if let Some(world) = rig.snapshot() {
                    let shot = Shot { text: store.text(RUN), world };
                    shots.lock().unwrap_or_else(PoisonError::into_inner).push(shot);
                }
            }
            Self::Freezes { at, moments, frozen } => {
                let reached = {
                    let mut moments = moments.lock().unwrap_or_else(PoisonError::into_inner);
                    *moments += 1;
                    *moments - 1 == *at
                };
                if reached {
                    frozen.notify_one();
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
struct ObservedStore {
    store: MemoryStore,
    observer: Observer,
}

#[async_trait]
impl JournalStore for ObservedStore {
    async fn runs(&self) -> Result<Vec<String>> {
        self.store.runs().await
    }
    async fn claim(&self, run: &str) -> Result<Box<dyn Journal>> {
        let journal = self.store.claim(run).await?;
        Ok(if run == RUN { Box::new(ObservedJournal(self.clone(), journal)) } else { journal })
    }
    async fn entries(&self, run: &str) -> Result<Vec<Entry>> {
        self.store.entries(run).await
    }
}

#[derive(Debug)]
struct ObservedJournal(ObservedStore, Box<dyn Journal>);

#[async_trait]
impl Journal for ObservedJournal {
    async fn append(&mut self, entry: &Entry) -> Result<()> {
        self.0.observer.moment(&self.0.store).await;
        let done = self.1.append(entry).await;
        self.0.observer.moment(&self.0.store).await;
        done
    }
    async fn entries(&self) -> Result<Vec<Entry>> {
        self.1.entries().await
    }
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) rig: Arc<dyn Rig>,
    pub(crate) before: Seen,
    pub(crate) store: MemoryStore,
    pub(crate) text: String,
    pub(crate) result: Result<Outcome, RunError>,
    pub(crate) polls: u64,
    pub(crate) creates: u64,
    pub(crate) took: Duration,
    pub(crate) events: Vec<Event>,
    faults: Faults,
    shots: Vec<Shot>,
}

/// One run on a fresh backend, left alone for the settle time afterwards.
pub(crate) async fn run(fresh: Fresh<'_>, faults: Faults) -> Result<Ran, Failure> {
    observed(fresh(), faults, Observer::Ignores, Arc::default()).await
}

/// As [`run`], with a photograph of every moment at which the process can die.
pub(crate) async fn run_photographed(fresh: Fresh<'_>, faults: Faults) -> Result<Ran, Failure> {
    let (rig, shots) = (fresh(), Arc::default());
    let observer = Observer::Photographs(Arc::clone(&rig), Arc::clone(&shots));
    observed(rig, faults, observer, shots).await
}

async fn observed(
    rig: Arc<dyn Rig>,
    faults: Faults,
    observer: Observer,
    shots: Arc<Mutex<Vec<Shot>>>,
) -> Result<Ran, Failure> {
    let (before, store, events) = (Seen::of(&*rig), MemoryStore::default(), Events::default());
    let observed = ObservedStore { store: store.clone(), observer };
    let settings = Context::builder(observed).run_id(RUN).sink(events.clone()).faults(faults.clone());
    let cx = settings.open().await.map_err(Failure::at("a fresh journal"))?;
    let began = Instant::now();
    let result = rig.pipeline().run(&cx).await;
    let took = began.elapsed();
    tokio::time::sleep(rig.limits().settle).await;
    let (polls, creates, text) = (cx.polls(), cx.creates(), store.text(RUN));
    let shots = std::mem::take(&mut *shots.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Ran { rig, before, store, text, result, polls, creates, took, events: events.all(), faults, shots })
}

impl Ran {
    /// The moments at which the process can die while the books are as wanted, counted from 0: before and after each
    /// entry of the journal.
    pub(crate) fn moments(&self, wanted: impl Fn(&Books) -> bool) -> Result<Vec<u64>, Failure> {
        let ends = std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1));
        let ends: Vec<usize> = ends.collect();
        let mut moments = vec![];
        for (entries, end) in ends.iter().enumerate() {
            let after_and_before = (2 * entries as u64).saturating_sub(1)..=2 * entries as u64;
            if wanted(&Books::read(&self.text[..*end])?) {
                moments.extend(after_and_before);
            }
        }
        // Before the entry after the last one is no moment.
        moments.retain(|moment| *moment < 2 * (ends.len() as u64 - 1));
        Ok(moments)
    }

    /// The world after a death at this moment, counted from 0; `None` when the run took another way this time.
    pub(crate) async fn crash(&self, fresh: Fresh<'_>, moment: u64) -> Result<Option<Crash>, Failure> {
        if let Some(Shot { text, world }) = usize::try_from(moment).ok().and_then(|n| self.shots.get(n)) {
            let rig = world.snapshot().ok_or_else(|| Failure::new("snapshot", "a copy cannot be copied"))?;
            let torn = self.text[text.len()..].lines().next().map(|next| torn(text, next));
            return Ok(Some(Crash { rig, before: self.before.clone(), text: text.clone(), torn }));
        }
        let rig = fresh();
        let (before, faults) = (Seen::of(&*rig), self.faults.clone());
        let frozen = Arc::clone(&rig);
        let text = tokio::task::spawn_blocking(move || freeze(&frozen, faults, moment)).await;
        let text = text.map_err(|e| Failure::new("crash", e.to_string()))??;
        // What the next entry would have been is not known; any beginning of one is torn.
        let torn = |text: String| Crash { rig, before, torn: Some(format!("{text}{{\"at\":17")), text };
        Ok(text.map(torn))
    }
}

fn torn(text: &str, next: &str) -> String {
    let mut half = next.len() / 2;
    while !next.is_char_boundary(half) {
        half -= 1;
    }
    format!("{text}{}", &next[..half])
}

/// A dead run: its backend, and its journal whole and with a torn end.
#[derive(Debug)]
pub(crate) struct Crash {
    pub(crate) rig: Arc<dyn Rig>,
    pub(crate) before: Seen,
    pub(crate) text: String,
    pub(crate) torn: Option<String>,
}

/// Runs on a runtime of its own and shuts that down in the middle: all that is under way stops where it is.
fn freeze(rig: &Arc<dyn Rig>, faults: Faults, at: u64) -> Result<Option<String>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new("runtime", e.to_string()))?;
    let (store, frozen) = (MemoryStore::default(), Arc::new(Notify::new()));
    let observer = Observer::Freezes { at, moments: Arc::default(), frozen: Arc::clone(&frozen) };
    let observed = ObservedStore { store: store.clone(), observer };
    let pipeline = rig.pipeline();
    let run = runtime.spawn(async move {
        let cx = Context::builder(observed).run_id(RUN).faults(faults).open().await?;
        let _ = pipeline.run(&cx).await;
        Ok::<_, image_core::Error>(())
    });
    let reached = runtime.block_on(async {
        tokio::select! {
            biased;
            () = frozen.notified() => true,
            _ = run => false,
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(60));
    Ok(reached.then(|| store.text(RUN)))
}
