//! Waiting for a state of the world, with a deadline, a cancel and a report.

use crate::{Context, Error, ErrorKind, EventBody, Result};
use std::time::Duration;
use tokio::time::Instant;

/// What a look at the world saw.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Poll<T> {
    /// Not yet; the text says what is seen, for the progress report.
    Pending(String),
    /// There.
    Ready(T),
}

/// How often to look, and for how long.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct WaitPolicy {
    /// Between the first looks.
    pub interval: Duration,
    /// The interval grows by a quarter with every look, up to this.
    pub longest_interval: Duration,
    /// When to give up.
    pub timeout: Duration,
    /// How many looks in a row must see it: more than one where reads are eventually consistent.
    pub consecutive: u32,
}

impl WaitPolicy {
    /// Looks every second at first, then every ten, and takes one sight for true.
    pub fn new(timeout: Duration) -> Self {
        Self { interval: Duration::from_secs(1), longest_interval: Duration::from_secs(10), timeout, consecutive: 1 }
    }
    /// Sets the intervals.
    #[must_use]
    pub fn interval(mut self, first: Duration, longest: Duration) -> Self {
        (self.interval, self.longest_interval) = (first, longest.max(first));
        self
    }
    /// Sets how many looks in a row must see it.
    #[must_use]
    pub fn consecutive(mut self, times: u32) -> Self {
        self.consecutive = times.max(1);
        self
    }
}

/// Looks until it is there. An error that can be retried counts as not yet; any other ends the wait.
///
/// # Errors
/// The look's own; `Cancelled` or `TimedOut` with the run; `TimedOut` naming `what` and what was seen last.
pub async fn until<T, F, Fut>(cx: &Context, policy: WaitPolicy, what: &str, mut look: F) -> Result<T>
where
    T: Send,
    F: FnMut() -> Fut + Send,
    Fut: Future<Output = Result<Poll<T>>> + Send,
{
    let give_up = Instant::now() + policy.timeout;
    let (mut interval, mut seen) = (policy.interval, 0);
    let mut last: String;
    let mut cause = None;
    loop {
        cx.check()?;
        match look().await {
            Ok(Poll::Ready(value)) => {
                seen += 1;
                if seen >= policy.consecutive {
                    return Ok(value);
                }
                last = format!("seen {seen} of {} times", policy.consecutive);
            }
            Ok(Poll::Pending(detail)) => (seen, last) = (0, detail),
            Err(e) if e.is_retryable() => {
                (seen, last) = (0, e.to_string());
                cause = Some(e);
            }
            Err(e) => return Err(e),
        }
        let detail = format!("waiting for {what}: {last}");
        cx.emit(EventBody::Progress { done: 0, total: None, detail });
        if Instant::now() + interval > give_up {
            let message = format!("{what} was not there after {} s: {last}", policy.timeout.as_secs());
            let error = Error::new(ErrorKind::TimedOut, message);
            return Err(match cause {
                Some(cause) => error.with_source(cause),
                None => error,
            });
        }
        cx.sleep(interval).await?;
        interval = (interval + interval / 4).min(policy.longest_interval);
    }
}
