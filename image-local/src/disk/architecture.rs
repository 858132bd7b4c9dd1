//! The processor architectures that disks boot on.

use uuid::Uuid;

use super::gpt;

/// The processor architecture a disk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Architecture {
    /// 64-bit ARM.
    Aarch64,
    /// 64-bit x86.
    X86_64,
}

impl Architecture {
    /// The partition type of a root file system (Discoverable Partitions Specification).
    pub fn root_type(self) -> Uuid {
        match self {
            Self::Aarch64 => gpt::ROOT_AARCH64,
            Self::X86_64 => gpt::ROOT_X86_64,
        }
    }

    /// What UEFI firmware calls the architecture in file names.
    pub(crate) fn efi_name(self) -> &'static str {
        match self {
            Self::Aarch64 => "aa64",
            Self::X86_64 => "x64",
        }
    }

    /// The Debian package of a kernel.
    pub(crate) fn kernel_package(self) -> &'static str {
        match self {
            Self::Aarch64 => "linux-image-arm64",
            Self::X86_64 => "linux-image-amd64",
        }
    }

    /// Kernel options for a screen and the first serial port; the last is the one that gets the kernel's messages.
    pub(crate) fn consoles(self) -> &'static str {
        match self {
            Self::Aarch64 => "console=tty0 console=ttyAMA0",
            Self::X86_64 => "console=tty0 console=ttyS0",
        }
    }
}
