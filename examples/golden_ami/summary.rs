//! What a run did, in words.

use crate::simulate::Cloud;
use examples::{program::Sinks, say, summary};
use image_core::{Context, Error, MemoryStore, Outcome, Pipeline, ReapOutcome, Result, RunReport, reap};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// Columns that the bars of the timeline have.
const COLUMNS: u32 = 60;

pub(crate) fn published(outcome: &Outcome, directory: &Path, took: Duration) -> Result<()> {
    summary::timeline(&outcome.report.stages, COLUMNS);
    summary::succeeded(outcome, took);
    for image in &outcome.report.record.images {
        say(&format!("  built:                        {} in {}", image.image.id, image.image.location));
    }
    for distribution in &outcome.report.distribution {
        for copy in &distribution.copies {
            say(&format!("  distributed:                  {} in {}", copy.id, copy.location));
        }
        distribution.published.iter().for_each(|what| say(&format!("  published:                    {what}")));
    }
    say(&format!("\nthe whole run as a document: {}", write(&outcome.report, directory)?.display()));
    summary::leftovers(&outcome.leftovers);
    Ok(())
}

/// Writes the report of a run beside its log.
pub(crate) fn write(report: &RunReport, directory: &Path) -> Result<PathBuf> {
    let reports = directory.join("reports");
    fs::create_dir_all(&reports).map_err(|e| Error::io("create", &reports, e))?;
    let path = reports.join(format!("{}.json", report.run));
    let text = serde_json::to_vec_pretty(report).map_err(|e| Error::bug(format!("a report is no JSON: {e}")))?;
    fs::write(&path, text).map_err(|e| Error::io("write", &path, e))?;
    Ok(path)
}

/// What the simulated cloud saw.
pub(crate) fn simulation(cloud: &Cloud) {
    say(&format!("\nthe simulated cloud answered {} calls, and is left with:", cloud.calls()));
    cloud.left().iter().for_each(|thing| say(&format!("  {thing}")));
    let (denied, unused) = cloud.policy_in_use();
    say(&format!("calls that the policy denied: {}", denied.len()));
    denied.iter().for_each(|call| say(&format!("  {call}")));
    say(&format!("actions that the policy allows and this run did not need: {}", unused.len()));
    unused.iter().for_each(|action| say(&format!("  {action}")));
}

/// Deletes what expired, by tags alone, and says what else of ours is there.
pub(crate) async fn sweep(pipeline: &Pipeline, sinks: &Sinks) -> Result<bool> {
    let cx = sinks.of(Context::builder(MemoryStore::default())).open().await?;
    let mut clean = true;
    for (scope, undoer) in pipeline.undoers().iter() {
        for reaped in reap(&cx, undoer, scope, true).await? {
            clean &= !matches!(reaped.outcome, ReapOutcome::Failed(_));
            say(&format!("  {}: {:?}", reaped.resource, reaped.outcome));
        }
    }
    Ok(clean)
}

/// Prints the policies that a run needs.
pub(crate) fn print(policies: &BTreeMap<&str, Value>) -> Result<ExitCode> {
    let text = serde_json::to_string_pretty(policies).map_err(|e| Error::bug(format!("a policy is no JSON: {e}")))?;
    writeln!(std::io::stdout(), "{text}").map_err(|e| Error::io("write", "standard output", e))?;
    Ok(ExitCode::SUCCESS)
}
