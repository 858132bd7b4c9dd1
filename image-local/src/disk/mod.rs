//! Bootable disk images out of a root file system archive, in pure Rust.
//!
//! [`assemble()`] turns a tar stream into a sparse raw disk: partition table, EFI system partition and ext4 root, without
//! root rights, loop devices, mounts or tools of the host. Same input, same bits. The parts are of use alone:
//! [`ext4::format()`], [`gpt`], [`boot_files`] and [`esp_patches`].

mod architecture;
mod assemble;
mod esp;
pub mod ext4;
pub mod gpt;
mod overlay;
pub mod qcow2;
mod region;
pub mod sparse;
mod spec;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod uuids;

pub use architecture::Architecture;
pub use assemble::{DiskError, assemble, minimum_size};
pub use esp::{BootFiles, EspEdit, EspError, boot_files, esp_patches};
pub use spec::{Boot, DiskReport, DiskSpec};
