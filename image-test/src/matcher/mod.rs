//! What a value must be.
//!
//! A [`Matcher`] is read from the value that stands in a gossfile ([`Matcher::from_value`]) and tried on what was
//! found: [`Matcher::matches`] for values, [`Matcher::matches_strings`] for lists of strings,
//! [`Matcher::matches_text`] for output and contents.

mod assignment;
mod error;
mod evaluate;
mod explain;
mod form;
mod functions;
mod gjson;
mod number;
mod patterns;
mod regex;
mod semver;
#[cfg(test)]
mod tests;
mod transform;
mod xml;

pub use error::MatchError;
pub use functions::*;
pub use regex::{RegexError, RegexProblem};
pub(crate) use regex::{translate, translate_within};
pub(crate) use transform::display;

use crate::{Compat, Value};
use evaluate::{Actual, Evaluation, Nature};
use std::collections::BTreeMap;

/// What a value must be.
///
/// The names are those of gossfiles.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Matcher {
    /// A plain value: text is compared as text, a number as a number, a boolean as it is. A list or map means what it
    /// means in a gossfile.
    Is(Value),
    /// A plain list: the actual list has these elements, in any order, among others.
    Has(Vec<Self>),
    /// The very value, of the same type.
    Equal(Value),
    /// Text that begins so.
    HavePrefix(String),
    /// Text that ends so.
    HaveSuffix(String),
    /// Text that contains this.
    ContainSubstring(String),
    /// Text that a regular expression of Go's dialect finds something in.
    MatchRegexp(String),
    /// A number, compared with another one.
    Numeric(Comparison, Value),
    /// Bytes of a text, elements of a list, or keys of a map. Goss accepts a negative number, which nothing matches.
    HaveLen(i64),
    /// A list with at least one such element.
    ContainElement(Box<Self>),
    /// A list with these elements, each by an element of its own.
    ContainElements(Vec<Self>),
    /// A list with exactly these elements.
    ConsistOf(Vec<Self>),
    /// A map with at least one such key.
    HaveKey(Box<Self>),
    /// Lines that hold these patterns: `text`, `!text`, `/regexp/`, `!/regexp/`.
    HavePatterns(Vec<String>),
    /// Not so.
    Not(Box<Self>),
    /// All of these.
    And(Vec<Self>),
    /// At least one of these.
    Or(Vec<Self>),
    /// A version, or list of versions, within this range.
    SemverConstraint(String),
    /// JSON whose values at these gjson paths are so.
    Gjson(BTreeMap<String, Self>),
    /// XML in which an XPath expression gives this.
    Xml {
        /// XPath 1.0.
        xpath: String,
        /// What it must give; empty for any node.
        result: String,
    },
    /// What goss finds wrong only when it evaluates: it never matches, and this is why.
    Invalid(String),
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Comparison {
    /// At least.
    Ge,
    /// More than.
    Gt,
    /// At most.
    Le,
    /// Less than.
    Lt,
}

impl<T: Into<Value>> From<T> for Matcher {
    fn from(value: T) -> Self {
        match value.into() {
            Value::List(list) => Self::Has(list.into_iter().map(Self::from).collect()),
            value => Self::Is(value),
        }
    }
}

/// What a matcher made of a value.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Match {
    /// Whether the value is as expected.
    pub passed: bool,
    /// How actual and expected value relate, in goss's words: `matches expectation`, `to equal`, `not to have prefix`.
    pub message: String,
    /// What was found, transformed as the matcher needs it. `object: text` for patterns over a text.
    pub actual: Value,
    /// What was expected, by the innermost matcher that decided.
    pub expected: Value,
    /// Expected elements or patterns that were not found.
    pub missing: Vec<Value>,
    /// Expected elements or patterns that were found.
    pub found: Vec<Value>,
    /// Elements found that were not expected.
    pub extra: Vec<Value>,
    /// How `actual` was made of `raw`, as goss prints it: `{"to-string": {}}`, `{"gjson": {"Path": "a.b"}}`.
    pub transforms: Vec<Value>,
    /// What was found, before any transformation. `None` where the deciding matcher has none.
    pub raw: Option<Value>,
}

impl Matcher {
    /// Tries the matcher on a value.
    ///
    /// # Errors
    /// What goss reports as an error rather than a mismatch: a value of the wrong type, an invalid expression, or a
    /// path that is not there. No `not` turns these into a success.
    pub fn matches(&self, actual: &Value, compat: Compat) -> Result<Match, MatchError> {
        self.decide(Actual::new(actual, Nature::Value), compat)
    }

    /// Tries the matcher on an attribute that is a list of strings, such as the versions of a package.
    ///
    /// Go tells such a list from a list of anything. With [`Compat::Goss`], `equal` never matches it, and a number is
    /// compared with its lines joined.
    ///
    /// # Errors
    /// As [`matches`](Self::matches).
    pub fn matches_strings(&self, actual: &[String], compat: Compat) -> Result<Match, MatchError> {
        let list = Value::List(actual.iter().cloned().map(Value::String).collect());
        self.decide(Actual::new(&list, Nature::Strings), compat)
    }

    /// Tries the matcher on output or contents.
    ///
    /// A list is patterns over lines, an empty one always matches. Anything else is tried on the text as one string.
    /// A byte that is not UTF-8 stands for U+FFFD, as in Go's regular expressions; `have-len` counts the bytes there
    /// were.
    ///
    /// # Errors
    /// As [`matches`](Self::matches), and items of a list that are not strings.
    pub fn matches_text(&self, text: &[u8], compat: Compat) -> Result<Match, MatchError> {
        let replaced = transform::decode(text);
        if let Self::Has(items) = self {
            return patterns::over_text(items, &replaced, self, compat);
        }
        self.decide(Actual::new(&Value::String(replaced.into_owned()), Nature::Text { bytes: text.len() }), compat)
    }

    fn decide(&self, actual: Actual<'_>, compat: Compat) -> Result<Match, MatchError> {
        let evaluation = Evaluation::new(compat);
        if evaluation.test(self, actual)? {
            return Ok(Match {
                passed: true,
                message: "matches expectation".to_owned(),
                actual: actual.value.clone(),
                expected: self.to_value(),
                ..Match::default()
            });
        }
        evaluation.explain(self, actual, false)
    }
}
