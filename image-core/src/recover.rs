//! After a crash: finishing or unwinding a dead run from its journal, and reaping when even that is lost.

use crate::{
    Context, ContextBuilder, Error, ErrorKind, Found, JournalStore, Leftovers, Query, Record, Resource, Result, State,
    Undo, Undoers, Undone, journal::FORMAT_VERSION, journal::ledger::Ledger,
};
use serde::Serialize;
use std::sync::Arc;

/// What became of a dead run.
#[non_exhaustive]
#[derive(Clone, Debug, Serialize)]
pub struct Recovered {
    /// The run.
    pub run: String,
    /// What stays: images, layers, published pointers.
    pub kept: Vec<Resource>,
    /// What could not be undone now; a later recovery tries again.
    pub leftovers: Leftovers,
}

/// Finishes or unwinds a dead run from its journal alone: a begun commit is finished, all else that is open is undone.
/// Safe to repeat. What no registered undoer answers for is stuck, never skipped.
///
/// # Errors
/// `Conflict` while the run, or another recovery of it, lives; `NotFound` when there is no such run; `Unsupported` when a
/// newer version wrote the journal; the journal store's own.
pub async fn recover(store: Arc<dyn JournalStore>, run: &str, undoers: Undoers) -> Result<Recovered> {
    let settings = Context::builder_arc(Arc::clone(&store));
    recover_with(settings, store, run, undoers).await
}

/// As [`recover`], with the event sinks and times of a [`ContextBuilder`].
///
/// # Errors
/// As [`recover`].
pub async fn recover_with(
    settings: ContextBuilder,
    store: Arc<dyn JournalStore>,
    run: &str,
    undoers: Undoers,
) -> Result<Recovered> {
    if !store.runs().await?.iter().any(|known| known == run) {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no run {run} in this journal store")));
    }
    let journal = store.claim(run).await?;
    let entries = journal.entries().await?;
    match entries.first().map(|entry| &entry.record) {
        Some(Record::Started { version, .. }) if *version <= FORMAT_VERSION => {}
        Some(Record::Started { version, .. }) => {
            let message =
                format!("the journal of run {run} has format {version}; this library reads up to {FORMAT_VERSION}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Some(_) => return Err(Error::bug(format!("the journal of run {run} has no beginning"))),
        // Nothing was acknowledged, so nothing was created.
        None => return Ok(Recovered { run: run.to_owned(), kept: vec![], leftovers: Leftovers::default() }),
    }
    let cx = Context::over(run.to_owned(), journal, Ledger::replay(&entries), &settings);
    cx.register(undoers)?;
    let leftovers = cx.unwind().await;
    let kept = cx.ledger().kept.iter().map(|(resource, _)| resource.clone()).collect();
    Ok(Recovered { run: run.to_owned(), kept, leftovers })
}

/// The runs of a store that left something to recover: a resource that is neither kept nor undone, or a begun commit. A
/// run that is still alive is among them; [`recover`] refuses it.
///
/// # Errors
/// The journal store's own.
pub async fn unfinished(store: &dyn JournalStore) -> Result<Vec<String>> {
    let mut unfinished = vec![];
    for run in store.runs().await? {
        let ledger = Ledger::replay(&store.entries(&run).await?);
        if ledger.open.iter().next().is_some() || ledger.committing.is_some() {
            unfinished.push(run);
        }
    }
    unfinished.sort();
    Ok(unfinished)
}

/// What [`reap`] found past its expiry, and what became of it.
#[non_exhaustive]
#[derive(Clone, Debug, Serialize)]
pub struct Reaped {
    /// The resource.
    pub resource: Resource,
    /// Its state.
    pub state: State,
    /// Whether it is gone; otherwise why not, where it was tried.
    pub outcome: ReapOutcome,
}

/// What became of an expired resource.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReapOutcome {
    /// It could not be deleted, and why.
    Failed(String),
    /// It is gone.
    Gone,
    /// Deleting was asked for; another reap proves it.
    Pending,
    /// It would be deleted.
    Planned,
}

/// The second net, for a lost journal: deletes what is ours, not kept, and past its expiry. `apply: false` only plans.
///
/// An expiry lies beyond the deadline of its run, so nothing of a living run is touched; each thing is looked at again
/// right before its deletion.
///
/// # Errors
/// `PermissionDenied` when the credentials reach another scope; the undoer's own.
pub async fn reap(cx: &Context, undoer: &dyn Undo, scope: &crate::Scope, apply: bool) -> Result<Vec<Reaped>> {
    let actual = undoer.identity(cx, scope).await?;
    if actual != *scope {
        return Err(Error::new(ErrorKind::PermissionDenied, format!("the credentials reach {actual}, not {scope}")));
    }
    let now = cx.now();
    // Whatever the plugin's own filter did.
    let due = |found: &Found| found.state != State::Kept && found.expires_at.is_some_and(|at| at < now);
    let mut reaped = vec![];
    for found in undoer.find(cx, &Query::expired(scope.clone(), now)).await?.into_iter().filter(due) {
        cx.check()?;
        let outcome = if apply { reap_one(cx, undoer, &found, due).await } else { ReapOutcome::Planned };
        reaped.push(Reaped { resource: found.resource, state: found.state, outcome });
    }
    Ok(reaped)
}

async fn reap_one(cx: &Context, undoer: &dyn Undo, found: &Found, due: impl Fn(&Found) -> bool) -> ReapOutcome {
    let again = Query::token(found.resource.scope.clone(), found.resource.token.clone());
    let deleted = async {
        if undoer.find(cx, &again).await?.iter().any(due) {
            undoer.undo(cx, &found.resource).await
        } else {
            Ok(Undone::Absent)
        }
    };
    match deleted.await {
        Ok(Undone::Gone | Undone::Absent) => ReapOutcome::Gone,
        Ok(_) => ReapOutcome::Pending,
        Err(e) => ReapOutcome::Failed(cx.redact(e.chain())),
    }
}
