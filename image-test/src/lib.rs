//! Functional tests of machine images, with the gossfiles that teams already have.
//!
//! A gossfile, or the typed API, makes a [`Suite`]: resources with what is expected of them. A suite says what it needs
//! to know ([`Wanted`]), a gatherer finds that out ([`Facts`]), and the suite is evaluated on the facts alone.

pub mod baseline;
mod compat;
pub mod drift;
mod evaluate;
pub mod facts;
#[cfg(test)]
mod fuzz;
pub mod gather;
mod gatherer;
pub mod gossfile;
pub mod hygiene;
pub mod matcher;
mod position;
pub mod probe;
pub mod report;
pub mod retry;
mod snapshot;
pub mod suite;
pub mod template;
mod validator;
mod value;
mod wildcard;
mod yaml;

pub use compat::Compat;
pub use evaluate::{Finding, Outcome, evaluate};
pub use facts::{Fact, Facts, PackageManager, Text, Wanted};
pub use gatherer::{LiveGatherer, MachineGatherer, RootfsGatherer};
pub use matcher::Matcher;
pub use position::Position;
pub use snapshot::SnapshotError;
pub use suite::{Attribute, Expectation, HttpRequest, Kind, Resource, Retry, Suite, Target};
pub use validator::GossValidator;
pub use value::Value;
