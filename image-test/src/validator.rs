//! A suite as a stage of a pipeline.

use crate::{
    Compat, HttpRequest, Outcome, Suite, Target, Wanted, evaluate,
    gather::Options,
    gatherer::{MachineGatherer, RootfsGatherer},
    probe::ProbeOptions,
    report,
    retry::{Attempt, Gather, RetryPolicy, until_passes},
};
use image_core::{
    Check, Context, Error, Fingerprint, Machine, Report, Result, Subject, ValidationStage, Validator, Verdict,
    async_trait,
};
use std::time::Duration;

/// Between two looks at what needs time.
const INTERVAL: Duration = Duration::from_secs(1);

/// Holds a suite against a machine, without anything installed there, or against a root file system.
///
/// Facts are asked for together, so that a suite takes few commands however long it is. What only a running system has does
/// not apply to a root file system, and what services do not to a machine without an init system.
///
/// The fingerprint is of what is expected, less what could be guessed from it: passwords, the headers `Authorization`,
/// `Proxy-Authorization` and `Cookie`, and what stands before the `@` of a URL. A layer is not checked again for another
/// password.
#[derive(Clone, Debug)]
pub struct GossValidator {
    name: String,
    suite: Suite,
    compat: Compat,
    retry_for: Duration,
    booted_only: bool,
    rootfs: Options,
    machine: ProbeOptions,
}

impl GossValidator {
    /// Holds this suite, under the name `goss` in reports.
    pub fn new(suite: Suite) -> Self {
        Self {
            name: "goss".into(),
            suite,
            compat: Compat::default(),
            retry_for: Duration::ZERO,
            booted_only: false,
            rootfs: Options::default(),
            machine: ProbeOptions::default(),
        }
    }
    /// Sets the name in reports, for pipelines with several suites.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
    /// Sets whose semantics hold; those of goss with its bugs mended unless set. With [`Compat::Goss`] what cannot be
    /// told, or has no meaning for what is looked at, fails.
    #[must_use]
    pub fn compat(mut self, compat: Compat) -> Self {
        self.compat = compat;
        self
    }
    /// Looks at a machine for so long until everything passes, for services that need time to start.
    #[must_use]
    pub fn retry_for(mut self, duration: Duration) -> Self {
        self.retry_for = duration;
        self
    }
    /// Looks only at machines booted from the finished image; nothing applies elsewhere.
    #[must_use]
    pub fn only_booted(mut self) -> Self {
        self.booted_only = true;
        self
    }
    /// Sets how a root file system is looked at.
    #[must_use]
    pub fn rootfs_options(mut self, options: Options) -> Self {
        self.rootfs = options;
        self
    }
    /// Sets how a machine is asked.
    #[must_use]
    pub fn machine_options(mut self, options: ProbeOptions) -> Self {
        self.machine = options;
        self
    }

    fn check_settings(&self) -> Result<()> {
        if self.suite.is_empty() {
            let field = format!("suite of validator {}", self.name);
            return Err(Error::invalid(&field, "empty", "at least one resource"));
        }
        Ok(())
    }

    async fn look(&self, cx: &Context, subject: Subject<'_>) -> Result<Vec<Outcome>> {
        let machine = match subject {
            Subject::Booted(machine) | Subject::BuildMachine(machine) => machine,
            Subject::Rootfs(root) => {
                let gatherer = RootfsGatherer::new(root, self.rootfs.clone());
                // What does not run does not change, however often one looks.
                let facts = cx.race(gatherer.gather(&Wanted::of(&self.suite))).await?;
                return Ok(evaluate(&self.suite, &facts, self.compat));
            }
            other => return Err(Error::invalid("subject", format!("{other:?}"), "a machine or a root file system")),
        };
        self.ask(cx, machine).await
    }

    async fn ask(&self, cx: &Context, machine: &dyn Machine) -> Result<Vec<Outcome>> {
        let gatherer = MachineGatherer::new(cx, machine, self.machine.clone());
        let policy = RetryPolicy::within(self.retry_for).sleep(INTERVAL.min(self.retry_for));
        let watch = |attempt: &Attempt| {
            if !attempt.last {
                cx.progress(0, None, cx.redact(waiting_for(&attempt.outcomes)));
            }
            cx.check()
        };
        Ok(until_passes(&self.suite, &gatherer, self.compat, policy, watch).await?.outcomes)
    }
}

/// The suite without what a request proves itself with. All else in a suite can be known to whoever sees its fingerprint,
/// who could then try passwords until one fits.
fn without_secrets(suite: &Suite) -> Suite {
    let mut bare = Suite::new();
    for resource in suite.resources() {
        let mut resource = resource.clone();
        if let Target::Http(request) = &mut resource.target {
            request.password = None;
            request.headers.iter_mut().for_each(strip_credentials);
            [Some(&mut request.url), request.proxy.as_mut()].into_iter().flatten().for_each(strip_userinfo);
        }
        bare.insert(resource);
    }
    bare
}

fn strip_credentials(header: &mut String) {
    if let Some(colon) = header.find(':').filter(|_| HttpRequest::is_credential(header)) {
        header.truncate(colon);
    }
}

fn strip_userinfo(url: &mut String) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(start..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(url.len(), |at| start + at);
    if let Some(at) = url.get(start..end).and_then(|authority| authority.rfind('@')) {
        url.replace_range(start..start + at, "");
    }
}

/// What a try fell short of, in one line.
fn waiting_for(outcomes: &[Outcome]) -> String {
    let failed = |outcome: &&Outcome| matches!(outcome.verdict(), Verdict::Fail | Verdict::Unknown);
    let mut failed = outcomes.iter().filter(failed);
    match (failed.next(), failed.count()) {
        (Some(first), 0) => format!("waiting for {}", first.check_id()),
        (Some(first), more) => format!("waiting for {} and {more} more", first.check_id()),
        (None, _) => "nothing to wait for".into(),
    }
}

#[async_trait]
impl Validator for GossValidator {
    fn id(&self) -> &str {
        &self.name
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        self.check_settings()?;
        let content =
            (without_secrets(&self.suite).to_yaml(), self.compat, self.booted_only, env!("CARGO_PKG_VERSION"));
        Fingerprint::of("goss validator", &content).map(Some)
    }
    async fn validate(&self, cx: &Context, subject: Subject<'_>) -> Result<Report> {
        self.check_settings()?;
        let stage = match subject {
            Subject::Booted(_) => ValidationStage::Boot,
            Subject::BuildMachine(_) => ValidationStage::Build,
            _ => ValidationStage::Rootfs,
        };
        if self.booted_only && stage != ValidationStage::Boot {
            let check = Check::new(&self.name, Verdict::NotApplicable, "looked at on a booted machine only");
            return Ok(Report::new(&self.name, stage, vec![check]));
        }
        let outcomes = self.look(cx, subject).await?;
        let check = |outcome: &Outcome| {
            let message = cx.redact(report::describe(outcome));
            Check::new(outcome.check_id(), outcome.verdict(), message)
        };
        Ok(Report::new(&self.name, stage, outcomes.iter().map(check).collect()))
    }
}

#[cfg(test)]
mod tests;
