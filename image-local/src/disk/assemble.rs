//! A whole disk from a root file system archive.

use std::fs::File;
use std::io::{self, Read};

use thiserror::Error;

use super::esp::{self, EspError};
use super::ext4::{self, Content, Ext4Error};
use super::gpt::{self, GptError, Partition};
use super::region::Region;
use super::spec::{Boot, DiskReport, DiskSpec};
use super::uuids::derive;

/// Why a disk could not be assembled. The output file is empty then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The EFI system partition could not be made.
    #[error("failed to make the EFI system partition")]
    Esp(#[from] EspError),
    /// The root file system could not be made.
    #[error("failed to make the root file system")]
    Ext4(#[from] Ext4Error),
    /// A field of the [`DiskSpec`] is wrong.
    #[error("{field} is {value}, but must be {accepted}")]
    InvalidSpec {
        /// The field.
        field: &'static str,
        /// What it is.
        value: String,
        /// What is accepted.
        accepted: String,
    },
    /// The output file could not be sized or saved.
    #[error("failed to {operation} the disk image")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The partition table could not be written.
    #[error("failed to write the partition table")]
    PartitionTable(#[from] GptError),
    /// The content needs a larger disk.
    #[error("content needs a disk of {needed} bytes, but size_bytes is {given}")]
    TooSmall {
        /// A size in bytes that is enough.
        needed: u64,
        /// The size in bytes that was asked for.
        given: u64,
    },
}

/// A disk size in bytes that holds `content` and little more; a disk that is to be used needs room besides.
///
/// # Errors
///
/// If no size is enough.
pub fn minimum_size(content: &Content, spec: &DiskSpec) -> Result<u64, DiskError> {
    Ok(content.minimum_size()? + overhead(spec))
}

/// Writes a disk with the content of `rootfs`, a plain tar stream, to `out`: a GUID partition table, an EFI system
/// partition that boots the newest kernel of the content, if [`DiskSpec::boot`] asks for it, and an ext4 root partition
/// over the rest. What `out` held is lost. The file is sparse, and the same input gives the same bits.
///
/// # Errors
///
/// [`DiskError::TooSmall`] says how large a disk must be; the others say what is wrong with the spec, the archive or
/// the system. After an error `out` is empty.
pub fn assemble(rootfs: impl Read, spec: &DiskSpec, out: &File) -> Result<DiskReport, DiskError> {
    check(spec)?;
    let io = |operation| move |source| DiskError::Io { operation, source };
    // All that follows relies on a file that reads as zeros.
    out.set_len(0).and_then(|()| out.set_len(spec.size_bytes)).map_err(io("size"))?;
    match write(rootfs, spec, out) {
        Ok(report) => Ok(report),
        Err(error) => {
            // The first error is the one that matters, and half a disk must not be taken for a whole one.
            out.set_len(0).map_err(io("discard"))?;
            Err(error)
        }
    }
}

fn write(rootfs: impl Read, spec: &DiskSpec, out: &File) -> Result<DiskReport, DiskError> {
    let id = |purpose| derive(&spec.seed, purpose);
    let (disk_id, root_id, filesystem_id) = (id("disk"), id("root partition"), id("root file system"));
    let usable = gpt::usable(spec.size_bytes);
    let root_start = usable.start + esp_len(spec);
    let root_len = usable.end.saturating_sub(root_start);

    let options = ext4::Options::new(filesystem_id, id("directory hashes"))
        .with_label(&spec.label)
        .with_timestamp(spec.timestamp);
    let root = ext4::format(rootfs, out, root_start, root_len, &options).map_err(|error| match error {
        Ext4Error::TooSmall { needed, .. } => {
            DiskError::TooSmall { needed: needed + overhead(spec), given: spec.size_bytes }
        }
        other => DiskError::Ext4(other),
    })?;

    let kernel_options = format!("root=PARTUUID={root_id} rw {}", spec.kernel_options);
    let kernel_options = kernel_options.trim_end().to_owned();
    let mut partitions = Vec::new();
    let (mut esp_id, mut kernel_version) = (None, None);
    if spec.boot == Boot::Uefi {
        let boot = esp::select(&root, spec.architecture)?;
        let region = Region::new(out, usable.start, esp_len(spec));
        let [a, b, c, d, ..] = *id("EFI system partition volume").as_bytes();
        let volume_id = u32::from_le_bytes([a, b, c, d]);
        esp::write(region, spec.architecture, volume_id, &spec.label, &boot, &kernel_options)?;
        let partition = Partition::new(gpt::ESP, id("EFI system partition"), "esp", usable.start, region.len());
        esp_id = Some(partition.id);
        kernel_version = Some(boot.version);
        partitions.push(partition);
    }
    partitions.push(Partition::new(spec.architecture.root_type(), root_id, "root", root_start, root_len));
    // The table comes last: a disk that was cut short has no partitions.
    gpt::write(out, spec.size_bytes, disk_id, &partitions)?;
    let usage = root.usage();
    Ok(DiskReport { disk_id, esp_id, root_id, filesystem_id, root_start, kernel_version, kernel_options, usage })
}

fn check(spec: &DiskSpec) -> Result<(), DiskError> {
    let invalid = |field, value: &dyn std::fmt::Debug, accepted: &str| DiskError::InvalidSpec {
        field,
        value: format!("{value:?}"),
        accepted: accepted.into(),
    };
    if !spec.size_bytes.is_multiple_of(gpt::SECTOR) {
        return Err(invalid("size_bytes", &spec.size_bytes, "a multiple of 512"));
    }
    if spec.boot == Boot::Uefi && !(esp::MINIMUM..=esp::MAXIMUM).contains(&spec.esp_bytes) {
        return Err(invalid("esp_bytes", &spec.esp_bytes, "8 MiB to 512 GiB"));
    }
    for (field, value) in [("kernel_options", &spec.kernel_options), ("label", &spec.label)] {
        if value.chars().any(char::is_control) {
            return Err(invalid(field, value, "one line without control characters"));
        }
    }
    Ok(())
}

/// The length of the EFI system partition.
fn esp_len(spec: &DiskSpec) -> u64 {
    match spec.boot {
        Boot::None => 0,
        Boot::Uefi => spec.esp_bytes.next_multiple_of(gpt::ALIGNMENT),
    }
}

/// What a disk has besides its root partition.
fn overhead(spec: &DiskSpec) -> u64 {
    2 * gpt::ALIGNMENT + esp_len(spec)
}
