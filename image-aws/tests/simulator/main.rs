//! The conformance kit on the simulated AWS, by the real SDK clients: builder, and distributor of what it built.
//!
//! `tests/ami` and the distributor's own tests hold the kit on clouds in memory, of which copies can be made, at more
//! moments than are tried here.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod ami;
mod distributor;
mod rig;
#[path = "../ebs/wire.rs"]
mod wire;
