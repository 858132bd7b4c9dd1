//! AMIs built on an instance: launched privately, provisioned, stopped, captured, and booted again to be tested.

pub(crate) mod ami;
pub(crate) mod available;
mod builder;
mod capture;
mod check;
pub(crate) mod client;
mod connect;
pub(crate) mod create;
pub(crate) mod find;
pub(crate) mod kind;
mod launch;
pub(crate) mod list;
pub(crate) mod policy;
mod poll;
mod rate;
pub(crate) mod request;
pub(crate) mod settings;
mod source;
pub(crate) mod state;
#[cfg(test)]
mod testing;
pub(crate) mod undo;
mod user_data;
mod volume;

pub use builder::AmiBuilder;
pub use client::Ec2;
pub use connect::Connect;
pub use policy::iam_policy;
pub use source::AmiSource;
pub use volume::Volume;
