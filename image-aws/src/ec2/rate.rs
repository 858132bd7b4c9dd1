//! Keeping below the request rates that EC2 grants, so that one process with many builds is not throttled by itself.

use image_core::{Context, Result};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A bucket of requests, as EC2 keeps one per account and region:
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>.
#[derive(Debug)]
pub(crate) struct Bucket {
    capacity: f64,
    /// A second.
    refill: f64,
    /// How many are left, and when that was; below zero when turns are promised already.
    left: Mutex<(f64, Option<Instant>)>,
}

impl Bucket {
    /// `RunInstances`: five at once, then two a second.
    pub(crate) fn run_instances() -> Self {
        Self::new(5.0, 2.0)
    }
    /// Other calls that change something.
    pub(crate) fn mutating() -> Self {
        Self::new(50.0, 5.0)
    }
    fn new(capacity: f64, refill: f64) -> Self {
        Self { capacity, refill, left: Mutex::new((capacity, None)) }
    }

    /// Waits for one's turn. A turn that a cancel takes away is lost, which errs to the slow side.
    ///
    /// # Errors
    /// As [`Context::sleep`].
    pub(crate) async fn turn(&self, cx: &Context) -> Result<()> {
        match self.take(Instant::now()) {
            Duration::ZERO => cx.check(),
            wait => cx.sleep(wait).await,
        }
    }

    fn take(&self, now: Instant) -> Duration {
        let mut state = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, then) = *state;
        let since = then.map_or(Duration::ZERO, |then| now.saturating_duration_since(then));
        let left = (left + since.as_secs_f64() * self.refill).min(self.capacity) - 1.0;
        *state = (left, Some(now));
        Duration::from_secs_f64((-left / self.refill).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_launches_take_as_long_as_ec2_makes_them_take() {
        let bucket = Bucket::run_instances();
        let now = Instant::now();
        let waits: Vec<Duration> = (0..100).map(|_| bucket.take(now)).collect();
        assert!(waits[..5].iter().all(Duration::is_zero));
        assert_eq!(waits[5], Duration::from_millis(500));
        assert_eq!(waits[99], Duration::from_millis(47_500));
    }

    #[test]
    fn a_bucket_refills_up_to_its_capacity() {
        let bucket = Bucket::run_instances();
        let now = Instant::now();
        for _ in 0..5 {
            assert!(bucket.take(now).is_zero());
        }
        let later = now + Duration::from_secs(3600);
        let waits: Vec<bool> = (0..6).map(|_| bucket.take(later).is_zero()).collect();
        assert_eq!(waits, [true, true, true, true, true, false]);
    }
}
