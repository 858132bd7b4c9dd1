//! The contract of the core itself, where a conformance run does not reach: each guard has a test that fails without it.

mod approvals;
mod commits;
mod creates;
mod gates;
mod layers;
mod plans;
mod policies;
mod secrets;
mod support;
