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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, Keep, Kind, MemoryStore, Scope, Timestamp};
    use serde_json::Value;
    use std::time::Duration;

    fn intended() -> Record {
        let kind = Kind::new("image", Duration::from_secs(600), Duration::ZERO);
        Record::Intended(Resource::found("o", Scope::new("s"), kind, "l", "t", "i"))
    }

    #[tokio::test]
    async fn unfinished_are_the_runs_that_left_something_to_recover() {
        let (token, set) = ("t".to_owned(), vec!["t".to_owned()]);
        let created = Record::Created { token: token.clone(), id: "i".into(), undo_data: Value::Null };
        let committing = Record::Committing { set: set.clone(), keep: Keep::FOREVER };
        let stage = Record::Stage { name: "approved".into(), output: Value::Null };
        let message = "lost".to_owned();
        let runs: [(&str, bool, Vec<Record>); 10] = [
            ("nothing", false, vec![]),
            ("evidence", false, vec![stage]),
            ("intended", true, vec![intended()]),
            ("created", true, vec![intended(), created.clone()]),
            ("unclear", true, vec![intended(), Record::Unclear { token: token.clone(), message: message.clone() }]),
            ("rejected", false, vec![intended(), Record::Rejected { token: token.clone(), message: message.clone() }]),
            ("undo-failed", true, vec![intended(), Record::UndoFailed { token: token.clone(), message }]),
            ("undone", false, vec![intended(), created.clone(), Record::Undone { token }]),
            ("committing", true, vec![intended(), created.clone(), committing.clone()]),
            ("kept", false, vec![intended(), created, committing, Record::Kept { set }]),
        ];
        let store = MemoryStore::default();
        // Of this one not even the first entry was written.
        store.set_text("empty", "");
        for (run, _, records) in &runs {
            let mut journal = store.claim(run).await.unwrap();
            let started = Record::Started { version: FORMAT_VERSION, pipeline: "p".into() };
            for record in [&[started], records.as_slice()].concat() {
                journal.append(&Entry::new(Timestamp::from_millis(1), record)).await.unwrap();
            }
        }
        let mut expected: Vec<&str> = runs.iter().filter(|(_, open, _)| *open).map(|(run, ..)| *run).collect();
        expected.sort_unstable();
        assert_eq!(unfinished(&store).await.unwrap(), expected);

        store.set_text("broken", "noise\nmore noise\n");
        assert!(unfinished(&store).await.unwrap_err().to_string().contains("broken"), "it must not pass for finished");
    }
}
