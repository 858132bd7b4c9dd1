//! What to boot, and on which machine.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Accelerator, Firmware, QemuError};

/// Smallest guest memory, in MiB: a distribution's kernel and initramfs do not unpack in less.
const MIN_MEMORY: u32 = 128;

/// Processor architecture of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Architecture {
    /// 64-bit Arm, QEMU's `virt` machine.
    Aarch64,
    /// x86-64, QEMU's `q35` machine.
    X86_64,
}

impl Architecture {
    /// That of this program.
    #[must_use]
    pub const fn host() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 }
    }

    /// Name, as in the names of QEMU's programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86_64",
        }
    }

    /// Device of the serial console, as the kernel parameter `console=` wants it.
    #[must_use]
    pub const fn console(self) -> &'static str {
        match self {
            Self::Aarch64 => "ttyAMA0",
            Self::X86_64 => "ttyS0",
        }
    }
}

/// How the guest gets its kernel, initrd and kernel parameters.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Boot {
    /// As on a real machine: firmware, boot loader, the loader's configuration.
    ///
    /// The disk has to be an overlay whose loader passes [`agent::initrd`](super::agent::initrd) before the image's own
    /// initrd, and the parameters of [`agent::kernel_parameters`](super::agent::kernel_parameters).
    Firmware(Firmware),
    /// QEMU loads the kernel itself: faster, and tests neither firmware nor loader. The agent is added here.
    Kernel {
        /// The image's kernel.
        kernel: PathBuf,
        /// The image's initrd.
        initrd: PathBuf,
        /// The image's kernel parameters.
        parameters: String,
    },
}

/// A guest to start.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BootSpec {
    /// Processor architecture.
    pub architecture: Architecture,
    /// Kernel and initrd.
    pub boot: Boot,
    /// Virtual processors.
    pub cpus: u32,
    /// The disk in qcow2 format. The guest writes to it: pass a throwaway overlay.
    pub disk: PathBuf,
    /// How guest code runs.
    pub accelerator: Accelerator,
    /// Memory in MiB.
    pub memory: u32,
    /// QEMU, if it is not the `qemu-system-*` in `PATH`.
    pub qemu: Option<OsString>,
    /// Name of the virtual machine, on QEMU's command line: what a lost QEMU is found by.
    pub token: String,
    /// A private directory for files that live as long as the guest.
    pub work: PathBuf,
}

impl BootSpec {
    /// Two processors and 1 GiB for a guest of the host's architecture, under a fresh random token.
    #[must_use]
    pub fn new(disk: impl Into<PathBuf>, boot: Boot, work: impl Into<PathBuf>, accelerator: Accelerator) -> Self {
        Self {
            architecture: Architecture::host(),
            boot,
            cpus: 2,
            disk: disk.into(),
            accelerator,
            memory: 1024,
            qemu: None,
            token: format!("golden-image-{}", uuid::Uuid::new_v4()),
            work: work.into(),
        }
    }

    /// The QEMU program.
    pub(crate) fn program(&self) -> OsString {
        self.qemu.clone().unwrap_or_else(|| format!("qemu-system-{}", self.architecture.name()).into())
    }

    pub(crate) fn check(&self) -> Result<(), QemuError> {
        let invalid = |field, value: String, accepted: &str| {
            Err(QemuError::InvalidSpec { field, value, accepted: accepted.to_owned() })
        };
        if self.memory < MIN_MEMORY {
            return invalid("memory", format!("{} MiB", self.memory), &format!("{MIN_MEMORY} MiB and more"));
        }
        if !(1..=255).contains(&self.cpus) {
            return invalid("cpus", self.cpus.to_string(), "1 to 255");
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if self.token.len() < crate::process::MIN_TOKEN || !self.token.bytes().all(fits) {
            let accepted = format!("{} or more letters, digits, '-', '_' and '.'", crate::process::MIN_TOKEN);
            return invalid("token", format!("{:?}", self.token), &accepted);
        }
        Ok(())
    }
}
