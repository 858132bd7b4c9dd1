//! Eventual consistency: what was just created is not described at once.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;

/// How long new resources stay invisible to reads. Off by default.
///
/// A resource becomes visible when both the reads and the time have passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventualConsistency {
    /// How many reads that would have shown it do not.
    pub reads: u32,
    /// How long, by the simulated clock, no read shows it.
    pub time: Duration,
}

impl EventualConsistency {
    /// New resources stay invisible to this many reads.
    pub const fn reads(reads: u32) -> Self {
        Self { reads, time: Duration::ZERO }
    }

    /// New resources stay invisible for this long.
    pub const fn time(time: Duration) -> Self {
        Self { reads: 0, time }
    }
}

/// The resources of one account and region that are not visible yet.
#[derive(Debug, Default)]
pub(crate) struct Unsettled(BTreeMap<String, (u32, Timestamp)>);

impl Unsettled {
    /// A resource was created.
    pub(crate) fn created(&mut self, id: &str, config: EventualConsistency, now: Timestamp) {
        if config != EventualConsistency::default() {
            self.0.insert(id.to_owned(), (config.reads, after(now, config.time)));
        }
    }

    /// Whether a read shows the resource. Counts the read.
    pub(crate) fn visible(&mut self, id: &str, now: Timestamp) -> bool {
        let Some((reads, until)) = self.0.get_mut(id) else { return true };
        if *reads == 0 && *until <= now {
            self.0.remove(id);
            return true;
        }
        *reads = reads.saturating_sub(1);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_resources_show_after_reads_and_time() {
        let now = Timestamp::now();
        let mut unsettled = Unsettled::default();
        unsettled.created("i-1", EventualConsistency::reads(2), now);
        assert_eq!([0; 4].map(|_| unsettled.visible("i-1", now)), [false, false, true, true]);
        unsettled.created("i-2", EventualConsistency::time(Duration::from_secs(5)), now);
        assert!(!unsettled.visible("i-2", now));
        assert!(unsettled.visible("i-2", after(now, Duration::from_secs(5))));
        unsettled.created("i-3", EventualConsistency::default(), now);
        assert!(unsettled.visible("i-3", now));
    }
}
