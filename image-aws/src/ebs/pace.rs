//! How many blocks may be under way, and how fast they may follow one another.
//!
//! The rate is what EBS grants a snapshot and is known beforehand; how many requests that takes depends on how long one
//! takes, which is not, and what else the account sends is not known either. So the window grows until the rate is reached
//! or EBS asks to slow down, as TCP's does: <https://www.rfc-editor.org/rfc/rfc5681#section-3.1>.

use std::time::Duration;
use tokio::time::Instant;

/// PutSnapshotBlock requests a second for a snapshot; it cannot be raised.
/// <https://docs.aws.amazon.com/general/latest/gr/ebs-service.html>
const PER_SECOND: u32 = 1000;
/// What was not used lately can be made up for, up to this.
const BURST: Duration = Duration::from_millis(50);
/// The window once the first block went through.
const OPEN: f64 = 32.0;
/// The least, however much EBS throttles.
const NARROWEST: f64 = 4.0;
/// The most: the whole rate at a quarter of a second each.
const WIDEST: f64 = 256.0;
/// Throttled replies within this time are about the same overload.
const SAME_OVERLOAD: Duration = Duration::from_millis(250);

/// The pace of one snapshot.
#[derive(Debug)]
pub(crate) struct Pace {
    window: f64,
    /// Below it the window doubles in each round trip, above it one is added.
    threshold: f64,
    narrowed: Option<Instant>,
    next: Option<Instant>,
}

impl Pace {
    /// One block goes first: a snapshot that was started a moment ago is not known everywhere yet.
    pub(crate) fn new() -> Self {
        Self { window: 1.0, threshold: WIDEST, narrowed: None, next: None }
    }
    /// Whether one more may be under way.
    pub(crate) fn has_room(&self, under_way: usize) -> bool {
        u32::try_from(under_way).is_ok_and(|under_way| f64::from(under_way) + 1.0 <= self.window)
    }
    /// A block went through.
    pub(crate) fn succeeded(&mut self) {
        let more = if self.window < self.threshold { 1.0 } else { 1.0 / self.window };
        self.window = (self.window + more).clamp(if self.narrowed.is_some() { NARROWEST } else { OPEN }, WIDEST);
    }
    /// EBS asked to slow down.
    pub(crate) fn throttled(&mut self, now: Instant) {
        if self.narrowed.is_some_and(|at| now < at + SAME_OVERLOAD) {
            return;
        }
        self.window = (self.window / 2.0).max(NARROWEST.min(self.window));
        self.threshold = self.window;
        self.narrowed = Some(now);
    }
    /// Takes the next place in the rate: when the request may be made.
    pub(crate) fn reserve(&mut self, now: Instant) -> Instant {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let at = self.next.map_or(now, |next| next.max(earliest));
        self.next = Some(at + Duration::from_secs(1) / PER_SECOND);
        at.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_goes_first_then_many() {
        let mut pace = Pace::new();
        assert!(pace.has_room(0) && !pace.has_room(1));
        pace.succeeded();
        assert!(pace.has_room(31) && !pace.has_room(32));
        (0..68).for_each(|_| pace.succeeded());
        assert!(pace.has_room(99), "a hundred at once after a hundred replies");
        (0..1000).for_each(|_| pace.succeeded());
        assert!(pace.has_room(255) && !pace.has_room(256));
    }

    #[test]
    fn one_overload_halves_the_window_once_and_it_grows_slowly_after() {
        let (mut pace, now) = (Pace::new(), Instant::now());
        (0..100).for_each(|_| pace.succeeded());
        let before = pace.window;
        (0..50).for_each(|_| pace.throttled(now));
        assert_eq!(pace.window, before / 2.0);
        pace.succeeded();
        assert!(pace.window < before / 2.0 + 0.1);
        (1..20).for_each(|n| pace.throttled(now + n * SAME_OVERLOAD));
        assert_eq!(pace.window, NARROWEST);
    }

    #[test]
    fn the_rate_is_kept_and_made_up_for_only_a_little() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        // Whoever is always ready is let through at exactly the rate.
        let times: Vec<Instant> = (0..3000).map(|_| pace.reserve(start)).collect();
        assert_eq!(times[2999] - start, Duration::from_millis(2999));
        let later = start + Duration::from_secs(100);
        let at_once = (0..3000).filter(|_| pace.reserve(later) == later).count();
        assert!((50..=52).contains(&at_once), "{at_once}");
    }
}
