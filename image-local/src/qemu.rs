//! Boots a disk in QEMU and runs commands in the guest, although the image has no agent, no SSH key and no password.
//!
//! An extra initrd beside the image's own (see [`agent`]) starts first, leaves a small agent behind on a tmpfs of its
//! own, and hands over to the image's initramfs. The agent serves one virtio-serial port and runs commands in the root of
//! process 1. Nothing is written to the disk, no port is opened, and the guest's network reaches nothing.
//!
//! QEMU runs under [`process::supervised`](crate::process::supervised): it ends with the [`Guest`], and with this
//! process however that ends. `-name` carries [`BootSpec::token`], by which [`process::kill_all`](crate::process::kill_all)
//! finds what an earlier process left where the parent-death signal does not exist.

mod accelerator;
pub mod agent;
mod channel;
mod console;
pub mod cpio;
mod error;
mod firmware;
mod guest;
mod hypervisor;
mod request;
mod spec;
mod transfer;

pub use accelerator::Accelerator;
pub use error::{BootFailure, QemuError};
pub use firmware::Firmware;
pub use guest::{Guest, start};
pub use hypervisor::require;
pub use request::{Finished, Request};
pub use spec::{Architecture, Boot, BootSpec};
