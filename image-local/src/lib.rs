//! Golden images on one machine, without a cloud account.

pub mod debian;
pub mod disk;
mod errors;
mod machine;
pub mod process;
pub mod qemu;
pub mod rootfs;
pub mod sandbox;
