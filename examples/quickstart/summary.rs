//! What a run did, in words.

use examples::say;
use image_core::{Outcome, Recovered, Report, Result, RunError, Verdict};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) fn recovered(recovered: &Recovered) {
    let left = recovered.leftovers.stuck.len();
    let state =
        if recovered.leftovers.is_empty() { "is cleaned up".into() } else { format!("still has {left} resources") };
    say(&format!("an earlier run, {}, did not end; it {state}", recovered.run));
    for stuck in &recovered.leftovers.stuck {
        say(&format!("  {}: {}", stuck.resource, stuck.reason));
    }
}

pub(crate) fn published(outcome: &Outcome, report: &Path, took: Duration) {
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
    let distribution = &outcome.report.distribution;
    for image in distribution.iter().flat_map(|distribution| &distribution.copies) {
        say(&format!("  image:                        {} ({})", image.id, image.digest));
        image.parts.values().for_each(|path| say(&format!("                                {path}")));
        if let Some(disk) = image.parts.get("qcow2") {
            say(&format!("\nboot it without us, and leave it with Ctrl-A X:\n  {}", qemu(disk)));
        }
    }
    say(&format!("\nthe whole run as a document: {}", report.display()));
    leftovers(&outcome.leftovers);
}

pub(crate) fn failed(error: &RunError, report: Result<PathBuf>, directory: &Path) {
    let chain = error.cause.chain();
    say(&format!("\nfailed: {chain}"));
    if error.committed {
        say("  images were committed before, and stay");
    }
    leftovers(&error.leftovers);
    if !error.leftovers.is_empty() {
        say(&format!("  try again with: cargo xtask quickstart --recover --dir {}", directory.display()));
    }
    match report {
        Ok(path) => say(&format!("  the whole run: {}", path.display())),
        Err(e) => say(&format!("  the whole run could not be written down: {}", e.chain())),
    }
    say(&format!("  its log: {}", directory.join("logs").display()));
}

fn leftovers(leftovers: &image_core::Leftovers) {
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

/// The disk is not written: what the guest changes is thrown away.
fn qemu(disk: &str) -> String {
    if cfg!(target_arch = "aarch64") {
        return format!(
            "qemu-system-aarch64 -M virt -cpu max -m 1024 -nographic -snapshot \
             -drive if=pflash,format=raw,readonly=on,file=/usr/share/AAVMF/AAVMF_CODE.fd -drive if=virtio,format=qcow2,file={disk}"
        );
    }
    format!(
        "qemu-system-x86_64 -machine q35 -cpu max -m 1024 -nographic -snapshot -bios /usr/share/ovmf/OVMF.fd \
         -drive if=virtio,format=qcow2,file={disk}"
    )
}
