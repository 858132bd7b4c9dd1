//! What a run did, in words.

use examples::{say, summary};
use image_core::Outcome;
use std::{path::Path, time::Duration};

pub(crate) fn published(outcome: &Outcome, report: &Path, took: Duration) {
    summary::succeeded(outcome, took);
    let distribution = &outcome.report.distribution;
    for image in distribution.iter().flat_map(|distribution| &distribution.copies) {
        say(&format!("  image:                        {} ({})", image.id, image.digest));
        image.parts.values().for_each(|path| say(&format!("                                {path}")));
        if let Some(disk) = image.parts.get("qcow2") {
            say(&format!("\nboot it without us, and leave it with Ctrl-A X:\n  {}", qemu(disk)));
        }
    }
    say(&format!("\nthe whole run as a document: {}", report.display()));
    summary::leftovers(&outcome.leftovers);
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
