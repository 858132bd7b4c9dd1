//! Time as the simulated cloud sees it.
//!
//! Nothing runs in the background: a transition is a moment, and a reader compares it with the clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// The clock that states are derived from: the system's, or one that only a test moves.
///
/// Clones share the time.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Real,
    Manual(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// The system's clock.
    pub const fn real() -> Self {
        Self(Source::Real)
    }

    /// A clock that starts now and stands still until [`advance`](Self::advance).
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(Timestamp::now()))))
    }

    /// Moves a manual clock forward. Returns whether it moved: the real clock does not, nor does one past year 9999.
    pub fn advance(&self, by: Duration) -> bool {
        let Source::Manual(now) = &self.0 else { return false };
        let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(later) = now.checked_add(by) else { return false };
        *now = later;
        true
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::Real => Timestamp::now(),
            Source::Manual(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// How long each transition takes by the [`Clock`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// An instance from `pending` to `running`.
    pub instance_start: Duration,
    /// A running instance until its status checks say `ok`.
    pub instance_checks: Duration,
    /// A running instance until its SSM agent is online.
    pub agent_online: Duration,
    /// An instance from `stopping` to `stopped`.
    pub instance_stop: Duration,
    /// An instance from `shutting-down` to `terminated`.
    pub instance_terminate: Duration,
    /// How long a terminated instance is still described; EC2 says about an hour.
    pub instance_linger: Duration,
    /// An image from `pending` to `available`, when it is captured or registered.
    pub image: Duration,
    /// An image that is copied from `pending` to `available`.
    pub image_copy: Duration,
    /// A snapshot from `pending` to `completed`.
    pub snapshot: Duration,
    /// A volume from `creating` to `available`.
    pub volume: Duration,
}

impl Timings {
    /// Every transition is over by the next call. Terminated instances are still described for an hour.
    pub const fn instant() -> Self {
        Self {
            instance_start: Duration::ZERO,
            instance_checks: Duration::ZERO,
            agent_online: Duration::ZERO,
            instance_stop: Duration::ZERO,
            instance_terminate: Duration::ZERO,
            instance_linger: Duration::from_secs(3600),
            image: Duration::ZERO,
            image_copy: Duration::ZERO,
            snapshot: Duration::ZERO,
            volume: Duration::ZERO,
        }
    }

    /// What a small Linux instance takes on EC2, in round figures; for a manual clock, or patience.
    pub const fn realistic() -> Self {
        Self {
            instance_start: Duration::from_secs(12),
            instance_checks: Duration::from_secs(150),
            agent_online: Duration::from_secs(25),
            instance_stop: Duration::from_secs(30),
            instance_terminate: Duration::from_secs(30),
            instance_linger: Duration::from_secs(3600),
            image: Duration::from_secs(120),
            image_copy: Duration::from_secs(240),
            snapshot: Duration::from_secs(90),
            volume: Duration::from_secs(3),
        }
    }
}

impl Default for Timings {
    fn default() -> Self {
        Self::instant()
    }
}

/// `time` plus `by`, or the end of time.
pub(crate) fn after(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A time as EC2 writes it: `2026-11-20T12:00:00.000Z`.
pub(crate) fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_time_moves_only_when_told_and_for_all_clones() {
        let clock = Clock::manual();
        let before = clock.now();
        let copy = clock.clone();
        assert_eq!(copy.now(), before);
        assert!(copy.advance(Duration::from_secs(90)));
        assert_eq!(clock.now().duration_since(before).as_secs(), 90);
    }

    #[test]
    fn the_real_clock_is_not_moved() {
        assert!(!Clock::real().advance(Duration::from_secs(1)));
    }

    #[test]
    fn times_have_milliseconds_and_a_zulu() {
        assert_eq!(iso("2026-11-20T12:00:00Z".parse().unwrap()), "2026-11-20T12:00:00.000Z");
    }
}
