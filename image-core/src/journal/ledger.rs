//! What a journal means: the fold of its records.

use super::{
    Entry, Keep, Record, Resource,
    open_set::{Open, OpenSet},
};
use crate::Error;
use std::collections::BTreeSet;

/// A commit that has begun.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) set: Vec<String>,
    pub(crate) keep: Keep,
}

/// What is open, in order of creation, and what is kept.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) open: OpenSet,
    pub(crate) committing: Option<Commit>,
    /// Members of a commit whose record may or may not have been written: neither undone nor kept by us.
    pub(crate) unclear: BTreeSet<String>,
    pub(crate) kept: Vec<(Resource, Keep)>,
    pub(crate) journal_errors: Vec<String>,
}

impl Ledger {
    /// Notes a record that was written.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        match &entry.record {
            Record::Intended(resource) => {
                // Without an outcome the writer died: a call that outlives it may take until its deadline.
                let outlives = !resource.kind.ends_with_process;
                let answered = if outlives { entry.at.after(resource.kind.deadline) } else { entry.at };
                let settles_at = answered.after(resource.kind.settle);
                self.open.push(Open { resource: resource.clone(), settles_at });
            }
            Record::Created { token, .. } | Record::Unclear { token, .. } => {
                let Some(open) = self.open.get_mut(token) else { return };
                open.settles_at = entry.at.after(open.resource.kind.settle);
                if let Record::Created { id, undo_data, .. } = &entry.record {
                    open.resource.id = Some(id.clone());
                    open.resource.undo_data = undo_data.clone();
                }
            }
            Record::Rejected { token, .. } | Record::Undone { token } => {
                self.open.remove(token);
            }
            Record::Committing { set, keep } => self.committing = Some(Commit { set: set.clone(), keep: *keep }),
            Record::Kept { set } => {
                let keep = self.committing.take().map_or(Keep::FOREVER, |commit| commit.keep);
                let kept = set.iter().filter_map(|token| self.open.remove(token));
                self.kept.extend(kept.map(|open| (open.resource, keep)));
            }
            Record::Stage { .. } | Record::Started { .. } | Record::UndoFailed { .. } => {}
        }
    }

    /// Notes a record that could not be written. A fact stays a fact; what was only about to be done is not.
    pub(crate) fn apply_unwritten(&mut self, entry: &Entry, error: &Error) {
        self.journal_errors.push(error.chain());
        match &entry.record {
            Record::Intended(_) => {}
            Record::Committing { set, .. } => self.unclear.extend(set.iter().cloned()),
            _ => self.apply(entry),
        }
    }

    pub(crate) fn replay(entries: &[Entry]) -> Self {
        let mut ledger = Self::default();
        entries.iter().for_each(|entry| ledger.apply(entry));
        ledger
    }

    /// Whether a commit has begun or is done for a state that lasts.
    pub(crate) fn has_committed(&self) -> bool {
        let lasts = |keep: Keep| keep == Keep::FOREVER;
        self.committing.as_ref().is_some_and(|commit| lasts(commit.keep)) || self.kept.iter().any(|(_, k)| lasts(*k))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Scope, Timestamp};
    use std::time::Duration;

    #[test]
    fn only_a_call_that_outlives_its_process_holds_a_recovery_up() {
        let kind = Kind::new("image", Duration::from_secs(600), Duration::from_secs(5));
        for (kind, seconds) in [(kind.clone(), 605), (kind.ends_with_process(), 5)] {
            let mut resource = Resource::found("o", Scope::new("s"), kind, "l", "t", "i");
            resource.id = None;
            let began = Timestamp::from_millis(1_000);
            let ledger = Ledger::replay(&[Entry::new(began, Record::Intended(resource))]);
            let settles: Vec<Duration> = ledger.open.iter().map(|open| open.settles_at.since(began)).collect();
            assert_eq!(settles, [Duration::from_secs(seconds)]);
        }
    }
}
