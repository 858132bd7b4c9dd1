//! Imports over the EBS direct APIs of the simulator, by the real SDK clients.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod failures;
mod imports;
mod site;
