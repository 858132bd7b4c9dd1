//! Why a value could not be matched.

use super::RegexError;
use crate::Value;

/// Why a value could not be matched: an error in the expectation, or a value it cannot be tried on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MatchError {
    /// The matcher itself is wrong. The message is goss's.
    #[error("{0}")]
    Invalid(String),
    /// What was found is not JSON.
    #[error("gjson: invalid JSON: {0}")]
    Json(String),
    /// A path leads nowhere in the JSON.
    #[error("gjson: path not found: {0}")]
    JsonPath(String),
    /// A path uses what is not supported, or asks for too much.
    #[error("gjson: path `{path}`: {reason}")]
    JsonPathUnsupported {
        /// The path.
        path: String,
        /// Why it cannot be followed.
        reason: &'static str,
    },
    /// A line is too long for goss, which gives up on it.
    #[error("have-patterns: a line is longer than {limit} bytes, which goss cannot read")]
    LineTooLong {
        /// The most bytes goss reads.
        limit: usize,
    },
    /// What was found is no number.
    #[error("expected a number, found {}", short(.0))]
    NotANumber(Value),
    /// Nothing is compared with nothing, which goss takes for a mistake.
    #[error("`equal: null` cannot be compared with nothing")]
    Null,
    /// An item of a list of patterns that is not a string.
    #[error("have-patterns: patterns must be strings, not {}", short(.0))]
    Pattern(Value),
    /// A regular expression between slashes that lacks one of them.
    #[error("have-patterns: `{0}` has no second slash")]
    PatternSlash(String),
    /// A regular expression that Go would not take either.
    #[error(transparent)]
    Regex(#[from] RegexError),
    /// A range of versions that is not one.
    #[error("semver-constraint: `{0}` is not a range such as `>=1.2.3 <2.0.0 || 3.x`")]
    SemverConstraint(String),
    /// What was found is not a version, or a list of versions, with three numbers each.
    #[error("semver-constraint: expected versions such as 1.2.3, found {}", short(.0))]
    SemverVersion(Value),
    /// Matchers within matchers, without end.
    #[error("matchers are nested more than {limit} levels deep")]
    TooDeep {
        /// The most levels.
        limit: usize,
    },
    /// What was found is of the wrong type.
    #[error("{matcher}: expected {expected}, found {}", short(.actual))]
    Type {
        /// The matcher.
        matcher: &'static str,
        /// The types it can be tried on.
        expected: &'static str,
        /// What was found.
        actual: Value,
    },
    /// What was found is not XML.
    #[error("xml: not well-formed: {0}")]
    Xml(String),
    /// XML gives another result than expected, which goss takes for an error.
    #[error("xml: the result is {found:?}, expected {expected:?}")]
    XmlMismatch {
        /// What the expression gives.
        found: String,
        /// What it should give.
        expected: String,
    },
    /// An XPath expression that is wrong, not supported or too expensive.
    #[error("xml: XPath `{xpath}`: {reason}")]
    XPath {
        /// The expression.
        xpath: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A value in a message: its type and how it begins.
fn short(value: &Value) -> String {
    let kind = match value {
        Value::Null => return "nothing".to_owned(),
        Value::Bool(_) => "boolean",
        Value::Int(_) | Value::Float(_) => "number",
        Value::String(_) => "string",
        Value::List(_) => "list",
        Value::Map(_) => "map",
    };
    let text = super::transform::display(value);
    let mut shown: String = text.chars().take(60).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("the {kind} {shown:?}")
}
