//! OCI image layouts: a directory of blobs, from which an image becomes one root filesystem.
//!
//! Sources: OCI Image Format Specification 1.1 (`image-layout.md`, `descriptor.md`, `image-index.md`, `manifest.md`,
//! `config.md`, `layer.md`). No name is trusted: a blob counts only after its digest and size were proved.

mod blob;
mod error;
mod flatten;
mod layout;
mod spec;
mod tree;

pub use self::error::OciError;
pub use self::layout::{ImageConfig, OciImage, OciLayer, OciLayout};
pub use self::spec::Platform;

#[cfg(test)]
mod tests;
