//! Root filesystems as archives: reading, normalising, comparing and storing them.
//!
//! [`archive`] opens a compressed or plain tar archive, [`normalize()`] turns it into a canonical one and describes it in
//! a [`Manifest`], [`oci`] flattens the layers of a container image into the same form, and [`store`] keeps the result.
//! Everything is synchronous and streams; asynchronous callers run it on a thread that may block.
//!
//! Archives are hostile until proved otherwise: nothing is ever extracted, a malformed archive is a typed error, and
//! memory is bounded by [`Limits`].

pub mod archive;
mod digest;
mod error;
mod manifest;
mod manifest_diff;
mod normalize;
pub mod oci;
mod path;
pub mod store;
pub(crate) mod tar;

pub use self::digest::{Digest, DigestError};
pub use self::error::RootfsError;
pub use self::manifest::{Entry, Kind, Manifest};
pub use self::manifest_diff::{Aspect, Change, PathChange};
pub use self::normalize::{Exclude, Limits, NormalizeOptions, OnDevice, OnUnsupportedMetadata, normalize};
pub use self::path::{LinkTarget, MAX_DEPTH, MAX_NAME, MAX_PATH, PathError, RootfsPath};
pub use self::tar::TarError;

#[cfg(test)]
mod tests;
