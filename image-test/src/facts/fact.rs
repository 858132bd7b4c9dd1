//! Known, unknown, or without meaning.

use serde::{Deserialize, Serialize};

/// Something that was asked of a system.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "callers must think of all three")]
pub enum Fact<T> {
    /// It was found out.
    Known(T),
    /// It could not be found out, and why. Never a pass.
    Unknown(String),
    /// It has no meaning here, and why: what runs, on a system that does not.
    NotApplicable(String),
}

impl<T> Fact<T> {
    /// Changes what is known.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known(value) => Fact::Known(f(value)),
            Self::Unknown(why) => Fact::Unknown(why),
            Self::NotApplicable(why) => Fact::NotApplicable(why),
        }
    }

    /// The fact by reference.
    pub fn as_ref(&self) -> Fact<&T> {
        match self {
            Self::Known(value) => Fact::Known(value),
            Self::Unknown(why) => Fact::Unknown(why.clone()),
            Self::NotApplicable(why) => Fact::NotApplicable(why.clone()),
        }
    }
}
