//! Receivers of events: as JSON lines, and as log files for people.
//!
//! A run never waits for them: they write on a thread of their own, behind a bounded queue. What does not fit is counted
//! and stands in the output where it is missing.

mod json_lines;
mod log_files;
mod queue;

pub use json_lines::JsonLines;
pub use log_files::LogFiles;
