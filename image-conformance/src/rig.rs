//! What a plugin author provides: a pipeline over a backend that can be looked at.

use image_core::{Pipeline, Ready, Undoers};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

/// How much the kit does, and how long it waits for a backend.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many moments of each kind (faults, polls, crashes) are tried; they are spread evenly and hold the first and
    /// the last one. All of them unless set.
    pub cases: Option<usize>,
    /// How long to wait before a look at the backend, so that what becomes visible late, or is made by a task that should
    /// have ended, is seen. Two minutes, which a paused clock takes at once.
    pub settle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cases: None, settle: Duration::from_secs(120) }
    }
}

impl Limits {
    /// For real time: a few moments of each kind, and short waits.
    pub fn sampled(cases: usize, settle: Duration) -> Self {
        Self { cases: Some(cases), settle }
    }

    /// Numbers from 1 to `total`, as many as are wanted.
    pub(crate) fn pick(&self, total: u64) -> Vec<u64> {
        let wanted = self.cases.map_or(total, |cases| cases as u64).min(total);
        match wanted {
            0 => vec![],
            1 => vec![total.div_ceil(2)],
            _ => (0..wanted).map(|n| 1 + n * (total - 1) / (wanted - 1)).collect(),
        }
    }
}

/// A backend with the plugin under test on it. The kit asks for a fresh one for every case.
///
/// An in-memory fake is best: deterministic, on a paused clock, with reads that lag and deletes that take their time. A
/// real backend works too, in real time and with [`Limits::sampled`].
pub trait Rig: fmt::Debug + Send + Sync + 'static {
    /// A pipeline that uses the plugin on this backend; the same one every time. Its other plugins may be those of
    /// `image_conformance::fake`.
    ///
    /// Declare the fingerprints of all its plugins, so that the cases about reuse have something to look at.
    fn pipeline(&self) -> Pipeline<Ready>;

    /// Undoers that are configured for the scopes of this backend, but whose credentials reach another account.
    fn foreign(&self) -> Undoers;

    /// Ids of everything alive in the backend, as they stand in [`Resource::id`](image_core::Resource), visible to
    /// readers or not. What is cached on purpose and never undone (a downloaded base) is left out.
    fn live(&self) -> BTreeSet<String>;

    /// Every value that [`Context::change`](image_core::Context::change) may touch, by the target's id.
    fn values(&self) -> BTreeMap<String, Value> {
        BTreeMap::new()
    }

    /// Changes a value as somebody else would. Unless it is provided, nothing tests that their value is left alone.
    fn overwrite(&self, _id: &str, _value: Value) -> bool {
        false
    }

    /// An independent copy of the backend as it is now. With it, crashes are taken from photographs of one run, and
    /// every moment is tried. Without it, each crash is a run of its own on a runtime that is shut down.
    fn snapshot(&self) -> Option<Arc<dyn Rig>> {
        None
    }

    /// Pipelines whose settings the plugin must refuse before anything is created.
    fn refused(&self) -> Vec<Pipeline<Ready>> {
        vec![]
    }

    /// Secret values that the pipeline handles. None of them may show in an event, the journal, an error or the report.
    fn secrets(&self) -> Vec<String> {
        vec![]
    }

    /// How much the kit does.
    fn limits(&self) -> Limits {
        Limits::default()
    }
}

/// Makes a fresh backend.
pub type Fresh<'a> = &'a (dyn Fn() -> Arc<dyn Rig> + Send + Sync);
