//! AMIs built on an instance: launched privately, provisioned, stopped, captured, and booted again to be tested.

mod ami;
mod builder;
mod capture;
mod check;
pub(crate) mod client;
mod connect;
pub(crate) mod create;
mod find;
mod kind;
mod launch;
mod list;
mod policy;
mod poll;
mod rate;
mod request;
pub(crate) mod settings;
mod source;
mod state;
#[cfg(test)]
mod testing;
mod undo;
mod user_data;
mod volume;

pub use builder::AmiBuilder;
pub use client::Ec2;
pub use connect::Connect;
pub use policy::iam_policy;
pub use source::AmiSource;
pub use volume::Volume;
