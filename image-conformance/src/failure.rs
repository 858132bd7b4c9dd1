//! What a case says.

use image_core::Error;
use std::fmt;

/// How many moments a case tried, or what is wrong.
pub type CaseResult = Result<u64, Failure>;

/// A plugin that does not keep the contract: at which moment, and what was seen.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The moment, for example `create 3 After`.
    pub moment: String,
    /// What was seen.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(moment: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { moment: moment.to_string(), message: message.into() }
    }
    /// Says when an error of the core or a plugin came up.
    pub(crate) fn at(moment: impl fmt::Display) -> impl FnOnce(Error) -> Self {
        move |error| Self::new(moment, error.chain())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.moment, self.message)
    }
}

impl std::error::Error for Failure {}

pub(crate) fn ensure(ok: bool, moment: impl fmt::Display, message: impl FnOnce() -> String) -> Result<(), Failure> {
    if ok { Ok(()) } else { Err(Failure::new(moment, message())) }
}
