//! One run of a pipeline: its stages as events and records, hooks, retries, and what it holds.

use super::{FailurePolicy, Pipeline, Ready};
use crate::{
    Context, Error, ErrorKind, EventBody, Guard, Machine, Result, RunReport, StageOutcome, StageRecord, Step, Timestamp,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What a run shares with its supervisor, which outlives a stage that panics or is dropped.
#[derive(Clone, Debug)]
pub(super) struct Execution {
    pub(super) pipeline: Arc<Pipeline<Ready>>,
    report: Arc<Mutex<RunReport>>,
    /// Guards of captured images and of copies, until the commit.
    held: Arc<Mutex<Vec<Guard>>>,
    pub(super) resume: Arc<Notify>,
}

impl Execution {
    pub(super) fn new(pipeline: Pipeline<Ready>, cx: &Context) -> Self {
        let mut report = RunReport { run: cx.run_id().to_owned(), ..RunReport::default() };
        let record = &mut report.record;
        record.format = 1;
        record.run = report.run.clone();
        record.pipeline = pipeline.name().to_owned();
        record.started_at = cx.now();
        record.revision = pipeline.definition.revision.clone();
        record.builder = pipeline.state.builder.owner().to_owned();
        record.opted_out = pipeline.definition.policy.opted_out();
        record.scan_policy = pipeline.definition.policy.scan.describe();
        Self {
            pipeline: Arc::new(pipeline),
            report: Arc::new(Mutex::new(report)),
            held: Arc::default(),
            resume: Arc::default(),
        }
    }
    pub(super) fn report(&self) -> MutexGuard<'_, RunReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn hold(&self, guards: Vec<Guard>) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).extend(guards);
    }
    pub(super) fn take_held(&self) -> Vec<Guard> {
        std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs a stage: an event when it begins, an event and a record when it ends, also by a cancel or a panic.
    pub(super) async fn stage<T, F, Fut>(&self, cx: &Context, name: &str, body: F) -> Result<T>
    where
        T: Send,
        F: FnOnce(Context) -> Fut + Send,
        Fut: Future<Output = Result<T>> + Send,
    {
        let cx = cx.enter(name);
        cx.check()?;
        cx.emit(EventBody::StageStarted);
        let mut open = OpenStage { execution: self, cx: &cx, began: cx.now(), end: None };
        let done = body(cx.clone()).await;
        open.end = Some(match &done {
            Ok(_) => (StageOutcome::Passed, None),
            Err(e) if e.kind() == ErrorKind::Cancelled => (StageOutcome::Cancelled, None),
            Err(e) => (StageOutcome::Failed, Some(e.chain())),
        });
        done
    }
    /// Notes a stage that has nothing to do.
    pub(super) fn skip(&self, cx: &Context, name: &str, reason: String) {
        let cx = cx.enter(name);
        cx.emit(EventBody::StageStarted);
        let began = cx.now();
        drop(OpenStage { execution: self, cx: &cx, began, end: Some((StageOutcome::Skipped, Some(reason))) });
    }

    /// Runs a plugin with the hooks around it, again where a hook asks for it.
    pub(super) async fn step<T, F, Fut>(&self, cx: &Context, step: Step<'_>, attempt: F) -> Result<T>
    where
        T: Send,
        F: Fn(Context) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        let mut tried = 0;
        let done = loop {
            tried += 1;
            let once = async {
                for hook in &self.pipeline.definition.hooks {
                    hook.before(cx, &step).await?;
                }
                attempt(cx.clone()).await
            };
            let error = match once.await {
                Ok(value) => break Ok(value),
                Err(error) => error,
            };
            let Some(after) = self.retry_after(cx, &step, tried, &error).await else { break Err(error) };
            let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            cx.emit(EventBody::Retrying { attempt: tried, error: error.chain(), after_ms });
            cx.sleep(after).await?;
        };
        for hook in &self.pipeline.definition.hooks {
            let after = hook.after(cx, &step, done.as_ref().err()).await;
            // The first failure is the one that people look for.
            if done.is_ok() {
                after?;
            }
        }
        done
    }
    async fn retry_after(
        &self,
        cx: &Context,
        step: &Step<'_>,
        tried: u32,
        error: &Error,
    ) -> Option<std::time::Duration> {
        if cx.check().is_err() {
            return None;
        }
        for hook in &self.pipeline.definition.hooks {
            if let Some(after) = hook.should_retry(cx, step, tried, error).await {
                return Some(after);
            }
        }
        None
    }

    /// With [`FailurePolicy::Pause`], waits with a failed machine until somebody has seen enough.
    pub(super) async fn pause(&self, cx: &Context, machine: &dyn Machine, error: &Error) {
        if self.pipeline.definition.on_failure != FailurePolicy::Pause || error.kind() == ErrorKind::Cancelled {
            return;
        }
        cx.emit(EventBody::Paused { error: cx.redact(error.chain()), shell: machine.info().shell.clone() });
        tokio::select! {
            () = self.resume.notified() => {}
            _ = cx.ended() => {}
        }
    }
}

/// Ends a stage when it goes out of scope, however it does.
struct OpenStage<'a> {
    execution: &'a Execution,
    cx: &'a Context,
    began: Timestamp,
    end: Option<(StageOutcome, Option<String>)>,
}

impl Drop for OpenStage<'_> {
    fn drop(&mut self) {
        let dropped = if std::thread::panicking() { StageOutcome::Failed } else { StageOutcome::Cancelled };
        let (outcome, reason) = self.end.take().unwrap_or((dropped, None));
        let took = self.cx.now().since(self.began);
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (name, started_at) = (self.cx.stage().to_owned(), self.began);
        self.execution.report().stages.push(StageRecord { name, started_at, duration_ms, outcome });
        self.cx.emit(EventBody::StageFinished { outcome, duration_ms, reason });
    }
}
