//! Faults that the conformance kit injects in the core, so that a plugin needs no hooks.

use std::time::Duration;

/// Where around a creating or changing call a fault strikes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultSide {
    /// The call is made and its reply is lost.
    After,
    /// The intent is written, the call is never made.
    Before,
    /// The stage panics once the call has succeeded.
    Panic,
}

/// Faults of one run; none by default.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The number of the create or change that fails, from 1, and how.
    pub at_create: Option<(u64, FaultSide)>,
    /// Cancels the run and polls its stages no further from this poll on, counted from 1.
    pub cancel_at_poll: Option<u64>,
    /// Undoes and restores everything twice.
    pub undo_twice: bool,
    /// How far the run's wall clock is ahead, so that an expiry can pass where real time has to.
    pub clock_ahead: Duration,
}

impl Faults {
    /// Fails the n-th create or change.
    pub fn at_create(n: u64, side: FaultSide) -> Self {
        Self { at_create: Some((n, side)), ..Self::default() }
    }
    /// Cancels at the n-th poll.
    pub fn cancel_at_poll(n: u64) -> Self {
        Self { cancel_at_poll: Some(n), ..Self::default() }
    }
    /// Sets the run's wall clock ahead.
    pub fn clock_ahead(by: Duration) -> Self {
        Self { clock_ahead: by, ..Self::default() }
    }
    /// Undoes everything twice.
    #[must_use]
    pub fn undo_twice(mut self) -> Self {
        self.undo_twice = true;
        self
    }
}
