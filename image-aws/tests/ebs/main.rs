//! Imports over the EBS direct APIs of the simulator, by the real SDK clients: the contract of an importer without a socket
//! and in no time, and what goes wrong with EBS in particular.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod failures;
mod imports;
mod rig;
mod site;
mod wire;

mod conformance {
    image_conformance::importer_conformance!(crate::rig::fresh);
}
