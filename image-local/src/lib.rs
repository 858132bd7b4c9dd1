//! Golden images on one machine, without a cloud account.

pub mod disk;
pub mod debian;
pub mod process;
pub mod qemu;
pub mod rootfs;
pub mod sandbox;
pub mod rootfs;
pub mod sandbox;
