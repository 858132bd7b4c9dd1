//! How the errors of the parts become the core's: each with the kind that says who can act on it.

use crate::{
    debian::DebianError,
    disk::{DiskError, EspError, ext4::Ext4Error, qcow2::Qcow2Error},
    qemu::QemuError,
    rootfs::{RootfsError, archive::ArchiveError, oci::OciError, store::StoreError},
    sandbox::SandboxError,
};
use image_core::{Error, ErrorKind};

/// The kind that an I/O error somewhere down the chain stands for: a full disk is a full disk wherever it shows.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return match io.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Some(ErrorKind::StorageFull),
                std::io::ErrorKind::PermissionDenied => Some(ErrorKind::PermissionDenied),
                std::io::ErrorKind::NotFound => Some(ErrorKind::NotFound),
                // A typed error may travel inside an I/O error.
                _ => io.get_ref().and_then(|inner| io_kind(inner)),
            };
        }
        next = error.source();
    }
    None
}

/// One line with the causes, and the cause attached.
fn wrap(kind: ErrorKind, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(kind, error.to_string()).with_retryable(false).with_source(error)
}

impl From<SandboxError> for Error {
    fn from(e: SandboxError) -> Self {
        let kind = match &e {
            SandboxError::Cancelled => ErrorKind::Cancelled,
            SandboxError::TimedOut { .. } => ErrorKind::TimedOut,
            SandboxError::Request { .. } | SandboxError::UnknownUser { .. } => ErrorKind::InvalidInput,
            SandboxError::MissingTool { .. } | SandboxError::Namespaces { .. } => ErrorKind::Unsupported,
            SandboxError::Archive { message, .. } if message.contains("No space left") => ErrorKind::StorageFull,
            _ => io_kind(&e).unwrap_or(ErrorKind::Unavailable),
        };
        wrap(kind, e)
    }
}

impl From<QemuError> for Error {
    fn from(e: QemuError) -> Self {
        let kind = match &e {
            QemuError::TimedOut { .. } | QemuError::NotReady { .. } => ErrorKind::TimedOut,
            QemuError::InvalidSpec { .. } | QemuError::InvalidRequest { .. } => ErrorKind::InvalidInput,
            QemuError::FirmwareMissing { .. } | QemuError::Tool { .. } => ErrorKind::Unsupported,
            // An image that does not boot is refused; it is not the machine room's fault.
            QemuError::BootFailed { .. } => ErrorKind::PolicyViolation,
            _ => io_kind(&e).unwrap_or(ErrorKind::Unavailable),
        };
        wrap(kind, e)
    }
}

impl From<DebianError> for Error {
    fn from(e: DebianError) -> Self {
        let kind = match e {
            DebianError::Sandbox(e) => return e.into(),
            DebianError::Cancelled { .. } => ErrorKind::Cancelled,
            DebianError::UnknownPackage { .. }
            | DebianError::UnknownSuite { .. }
            | DebianError::Value { .. }
            | DebianError::NotOnMirror { .. } => ErrorKind::InvalidInput,
            DebianError::MissingKeyring { .. } => ErrorKind::Unsupported,
            DebianError::MirrorMoved { .. } => ErrorKind::Conflict,
            DebianError::NoSpace { .. } => ErrorKind::StorageFull,
            DebianError::TimedOut { .. } => ErrorKind::TimedOut,
            DebianError::Untrusted { .. } => ErrorKind::PolicyViolation,
            _ => io_kind(&e).unwrap_or(ErrorKind::Unavailable),
        };
        wrap(kind, e)
    }
}

impl From<DiskError> for Error {
    fn from(e: DiskError) -> Self {
        let kind = match &e {
            DiskError::TooSmall { .. } | DiskError::InvalidSpec { .. } => ErrorKind::InvalidInput,
            _ => io_kind(&e).unwrap_or(ErrorKind::InvalidInput),
        };
        wrap(kind, e)
    }
}

/// Errors that are one kind unless a file of the host is to blame.
macro_rules! kinds {
    ($($error:ty => $kind:ident),* $(,)?) => {$(
        impl From<$error> for Error {
            fn from(e: $error) -> Self {
                let kind = io_kind(&e).unwrap_or(ErrorKind::$kind);
                wrap(kind, e)
            }
        }
    )*};
}
kinds! {
    // What was read is not what it should be.
    ArchiveError => InvalidInput,
    EspError => InvalidInput,
    Ext4Error => InvalidInput,
    OciError => InvalidInput,
    RootfsError => InvalidInput,
    // What we write and read back ourselves.
    Qcow2Error => Unavailable,
    StoreError => Unavailable,
}
