//! A simulated cloud that real SDK clients talk to over loopback HTTP.
//!
//! It is for testing image pipelines against what clouds really do: states that take time, replies that get lost,
//! eventual consistency, idempotency tokens, throttling, missing capacity. No state changes in the background: it is
//! derived from when it began and a [`Clock`], which a test may move by hand.
//!
//! Signatures are verified, so a client needs a known access key; unknown parameters are refused instead of dropped;
//! calls are recorded ([`Simulator::calls`]), and what exists can be listed ([`Simulator::state`]) to prove that
//! nothing leaks.
//!
//! Access keys and roles may be given IAM policies ([`Simulator::attach_policy`]): a call that they do not allow is denied
//! as AWS denies it, and what they grant without need can be listed ([`Simulator::unused_actions`]). Without a policy
//! everything is allowed. [`iam`] says what is enforced and what is not.
//!
//! What an instance *is* stands behind [`Bodies`]: by default nothing runs, and content merely goes from image to volume
//! to snapshot. With the feature `sandbox` there is `Sandboxes`: the commands that Systems Manager is sent really run, in
//! namespaces of this machine, and an image that is captured has what they wrote.

mod admin;
pub mod body;
mod buckets;
mod call;
mod clock;
mod cloud;
mod consistency;
mod ebs;
mod ec2;
mod error;
mod fault;
pub mod iam;
mod identity;
mod log;
mod query;
#[cfg(feature = "sandbox")]
mod sandboxes;
mod server;
mod service;
mod signature;
mod simulator;
mod ssm;
mod sts;
mod tokens;
mod world;
mod xml;

pub use body::{Blocks, Bodies, Body, Content, Hollow};
pub use clock::{Clock, Timings};
pub use consistency::EventualConsistency;
pub use ec2::SeedImage;
pub use fault::{Effect, Rule};
pub use log::CallRecord;
#[cfg(feature = "sandbox")]
pub use sandboxes::Sandboxes;
pub use simulator::{Builder, DEFAULT_ACCOUNT, DEFAULT_REGIONS, Simulator};
pub use world::ResourceState;

#[cfg(test)]
mod testing;
