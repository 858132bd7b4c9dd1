//! Validators that every pipeline needs: commands as checks, and the proof of the seal.

mod command;
mod sealed;

pub use command::{Command, CommandCheck};
pub use sealed::Sealed;
