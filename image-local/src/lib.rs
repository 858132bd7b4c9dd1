//! Golden images on one machine, without a cloud account.

mod builder;
pub mod debian;
pub mod disk;
mod errors;
mod machine;
pub mod process;
pub mod qemu;
pub mod rootfs;
pub mod sandbox;
mod source;
mod store;
mod tagged;

pub use builder::{BootVia, LocalBuilder};
pub use source::Source;
pub use store::{LocalStore, Manifest, PublishedFile};
