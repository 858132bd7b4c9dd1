//! What can be chosen about a local image.

use super::LocalBuilder;
use image_core::{Architecture, Error, Result};

/// 2025-01-01T00:00:00Z: later modification times become this one, so that equal content gives equal bits.
const DEFAULT_EPOCH: u64 = 1_735_689_600;
const DEFAULT_MEMORY: u32 = 1024;
const DEFAULT_CPUS: u32 = 2;

/// How a captured disk is booted.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BootVia {
    /// As on a real machine: UEFI firmware, boot loader, kernel.
    Firmware,
    /// QEMU loads the image's kernel and initrd itself: seconds faster, and the boot loader is not tested.
    Kernel,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) architecture: Architecture,
    pub(super) bootable: bool,
    pub(super) boot_images: bool,
    pub(super) boot_via: BootVia,
    pub(super) disk_bytes: Option<u64>,
    pub(super) esp_bytes: Option<u64>,
    pub(super) qcow2: bool,
    pub(super) kernel_options: Option<String>,
    pub(super) epoch: u64,
    pub(super) memory: u32,
    pub(super) cpus: u32,
}

impl Settings {
    pub(super) fn new(architecture: Architecture) -> Self {
        Self {
            architecture,
            bootable: true,
            boot_images: true,
            boot_via: BootVia::Firmware,
            disk_bytes: None,
            esp_bytes: None,
            qcow2: true,
            kernel_options: None,
            epoch: DEFAULT_EPOCH,
            memory: DEFAULT_MEMORY,
            cpus: DEFAULT_CPUS,
        }
    }
    /// Everything that changes the bits of an image.
    pub(super) fn fingerprint(&self) -> impl serde::Serialize {
        let disk = (self.disk_bytes, self.esp_bytes, self.qcow2);
        (self.architecture, self.bootable, disk, self.kernel_options.clone(), self.epoch)
    }
    pub(super) fn check(&self) -> Result<()> {
        if let Some(bytes) = self.disk_bytes.filter(|bytes| bytes % (1 << 20) != 0 || *bytes < 8 << 20) {
            return Err(Error::invalid("disk_bytes", bytes, "a multiple of 1048576 (1 MiB), 8 MiB and more"));
        }
        if let Some(bytes) = self.esp_bytes.filter(|bytes| bytes % (1 << 20) != 0 || *bytes < 8 << 20) {
            return Err(Error::invalid("esp_bytes", bytes, "a multiple of 1048576 (1 MiB), 8 MiB and more"));
        }
        if self.memory < 128 {
            return Err(Error::invalid("memory", self.memory, "128 MiB and more"));
        }
        if !(1..=255).contains(&self.cpus) {
            return Err(Error::invalid("cpus", self.cpus, "1 to 255"));
        }
        Ok(())
    }
}

impl LocalBuilder {
    /// Sets the size of the disk in bytes, a multiple of 1 MiB. Unless set it fits the content, with room to boot.
    #[must_use]
    pub fn disk_bytes(mut self, bytes: u64) -> Self {
        self.settings.disk_bytes = Some(bytes);
        self
    }
    /// Sets the size of the EFI system partition in bytes, a multiple of 1 MiB: 256 MiB unless set. It holds the boot
    /// loader, the newest kernel and its initrd.
    #[must_use]
    pub fn esp_bytes(mut self, bytes: u64) -> Self {
        self.settings.esp_bytes = Some(bytes);
        self
    }
    /// Makes disks without a boot loader: for root file systems that have no kernel. They cannot be booted.
    #[must_use]
    pub fn not_bootable(mut self) -> Self {
        (self.settings.bootable, self.settings.boot_images) = (false, false);
        self
    }
    /// Never boots an image, so that QEMU is not needed; the pipeline must then opt out of boot validation.
    #[must_use]
    pub fn without_boot(mut self) -> Self {
        self.settings.boot_images = false;
        self
    }
    /// Sets how a captured disk is booted: by the firmware unless set.
    #[must_use]
    pub fn boot_via(mut self, via: BootVia) -> Self {
        self.settings.boot_via = via;
        self
    }
    /// Leaves out the qcow2 file.
    #[must_use]
    pub fn raw_only(mut self) -> Self {
        self.settings.qcow2 = false;
        self
    }
    /// Replaces the kernel options that follow `root=PARTUUID=… rw`, the default consoles among them.
    #[must_use]
    pub fn kernel_options(mut self, options: impl Into<String>) -> Self {
        self.settings.kernel_options = Some(options.into());
        self
    }
    /// Sets the latest time in an image, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    #[must_use]
    pub fn source_date_epoch(mut self, seconds: u64) -> Self {
        self.settings.epoch = seconds;
        self
    }
    /// Sets the memory of booted guests in MiB: 1024 unless set.
    #[must_use]
    pub fn memory(mut self, mebibytes: u32) -> Self {
        self.settings.memory = mebibytes;
        self
    }
    /// Sets the virtual processors of booted guests: 2 unless set.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.settings.cpus = cpus;
        self
    }
}
