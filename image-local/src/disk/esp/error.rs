//! What can go wrong with EFI system partitions.

use std::io;

use thiserror::Error;

use crate::disk::ext4::Ext4Error;
use crate::disk::gpt::GptError;

/// Why an EFI system partition could not be written, read or edited.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EspError {
    /// The partition is damaged, or not what our disks have.
    #[error("EFI system partition is not usable: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("failed to {operation}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The root file system lacks what booting needs.
    #[error("root file system has no {what}: none of {} is a file; Debian has it in package {package}", paths.join(", "))]
    Missing {
        /// What is missing.
        what: &'static str,
        /// The paths where it was looked for.
        paths: Vec<String>,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The partition table could not be read.
    #[error("failed to find the EFI system partition")]
    PartitionTable(#[from] GptError),
    /// A file of the root file system could not be read back.
    #[error("failed to read boot files from the root file system")]
    RootFilesystem(#[from] Ext4Error),
    /// Kernel, initrd and boot loader do not fit.
    #[error("boot files need an EFI system partition of {needed} bytes, but only {given} bytes are given")]
    TooSmall {
        /// A size in bytes that is enough.
        needed: u64,
        /// The partition's size in bytes.
        given: u64,
    },
}

impl EspError {
    pub(crate) fn io(operation: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { operation, source }
    }
}
