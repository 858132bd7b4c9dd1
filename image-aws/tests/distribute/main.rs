//! The distributor against a simulated AWS on loopback: real sockets, signatures and accounts.
//!
//! The conformance kit runs on a cloud in memory, beside the distributor's code: it needs a clock that stands still.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod flows;
mod rig;
