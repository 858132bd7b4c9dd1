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

/// Says a line to the person who called an example; standard output belongs to programs.
#[expect(clippy::print_stderr, reason = "it talks to the person who called it")]
pub fn say(text: &str) {
    eprintln!("{text}");
}

/// The documents of the repository whose code must compile.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    mod readme {}
    #[doc = include_str!("../../docs/guide/builder.md")]
    mod builder {}
    #[doc = include_str!("../../docs/guide/provisioner.md")]
    mod provisioner {}
    #[doc = include_str!("../../docs/guide/recovery.md")]
    mod recovery {}
    #[doc = include_str!("../../docs/guide/testing.md")]
    mod testing {}
}
