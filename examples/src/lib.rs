//! Event sinks for people, to use or to copy: a live terminal and the log of a GitHub Actions job.
//!
//! The library renders nothing. It gives every [`Event`](image_core::Event) to the sinks that whoever embeds it chose, and
//! never waits for them: both sinks here pass events on to a thread that renders.

pub mod github_actions;
mod phrase;
mod renderer;
pub mod terminal;

pub use github_actions::GithubActions;
pub use terminal::Terminal;
