//! What a run did, in words.

use crate::{phrase, say};
use image_core::{Leftovers, Outcome, Recovered, Report, Result, RunError, StageRecord, Verdict};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What became of a run that was killed.
pub fn recovered(recovered: &Recovered) {
    let left = recovered.leftovers.stuck.len();
    let state =
        if recovered.leftovers.is_empty() { "is cleaned up".into() } else { format!("still has {left} resources") };
    say(&format!("an earlier run, {}, did not end; it {state}", recovered.run));
    for stuck in &recovered.leftovers.stuck {
        say(&format!("  {}: {}", stuck.resource, stuck.reason));
    }
}

/// What was built, reused and tested.
pub fn succeeded(outcome: &Outcome, took: Duration) {
    let record = &outcome.report.record;
    let reused = record.layers.iter().filter(|layer| layer.reused).count();
    let work = match &outcome.report.approved_by_run {
        Some(run) => format!("nothing has changed since run {run}: nothing was built, tested or created again"),
        None if reused > 0 => format!("{reused} of {} layers were reused", record.layers.len()),
        None => "all layers were built".into(),
    };
    say(&format!("\ndone in {:.1} s: {work}", took.as_secs_f64()));
    say(&format!("  checked on the build machine: {}", count(record.build_reports.iter())));
    say(&format!("  checked after a boot:         {}", count(record.images.iter().flat_map(|image| &image.booted))));
    record.opted_out.iter().for_each(|gate| say(&format!("  left out:                     {gate}")));
}

/// When each stage of a run began and how long it took, as bars of so many columns.
pub fn timeline(stages: &[StageRecord], columns: u32) {
    let times = |stage: &StageRecord| {
        let began = stage.started_at.as_millis();
        (began, began + stage.duration_ms)
    };
    let Some(zero) = stages.iter().map(|stage| times(stage).0).min() else { return };
    let whole = stages.iter().map(|stage| times(stage).1 - zero).max().unwrap_or_default().max(1);
    let width = stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or_default();
    let column = |at: u64| (at * u64::from(columns) / whole) as usize;
    say("");
    for stage in stages {
        let (began, ended) = times(stage);
        let (first, last) = (column(began - zero), column(ended - zero));
        let bar = format!("{}{}", " ".repeat(first), "█".repeat((last - first).max(1)));
        say(&format!("  {:width$} {:>11} {bar}", stage.name, phrase::duration(stage.duration_ms)));
    }
}

/// Why a run failed, what is left of it, and what cleans that up.
pub fn failed(error: &RunError, report: Result<PathBuf>, again: &str, logs: &Path) {
    let chain = error.cause.chain();
    say(&format!("\nfailed: {chain}"));
    if error.committed {
        say("  images were committed before, and stay");
    }
    leftovers(&error.leftovers);
    if !error.leftovers.is_empty() {
        say(&format!("  try again with: {again}"));
    }
    match report {
        Ok(path) => say(&format!("  the whole run: {}", path.display())),
        Err(e) => say(&format!("  the whole run could not be written down: {}", e.chain())),
    }
    say(&format!("  its log: {}", logs.display()));
}

/// What could not be cleaned up.
pub fn leftovers(leftovers: &Leftovers) {
    for stuck in &leftovers.stuck {
        say(&format!("  NOT CLEANED UP: {}: {}", stuck.resource, stuck.reason));
    }
    leftovers.journal_errors.iter().for_each(|error| say(&format!("  NOT JOURNALED: {error}")));
}

fn count<'a>(reports: impl Iterator<Item = &'a Report>) -> String {
    let checks: Vec<Verdict> = reports.flat_map(|report| report.checks.iter().map(|check| check.verdict)).collect();
    let of = |verdict| checks.iter().filter(|other| **other == verdict).count();
    let applied = checks.len() - of(Verdict::NotApplicable) - of(Verdict::Skip);
    format!("{} of {applied} checks passed", of(Verdict::Pass))
}
