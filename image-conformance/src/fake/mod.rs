//! An in-memory cloud with the habits of a real one, a plugin on it that fills every trait, and stages around it.
//!
//! Reads lag twenty seconds behind creates, an instance takes fifteen to go, and every call takes a while. On a paused
//! clock all of that is deterministic and takes no time.

mod cloud;
mod plugin;
mod rig;
mod stages;

pub use cloud::{FakeCloud, Item};
pub use plugin::{FakeMachine, FakePlugin};
pub use stages::{FakeAttestor, FakeProvisioner, FakeScanner, FakeValidator, FakeVerifier};
