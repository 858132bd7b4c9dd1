//! What a disk is made from, and what came out.

use uuid::Uuid;

use super::architecture::Architecture;
use super::ext4::Usage;

/// How a disk boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Boot {
    /// Not by itself: the disk has a root partition only, and whoever starts it brings a kernel.
    None,
    /// From an EFI system partition with systemd-boot, which starts the newest kernel of the root file system.
    Uefi,
}

/// What a disk is made from besides its root file system.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DiskSpec {
    /// The size of the disk in bytes, a multiple of 512.
    pub size_bytes: u64,
    /// The size of the EFI system partition in bytes; it is rounded up to whole mebibytes. 256 MiB by default.
    pub esp_bytes: u64,
    /// What the disk boots on.
    pub architecture: Architecture,
    /// How the disk boots.
    pub boot: Boot,
    /// When the file system is made, in seconds since 1970 (`SOURCE_DATE_EPOCH`); 0 by default.
    pub timestamp: u64,
    /// What all UUIDs are derived from, such as the digest of the root file system archive.
    pub seed: Vec<u8>,
    /// Kernel options that follow `root=PARTUUID=… rw`; by default consoles on the screen and the first serial port.
    pub kernel_options: String,
    /// The label of the root file system, at most 16 bytes; `root` by default.
    pub label: String,
}

impl DiskSpec {
    /// A disk of `size_bytes` that boots by UEFI.
    pub fn new(architecture: Architecture, size_bytes: u64, seed: impl Into<Vec<u8>>) -> Self {
        Self {
            size_bytes,
            esp_bytes: 256 << 20,
            architecture,
            boot: Boot::Uefi,
            timestamp: 0,
            seed: seed.into(),
            kernel_options: architecture.consoles().into(),
            label: "root".into(),
        }
    }

    /// Sets the size of the EFI system partition in bytes.
    #[must_use]
    pub fn with_esp_bytes(mut self, bytes: u64) -> Self {
        self.esp_bytes = bytes;
        self
    }

    /// Sets how the disk boots.
    #[must_use]
    pub fn with_boot(mut self, boot: Boot) -> Self {
        self.boot = boot;
        self
    }

    /// Sets the time of creation in seconds since 1970.
    #[must_use]
    pub fn with_timestamp(mut self, seconds: u64) -> Self {
        self.timestamp = seconds;
        self
    }

    /// Replaces the kernel options, the default consoles among them.
    #[must_use]
    pub fn with_kernel_options(mut self, options: impl Into<String>) -> Self {
        self.kernel_options = options.into();
        self
    }

    /// Sets the label of the root file system.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskReport {
    /// The identity of the partition table.
    pub disk_id: Uuid,
    /// `PARTUUID` of the EFI system partition, if there is one.
    pub esp_id: Option<Uuid>,
    /// `PARTUUID` of the root partition.
    pub root_id: Uuid,
    /// The UUID of the root file system.
    pub filesystem_id: Uuid,
    /// Where the root partition starts, in bytes.
    pub root_start: u64,
    /// The version of the kernel that boots, if the disk boots by itself.
    pub kernel_version: Option<String>,
    /// The whole kernel command line of the loader entry; without a boot loader what it would be.
    pub kernel_options: String,
    /// How full the root file system is.
    pub usage: Usage,
}
