//! A run is a task of its own that always ends in an unwind.

use super::{FailurePolicy, Pipeline, Ready, trace::Execution};
use crate::{
    Context, Error, ErrorClass, ErrorKind, EventBody, Image, Keep, Leftovers, Result, RunReport, StageOutcome, State,
};
use std::{
    fmt,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::SeqCst},
    task::Poll,
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long the commit of a quarantined image may take.
const QUARANTINE_WITHIN: Duration = Duration::from_secs(600);

/// What a run made. A failed cleanup never discards a committed image.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The captured and imported images, and their copies.
    pub images: Vec<Image>,
    /// The whole run as a document.
    pub report: RunReport,
    /// What could not be cleaned up.
    pub leftovers: Leftovers,
}

/// Why a run failed, and what is there nevertheless.
#[non_exhaustive]
#[derive(Debug)]
pub struct RunError {
    /// Why.
    pub cause: Error,
    /// Whether images were committed before it failed. They stay.
    pub committed: bool,
    /// What could not be cleaned up.
    pub leftovers: Leftovers,
    /// The run as far as it went.
    pub report: Box<RunReport>,
}

impl RunError {
    /// Of a run that never began, or whose end nobody saw.
    pub(crate) fn before_run(cause: Error) -> Self {
        Self { cause, committed: false, leftovers: Leftovers::default(), report: Box::default() }
    }
    /// An exit code that tells whoever called who must act: 3 a gate said no, 2 the input is wrong, 130 cancelled,
    /// 1 anything else.
    pub fn exit_code(&self) -> u8 {
        match self.cause.class() {
            ErrorClass::Policy => 3,
            ErrorClass::UserInput => 2,
            ErrorClass::Cancelled => 130,
            _ => 1,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause.to_string())?;
        if self.committed {
            f.write_str("; images were committed before and stay")?;
        }
        if !self.leftovers.is_empty() {
            write!(f, "; {} resources could not be cleaned up, recover the run", self.leftovers.stuck.len())?;
        }
        Ok(())
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.cause)
    }
}

/// A run under way. Dropping it cancels the run, which still unwinds while the runtime lives; after that
/// [`recover`](crate::recover()) does.
#[must_use = "dropping it cancels the run"]
#[derive(Debug)]
pub struct RunHandle {
    canceller: Canceller,
    _cancel_on_drop: DropGuard,
    task: JoinHandle<Result<Outcome, RunError>>,
}

/// Cancels or resumes a run from elsewhere, for example from a signal handler.
#[derive(Clone, Debug)]
pub struct Canceller {
    token: CancellationToken,
    resume: Arc<Notify>,
}

impl Canceller {
    /// Asks the run to stop and to undo what it did. Returns at once; the run ends when all is undone.
    pub fn cancel(&self) {
        self.token.cancel();
    }
    /// Lets a paused run go on to its unwind.
    pub fn resume(&self) {
        self.resume.notify_one();
    }
}

impl RunHandle {
    /// A handle to cancel or resume the run with.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }
    /// Asks the run to stop; see [`Canceller::cancel`].
    pub fn cancel(&self) {
        self.canceller.cancel();
    }
    /// Waits for the end of the run, its cleanup included.
    ///
    /// # Errors
    /// Why the run failed.
    pub async fn wait(mut self) -> Result<Outcome, RunError> {
        (&mut self.task).await.unwrap_or_else(|e| Err(RunError::before_run(e.into())))
    }
}

impl Pipeline<Ready> {
    /// Starts the run on a task of its own. Must be called inside a Tokio runtime.
    pub fn start(&self, cx: &Context) -> RunHandle {
        let execution = Execution::new(self.clone(), cx);
        let token = cx.cancellation().clone();
        let canceller = Canceller { token: token.clone(), resume: Arc::clone(&execution.resume) };
        let task = tokio::spawn(execution.supervise(cx.clone()));
        RunHandle { canceller, _cancel_on_drop: token.drop_guard(), task }
    }

    /// Runs to the end. Dropping the future cancels the run.
    ///
    /// # Errors
    /// Why the run failed.
    pub async fn run(&self, cx: &Context) -> Result<Outcome, RunError> {
        self.start(cx).wait().await
    }
}

impl Execution {
    /// The stages run on a task that may end early, by cancel, deadline or panic; what follows runs in every case.
    async fn supervise(self, cx: Context) -> Result<Outcome, RunError> {
        cx.emit(EventBody::RunStarted);
        let ended = match cx.register(self.pipeline.undoers()) {
            Ok(()) => self.run_stages(&cx).await,
            Err(e) => Err(e),
        };
        let ended = ended.map_err(|error| cx.clean_error(error));
        if let Err(cause) = &ended {
            self.quarantine(&cx, cause).await;
        }
        let leftovers = cx.unwind().await;
        let report = {
            let mut report = self.report();
            (report.leftovers, report.mutations) = (leftovers.clone(), cx.creates());
            report.clone()
        };
        let committed = cx.ledger().has_committed();
        let (outcome, error) = match &ended {
            Ok(_) => (StageOutcome::Passed, None),
            Err(e) if e.kind() == ErrorKind::Cancelled => (StageOutcome::Cancelled, Some(e.chain())),
            Err(e) => (StageOutcome::Failed, Some(e.chain())),
        };
        cx.emit(EventBody::RunFinished { outcome, error });
        match ended {
            Ok(images) => Ok(Outcome { images, report, leftovers }),
            Err(cause) => Err(RunError { cause, committed, leftovers, report: Box::new(report) }),
        }
    }

    async fn run_stages(&self, cx: &Context) -> Result<Vec<Image>> {
        let (this, stages) = (self.clone(), cx.clone());
        let mut task = tokio::spawn(async move { counted(&stages, pin!(this.stages(&stages))).await });
        tokio::select! {
            biased;
            done = &mut task => done.unwrap_or_else(|e| Err(e.into())),
            error = cx.ended() => {
                task.abort();
                match task.await {
                    // It was quicker, or it failed by itself.
                    Ok(Ok(images)) => Ok(images),
                    Ok(Err(e)) if e.kind() != ErrorKind::Cancelled => Err(e),
                    _ => Err(error),
                }
            }
        }
    }

    /// With [`FailurePolicy::Quarantine`], keeps the images that a gate refused, for a look.
    async fn quarantine(&self, cx: &Context, cause: &Error) {
        let FailurePolicy::Quarantine(ttl) = self.pipeline.definition.on_failure else { return };
        let held = self.take_held();
        if cause.kind() == ErrorKind::Cancelled || held.is_empty() || cx.ledger().has_committed() {
            return;
        }
        let shielded = cx.shielded(QUARANTINE_WITHIN);
        let keep = Keep::until(State::Quarantined, cx.now().after(ttl));
        // The unwind finishes a commit that has begun, and undoes what did not come to one.
        match shielded.commit(&held, keep).await {
            Ok(()) => cx.message(format!("{} resources are quarantined", held.len())),
            Err(e) => cx.warn(format!("the image could not be quarantined: {}", e.chain())),
        }
    }
}

/// Counts polls, and at the one that the conformance kit names cancels and polls no further.
async fn counted<T>(cx: &Context, mut stages: Pin<&mut (impl Future<Output = T> + Send)>) -> T {
    std::future::poll_fn(move |task| {
        let n = cx.run.polls.fetch_add(1, SeqCst) + 1;
        if cx.run.faults.cancel_at_poll.is_some_and(|at| n >= at) {
            cx.cancellation().cancel();
            return Poll::Pending;
        }
        stages.as_mut().poll(task)
    })
    .await
}
