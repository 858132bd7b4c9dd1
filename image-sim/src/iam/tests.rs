//! Decisions by tables, and a build over the wire under a policy.

mod decisions;
mod documents;
mod wire;
