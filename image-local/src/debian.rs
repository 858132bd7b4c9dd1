//! Root filesystems of Debian and Ubuntu, from their packages, through `mmdebstrap`.
//!
//! [`pin()`] looks a suite up without side effects and gives the digests of what the mirrors offer; [`bootstrap()`] makes a
//! tar of it, and fails if a mirror has moved since. That the packages are genuine, apt verifies with the keyring of
//! the distribution.

mod bootstrap;
mod error;
mod mirror;
mod pin;
mod suite;
#[cfg(test)]
mod tests;

pub use bootstrap::bootstrap;
pub use error::DebianError;
pub use mirror::{Mirrors, of_host};
pub use pin::{Pinned, Release, pin};
pub use suite::{Distribution, Source, Suite, bootable_packages, known_suites};
