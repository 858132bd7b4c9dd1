//! Golden images on AWS: built on instances that nothing reaches from outside ([`ec2`]), or made of raw disks without an
//! instance ([`ebs`]).
//!
//! Whoever embeds this owns the credentials: every client comes from a [`ClientProvider`], which is asked for an account
//! and a region each time, so that role sessions outlive long runs and a recovery can rebuild them. [`FromEnv`] is the
//! provider for those who want what the `aws` command line does.
//!
//! Without features nothing of the AWS SDK is compiled; what is left are the names that journals and tags are made of.

#[cfg(feature = "client")]
mod client;
#[cfg(all(feature = "ec2", feature = "ssm"))]
pub mod distribute;
#[cfg(feature = "ebs-direct")]
pub mod ebs;
#[cfg(feature = "ec2")]
pub mod ec2;
#[cfg(feature = "client")]
mod error;
pub mod place;
#[cfg(feature = "ssm")]
mod ssm;
pub mod tag;

#[cfg(feature = "client")]
pub use client::{ClientProvider, FromEnv, identity};
pub use place::Place;
#[cfg(feature = "ssm")]
pub use ssm::SystemsManager;
