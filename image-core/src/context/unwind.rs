//! Undoing what is open: newest first, past failures, until it is proven gone.

use super::Context;
use crate::{Error, EventBody, Record, Resource, Result, Timestamp, Undone, journal::open_set::Open};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// A resource that could not be undone, and why.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Stuck {
    /// The resource.
    pub resource: Resource,
    /// Why.
    pub reason: String,
}

/// What a run could not clean up, and what it could not write down.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Leftovers {
    /// What a later [`recover`](crate::recover()) tries again, or a person removes.
    pub stuck: Vec<Stuck>,
    /// What the journal did not take.
    pub journal_errors: Vec<String>,
    /// A begun commit could not be finished; [`recover`](crate::recover()) does.
    pub commit_open: bool,
}

impl Leftovers {
    /// Whether the run left nothing to do.
    pub fn is_empty(&self) -> bool {
        self.stuck.is_empty() && self.journal_errors.is_empty() && !self.commit_open
    }
}

/// Passes over what is open in which nothing moved, after which the rest is stuck.
const FAILED_PASSES: u32 = 3;
/// Between two looks at a thing whose absence does not count yet.
const SETTLE_POLL: Duration = Duration::from_secs(5);
/// Between two passes in which only failures happened.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

impl Context {
    /// Waits for outstanding creates, finishes a begun commit, undoes the rest.
    pub(crate) async fn unwind(&self) -> Leftovers {
        self.close().await;
        let cx = self.shielded(self.run.unwind_for);
        // A task, so that a panic in `keep` does not stop the cleanup.
        let committer = cx.clone();
        let mut finished = tokio::spawn(async move { committer.finish_commit().await });
        let committed = tokio::select! {
            done = &mut finished => done.unwrap_or_else(|e| Err(e.into())),
            error = cx.ended() => { finished.abort(); Err(error) }
        };
        if let Err(e) = committed {
            cx.warn(format!("the commit could not be finished: {}", e.chain()));
        }
        let stuck = cx.undo_open(None).await;
        // A release that lost its caller may still be at work on what is gone by now. It writes, so the run is not over.
        self.run.undoing.close();
        self.run.undoing.wait().await;
        for Stuck { resource, reason } in &stuck {
            let record = Record::UndoFailed { token: resource.token.clone(), message: reason.clone() };
            // A journal that cannot be written is noted in the ledger, and shows in the leftovers.
            let _ = cx.append(record).await;
            let (kind, id) = (resource.kind.name.clone(), resource.name().to_owned());
            cx.emit(EventBody::UndoFailed { kind, id, error: reason.clone() });
        }
        let ledger = cx.ledger();
        let (journal_errors, commit_open) = (ledger.journal_errors.clone(), ledger.committing.is_some());
        drop(ledger);
        Leftovers { stuck, journal_errors, commit_open }
    }

    /// Undoes one open entry or all, and returns what could not be undone. Runs on a task of its own: a caller that is
    /// dropped or aborted does not stop it.
    pub(crate) async fn undo_open(&self, only: Option<&str>) -> Vec<Stuck> {
        let (cx, only) = (self.shielded(self.run.unwind_for), only.map(str::to_owned));
        let only_again = only.clone();
        let passes = async move { cx.undo_passes(only.as_deref()).await };
        // Not on the tracker: `close` waits for creates only, and before anything is undone.
        match self.run.undoing.spawn(passes).await {
            Ok(stuck) => stuck,
            // Whatever ended the passes, what is open is not gone.
            Err(e) => {
                let reason = self.redact(Error::from(e).chain());
                let stuck = |Candidate { resource, .. }| Stuck { resource, reason: reason.clone() };
                self.candidates(only_again.as_deref()).into_iter().map(stuck).collect()
            }
        }
    }

    /// Passes over what is open, newest first, until all is gone or nothing moves any more.
    async fn undo_passes(&self, only: Option<&str>) -> Vec<Stuck> {
        let mut failed_passes = 0;
        let mut absences = BTreeMap::<String, u32>::new();
        loop {
            let (mut stuck, mut wake, mut progress) = (vec![], None::<Instant>, false);
            for Candidate { resource, settles_at, protected } in self.candidates(only) {
                if protected {
                    stuck.push(Stuck { resource, reason: "it may be part of a commit; recover decides".into() });
                    continue;
                }
                let answer = tokio::select! {
                    answer = self.attempt(&resource) => answer,
                    error = self.ended() => Err(error),
                };
                let retry_at = match answer {
                    Ok(Undone::Gone | Undone::Superseded) => None,
                    Ok(Undone::NotYetProven { retry_at }) => {
                        Some(retry_at.max(Instant::now() + Duration::from_millis(1)))
                    }
                    Ok(Undone::Absent) => {
                        self.absence_counts_at(settles_at, absences.entry(resource.token.clone()).or_default())
                    }
                    Err(e) => {
                        stuck.push(Stuck { resource, reason: self.redact(e.chain()) });
                        continue;
                    }
                };
                match retry_at {
                    None => {
                        progress = true;
                        // A journal that cannot be written is noted in the ledger, and shows in the leftovers.
                        let _ = self.append(Record::Undone { token: resource.token.clone() }).await;
                        let (kind, id) = (resource.kind.name.clone(), resource.name().to_owned());
                        self.emit(EventBody::Undone { kind, id });
                    }
                    Some(at) => {
                        wake = Some(wake.map_or(at, |earlier| earlier.min(at)));
                        stuck.push(Stuck { resource, reason: "it is not yet proven gone".into() });
                    }
                }
            }
            failed_passes = if progress || wake.is_some() { 0 } else { failed_passes + 1 };
            if stuck.is_empty() || failed_passes >= FAILED_PASSES || self.check().is_err() {
                return stuck;
            }
            let wake = wake.unwrap_or_else(|| Instant::now() + FAILURE_PAUSE);
            sleep_until(wake.min(self.deadline())).await;
        }
    }

    /// When to look again at a thing that was not found; `None` once its absence counts: it has to be seen twice after
    /// the settle window, not once.
    fn absence_counts_at(&self, settles_at: Timestamp, seen: &mut u32) -> Option<Instant> {
        let wait = settles_at.since(self.now());
        *seen += u32::from(wait.is_zero());
        (*seen < 2).then(|| Instant::now() + wait.clamp(Duration::from_millis(50), SETTLE_POLL))
    }

    /// Open entries, newest first, less the members of a begun commit.
    fn candidates(&self, only: Option<&str>) -> Vec<Candidate> {
        let ledger = self.ledger();
        let committing: HashSet<&String> = ledger.committing.iter().flat_map(|commit| &commit.set).collect();
        let open: Vec<&Open> = match only {
            Some(token) => ledger.open.get(token).into_iter().collect(),
            None => ledger.open.iter().rev().collect(),
        };
        let candidate = |open: &&Open| Candidate {
            resource: open.resource.clone(),
            settles_at: open.settles_at,
            protected: ledger.unclear.contains(&open.resource.token),
        };
        open.iter().filter(|open| !committing.contains(&open.resource.token)).map(candidate).collect()
    }

    /// On a task of its own: a panic in a plugin's undo is one failed undo.
    async fn attempt(&self, resource: &Resource) -> Result<Undone> {
        let (cx, resource) = (self.clone(), resource.clone());
        let task = tokio::spawn(async move {
            let undoer = cx.undoers().proven(&cx, &resource).await?;
            let once = || async {
                let restores = resource.change.is_some();
                if restores { undoer.restore(&cx, &resource).await } else { undoer.undo(&cx, &resource).await }
            };
            let first = once().await?;
            if cx.run.faults.undo_twice {
                once().await?;
            }
            Ok(first)
        });
        task.await.unwrap_or_else(|e| Err(e.into()))
    }
}

struct Candidate {
    resource: Resource,
    settles_at: Timestamp,
    protected: bool,
}
