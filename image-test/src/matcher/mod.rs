//! What a value must be.

mod convert;
mod functions;

use crate::Value;
use std::collections::BTreeMap;

pub use functions::*;

/// What a value must be.
///
/// The names are those of gossfiles.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Matcher {
    /// A plain value: text is compared as text, a number as a number, a boolean as it is.
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
    /// A number, compared.
    Numeric(Comparison, f64),
    /// Bytes of a text, elements of a list, or keys of a map.
    HaveLen(usize),
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
