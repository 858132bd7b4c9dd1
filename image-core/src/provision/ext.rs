//! Retries, time limits, pauses and tolerance around any provisioner.

use super::retry::{Retries, is_final};
use crate::{Context, Fingerprint, Machine, Provisioner, Requirements, Result, async_trait};
use std::time::Duration;

/// Wraps a provisioner. The wrappers nest: the one that is written last is the outermost.
pub trait ProvisionerExt: Provisioner + Sized {
    /// Tries up to `times` times more when it fails, with `delay` in between. The error of the last attempt is reported,
    /// every earlier one is an [`EventBody::Retrying`](crate::EventBody::Retrying).
    ///
    /// Not tried again: a cancel, a run that is over, refused input and other errors that no attempt can change.
    fn retries(self, times: u32, delay: Duration) -> Retried<Self> {
        Retried { inner: self, retries: Retries { times, delay } }
    }
    /// Gives it a deadline, on its [`Context`]: it ends by itself and is not dropped half done.
    fn timeout(self, timeout: Duration) -> TimeLimited<Self> {
        TimeLimited { inner: self, timeout }
    }
    /// Waits before it starts.
    fn pause_before(self, pause: Duration) -> PausedBefore<Self> {
        PausedBefore { inner: self, pause }
    }
    /// Turns its failure into a warning. A cancel, the end of the run, refused input and bugs stay errors.
    ///
    /// A layer is reused whether or not a failure was tolerated in it.
    fn continue_on_error(self) -> ContinuedOnError<Self> {
        ContinuedOnError { inner: self }
    }
}

impl<T: Provisioner + Sized> ProvisionerExt for T {}

/// See [`ProvisionerExt::retries`].
#[derive(Clone, Debug)]
pub struct Retried<P> {
    inner: P,
    retries: Retries,
}

/// See [`ProvisionerExt::timeout`].
#[derive(Clone, Debug)]
pub struct TimeLimited<P> {
    inner: P,
    timeout: Duration,
}

/// See [`ProvisionerExt::pause_before`].
#[derive(Clone, Debug)]
pub struct PausedBefore<P> {
    inner: P,
    pause: Duration,
}

/// See [`ProvisionerExt::continue_on_error`].
#[derive(Clone, Debug)]
pub struct ContinuedOnError<P> {
    inner: P,
}

#[async_trait]
impl<P: Provisioner> Provisioner for Retried<P> {
    fn id(&self) -> &str {
        self.inner.id()
    }
    async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
        self.inner.fingerprint(cx).await
    }
    fn requirements(&self) -> Requirements {
        self.inner.requirements()
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        self.retries.run(cx, || self.inner.provision(cx, machine)).await
    }
}

#[async_trait]
impl<P: Provisioner> Provisioner for TimeLimited<P> {
    fn id(&self) -> &str {
        self.inner.id()
    }
    async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
        self.inner.fingerprint(cx).await
    }
    fn requirements(&self) -> Requirements {
        self.inner.requirements()
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        self.inner.provision(&cx.with_timeout(self.timeout), machine).await
    }
}

#[async_trait]
impl<P: Provisioner> Provisioner for PausedBefore<P> {
    fn id(&self) -> &str {
        self.inner.id()
    }
    async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
        self.inner.fingerprint(cx).await
    }
    fn requirements(&self) -> Requirements {
        self.inner.requirements()
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        cx.sleep(self.pause).await?;
        self.inner.provision(cx, machine).await
    }
}

#[async_trait]
impl<P: Provisioner> Provisioner for ContinuedOnError<P> {
    fn id(&self) -> &str {
        self.inner.id()
    }
    async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
        let inner = self.inner.fingerprint(cx).await?;
        inner.map(|inner| Fingerprint::of("continue on error", &inner)).transpose()
    }
    fn requirements(&self) -> Requirements {
        self.inner.requirements()
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        match self.inner.provision(cx, machine).await {
            Err(error) if !is_final(&error) && cx.check().is_ok() => {
                cx.warn(format!("provisioner {} failed, as is tolerated: {}", self.id(), error.chain()));
                Ok(())
            }
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorKind,
        host_machine::{HostMachine, context},
        provision::Shell,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn counting(machine: &HostMachine, fails: u32) -> Shell {
        let count = machine.at("count");
        let script = format!("echo x >> {count}; n=$(wc -l < {count}); echo try $n >&2; [ $n -gt {fails} ]");
        Shell::inline("count", script)
    }

    #[tokio::test]
    async fn the_last_error_is_reported_and_every_earlier_one_is_an_event() {
        let (machine, (cx, events)) = (HostMachine::new(), context().await);
        let error = counting(&machine, 9).retries(2, Duration::ZERO).provision(&cx, &machine).await.unwrap_err();
        insta::assert_snapshot!(error, @"provisioner count ended with exit code 1: try 3 (attempts: 3)");
        let retries = events.retries();
        assert_eq!(retries.iter().map(|retry| retry.0).collect::<Vec<_>>(), [1, 2]);
        assert!(retries[0].1.ends_with("try 1") && retries[1].1.ends_with("try 2"), "{retries:?}");

        ProvisionerExt::retries(counting(&machine, 4), 2, Duration::ZERO).provision(&cx, &machine).await.unwrap();
        assert_eq!(machine.read("count").lines().count(), 5);
    }

    #[tokio::test]
    async fn what_cannot_change_is_not_tried_again() {
        let (machine, (cx, events)) = (HostMachine::new(), context().await);
        let refused = ProvisionerExt::retries(Shell::inline("empty", ""), 5, SECOND);
        assert_eq!(refused.provision(&cx, &machine).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let short = cx.with_timeout(Duration::ZERO);
        let late = ProvisionerExt::retries(Shell::inline("late", "true"), 5, SECOND);
        assert_eq!(late.provision(&short, &machine).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(events.retries(), []);
    }

    #[tokio::test]
    async fn a_run_that_ends_during_the_pause_says_so_and_keeps_the_cause() {
        let (machine, (cx, _)) = (HostMachine::new(), context().await);
        let short = cx.with_timeout(Duration::from_millis(300));
        let failing = ProvisionerExt::retries(Shell::inline("fail", "echo why >&2; exit 3"), 5, 9 * SECOND);
        let error = failing.provision(&short, &machine).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        insta::assert_snapshot!(error.chain(), @"the deadline of the run has passed: provisioner fail ended with exit code 3: why");
    }

    #[tokio::test]
    async fn a_time_limit_is_a_deadline_of_the_context() {
        let (machine, (cx, _)) = (HostMachine::new(), context().await);
        let slow = ProvisionerExt::timeout(Shell::inline("slow", "exec sleep 30"), Duration::from_millis(100));
        let error = slow.provision(&cx, &machine).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        cx.check().unwrap();
    }

    #[tokio::test]
    async fn failures_are_tolerated_but_not_the_end_of_the_run() {
        let (machine, (cx, events)) = (HostMachine::new(), context().await);
        let failing = || Shell::inline("fail", "echo why >&2; exit 3").continue_on_error();
        failing().provision(&cx, &machine).await.unwrap();
        insta::assert_debug_snapshot!(events.warnings(), @r#"
        [
            "provisioner fail failed, as is tolerated: provisioner fail ended with exit code 3: why",
        ]
        "#);
        let over = cx.with_timeout(Duration::ZERO);
        assert_eq!(failing().provision(&over, &machine).await.unwrap_err().kind(), ErrorKind::TimedOut);
        let refused = Shell::inline("empty", "").continue_on_error();
        assert_eq!(refused.provision(&cx, &machine).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn only_what_changes_the_result_is_in_the_fingerprint() {
        let (cx, _) = context().await;
        let shell = || Shell::inline("s", "true");
        let plain = shell().fingerprint(&cx).await.unwrap();
        let wrapped = ProvisionerExt::timeout(ProvisionerExt::retries(shell(), 3, SECOND), SECOND).pause_before(SECOND);
        assert_eq!(wrapped.fingerprint(&cx).await.unwrap(), plain);
        let tolerant = shell().continue_on_error().fingerprint(&cx).await.unwrap();
        assert!(tolerant.is_some() && tolerant != plain);
        let secret = shell().secret("TOKEN", crate::Secret::new("s3cret")).pause_before(SECOND).continue_on_error();
        assert_eq!(secret.requirements(), Requirements::SECRETS);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_comes_first() {
        let (machine, (cx, _)) = (HostMachine::new(), context().await);
        let began = tokio::time::Instant::now();
        let refused = Shell::inline("s", "").pause_before(60 * SECOND).provision(&cx, &machine).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        assert!(began.elapsed() >= 60 * SECOND);
    }
}
