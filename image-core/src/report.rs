//! What validators found, as values: a failed check is not an error.

use crate::{Error, ErrorKind, Result, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The outcome of one check.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The image is not as expected.
    Fail,
    /// The check does not apply to this subject, for example a listening port of a root file system.
    NotApplicable,
    /// The image is as expected.
    Pass,
    /// The author of the check asked to leave it out.
    Skip,
    /// It could not be told. Never a pass.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "fail",
            Self::NotApplicable => "not applicable",
            Self::Pass => "pass",
            Self::Skip => "skip",
            Self::Unknown => "unknown",
        })
    }
}

/// One check and its outcome.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Check {
    /// Stable name, for example `service chrony: enabled`.
    pub id: String,
    /// Its outcome.
    pub verdict: Verdict,
    /// What was expected and found; empty on a pass that needs no words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Check {
    /// A check with its outcome.
    pub fn new(id: impl Into<String>, verdict: Verdict, message: impl Into<String>) -> Self {
        Self { id: id.into(), verdict, message: message.into() }
    }
    /// A passed check.
    pub fn pass(id: impl Into<String>) -> Self {
        Self::new(id, Verdict::Pass, "")
    }
    /// A failed check, and why.
    pub fn fail(id: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(id, Verdict::Fail, message)
    }
}

/// Where in the run a report was made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidationStage {
    /// On a machine booted from the captured image.
    Boot,
    /// On the machine the image is made on, before capture.
    Build,
    /// On a root file system that does not run.
    Rootfs,
}

impl fmt::Display for ValidationStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boot => "boot",
            Self::Build => "build",
            Self::Rootfs => "rootfs",
        })
    }
}

/// What one validator found on one subject.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Report {
    /// The validator's id.
    pub validator: String,
    /// Where it looked.
    pub stage: ValidationStage,
    /// When it was done; filled by the run.
    #[serde(default)]
    pub at: Timestamp,
    /// Its checks, in its order.
    pub checks: Vec<Check>,
}

impl Report {
    /// A report of checks.
    pub fn new(validator: impl Into<String>, stage: ValidationStage, checks: Vec<Check>) -> Self {
        Self { validator: validator.into(), stage, at: Timestamp::default(), checks }
    }

    /// How many checks have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }

    /// Whether it has checks, and none of them applies to what it looked at.
    pub fn is_not_applicable(&self) -> bool {
        !self.checks.is_empty() && self.count(Verdict::NotApplicable) == self.checks.len()
    }

    /// Passes only when something passed and nothing failed or is unknown.
    ///
    /// # Errors
    /// `PolicyViolation` naming the validator, the stage and every check that is in the way.
    pub fn require(&self) -> Result<()> {
        let bad = |check: &&Check| matches!(check.verdict, Verdict::Fail | Verdict::Unknown);
        let bad: Vec<String> = self.checks.iter().filter(bad).map(describe).collect();
        let why = if !bad.is_empty() {
            bad.join("; ")
        } else if self.count(Verdict::Pass) > 0 {
            return Ok(());
        } else {
            "nothing was evaluated".into()
        };
        let message = format!("validator {} at stage {}: {why}", self.validator, self.stage);
        Err(Error::new(ErrorKind::PolicyViolation, message))
    }
}

fn describe(check: &Check) -> String {
    let Check { id, verdict, message } = check;
    if message.is_empty() { format!("{id}: {verdict}") } else { format!("{id}: {verdict}: {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(verdicts: &[Verdict]) -> Result<()> {
        let checks = verdicts.iter().map(|v| Check::new(format!("c {v}"), *v, "seen 1, want 2")).collect();
        Report::new("v", ValidationStage::Boot, checks).require()
    }

    #[test]
    fn only_evaluated_and_clean_reports_pass() {
        use Verdict::{Fail, NotApplicable, Pass, Skip, Unknown};
        assert!(verdict(&[Pass, Skip, NotApplicable]).is_ok());
        for closed in [&[Pass, Fail][..], &[Pass, Unknown], &[Skip, NotApplicable], &[]] {
            assert_eq!(verdict(closed).unwrap_err().kind(), ErrorKind::PolicyViolation, "{closed:?}");
        }
        insta::assert_snapshot!(verdict(&[Pass, Fail, Unknown]).unwrap_err(), @"validator v at stage boot: c fail: fail: seen 1, want 2; c unknown: unknown: seen 1, want 2");
    }
}
