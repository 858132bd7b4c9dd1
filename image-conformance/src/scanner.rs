//! Cases of scanners.

use crate::{CaseResult, Failure, failure::ensure, stage::open};
use image_core::{Finding, Image, Machine, ScanReport, ScanTarget, Scanner};
use std::{collections::BTreeSet, fmt, path::PathBuf, sync::Arc};

/// A [`ScanTarget`] that owns what it names.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Target {
    /// A raw disk.
    Disk(PathBuf),
    /// An image where it is.
    Image(Image),
    /// A machine.
    Machine(Arc<dyn Machine>),
    /// A root file system.
    Rootfs(PathBuf),
    /// A software bill of materials.
    Sbom(PathBuf),
}

impl Target {
    /// As the scanner sees it.
    pub fn as_target(&self) -> ScanTarget<'_> {
        match self {
            Self::Disk(path) => ScanTarget::Disk(path),
            Self::Image(image) => ScanTarget::Image(image),
            Self::Machine(machine) => ScanTarget::Machine(&**machine),
            Self::Rootfs(path) => ScanTarget::Rootfs(path),
            Self::Sbom(path) => ScanTarget::Sbom(path),
        }
    }
}

/// A scanner and targets for it.
pub trait ScannerFixture: fmt::Debug + Send + Sync {
    /// The scanner.
    fn scanner(&self) -> Arc<dyn Scanner>;
    /// A target with packages, at least one of them vulnerable, and the ids of vulnerabilities that must be found.
    fn vulnerable(&self) -> (Target, Vec<String>);
    /// A target it supports, on which there is nothing that it could judge.
    fn empty(&self) -> Target;
    /// A target of a kind that it does not support, where there is one.
    fn unsupported(&self) -> Option<Target> {
        None
    }
}

async fn scan(scanner: &dyn Scanner, target: &Target, moment: &str) -> Result<ScanReport, Failure> {
    let (cx, _) = open().await?;
    ensure(scanner.supports(&target.as_target()), moment, || "it does not support the fixture's target".into())?;
    let report = scanner.scan(&cx, target.as_target()).await.map_err(Failure::at(moment))?;
    ensure(cx.creates() == 0, moment, || "it created something".into())?;
    Ok(report)
}

/// A scan says what it covered and with which data; the same data on the same target find the same.
pub async fn scan_covers_and_repeats(fixture: &dyn ScannerFixture) -> CaseResult {
    let (scanner, (target, _)) = (fixture.scanner(), fixture.vulnerable());
    let report = scan(&*scanner, &target, "scan").await?;
    report.require_coverage().map_err(Failure::at("scan"))?;
    ensure(!report.coverage.data.is_empty(), "scan", || "it does not say which data it used".into())?;
    let again = scan(&*scanner, &target, "scan again").await?;
    ensure(again.findings == report.findings && again.coverage == report.coverage, "scan again", || {
        format!("it found {:?} and then {:?}", report.findings, again.findings)
    })?;
    let mut seen = BTreeSet::new();
    for Finding { id, purl, .. } in &report.findings {
        ensure(!id.is_empty() && purl.starts_with("pkg:"), id, || format!("`{purl}` is not a package URL"))?;
        ensure(seen.insert((id, purl)), id, || format!("it is reported twice for {purl}"))?;
    }
    Ok(report.coverage.packages)
}

/// Vulnerabilities that are there are found.
pub async fn known_findings_are_found(fixture: &dyn ScannerFixture) -> CaseResult {
    let (target, known) = fixture.vulnerable();
    let report = scan(&*fixture.scanner(), &target, "scan").await?;
    ensure(!known.is_empty(), "scan", || "the fixture names no vulnerability".into())?;
    for id in &known {
        let found = report.findings.iter().any(|finding| finding.id == *id);
        ensure(found, "scan", || format!("{id} was not found"))?;
    }
    Ok(known.len() as u64)
}

/// A scan that looked at nothing is an error, and not clean.
pub async fn no_coverage_is_an_error(fixture: &dyn ScannerFixture) -> CaseResult {
    let ((cx, _), target) = (open().await?, fixture.empty());
    match fixture.scanner().scan(&cx, target.as_target()).await {
        Err(_) => Ok(1),
        Ok(report) => Err(Failure::new("nothing to judge", format!("it is an error, and not {report:?}"))),
    }
}

/// A target of another kind is not supported, and scanning it anyway is an error.
pub async fn unsupported_target_is_refused(fixture: &dyn ScannerFixture) -> CaseResult {
    let ((cx, _), scanner) = (open().await?, fixture.scanner());
    let Some(target) = fixture.unsupported() else { return Ok(0) };
    ensure(!scanner.supports(&target.as_target()), "unsupported target", || "it says that it can".into())?;
    match scanner.scan(&cx, target.as_target()).await {
        Err(_) => Ok(1),
        Ok(report) => Err(Failure::new("unsupported target", format!("{report:?}"))),
    }
}
