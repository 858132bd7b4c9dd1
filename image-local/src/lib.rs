//! Golden images on one machine, without a cloud account.

pub mod rootfs;
