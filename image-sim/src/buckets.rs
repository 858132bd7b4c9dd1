//! EC2's request token buckets, per account and region.
//!
//! Figures: <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// How many calls may come at once, and how many tokens come back in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Limit {
    /// Calls with the same name share a bucket.
    bucket: &'static str,
    capacity: f64,
    refill: f64,
}

const fn limit(bucket: &'static str, capacity: f64, refill: f64) -> Limit {
    Limit { bucket, capacity, refill }
}

/// The bucket of an action. `narrowed`: the call has filters or a page size; ids alone do not count.
fn limit_of(action: &str, narrowed: bool) -> Limit {
    match action {
        "RunInstances" => limit("RunInstances", 5.0, 2.0),
        "StartInstances" => limit("StartInstances", 5.0, 2.0),
        "TerminateInstances" => limit("TerminateInstances", 100.0, 5.0),
        "CopyImage" => limit("CopyImage", 100.0, 1.0),
        "CreateTags" => limit("CreateTags", 100.0, 10.0),
        "CreateSnapshot" => limit("CreateSnapshot", 100.0, 5.0),
        "CreateVolume" => limit("CreateVolume", 100.0, 5.0),
        "DeleteSnapshot" => limit("DeleteSnapshot", 100.0, 5.0),
        "DeregisterImage" => limit("DeregisterImage", 100.0, 5.0),
        "CreateKeyPair" => limit("CreateKeyPair", 50.0, 5.0),
        "AuthorizeSecurityGroupIngress" => limit("AuthorizeSecurityGroupIngress", 50.0, 5.0),
        "DescribeInstances" | "DescribeVolumes" | "DescribeSnapshots" | "DescribeSecurityGroups" if !narrowed => {
            limit("unfiltered", 50.0, 10.0)
        }
        _ if ["Describe", "Get", "List", "Search"].iter().any(|prefix| action.starts_with(prefix)) => {
            limit("non-mutating", 100.0, 20.0)
        }
        _ => limit("mutating", 50.0, 5.0),
    }
}

/// What is left in a bucket, and when that was.
type Level = (f64, Timestamp);

/// The buckets of every account and region.
#[derive(Debug, Default)]
pub(crate) struct Buckets(Mutex<BTreeMap<(String, String, &'static str), Level>>);

impl Buckets {
    /// Takes a token; whether there was one.
    pub(crate) fn take(&self, account: &str, region: &str, action: &str, narrowed: bool, now: Timestamp) -> bool {
        let Limit { bucket, capacity, refill } = limit_of(action, narrowed);
        self.spend((account.to_owned(), region.to_owned(), bucket), 1.0, capacity, refill, now)
    }

    /// Takes `count` of the tokens that instances cost besides the request: 1000, and 2 or 20 a second.
    pub(crate) fn take_instances(&self, account: &str, region: &str, action: &str, count: u32, now: Timestamp) -> bool {
        let (bucket, refill) = match action {
            "RunInstances" => ("RunInstances resources", 2.0),
            "StartInstances" => ("StartInstances resources", 2.0),
            _ => ("TerminateInstances resources", 20.0),
        };
        self.spend((account.to_owned(), region.to_owned(), bucket), f64::from(count), 1000.0, refill, now)
    }

    /// Takes one of the 1000 block writes a second that a snapshot has.
    pub(crate) fn take_block(&self, account: &str, snapshot: &str, now: Timestamp) -> bool {
        self.spend((account.to_owned(), snapshot.to_owned(), "PutSnapshotBlock"), 1.0, 1000.0, 1000.0, now)
    }

    fn spend(
        &self,
        key: (String, String, &'static str),
        cost: f64,
        capacity: f64,
        refill: f64,
        now: Timestamp,
    ) -> bool {
        let mut levels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (level, at) = levels.entry(key).or_insert((capacity, now));
        let seconds = now.duration_since(*at).as_secs_f64().max(0.0);
        *level = refill.mul_add(seconds, *level).min(capacity);
        *at = now;
        let enough = *level >= cost;
        if enough {
            *level -= cost;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::after;

    #[test]
    fn launches_come_five_at_once_and_two_a_second() {
        let (buckets, now) = (Buckets::default(), Timestamp::now());
        let take = |now| (0..10).filter(|_| buckets.take("1", "r", "RunInstances", false, now)).count();
        assert_eq!(take(now), 5);
        assert_eq!(take(after(now, Duration::from_secs(1))), 2);
        assert_eq!(take(after(now, Duration::from_secs(100))), 5);
        assert!(buckets.take("2", "r", "RunInstances", false, now), "another account has its own");
    }

    #[test]
    fn the_bucket_follows_the_action_and_how_narrow_it_is() {
        for (action, narrowed, bucket, refill) in [
            ("DescribeInstances", false, "unfiltered", 10.0),
            ("DescribeInstances", true, "non-mutating", 20.0),
            ("DescribeImages", false, "non-mutating", 20.0),
            ("CreateImage", false, "mutating", 5.0),
            ("CopyImage", false, "CopyImage", 1.0),
        ] {
            let limit = limit_of(action, narrowed);
            assert_eq!((limit.bucket, limit.refill), (bucket, refill), "{action}");
        }
    }

    #[test]
    fn instances_cost_tokens_of_their_own() {
        let (buckets, now) = (Buckets::default(), Timestamp::now());
        assert!(buckets.take_instances("1", "r", "RunInstances", 1000, now));
        assert!(!buckets.take_instances("1", "r", "RunInstances", 1, now));
    }
}
