//! Golden images on one machine, without a cloud account.

pub mod process;
pub mod qemu;
pub mod sandbox;
