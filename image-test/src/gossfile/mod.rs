//! Gossfiles: reading them into a [`Suite`], and writing one.
//!
//! A [`Loader`] renders the template, reads the YAML or JSON, follows includes, and says what looks wrong ([`Lint`])
//! beside what is wrong ([`GossfileError`]). [`Suite::to_yaml`] and [`Suite::to_json`] write.

mod duration;
mod error;
mod glob;
mod lint;
mod loader;
mod resource;
mod settings;
mod suggest;
#[cfg(test)]
mod tests;
mod vars;
mod write;

use crate::Suite;

pub use error::{Fault, GossfileError};
pub use lint::{Lint, LintCode, Severity};
pub use loader::{Limits, Loader};

/// What a gossfile says, with all it includes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Loaded {
    /// What is expected.
    pub suite: Suite,
    /// What looks wrong, in the order it was found.
    pub lints: Vec<Lint>,
}
