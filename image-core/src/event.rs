//! Progress as data. Whoever embeds the library renders it.

use crate::{Report, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Which stream of a command a piece of output came from.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// A machine's serial console.
    Console,
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
}

/// How a stage ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StageOutcome {
    /// It was cancelled.
    Cancelled,
    /// It failed, or a gate said no.
    Failed,
    /// It did what it should.
    Passed,
    /// There was nothing to do, for example because a layer is cached.
    Skipped,
}

/// What happened.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventBody {
    /// A resource exists, or a value was changed.
    Created {
        /// Kind of the resource.
        kind: String,
        /// Its id.
        id: String,
    },
    /// Resources were committed: nothing undoes them from now on.
    Kept {
        /// Their ids.
        ids: Vec<String>,
    },
    /// Something people should read.
    Message {
        /// One line.
        text: String,
    },
    /// A line that a command printed, secrets replaced.
    Output {
        /// Where from.
        stream: Stream,
        /// One line without its end.
        text: String,
    },
    /// The run waits for a person, on [`FailurePolicy::Pause`](crate::FailurePolicy::Pause).
    Paused {
        /// Why it stopped.
        error: String,
        /// A command that opens a shell on the machine, where there is one.
        shell: Option<String>,
    },
    /// How far a stage is.
    Progress {
        /// Done so far, in the unit of `total`.
        done: u64,
        /// All there is to do, where known.
        total: Option<u64>,
        /// What is counted or waited for.
        detail: String,
    },
    /// A validator's report.
    Report {
        /// The report.
        report: Report,
    },
    /// An operation failed and is tried again.
    Retrying {
        /// The number of the attempt that failed, from 1.
        attempt: u32,
        /// Why it failed.
        error: String,
        /// Milliseconds until the next one.
        after_ms: u64,
    },
    /// The run is over. The last event of a run.
    RunFinished {
        /// How.
        outcome: StageOutcome,
        /// The cause of a failure.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The run began. The first event of a run.
    RunStarted,
    /// A stage ended.
    StageFinished {
        /// How.
        outcome: StageOutcome,
        /// Milliseconds it took.
        duration_ms: u64,
        /// Why it failed or was skipped.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A stage began.
    StageStarted,
    /// Something created is gone, or a changed value is restored.
    Undone {
        /// Kind of the resource.
        kind: String,
        /// Its id, or its token where no id is known.
        id: String,
    },
    /// Something could not be undone.
    UndoFailed {
        /// Kind of the resource.
        kind: String,
        /// Its id, or its token where no id is known.
        id: String,
        /// Why.
        error: String,
    },
    /// Something is not as it should be, but does not stop the run.
    Warning {
        /// One line.
        text: String,
    },
}

/// One thing that happened in a run.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// In which run.
    pub run: String,
    /// In which stage, as a path such as `layer base/provision/shell`; empty for the run itself.
    pub stage: String,
    /// What.
    #[serde(flatten)]
    pub body: EventBody,
}

/// Receives every event of a run.
///
/// **Contract**: `emit` never blocks and never fails; a sink that writes does so behind a buffer or ignores its own
/// failures. It is called from many tasks at once, in the order of each task.
pub trait EventSink: fmt::Debug + Send + Sync + 'static {
    /// Takes note of an event.
    fn emit(&self, event: &Event);
}

impl<T: EventSink + ?Sized> EventSink for Arc<T> {
    fn emit(&self, event: &Event) {
        (**self).emit(event);
    }
}

impl<T: EventSink + ?Sized> EventSink for Box<T> {
    fn emit(&self, event: &Event) {
        (**self).emit(event);
    }
}
