//! What scanners found, normalised, and the one policy that decides over it.

use crate::{Error, ErrorKind, Result, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad a vulnerability is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nobody has said. Ranks below all others; a policy decides whether it passes.
    Unknown,
    /// Of no consequence by itself.
    Negligible,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// A known vulnerability of an installed package.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// The vulnerability's id, for example `CVE-2024-3094`.
    pub id: String,
    /// Package URL of what is installed.
    pub purl: String,
    /// How bad it is.
    pub severity: Severity,
    /// The version that mends it, where there is one.
    pub fixed_version: Option<String>,
}

impl Finding {
    /// A finding without a fix.
    pub fn new(id: impl Into<String>, purl: impl Into<String>, severity: Severity) -> Self {
        Self { id: id.into(), purl: purl.into(), severity, fixed_version: None }
    }
    /// Sets the version that mends it.
    #[must_use]
    pub fn with_fix(mut self, version: impl Into<String>) -> Self {
        self.fixed_version = Some(version.into());
        self
    }
}

/// What a scanner was able to judge.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Coverage {
    /// Packages it found and has data for.
    pub packages: u64,
    /// The distribution it recognised, for example `debian 12`.
    pub distribution: Option<String>,
    /// Version or date of its vulnerability data.
    pub data: String,
}

impl Coverage {
    /// A coverage.
    pub fn new(packages: u64, distribution: Option<String>, data: impl Into<String>) -> Self {
        Self { packages, distribution, data: data.into() }
    }
}

/// What one scanner found.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ScanReport {
    /// The scanner's id.
    pub scanner: String,
    /// When it was done; filled by the run.
    #[serde(default)]
    pub at: Timestamp,
    /// What it looked at.
    pub coverage: Coverage,
    /// What it found.
    pub findings: Vec<Finding>,
}

impl ScanReport {
    /// A report.
    pub fn new(scanner: impl Into<String>, coverage: Coverage, findings: Vec<Finding>) -> Self {
        Self { scanner: scanner.into(), at: Timestamp::default(), coverage, findings }
    }
    /// Refuses a report that covers nothing.
    ///
    /// # Errors
    /// `PolicyViolation`.
    pub fn require_coverage(&self) -> Result<()> {
        if self.coverage.packages > 0 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::PolicyViolation, format!("scanner {} covered no package", self.scanner)))
    }
}

/// Decides over what all scanners found on one image.
///
/// **Contract**: pure; the same reports give the same answer. Coverage was checked before.
pub trait ScanPolicy: fmt::Debug + Send + Sync + 'static {
    /// Everything that decides, as one line for the approval key and the record.
    fn describe(&self) -> String;
    /// Accepts, or refuses with the reason.
    ///
    /// # Errors
    /// `PolicyViolation` naming what is in the way.
    fn decide(&self, reports: &[ScanReport]) -> Result<()>;
}

/// Refuses findings of a severity and above.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SeverityLimit {
    /// The lowest severity that is refused.
    pub refuse_from: Severity,
}

impl SeverityLimit {
    /// Refuses `HIGH` and `CRITICAL`: the default.
    pub const HIGH: Self = Self { refuse_from: Severity::High };
    /// Refuses `CRITICAL` only.
    pub const CRITICAL: Self = Self { refuse_from: Severity::Critical };
}

impl ScanPolicy for SeverityLimit {
    fn describe(&self) -> String {
        format!("refuse from {:?}", self.refuse_from)
    }
    fn decide(&self, reports: &[ScanReport]) -> Result<()> {
        let findings = reports.iter().flat_map(|report| &report.findings);
        let bad: Vec<&Finding> = findings.filter(|finding| finding.severity >= self.refuse_from).collect();
        let Some(worst) = bad.iter().max_by_key(|finding| finding.severity) else { return Ok(()) };
        let Finding { id, purl, severity, .. } = worst;
        let message = format!("{} findings above the limit, the worst {id} ({severity:?}) in {purl}", bad.len());
        Err(Error::new(ErrorKind::PolicyViolation, message))
    }
}
