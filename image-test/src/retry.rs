//! Looking again at what needs time.

use crate::{Compat, Facts, Kind, Outcome, Resource, Suite, Wanted, evaluate::evaluate_resource};
use async_trait::async_trait;
use image_core::{Result, Verdict};
use std::{collections::BTreeMap, fmt, time::Duration};
use tokio::time::Instant;

/// Pause between two tries of a resource that does not say.
const DEFAULT_DELAY: Duration = Duration::from_secs(1);

/// Finds out what a suite wants to know.
///
/// **Contract**: what could not be found out is unknown in the facts; an error means that nothing could be asked at all.
///
/// **Cancellation**: both futures may be dropped at any point, and leave nothing behind.
#[async_trait]
pub trait Gather: fmt::Debug + Send + Sync {
    /// Looks.
    async fn gather(&self, wanted: &Wanted) -> Result<Facts>;

    /// Waits between two looks.
    ///
    /// # Errors
    /// There is nothing to wait for any more: the run was cancelled, or is past its deadline.
    async fn pause(&self, duration: Duration) -> Result<()> {
        tokio::time::sleep(duration).await;
        Ok(())
    }
}

/// Looks once at everything, and again at each resource that did not pass and has tries left.
///
/// # Errors
/// Those of the gatherer.
pub async fn check(suite: &Suite, gatherer: &dyn Gather, compat: Compat) -> Result<Vec<Outcome>> {
    let facts = gatherer.gather(&Wanted::of(suite)).await?;
    let mut outcomes = BTreeMap::new();
    for resource in suite.resources() {
        outcomes.insert(key(resource), evaluate_resource(resource, &facts, compat));
    }
    let mut again: Vec<Again<'_>> = suite.resources().filter_map(Again::of).collect();
    let mut now = Duration::ZERO;
    loop {
        again.retain(|again| again.tries > 0 && outcomes.get(&key(again.resource)).is_some_and(|all| may_change(all)));
        // Pauses alone move this clock: a look takes what it takes.
        let Some(next) = again.iter().map(|again| again.at).min() else {
            return Ok(outcomes.into_values().flatten().collect());
        };
        gatherer.pause(next.saturating_sub(now)).await?;
        now = next;
        let mut due = Suite::new();
        for again in again.iter_mut().filter(|again| again.at <= now) {
            again.tries -= 1;
            again.at = now.saturating_add(again.delay);
            due.insert(again.resource.clone());
        }
        let facts = gatherer.gather(&Wanted::of(&due)).await?;
        for resource in due.resources() {
            outcomes.insert((resource.kind(), resource.key.clone()), evaluate_resource(resource, &facts, compat));
        }
    }
}

/// A resource with tries left.
struct Again<'a> {
    resource: &'a Resource,
    tries: u32,
    delay: Duration,
    /// When it is due, on the clock of the pauses.
    at: Duration,
}

impl<'a> Again<'a> {
    fn of(resource: &'a Resource) -> Option<Self> {
        let retry = resource.target.retry();
        let delay = if retry.delay.is_zero() { DEFAULT_DELAY } else { retry.delay };
        (retry.count > 0 && !resource.skip).then_some(Self { resource, tries: retry.count, delay, at: delay })
    }
}

fn key(resource: &Resource) -> (Kind, String) {
    (resource.kind(), resource.key.clone())
}

/// Whether something is not as expected that another look may see otherwise.
fn may_change(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| matches!(outcome.verdict(), Verdict::Fail | Verdict::Unknown))
}

/// For how long a whole suite is tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// No further try begins that would have to wait beyond this; zero for a single try.
    pub timeout: Duration,
    /// Pause between two tries.
    pub sleep: Duration,
}

impl RetryPolicy {
    /// A single try.
    pub const ONCE: Self = Self { timeout: Duration::ZERO, sleep: DEFAULT_DELAY };

    /// Tries for this long, every second.
    pub fn within(timeout: Duration) -> Self {
        Self { timeout, sleep: DEFAULT_DELAY }
    }

    /// Sets the pause between two tries.
    #[must_use]
    pub fn sleep(mut self, sleep: Duration) -> Self {
        self.sleep = sleep;
        self
    }
}

/// What a look at a whole suite came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// The outcomes in the order of the suite.
    pub outcomes: Vec<Outcome>,
    /// How long this look took.
    pub took: Duration,
    /// How long all looks took so far, with the pauses between them.
    pub elapsed: Duration,
    /// Whether nothing failed and nothing is unknown.
    pub passed: bool,
    /// Whether the time is over for another try.
    pub last: bool,
}

/// Tries a whole suite until nothing fails, or its time is over. Every attempt is shown to `watch`; the last one counts.
///
/// # Errors
/// Those of the gatherer, and of `watch`; either ends the tries.
pub async fn until_passes(
    suite: &Suite,
    gatherer: &dyn Gather,
    compat: Compat,
    policy: RetryPolicy,
    mut watch: impl FnMut(&Attempt) -> Result<()> + Send,
) -> Result<Attempt> {
    let began = Instant::now();
    let mut number = 0_u32;
    loop {
        number = number.saturating_add(1);
        let start = Instant::now();
        let outcomes = check(suite, gatherer, compat).await?;
        let passed = !may_change(&outcomes);
        let elapsed = began.elapsed();
        let last = passed || policy.timeout.is_zero() || elapsed.saturating_add(policy.sleep) > policy.timeout;
        let attempt = Attempt { number, outcomes, took: start.elapsed(), elapsed, passed, last };
        watch(&attempt)?;
        if last {
            return Ok(attempt);
        }
        gatherer.pause(policy.sleep).await?;
    }
}

#[cfg(test)]
mod tests;
