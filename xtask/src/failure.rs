//! Why a command ended, and the exit code that says so.

/// The input was wrong, or something must be installed first.
const USAGE: u8 = 2;

/// What went wrong, for people, and the exit code for programs.
#[derive(Debug)]
pub(crate) struct Failure {
    message: Option<String>,
    code: u8,
}

impl Failure {
    /// A check failed.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: 1 }
    }
    /// The caller must do something first.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: USAGE }
    }
    /// A program that has said itself what is wrong.
    pub(crate) fn silent(code: u8) -> Self {
        Self { message: None, code }
    }
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
    pub(crate) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or("it failed")
    }
    pub(crate) fn print(&self) {
        if let Some(message) = &self.message {
            eprintln!("xtask: {message}");
        }
    }
}
