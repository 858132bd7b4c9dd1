//! Functional tests of machine images, with the gossfiles that teams already have.
//!
//! A gossfile, or the typed API, makes a [`Suite`]: resources with what is expected of them. A suite says what it needs
//! to know ([`Wanted`]), a gatherer finds that out ([`Facts`]), and the suite is evaluated on the facts alone.

mod compat;
pub mod drift;
pub mod facts;
pub mod gather;
pub mod matcher;
mod position;
pub mod probe;
mod snapshot;
pub mod suite;
pub mod template;
mod value;

pub use compat::Compat;
pub use facts::{Fact, Facts, PackageManager, Text, Wanted};
pub use matcher::Matcher;
pub use position::Position;
pub use snapshot::SnapshotError;
pub use suite::{Attribute, Expectation, HttpRequest, Kind, Resource, Retry, Suite, Target};
pub use value::Value;
