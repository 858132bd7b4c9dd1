//! What a plugin remembers of a run: plugins are values that several runs may share.

use crate::Context;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// Runs that are remembered at once; the oldest is forgotten then.
const REMEMBERED: usize = 1024;

/// A value for each run. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct PerRun<T>(Arc<Mutex<VecDeque<(String, T)>>>);

impl<T> Default for PerRun<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> PerRun<T> {
    /// What is remembered of this run.
    pub(crate) fn get(&self, cx: &Context) -> Option<T> {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.iter().find(|(run, _)| run == cx.run_id()).map(|(_, value)| value.clone())
    }
    /// Remembers this of the run, in place of what was.
    pub(crate) fn set(&self, cx: &Context, value: T) {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|(run, _)| run != cx.run_id());
        if runs.len() >= REMEMBERED {
            runs.pop_front();
        }
        runs.push_back((cx.run_id().to_owned(), value));
    }
}
