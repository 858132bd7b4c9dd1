//! The distributor over the SDK's own wire protocols, against a cloud in memory on a paused clock.

mod cloud;
mod copies;
mod flow;
mod pointers;
mod policy;
mod rig;
mod wire;

/// Where images are built.
const HOME: &str = "111122223333/us-east-1";
/// The same account elsewhere.
const FAR: &str = "111122223333/eu-west-1";
/// Another account.
const OTHER: &str = "444455556666/us-west-2";
