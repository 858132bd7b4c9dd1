//! Golden images on one machine, without a cloud account.

pub mod rootfs;
pub mod process;
pub mod sandbox;
pub mod disk;
pub mod qemu;
