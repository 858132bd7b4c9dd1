//! Ranges of semantic versions, by the rules of Go's blang/semver.

use super::MatchError;
use crate::Value;
use ::semver::Version;
use std::cmp::Ordering;

/// Whether a version, or every version of a list, is within a range.
pub(super) fn satisfies(range: &str, actual: &Value) -> Result<bool, MatchError> {
    let alternatives = parse_range(range).ok_or_else(|| MatchError::SemverConstraint(range.to_owned()))?;
    let versions = versions(actual).ok_or_else(|| MatchError::SemverVersion(actual.clone()))?;
    Ok(versions.iter().all(|version| alternatives.iter().any(|bounds| bounds.iter().all(|bound| bound.holds(version)))))
}

fn versions(actual: &Value) -> Option<Vec<Version>> {
    let one = |value: &Value| match value {
        Value::String(text) => Version::parse(text).ok(),
        _ => None,
    };
    match actual {
        Value::List(list) => list.iter().map(one).collect::<Option<Vec<_>>>().filter(|versions| !versions.is_empty()),
        value => one(value).map(|version| vec![version]),
    }
}

#[derive(Clone, Copy)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "=" | "==" => Self::Equal,
            "!" | "!=" => Self::NotEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterEqual,
            "<" => Self::Less,
            "<=" => Self::LessEqual,
            _ => return None,
        })
    }
}

struct Bound {
    operator: Operator,
    version: Version,
}

impl Bound {
    /// Builds do not count.
    fn holds(&self, version: &Version) -> bool {
        let order = version.cmp_precedence(&self.version);
        match self.operator {
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual => order != Ordering::Equal,
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterEqual => order != Ordering::Less,
            Operator::Less => order == Ordering::Less,
            Operator::LessEqual => order != Ordering::Greater,
        }
    }
}

/// Alternatives of bounds that must all hold.
fn parse_range(range: &str) -> Option<Vec<Vec<Bound>>> {
    let words = words(range);
    words
        .split(|word| word == "||")
        .map(|alternative| {
            let mut bounds = Vec::new();
            for word in alternative {
                add_bounds(word, &mut bounds)?;
            }
            (!bounds.is_empty()).then_some(bounds)
        })
        .collect()
}

/// Splits at spaces, except behind an operator. A word of a single character is dropped.
fn words(range: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut last = 0;
    let mut add = |word: Option<&str>| {
        if let Some(word) = word.filter(|word| word.len() > 1) {
            words.push(word.replace(' ', ""));
        }
    };
    for (at, byte) in range.bytes().enumerate() {
        if byte == b' ' && !b"<>=".contains(&last) {
            add(range.get(start..at));
            start = at + 1;
        } else if byte != b' ' {
            last = byte;
        }
    }
    add(range.get(start..));
    words
}

/// Adds the bounds that one word means: one, or two for `1.x` and `!1.x`.
fn add_bounds(word: &str, bounds: &mut Vec<Bound>) -> Option<()> {
    let (operator, version) = word.split_at(word.find(|c: char| c.is_ascii_digit())?);
    let mut add = |operator, version: &str| {
        bounds.push(Bound { operator, version: Version::parse(version).ok()? });
        Some(())
    };
    let operator = Operator::parse(operator)?;
    if !word.contains('x') {
        return add(operator, version);
    }
    let lower = without_wildcard(version);
    let above = above_wildcard(version, &lower);
    match operator {
        Operator::Greater => add(Operator::GreaterEqual, &above?),
        Operator::GreaterEqual => add(Operator::GreaterEqual, &lower),
        Operator::Less => add(Operator::Less, &lower),
        Operator::LessEqual => add(Operator::Less, &above?),
        Operator::Equal => {
            add(Operator::GreaterEqual, &lower)?;
            add(Operator::Less, &above?)
        }
        // Both at once can never hold; so blang/semver has it.
        Operator::NotEqual => {
            add(Operator::Less, &lower)?;
            add(Operator::GreaterEqual, &above?)
        }
    }
}

/// The lowest version a wildcard stands for.
fn without_wildcard(version: &str) -> String {
    let version = version.replacen(".x.x", ".x", 1).replacen(".x", ".0", 1);
    if version.split('.').count() == 2 { version + ".0" } else { version }
}

/// The lowest version above all that a wildcard stands for. `1.x.x` counts as `1.0.x`.
fn above_wildcard(version: &str, lower: &str) -> Option<String> {
    let parts: Vec<_> = version.split('.').collect();
    let raised = match (parts.len(), parts.last()) {
        (2, Some(&"x")) => 0,
        (3, Some(&"x")) => 1,
        _ => return None,
    };
    let mut numbers: Vec<_> = lower.split('.').map(str::to_owned).collect();
    let number = numbers.get_mut(raised)?;
    *number = number.parse::<u64>().ok()?.checked_add(1)?.to_string();
    Some(numbers.join("."))
}
