//! AMI builds against EC2 in memory: the contract of a builder, and what goes wrong with EC2 in particular.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod cloud;
mod flows;
mod rig;
mod shown;
mod wire;

mod conformance {
    image_conformance::builder_conformance!(crate::rig::fresh);
}
