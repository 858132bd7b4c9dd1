//! The contract of the core itself, where a conformance run does not reach: each guard has a test that fails without it.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod approvals;
mod commits;
mod creates;
mod gates;
mod layers;
mod plans;
mod policies;
mod secrets;
mod support;
