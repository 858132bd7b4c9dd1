//! Trying again, with the last error as the one that is reported.

use crate::{Context, Error, ErrorKind, EventBody, Result};
use std::time::Duration;

/// How often to try again, and after which pause.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retries {
    pub(super) times: u32,
    pub(super) delay: Duration,
}

impl Retries {
    /// Tries until it succeeds, no attempt is left, the run is over, or the error is one that no attempt can change.
    pub(super) async fn run<T, F, Fut>(self, cx: &Context, attempt: F) -> Result<T>
    where
        T: Send,
        F: Fn() -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        let mut failed = 0;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            failed += 1;
            if failed > self.times || is_final(&error) || cx.check().is_err() {
                return Err(if failed > 1 { error.with_context("attempts", failed) } else { error });
            }
            let after_ms = u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX);
            cx.emit(EventBody::Retrying { attempt: failed, error: error.chain(), after_ms });
            if let Err(ended) = cx.sleep(self.delay).await {
                return Err(ended.with_source(error));
            }
        }
    }
}

/// Whether the same attempt cannot end in another way.
pub(super) fn is_final(error: &Error) -> bool {
    use ErrorKind::{Cancelled, Conflict, Internal, InvalidInput, PolicyViolation, Unsupported};
    matches!(error.kind(), Cancelled | Conflict | Internal | InvalidInput | PolicyViolation | Unsupported)
}
