//! Waiting for the states of instances, through the one look that all builds share.

use super::client::Region;
use aws_sdk_ec2::types::{Instance, InstanceStateName};
use image_core::{
    Context, Error, ErrorKind, Result,
    wait::{self, Poll, WaitPolicy},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long what was created may be missing from an answer before it counts as gone.
pub(crate) const SETTLE: Duration = Duration::from_secs(120);
/// Before joining the next look; that one comes a second after the last.
const PAUSE: Duration = Duration::from_millis(250);
/// From pending to running, and from stopping to stopped: minutes, and 20 of them for bare metal.
pub(crate) const INSTANCE_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// When something was last in an answer.
#[derive(Debug)]
pub(crate) struct LastSeen(Mutex<Instant>);

impl LastSeen {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }
    /// The thing, or `None` while its absence may be a read that lags.
    ///
    /// # Errors
    /// `NotFound` when it has been missing for longer than that.
    pub(crate) fn judge<T>(&self, what: &str, seen: Option<T>) -> Result<Option<T>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_some() {
            *last = Instant::now();
        } else if last.elapsed() > SETTLE {
            let message = format!("{what} has not been seen for {} s; somebody may have removed it", SETTLE.as_secs());
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        Ok(seen)
    }
}

/// Waits until an instance is in a state.
///
/// # Errors
/// `QuotaExceeded` when EC2 ended it for want of capacity; `Unavailable` when it ended otherwise; `NotFound`, `TimedOut`.
pub(crate) async fn instance(
    cx: &Context,
    region: &Region,
    id: &str,
    wanted: InstanceStateName,
) -> Result<Arc<Instance>> {
    let what = format!("instance {id} to be {wanted}");
    let last_seen = &LastSeen::new();
    let wanted = &wanted;
    let policy = WaitPolicy::new(INSTANCE_TIMEOUT).interval(PAUSE, PAUSE);
    wait::until(cx, policy, &what, || async move {
        let seen = cx.race(region.instances.look(id)).await?;
        match last_seen.judge(&format!("instance {id}"), seen)? {
            Some(instance) => judge(&instance, wanted).map(|there| match there {
                true => Poll::Ready(instance),
                false => Poll::Pending(state(&instance).to_string()),
            }),
            None => Ok(Poll::Pending("not visible yet".into())),
        }
    })
    .await
}

/// The state of an instance; one without a state is pending.
pub(crate) fn state(instance: &Instance) -> InstanceStateName {
    let state = instance.state().and_then(|state| state.name());
    state.cloned().unwrap_or(InstanceStateName::Pending)
}

/// Whether it is where it should be, or an error when it can never be.
fn judge(instance: &Instance, wanted: &InstanceStateName) -> Result<bool> {
    use InstanceStateName::{ShuttingDown, Terminated};
    let state = state(instance);
    if state == *wanted {
        return Ok(true);
    }
    if !matches!(state, ShuttingDown | Terminated) {
        return Ok(false);
    }
    let reason = instance.state_reason();
    let code = reason.and_then(|reason| reason.code()).unwrap_or("without a reason");
    let message = reason.and_then(|reason| reason.message()).unwrap_or_default();
    let id = instance.instance_id().unwrap_or_default();
    let kind = if lacks_capacity(code) { ErrorKind::QuotaExceeded } else { ErrorKind::Unavailable };
    Err(Error::new(kind, format!("instance {id} is {state}: {code}: {message}")).with_retryable(false))
}

/// Codes: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html>.
fn lacks_capacity(code: &str) -> bool {
    ["Server.InsufficientInstanceCapacity", "Server.SpotInstance", "Client.VolumeLimitExceeded"]
        .iter()
        .any(|known| code.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{InstanceState, StateReason};

    fn instance(state: InstanceStateName, code: &str) -> Instance {
        Instance::builder()
            .instance_id("i-1")
            .state(InstanceState::builder().name(state).build())
            .state_reason(StateReason::builder().code(code).message("why").build())
            .build()
    }

    #[test]
    fn an_instance_that_ended_never_comes_to_run() {
        use InstanceStateName::*;
        for (state, code, expected) in [
            (Running, "", Ok(true)),
            (Pending, "", Ok(false)),
            (Stopped, "", Ok(false)),
            (Terminated, "Server.InsufficientInstanceCapacity", Err(ErrorKind::QuotaExceeded)),
            (ShuttingDown, "Server.SpotInstanceTermination", Err(ErrorKind::QuotaExceeded)),
            (Terminated, "Client.InternalError", Err(ErrorKind::Unavailable)),
        ] {
            let judged = judge(&instance(state, code), &Running).map_err(|e| e.kind());
            assert_eq!(judged, expected, "{code}");
        }
        let error = judge(&instance(Terminated, "Client.InternalError"), &Running).unwrap_err();
        assert_eq!(error.to_string(), "instance i-1 is terminated: Client.InternalError: why");
        assert!(!error.is_retryable(), "or the wait would go on");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_is_gone_only_after_the_settle_window() {
        let last = LastSeen::new();
        assert!(last.judge::<()>("it", None).unwrap().is_none());
        tokio::time::advance(SETTLE / 2).await;
        assert!(last.judge("it", Some(1)).unwrap().is_some());
        tokio::time::advance(SETTLE).await;
        assert!(last.judge::<()>("it", None).unwrap().is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(last.judge::<()>("it", None).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
