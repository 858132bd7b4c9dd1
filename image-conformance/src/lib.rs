//! The test kit for plugins of [`image_core`].
//!
//! The contract of a plugin is mostly about what happens when something goes wrong, and that is what nobody tests by
//! hand. This kit does: it fails every create and change of a run in turn, cancels at every poll, drops the handle, kills
//! the process at every journal entry and recovers, and looks each time whether what is left in the backend equals
//! exactly what the journal kept. Faults are injected in the core, so a plugin needs no hooks for it.
//!
//! Describe your backend by implementing [`Rig`] over a deterministic fake of it, and let the macro of the trait write the
//! tests, each into a module of its own:
//!
//! | Trait | Macro | Fixture |
//! |---|---|---|
//! | `Builder` | [`builder_conformance!`] | [`Rig`] |
//! | `Importer` | [`importer_conformance!`] | [`Rig`] |
//! | `Distributor` | [`distributor_conformance!`] | [`DistributorRig`] |
//! | `Provisioner` | [`provisioner_conformance!`] | [`ProvisionerFixture`] |
//! | `Verifier` | [`verifier_conformance!`] | [`VerifierFixture`] |
//! | `Validator` | [`validator_conformance!`] | [`ValidatorFixture`] |
//! | `Scanner` | [`scanner_conformance!`] | [`ScannerFixture`] |
//! | `JournalStore` | [`journal_conformance!`] | [`JournalFixture`] |
//! | `EventSink` | [`event_sink_conformance!`] | [`EventSinkFixture`] |
//!
//! ```
//! # #[cfg(feature = "fake")]
//! mod builder_contract {
//!     use image_conformance::fake::FakeCloud;
//!
//!     image_conformance::builder_conformance!(FakeCloud::rig);
//! }
//! # fn main() {}
//! ```
//!
//! Cases run on a paused clock, where waiting takes no time. A plugin that does real input and output says `real_time`
//! as the macro's second argument, and [`Limits::sampled`] in its rig.
//!
//! Each test prints how many moments it tried (`cargo test -- --nocapture`). Samples are taken from the moments that a
//! case is about, and a case fails that finds nothing to try at any of its samples. One that is about something the plugin
//! does not do, for example because it declares no fingerprint, tries none and passes; look at the numbers once.

mod books;
mod failure;
mod harness;
mod machine;
mod macros;
mod rig;
mod stage;

pub mod distributor;
pub mod event_sink;
#[cfg(feature = "fake")]
pub mod fake;
pub mod journal;
pub mod lifecycle;
pub mod provisioner;
pub mod scanner;
pub mod validator;
pub mod verifier;

pub use distributor::{DistributorRig, FreshDistributor};
pub use event_sink::EventSinkFixture;
pub use failure::{CaseResult, Failure};
pub use journal::JournalFixture;
pub use machine::{Answer, ScriptedMachine};
pub use macros::{paused, real_time};
pub use provisioner::ProvisionerFixture;
pub use rig::{Fresh, Limits, Rig};
pub use scanner::{ScannerFixture, Target};
pub use validator::ValidatorFixture;
pub use verifier::VerifierFixture;
