//! Matchers by name, for suites in Rust.

use super::{Comparison, Matcher};
use crate::Value;

fn each<M: Into<Matcher>>(matchers: impl IntoIterator<Item = M>) -> Vec<Matcher> {
    matchers.into_iter().map(Into::into).collect()
}

/// All of these.
pub fn all_of<M: Into<Matcher>>(matchers: impl IntoIterator<Item = M>) -> Matcher {
    Matcher::And(each(matchers))
}

/// At least one of these.
pub fn any_of<M: Into<Matcher>>(matchers: impl IntoIterator<Item = M>) -> Matcher {
    Matcher::Or(each(matchers))
}

/// A list with exactly these elements, in any order.
pub fn consist_of<M: Into<Matcher>>(matchers: impl IntoIterator<Item = M>) -> Matcher {
    Matcher::ConsistOf(each(matchers))
}

/// A list with at least one such element.
pub fn contain_element(matcher: impl Into<Matcher>) -> Matcher {
    Matcher::ContainElement(Box::new(matcher.into()))
}

/// A list with these elements, each by an element of its own, in any order.
pub fn contain_elements<M: Into<Matcher>>(matchers: impl IntoIterator<Item = M>) -> Matcher {
    Matcher::ContainElements(each(matchers))
}

/// Text that contains this.
pub fn contain_substring(text: impl Into<String>) -> Matcher {
    Matcher::ContainSubstring(text.into())
}

/// The very value, of the same type.
pub fn equal(value: impl Into<Value>) -> Matcher {
    Matcher::Equal(value.into())
}

/// At least this number.
pub fn ge(number: impl Into<Value>) -> Matcher {
    Matcher::Numeric(Comparison::Ge, number.into())
}

/// JSON whose values at these gjson paths are so.
pub fn gjson<P: Into<String>, M: Into<Matcher>>(paths: impl IntoIterator<Item = (P, M)>) -> Matcher {
    Matcher::Gjson(paths.into_iter().map(|(path, matcher)| (path.into(), matcher.into())).collect())
}

/// More than this number.
pub fn gt(number: impl Into<Value>) -> Matcher {
    Matcher::Numeric(Comparison::Gt, number.into())
}

/// A map with at least one such key.
pub fn have_key(matcher: impl Into<Matcher>) -> Matcher {
    Matcher::HaveKey(Box::new(matcher.into()))
}

/// So many bytes of a text, elements of a list, or keys of a map.
pub fn have_len(length: u32) -> Matcher {
    Matcher::HaveLen(length.into())
}

/// Lines that hold these patterns: `text`, `!text`, `/regexp/`, `!/regexp/`.
pub fn have_patterns<P: Into<String>>(patterns: impl IntoIterator<Item = P>) -> Matcher {
    Matcher::HavePatterns(patterns.into_iter().map(Into::into).collect())
}

/// Text that begins so.
pub fn have_prefix(text: impl Into<String>) -> Matcher {
    Matcher::HavePrefix(text.into())
}

/// Text that ends so.
pub fn have_suffix(text: impl Into<String>) -> Matcher {
    Matcher::HaveSuffix(text.into())
}

/// At most this number.
pub fn le(number: impl Into<Value>) -> Matcher {
    Matcher::Numeric(Comparison::Le, number.into())
}

/// Less than this number.
pub fn lt(number: impl Into<Value>) -> Matcher {
    Matcher::Numeric(Comparison::Lt, number.into())
}

/// Text that a regular expression of Go's dialect finds something in.
pub fn match_regexp(pattern: impl Into<String>) -> Matcher {
    Matcher::MatchRegexp(pattern.into())
}

/// Not so.
pub fn not(matcher: impl Into<Matcher>) -> Matcher {
    Matcher::Not(Box::new(matcher.into()))
}

/// A version, or list of versions, within this range, such as `>=1.0.0 <2.0.0`.
pub fn semver_constraint(range: impl Into<String>) -> Matcher {
    Matcher::SemverConstraint(range.into())
}
