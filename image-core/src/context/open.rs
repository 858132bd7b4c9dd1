//! Opening a run: claiming its journal, and the settings that hold for all of it.

use super::{Context, Faults, Run};
use crate::{
    Error, ErrorKind, EventSink, Journal, JournalStore, MemoryStore, Record, Result, Timestamp,
    journal::FORMAT_VERSION, journal::ledger::Ledger, secret::Redactor,
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a run may take unless it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
/// How long the cleanup of a run may take.
const DEFAULT_UNWIND: Duration = Duration::from_secs(3600);
/// Between the last moment of a run and the expiry of what it created, for clocks that differ.
const EXPIRY_MARGIN: Duration = Duration::from_secs(12 * 3600);

/// The settings of a run, before its journal is claimed.
#[derive(Clone, Debug)]
pub struct ContextBuilder {
    store: Arc<dyn JournalStore>,
    run: Option<String>,
    pipeline: String,
    timeout: Duration,
    unwind_for: Duration,
    sinks: Vec<Arc<dyn EventSink>>,
    faults: Faults,
}

impl Context {
    /// Prepares a run whose journal is kept in `store`.
    pub fn builder(store: impl JournalStore) -> ContextBuilder {
        Self::builder_arc(Arc::new(store))
    }
    /// As [`builder`](Self::builder), for a store that is shared.
    pub fn builder_arc(store: Arc<dyn JournalStore>) -> ContextBuilder {
        ContextBuilder {
            store,
            run: None,
            pipeline: "pipeline".into(),
            timeout: DEFAULT_TIMEOUT,
            unwind_for: DEFAULT_UNWIND,
            sinks: vec![],
            faults: Faults::default(),
        }
    }

    /// A context over a journal that was claimed already.
    pub(crate) fn over(run: String, journal: Box<dyn Journal>, ledger: Ledger, settings: &ContextBuilder) -> Self {
        let started = (Timestamp::from_system_clock().after(settings.faults.clock_ahead), Instant::now());
        let lasts = settings.timeout.saturating_add(settings.unwind_for);
        let run = Run {
            id: run,
            pipeline: settings.pipeline.clone(),
            store: Some(Arc::clone(&settings.store)),
            journal: journal.into(),
            ledger: ledger.into(),
            undoers: OnceLock::new(),
            tracker: TaskTracker::new(),
            undoing: TaskTracker::new(),
            closing: false.into(),
            creates: 0.into(),
            polls: 0.into(),
            faults: settings.faults.clone(),
            sinks: settings.sinks.clone(),
            redactor: Redactor::default(),
            started,
            temporary_until: started.0.after(lasts).after(EXPIRY_MARGIN),
            unwind_for: settings.unwind_for,
        };
        let deadline = started.1 + settings.timeout;
        Self { run: Arc::new(run), cancel: CancellationToken::new(), deadline, stage: "".into() }
    }
}

impl ContextBuilder {
    /// Sets the run's id; a fresh one of time and chance unless set.
    #[must_use]
    pub fn run_id(mut self, run: impl Into<String>) -> Self {
        self.run = Some(run.into());
        self
    }
    /// Names the pipeline in the journal.
    #[must_use]
    pub fn pipeline(mut self, name: impl Into<String>) -> Self {
        self.pipeline = name.into();
        self
    }
    /// Sets how long the run may take: six hours unless set, one year at most. Its cleanup has its own time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(Duration::from_secs(365 * 24 * 3600));
        self
    }
    /// Sets how long the cleanup may take: one hour unless set.
    #[must_use]
    pub fn unwind_for(mut self, duration: Duration) -> Self {
        self.unwind_for = duration.min(Duration::from_secs(30 * 24 * 3600));
        self
    }
    /// Adds a receiver of events.
    #[must_use]
    pub fn sink(self, sink: impl EventSink) -> Self {
        self.sink_arc(Arc::new(sink))
    }
    /// Adds a shared receiver of events.
    #[must_use]
    pub fn sink_arc(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.sinks.push(sink);
        self
    }
    /// Injects faults, for conformance tests.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// The run's id, and the settings with it set.
    pub(crate) fn with_fixed_run_id(self) -> (String, Self) {
        let run = self.run.clone().unwrap_or_else(fresh_run_id);
        (run.clone(), self.run_id(run))
    }
    /// For a look at what would be done: of no run, without a trace and without an audience.
    pub(crate) fn for_planning(self) -> Self {
        let faults = Faults::default();
        Self { store: Arc::new(MemoryStore::default()), run: None, sinks: vec![], faults, ..self }
    }

    /// Claims the journal and writes its first entry.
    ///
    /// # Errors
    /// `Conflict` when the run exists already (recover it) or its journal is in use; the journal store's own.
    pub async fn open(self) -> Result<Context> {
        let run = self.run.clone().unwrap_or_else(fresh_run_id);
        let journal = self.store.claim(&run).await?;
        if !journal.entries().await?.is_empty() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("run {run} exists already; recover it or take another id"),
            ));
        }
        let cx = Context::over(run, journal, Ledger::default(), &self);
        cx.append(Record::Started { version: FORMAT_VERSION, pipeline: self.pipeline }).await?;
        Ok(cx)
    }
}

/// Sortable by time, and never twice.
fn fresh_run_id() -> String {
    let stamp = Timestamp::from_system_clock().to_string().to_lowercase().replace(':', "-");
    let (seconds, _) = stamp.split_at(19);
    let chance = uuid::Uuid::new_v4().simple().to_string();
    format!("{seconds}-{}", &chance[..8])
}
