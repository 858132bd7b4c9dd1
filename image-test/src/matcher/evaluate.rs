//! Whether a value matches.

use super::{
    Comparison, MatchError, Matcher,
    assignment::{Assignment, assign},
    form::MAX_DEPTH,
    gjson, number, patterns, semver, transform, translate, xml,
};
use crate::{Compat, Value};
use std::{cell::RefCell, collections::HashMap};

/// What a value is beside what it looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Nature {
    /// A value like any other.
    Value,
    /// A list that Go knows to hold strings only.
    Strings,
    /// Text that had so many bytes before it was made UTF-8.
    Text { bytes: usize },
}

/// A value that a matcher is tried on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actual<'a> {
    pub(super) value: &'a Value,
    pub(super) nature: Nature,
    depth: usize,
}

impl<'a> Actual<'a> {
    pub(super) fn new(value: &'a Value, nature: Nature) -> Self {
        Self { value, nature, depth: 0 }
    }

    /// The same value, tried on an inner matcher.
    pub(super) fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// Another value, made of this one.
    pub(super) fn part<'b>(self, value: &'b Value) -> Actual<'b> {
        Actual { value, nature: Nature::Value, depth: self.depth + 1 }
    }
}

/// Trying one matcher on one value.
pub(super) struct Evaluation {
    pub(super) compat: Compat,
    /// An expression is compiled once, however many elements it is tried on.
    regexes: RefCell<HashMap<String, regex::Regex>>,
}

impl Evaluation {
    pub(super) fn new(compat: Compat) -> Self {
        Self { compat, regexes: RefCell::default() }
    }

    /// Whether the value matches.
    pub(super) fn test(&self, matcher: &Matcher, actual: Actual<'_>) -> Result<bool, MatchError> {
        if actual.depth > 2 * MAX_DEPTH {
            return Err(MatchError::TooDeep { limit: 2 * MAX_DEPTH });
        }
        let text = || transform::to_string(actual.value);
        Ok(match matcher {
            Matcher::Is(value) => match value {
                Value::String(expected) => text() == expected.as_str(),
                Value::Bool(_) => transform::same(actual.value, value),
                Value::Int(_) | Value::Float(_) => {
                    number::compare(&self.numeric(actual)?, value).is_some_and(|order| order.is_eq())
                }
                Value::Null | Value::List(_) | Value::Map(_) => {
                    return self.test(&Matcher::from_value(value), actual.deeper());
                }
            },
            Matcher::Equal(expected) => self.equal(expected, actual)?,
            Matcher::HavePrefix(prefix) => text().starts_with(prefix.as_str()),
            Matcher::HaveSuffix(suffix) => text().ends_with(suffix.as_str()),
            Matcher::ContainSubstring(part) => text().contains(part.as_str()),
            Matcher::MatchRegexp(pattern) => self.regex_matches(pattern, &text())?,
            Matcher::Numeric(comparison, expected) => {
                let actual = self.numeric(actual)?;
                if !matches!(expected, Value::Int(_) | Value::Float(_)) {
                    return Err(MatchError::NotANumber(expected.clone()));
                }
                number::compare(&actual, expected).is_some_and(|order| match comparison {
                    Comparison::Ge => order.is_ge(),
                    Comparison::Gt => order.is_gt(),
                    Comparison::Le => order.is_le(),
                    Comparison::Lt => order.is_lt(),
                })
            }
            Matcher::HaveLen(expected) => length(actual)? as i128 == i128::from(*expected),
            Matcher::ContainElement(element) => self.contains(element, actual)?,
            Matcher::Has(expected) => {
                self.assignment("contain-elements", expected, actual.value, actual)?.has_all_expected()
            }
            Matcher::ContainElements(expected) => self
                .assignment("contain-elements", expected, &transform::to_array(actual.value), actual)?
                .has_all_expected(),
            Matcher::ConsistOf(expected) => {
                let assignment = self.assignment("consist-of", expected, actual.value, actual)?;
                assignment.has_all_expected() && assignment.has_all_actual()
            }
            Matcher::HaveKey(key) => match actual.value {
                Value::Map(map) => {
                    any(map.keys().map(|name| self.test(key, actual.part(&Value::from(name.as_str())))))?
                }
                other => return Err(wrong_type("have-key", "a map", other)),
            },
            Matcher::HavePatterns(expected) => patterns::search(expected, &text(), self.compat)?.passed(),
            Matcher::Not(inner) => !self.test(inner, actual.deeper())?,
            Matcher::And(all) => self.first_failing(all, actual)?.is_none(),
            Matcher::Or(some) => any(some.iter().map(|matcher| self.test(matcher, actual.deeper())))?,
            Matcher::SemverConstraint(range) => semver::satisfies(range, actual.value)?,
            Matcher::Gjson(paths) => {
                // Without a path, goss does not even look at the text.
                if paths.is_empty() {
                    return Ok(true);
                }
                let document = self.json(actual)?;
                for (path, inner) in paths {
                    if !self.test(inner, actual.part(&gjson::get(&document, path)?))? {
                        return Ok(false);
                    }
                }
                true
            }
            Matcher::Xml { xpath, result } => match actual.value {
                Value::String(document) => xml::test(document, xpath, result, self.compat)?,
                other => return Err(wrong_type("xml", "a string", other)),
            },
            Matcher::Invalid(message) => return Err(MatchError::Invalid(message.clone())),
        })
    }

    fn equal(&self, expected: &Value, actual: Actual<'_>) -> Result<bool, MatchError> {
        match self.compat {
            _ if *expected == Value::Null && *actual.value == Value::Null => Err(MatchError::Null),
            // Go never finds a list of strings equal to a list of anything.
            Compat::Goss => Ok(actual.nature != Nature::Strings && transform::same(actual.value, expected)),
            // A number is a number, whether JSON, YAML or the system gave it.
            Compat::Fixed => Ok(transform::alike(actual.value, expected)),
        }
    }

    pub(super) fn numeric(&self, actual: Actual<'_>) -> Result<Value, MatchError> {
        transform::to_numeric(actual.value, actual.nature == Nature::Strings)
            .ok_or_else(|| MatchError::NotANumber(actual.value.clone()))
    }

    fn regex_matches(&self, pattern: &str, text: &str) -> Result<bool, MatchError> {
        let mut regexes = self.regexes.borrow_mut();
        if let Some(regex) = regexes.get(pattern) {
            return Ok(regex.is_match(text));
        }
        let regex = translate(pattern)?;
        let matches = regex.is_match(text);
        regexes.insert(pattern.to_owned(), regex);
        Ok(matches)
    }

    /// At least one element. An error of one matters only when no other matches.
    fn contains(&self, element: &Matcher, actual: Actual<'_>) -> Result<bool, MatchError> {
        let list = transform::to_array(actual.value);
        let mut last_error = None;
        for value in elements(&list).ok_or_else(|| wrong_type("contain-element", "a list or map", actual.value))? {
            match self.test(element, actual.part(value)) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => last_error = Some(error),
            }
        }
        last_error.map_or(Ok(false), Err)
    }

    /// Gives each expected element an actual one of its own. One that cannot be compared does not match.
    pub(super) fn assignment(
        &self,
        name: &'static str,
        expected: &[Matcher],
        list: &Value,
        actual: Actual<'_>,
    ) -> Result<Assignment, MatchError> {
        let values = elements(list).ok_or_else(|| wrong_type(name, "a list or map", list))?;
        let fits: Vec<Vec<usize>> = expected
            .iter()
            .map(|matcher| {
                let fitting = values
                    .iter()
                    .enumerate()
                    .filter(|(_, value)| self.test(matcher, actual.part(value)).unwrap_or(false));
                fitting.map(|(at, _)| at).collect()
            })
            .collect();
        Ok(assign(&fits, values.len()))
    }

    pub(super) fn first_failing<'m>(
        &self,
        all: &'m [Matcher],
        actual: Actual<'_>,
    ) -> Result<Option<&'m Matcher>, MatchError> {
        for matcher in all {
            if !self.test(matcher, actual.deeper())? {
                return Ok(Some(matcher));
            }
        }
        Ok(None)
    }

    pub(super) fn json(&self, actual: Actual<'_>) -> Result<gjson::Json, MatchError> {
        match actual.value {
            Value::String(text) => gjson::parse(text),
            other => Err(wrong_type("gjson", "a string", other)),
        }
    }
}

/// Whether one of these is true; an error before it is an error.
fn any(mut tests: impl Iterator<Item = Result<bool, MatchError>>) -> Result<bool, MatchError> {
    tests.find(|test| !matches!(test, Ok(false))).unwrap_or(Ok(false))
}

/// The elements of a list, or the values of a map.
pub(super) fn elements(value: &Value) -> Option<Vec<&Value>> {
    match value {
        Value::List(list) => Some(list.iter().collect()),
        Value::Map(map) => Some(map.values().collect()),
        _ => None,
    }
}

fn length(actual: Actual<'_>) -> Result<usize, MatchError> {
    match (actual.value, actual.nature) {
        (_, Nature::Text { bytes }) => Ok(bytes),
        (Value::String(text), _) => Ok(text.len()),
        (Value::List(list), _) => Ok(list.len()),
        (Value::Map(map), _) => Ok(map.len()),
        (other, _) => Err(wrong_type("have-len", "a string, list or map", other)),
    }
}

fn wrong_type(matcher: &'static str, expected: &'static str, actual: &Value) -> MatchError {
    MatchError::Type { matcher, expected, actual: actual.clone() }
}
