//! Bootable disk images out of a root file system archive, in pure Rust.

pub mod ext4;
mod region;
#[cfg(test)]
mod testing;
