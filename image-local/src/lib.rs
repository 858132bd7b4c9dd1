//! Golden images on one machine, without a cloud account.

pub mod debian;
pub mod process;
pub mod sandbox;
