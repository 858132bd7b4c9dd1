//! What a stage sees of the run: creating and changing through the journal, cancellation, deadlines, events.

mod commit;
mod create;
mod faults;
mod guard;
mod lines;
mod open;
mod unwind;

pub use create::{CreateError, CreateRequest, Created, Target};
pub use faults::{FaultSide, Faults};
pub use guard::Guard;
pub use lines::OutputLines;
pub use open::ContextBuilder;
pub use unwind::{Leftovers, Stuck};

use crate::{
    Entry, Error, ErrorKind, Event, EventBody, EventSink, Journal, JournalStore, Record, Report, Result, Secret,
    Stream, Timestamp, Undoers, journal::ledger::Ledger, secret::Redactor,
};
use serde_json::Value;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a stage sees of the run. Clones are cheap and see the same run.
///
/// Everything a plugin creates goes through [`create`](Self::create), everything it changes through
/// [`change`](Self::change): both are journaled before they happen, so nothing can leak. Long waits go through
/// [`wait::until`](crate::wait::until) or [`sleep`](Self::sleep), so that a cancel ends them.
#[derive(Clone)]
pub struct Context {
    pub(crate) run: Arc<Run>,
    cancel: CancellationToken,
    deadline: Instant,
    stage: Arc<str>,
}

/// What all contexts of one run share.
pub(crate) struct Run {
    id: String,
    pipeline: String,
    store: Option<Arc<dyn JournalStore>>,
    journal: tokio::sync::Mutex<Box<dyn Journal>>,
    ledger: Mutex<Ledger>,
    undoers: OnceLock<Undoers>,
    tracker: TaskTracker,
    /// Undoing goes on after its caller has gone, and after the tracker was closed.
    undoing: TaskTracker,
    closing: AtomicBool,
    creates: AtomicU64,
    pub(crate) polls: AtomicU64,
    pub(crate) faults: Faults,
    sinks: Vec<Arc<dyn EventSink>>,
    redactor: Redactor,
    started: (Timestamp, Instant),
    temporary_until: Timestamp,
    unwind_for: Duration,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("run", &self.run.id).field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl Context {
    /// The run's id.
    pub fn run_id(&self) -> &str {
        &self.run.id
    }
    /// The pipeline's name.
    pub fn pipeline(&self) -> &str {
        &self.run.pipeline
    }
    /// The stage this context belongs to; empty for the run itself.
    pub fn stage(&self) -> &str {
        &self.stage
    }
    /// The wall clock at the start of the run plus the monotonic time since: it never jumps, and stands still under a
    /// paused test clock.
    pub fn now(&self) -> Timestamp {
        let (wall, start) = self.run.started;
        wall.after(start.elapsed())
    }
    /// When the run, or the step this context was given for, must be over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
    /// When what the run creates expires, unless it is kept: beyond the run's deadline and its unwind.
    pub fn temporary_until(&self) -> Timestamp {
        self.run.temporary_until
    }
    /// Creates and changes asked for so far.
    pub fn creates(&self) -> u64 {
        self.run.creates.load(SeqCst)
    }
    /// Polls of the run's stages so far, counted for the conformance kit.
    pub fn polls(&self) -> u64 {
        self.run.polls.load(SeqCst)
    }
    /// Where this run's journal is kept, for evidence of earlier runs.
    pub(crate) fn store(&self) -> Option<&Arc<dyn JournalStore>> {
        self.run.store.as_ref()
    }

    /// Whether the run may go on.
    ///
    /// # Errors
    /// `Cancelled` after a cancel, `TimedOut` past the deadline.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "the run was cancelled"));
        }
        if Instant::now() >= self.deadline {
            return Err(self.overdue());
        }
        Ok(())
    }
    fn overdue(&self) -> Error {
        let what = if self.stage.is_empty() { "the run" } else { &*self.stage };
        Error::new(ErrorKind::TimedOut, format!("the deadline of {what} has passed")).with_retryable(false)
    }
    /// Returns when the run may not go on, with the reason: cancelled, or past the deadline.
    pub async fn ended(&self) -> Error {
        tokio::select! {
            () = self.cancel.cancelled() => Error::new(ErrorKind::Cancelled, "the run was cancelled"),
            () = sleep_until(self.deadline) => self.overdue(),
        }
    }
    /// Sleeps, unless the run ends first.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn sleep(&self, duration: Duration) -> Result<()> {
        tokio::select! {
            biased;
            error = self.ended() => Err(error),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }
    /// Runs a future to its end, unless the run ends first; the future is dropped then.
    ///
    /// For what is safe to drop: reads and commands. A create is never raced against a cancel.
    ///
    /// # Errors
    /// As [`check`](Self::check), or the future's own.
    pub async fn race<T>(&self, future: impl Future<Output = Result<T>> + Send) -> Result<T> {
        tokio::select! {
            biased;
            error = self.ended() => Err(error),
            done = future => done,
        }
    }

    /// The same run with an earlier deadline. A later one than the present is not granted.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        let deadline = Instant::now().checked_add(timeout).map_or(self.deadline, |at| at.min(self.deadline));
        Self { deadline, ..self.clone() }
    }
    /// The same run, one stage deeper.
    #[must_use]
    pub fn enter(&self, stage: &str) -> Self {
        let stage = if self.stage.is_empty() { stage.into() } else { format!("{}/{stage}", self.stage).into() };
        Self { stage, ..self.clone() }
    }
    /// The same run, out of reach of its cancellation and deadline, for `duration`.
    pub(crate) fn shielded(&self, duration: Duration) -> Self {
        let far = Instant::now() + duration;
        Self { cancel: CancellationToken::new(), deadline: far, ..self.clone() }
    }
    pub(crate) fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Sends an event to every sink; secrets that the run knows are replaced in its text.
    pub fn emit(&self, body: EventBody) {
        if self.run.sinks.is_empty() {
            return;
        }
        let event =
            Event { at: self.now(), run: self.run.id.clone(), stage: self.stage.to_string(), body: self.clean(body) };
        for sink in &self.run.sinks {
            // A sink's bug is no reason to leave anything behind.
            let _ = catch_unwind(AssertUnwindSafe(|| sink.emit(&event)));
        }
    }
    /// Passes on a piece of what a command printed, as one event per line. A piece may end in the middle of a line only
    /// when it is the last one.
    pub fn output(&self, stream: Stream, text: &str) {
        for line in text.lines() {
            self.emit(EventBody::Output { stream, text: line.to_owned() });
        }
    }
    /// Says something to people.
    pub fn message(&self, text: impl Into<String>) {
        self.emit(EventBody::Message { text: text.into() });
    }
    /// Says that something is not as it should be.
    pub fn warn(&self, text: impl Into<String>) {
        self.emit(EventBody::Warning { text: text.into() });
    }
    /// Says how far a stage is.
    pub fn progress(&self, done: u64, total: Option<u64>, detail: impl Into<String>) {
        self.emit(EventBody::Progress { done, total, detail: detail.into() });
    }
    /// Teaches the run a secret, so that no event shows it. Machines do this for the secrets of a command.
    pub fn learn_secret(&self, secret: &Secret) {
        self.run.redactor.learn(secret);
    }
    /// Replaces the secrets the run knows.
    pub fn redact(&self, text: impl Into<String>) -> String {
        self.run.redactor.redact(text.into())
    }
    /// Without secrets. Every kind of event is named, so that a new one is not forgotten.
    fn clean(&self, body: EventBody) -> EventBody {
        match body {
            EventBody::Created { kind, id } => EventBody::Created { kind, id: self.redact(id) },
            EventBody::Kept { ids } => EventBody::Kept { ids: ids.into_iter().map(|id| self.redact(id)).collect() },
            EventBody::Message { text } => EventBody::Message { text: self.redact(text) },
            EventBody::Output { stream, text } => EventBody::Output { stream, text: self.redact(text) },
            EventBody::Progress { done, total, detail } => {
                EventBody::Progress { done, total, detail: self.redact(detail) }
            }
            EventBody::Paused { error, shell } => {
                EventBody::Paused { error: self.redact(error), shell: shell.map(|shell| self.redact(shell)) }
            }
            EventBody::Report { report } => EventBody::Report { report: self.clean_report(report) },
            EventBody::Retrying { attempt, error, after_ms } => {
                EventBody::Retrying { attempt, error: self.redact(error), after_ms }
            }
            EventBody::RunFinished { outcome, error } => {
                EventBody::RunFinished { outcome, error: error.map(|text| self.redact(text)) }
            }
            EventBody::RunStarted | EventBody::StageStarted => body,
            EventBody::StageFinished { outcome, duration_ms, reason } => {
                EventBody::StageFinished { outcome, duration_ms, reason: reason.map(|text| self.redact(text)) }
            }
            EventBody::Undone { kind, id } => EventBody::Undone { kind, id: self.redact(id) },
            EventBody::UndoFailed { kind, id, error } => {
                EventBody::UndoFailed { kind, id: self.redact(id), error: self.redact(error) }
            }
            EventBody::Warning { text } => EventBody::Warning { text: self.redact(text) },
        }
    }
    pub(crate) fn clean_report(&self, mut report: Report) -> Report {
        for check in &mut report.checks {
            check.id = self.redact(std::mem::take(&mut check.id));
            check.message = self.redact(std::mem::take(&mut check.message));
        }
        report
    }
    pub(crate) fn clean_error(&self, error: Error) -> Error {
        error.map_text(|text| self.redact(text))
    }
    pub(crate) fn clean_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.redact(text)),
            Value::Array(all) => all.into_iter().map(|value| self.clean_value(value)).collect(),
            Value::Object(all) => {
                let clean = |(key, value): (String, Value)| (self.redact(key), self.clean_value(value));
                Value::Object(all.into_iter().map(clean).collect())
            }
            other => other,
        }
    }

    /// Records the output of a finished stage in the journal; secrets that the run knows are replaced in it.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn record(&self, name: &str, output: Value) -> Result<()> {
        self.append(Record::Stage { name: name.into(), output: self.clean_value(output) }).await
    }
    /// Sets who undoes what, once; nothing can be created for an owner and scope without an undoer.
    ///
    /// # Errors
    /// `Internal` when it was set before: a context serves one run.
    pub fn register(&self, undoers: Undoers) -> Result<()> {
        self.run.undoers.set(undoers).map_err(|_| Error::bug("this context has served a run already"))
    }
    pub(crate) fn undoers(&self) -> Undoers {
        self.run.undoers.get().cloned().unwrap_or_default()
    }
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.run.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Refuses new work, then waits for what is under way; every create ends by its own deadline.
    async fn close(&self) {
        self.run.closing.store(true, SeqCst);
        self.run.tracker.close();
        self.run.tracker.wait().await;
    }
    /// On a tracked task, so that a dropped caller cannot tear a record.
    pub(crate) async fn append(&self, record: Record) -> Result<()> {
        let cx = self.clone();
        let task = self.run.tracker.spawn(async move {
            let mut journal = cx.run.journal.lock().await;
            let entry = Entry::new(cx.now(), record);
            let written = journal.append(&entry).await;
            match &written {
                Ok(()) => cx.ledger().apply(&entry),
                Err(e) => cx.ledger().apply_unwritten(&entry, e),
            }
            written
        });
        task.await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_machine::context;

    #[tokio::test]
    async fn what_a_wait_saw_shows_no_secret() {
        let (cx, events) = context().await;
        cx.learn_secret(&Secret::new("hunter22"));
        cx.progress(0, None, "waiting: refused hunter22");
        assert!(events.text().contains("refused ***") && !events.text().contains("hunter22"));
    }
}
