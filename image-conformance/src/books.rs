//! What a journal says should be there, folded by other code than the core's own.

use crate::{Failure, Rig, failure::ensure};
use image_core::{Entry, Keep, Record, Resource, State, journal::parse_lines};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What stands in a backend.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) live: BTreeSet<String>,
    pub(crate) values: BTreeMap<String, Value>,
}

impl Seen {
    pub(crate) fn of(rig: &dyn Rig) -> Self {
        Self { live: rig.live(), values: rig.values() }
    }
    pub(crate) fn ensure_same(&self, rig: &dyn Rig, moment: impl fmt::Display, what: &str) -> Result<(), Failure> {
        let now = Self::of(rig);
        ensure(now == *self, moment, || format!("{what}: {}", self.difference(&now)))
    }
    fn difference(&self, now: &Self) -> String {
        let more: Vec<_> = now.live.difference(&self.live).collect();
        let less: Vec<_> = self.live.difference(&now.live).collect();
        let changed: Vec<_> = now.values.iter().filter(|(id, value)| self.values.get(*id) != Some(*value)).collect();
        format!("too many {more:?}, missing {less:?}, other values {changed:?}")
    }
}

/// The state of a run as its journal tells it.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) open: BTreeMap<String, Resource>,
    pub(crate) committing: Option<(Vec<String>, Keep)>,
    pub(crate) kept: Vec<(Resource, Keep)>,
}

impl Books {
    pub(crate) fn read(text: &str) -> Result<Self, Failure> {
        let entries = parse_lines("run", text).map_err(Failure::at("the journal"))?;
        Ok(entries.into_iter().fold(Self::default(), Self::apply))
    }

    fn apply(mut self, entry: Entry) -> Self {
        match entry.record {
            Record::Intended(resource) => {
                self.open.insert(resource.token.clone(), resource);
            }
            Record::Created { token, id, .. } => {
                if let Some(resource) = self.open.get_mut(&token) {
                    resource.id = Some(id);
                }
            }
            Record::Rejected { token, .. } | Record::Undone { token } => {
                self.open.remove(&token);
            }
            Record::Committing { set, keep } => self.committing = Some((set, keep)),
            Record::Kept { set } => {
                let keep = self.committing.take().map_or(Keep::FOREVER, |(_, keep)| keep);
                let kept = set.iter().filter_map(|token| self.open.remove(token)).map(|resource| (resource, keep));
                self.kept.extend(kept);
            }
            _ => {}
        }
        self
    }

    /// What should be left of a run that is over: what was there before, and what was kept.
    pub(crate) fn expected(&self, before: &Seen) -> Seen {
        let mut seen = before.clone();
        for (resource, _) in &self.kept {
            let id = resource.id.clone().unwrap_or_default();
            match &resource.change {
                Some(change) => drop(seen.values.insert(id, change.after.clone())),
                None => drop(seen.live.insert(id)),
            }
        }
        seen
    }
    /// Ids of what was kept, or may be by a commit that has begun.
    pub(crate) fn committed(&self) -> BTreeSet<String> {
        let begun = self.committing.iter().flat_map(|(set, _)| set).filter_map(|token| self.open.get(token));
        let kept = self.kept.iter().map(|(resource, _)| resource);
        kept.chain(begun).filter_map(|resource| resource.id.clone()).collect()
    }
    /// Whether an image was committed for good, or is about to be.
    pub(crate) fn is_final(&self) -> bool {
        let lasts = |keep: &Keep| keep.state == State::Kept;
        self.committing.iter().any(|(_, keep)| lasts(keep)) || self.kept.iter().any(|(_, keep)| lasts(keep))
    }
}

/// What is left equals exactly what the journal kept; every value is the last kept one or the one before the run.
pub(crate) fn ensure_left_is_kept(
    rig: &dyn Rig,
    before: &Seen,
    text: &str,
    moment: impl fmt::Display,
) -> Result<(), Failure> {
    Books::read(text)?.expected(before).ensure_same(rig, moment, "what is left is not what was kept")
}
