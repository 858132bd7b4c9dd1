//! The journal: what a run did, written before it is done.
//!
//! One journal per run, JSON lines, appended by one writer. its fold is the ledger: what is open, what is
//! kept. The format has a version; a newer one is refused, an unknown field is ignored.

mod file;
pub(crate) mod ledger;
mod memory;
pub(crate) mod open_set;

pub use file::FileStore;
pub use memory::MemoryStore;

use crate::{Error, Result, Scope, Timestamp, async_trait};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, time::Duration};

/// The version this library writes.
pub const FORMAT_VERSION: u32 = 1;

/// A kind of resource, and what a recovery must know of it when nothing else is left.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Kind {
    /// Its name in the provider's words, for example `security-group`.
    pub name: String,
    /// How long the creating call may take.
    pub deadline: Duration,
    /// How long a thing that was created may stay invisible to a look-up. An absence counts only after that.
    pub settle: Duration,
    /// Whether the creating call ends with the process that makes it, as one on the local file system does. A recovery
    /// then need not wait for the deadline of a call that nobody heard the end of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_with_process: bool,
}

impl Kind {
    /// A kind with its deadline and settle window.
    pub fn new(name: impl Into<String>, deadline: Duration, settle: Duration) -> Self {
        Self { name: name.into(), deadline, settle, ends_with_process: false }
    }
    /// Says that the creating call ends with the process that makes it.
    #[must_use]
    pub fn ends_with_process(mut self) -> Self {
        self.ends_with_process = true;
        self
    }
}

/// A changed value: what it was and what it became.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Change {
    /// What undo restores.
    pub before: Value,
    /// What undo expects to find; anything else is somebody else's by now.
    pub after: Value,
}

impl Change {
    /// A change from one value to another.
    pub fn new(before: Value, after: Value) -> Self {
        Self { before, after }
    }
}

/// Something created, or (with `change`) a value changed on a target that is not ours to delete.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Resource {
    /// Who undoes it: the text of [`Undo::owner`](crate::Undo::owner).
    pub owner: String,
    /// Where ids mean something.
    pub scope: Scope,
    /// What it is.
    pub kind: Kind,
    /// Region, zone or directory.
    pub location: String,
    /// Idempotency token and tag: a lowercase UUID that no other create ever has.
    pub token: String,
    /// Its id, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What the owner wants to know when it undoes it; its own format, versioned by it, without secrets.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub undo_data: Value,
    /// Set when it is a change and not a creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

impl Resource {
    /// A created thing as a look-up finds it.
    pub fn found(
        owner: impl Into<String>,
        scope: Scope,
        kind: Kind,
        location: impl Into<String>,
        token: impl Into<String>,
        id: impl Into<String>,
    ) -> Self {
        let (owner, location, token, id) = (owner.into(), location.into(), token.into(), Some(id.into()));
        Self { owner, scope, kind, location, token, id, undo_data: Value::Null, change: None }
    }
    /// Its id, or its token where no id is known.
    pub fn name(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.token)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in {}", self.kind.name, self.name(), self.location)
    }
}

/// What a kept resource is from now on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// An approved image or a copy of one. Never expires, and no cleanup touches it.
    Kept,
    /// An intermediate layer: private, never approved, deleted by `reap` when it has expired.
    Layer,
    /// An image that failed a gate, kept for a look: private, never approved, deleted by `reap` when it has expired.
    Quarantined,
    /// Part of a run that is not over. What a create call writes.
    Temporary,
}

impl State {
    /// The text of the `state` tag.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Layer => "layer",
            Self::Quarantined => "quarantined",
            Self::Temporary => "temporary",
        }
    }
    /// Reads the text of a `state` tag.
    pub fn parse(tag: &str) -> Option<Self> {
        [Self::Kept, Self::Layer, Self::Quarantined, Self::Temporary].into_iter().find(|state| state.as_str() == tag)
    }
}

/// How a set of resources is kept: the state and, unless it is [`State::Kept`], until when.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Keep {
    /// What it is from now on.
    pub state: State,
    /// When `reap` may delete it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Keep {
    /// For good.
    pub const FOREVER: Self = Self { state: State::Kept, expires_at: None };

    /// Until a moment, as a layer or in quarantine.
    pub fn until(state: State, expires_at: Timestamp) -> Self {
        Self { state, expires_at: Some(expires_at) }
    }
}

/// One fact of a run.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A commit has begun: from here on no member is undone, and recovery finishes it.
    Committing {
        /// Tokens.
        set: Vec<String>,
        /// How they are kept.
        keep: Keep,
    },
    /// The create or the change is known to have happened.
    Created {
        /// Whose.
        token: String,
        /// Its id.
        id: String,
        /// For the owner's undo.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        undo_data: Value,
    },
    /// A create or a change is about to be asked for.
    Intended(Resource),
    /// A commit is finished, or published pointers stay.
    Kept {
        /// Tokens.
        set: Vec<String>,
    },
    /// The call was definitely refused: nothing exists.
    Rejected {
        /// Whose.
        token: String,
        /// Why.
        message: String,
    },
    /// A stage is over, with what it gave.
    Stage {
        /// Its name.
        name: String,
        /// Its output.
        output: Value,
    },
    /// The first record.
    Started {
        /// [`FORMAT_VERSION`] of the writer.
        version: u32,
        /// The pipeline's name.
        pipeline: String,
    },
    /// The call ended without a definite answer; the settle window counts from here.
    Unclear {
        /// Whose.
        token: String,
        /// How it ended.
        message: String,
    },
    /// It is gone, or its old value stands again, or the value is somebody else's.
    Undone {
        /// Whose.
        token: String,
    },
    /// It could not be undone.
    UndoFailed {
        /// Whose.
        token: String,
        /// Why.
        message: String,
    },
}

/// A record and when it was made.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// When, by the run's own clock.
    pub at: Timestamp,
    /// What.
    pub record: Record,
}

impl Entry {
    /// An entry.
    pub fn new(at: Timestamp, record: Record) -> Self {
        Self { at, record }
    }
    /// One line of JSON without its end.
    ///
    /// # Errors
    /// `Internal` when a value in it has no JSON form.
    pub fn to_line(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::bug("journal entry").with_source(e))
    }
}

/// The journals of many runs, in a directory, a bucket or in memory.
///
/// **Contract**: `claim` is exclusive, so that no two processes write or recover one run at once: a second claim is a
/// `Conflict` while the holder lives, and ends by itself when the holder dies. `claim` is the only way to a writer.
/// A torn last entry was never acknowledged; `claim` drops it before anything is written behind it, `entries` passes it
/// over. Any other entry that cannot be read is an error.
#[async_trait]
pub trait JournalStore: fmt::Debug + Send + Sync + 'static {
    /// The ids of all runs, in no order.
    async fn runs(&self) -> Result<Vec<String>>;
    /// Opens a journal for writing, or starts it.
    async fn claim(&self, run: &str) -> Result<Box<dyn Journal>>;
    /// Reads a journal without a claim; empty where there is none.
    async fn entries(&self, run: &str) -> Result<Vec<Entry>>;
}

/// A claimed journal. The claim ends when it is dropped; a writer that lost its claim is refused.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync {
    /// Durable when it returns `Ok`. An `Err` says nothing about what a later reader will find.
    async fn append(&mut self, entry: &Entry) -> Result<()>;
    /// All entries so far.
    async fn entries(&self) -> Result<Vec<Entry>>;
}

/// Parses journal lines; a torn last line is passed over, any other is an error.
///
/// # Errors
/// `Internal` naming the line.
pub fn parse_lines(run: &str, text: &str) -> Result<Vec<Entry>> {
    let mut entries = vec![];
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let Some(line) = line.strip_suffix('\n') else { break }; // torn
        let entry = serde_json::from_str(line)
            .map_err(|e| Error::bug(format!("journal of run {run} cannot be read at line {}", n + 1)).with_source(e))?;
        entries.push(entry);
    }
    Ok(entries)
}

/// Refuses a run id that is not safe as a file name, a tag and an object key.
///
/// # Errors
/// `InvalidInput`.
pub fn check_run_id(run: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let ok = (1..=96).contains(&run.len()) && run.bytes().all(allowed) && !run.starts_with(['-', '.']);
    if ok {
        return Ok(());
    }
    Err(Error::invalid("run id", run, "1 to 96 of a-z, 0-9, `-` and `.`, not starting with `-` or `.`"))
}
