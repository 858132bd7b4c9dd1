//! AMI builds against EC2 in memory: the contract of a builder, and what goes wrong with EC2 in particular.

mod cloud;
mod flows;
mod rig;
mod wire;

mod conformance {
    image_conformance::builder_conformance!(crate::rig::fresh);
}
