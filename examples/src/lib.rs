//! What programs around the library have in common, to use or to copy: event sinks for people (a live terminal, the log of
//! a GitHub Actions job), recovery and Ctrl-C, and what a run did in words.
//!
//! The library renders nothing. It gives every [`Event`](image_core::Event) to the sinks that whoever embeds it chose, and
//! never waits for them: both sinks here pass events on to a thread that renders.

pub mod github_actions;
mod phrase;
pub mod program;
mod renderer;
pub mod summary;
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
