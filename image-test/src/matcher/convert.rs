//! Matchers from the values of gossfiles, and back.

use super::{Comparison, Matcher};
use crate::Value;
use std::collections::BTreeMap;

impl Matcher {
    /// The matcher that a value of a gossfile stands for. What goss refuses is [`Matcher::Invalid`], wherever it stands.
    pub fn from_value(value: &Value) -> Self {
        match value {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => Self::Is(value.clone()),
            Value::List(items) => Self::Has(items.iter().map(Self::from_value).collect()),
            Value::Null => Self::Invalid("Syntax Error: Missing required attribute".into()),
            Value::Map(entries) => match entries.iter().next() {
                Some((name, argument)) if entries.len() == 1 => Self::named(name, argument),
                _ => Self::Invalid(format!(
                    "Syntax Error: Invalid matcher configuration. At a given nesting level, only one matcher is \
                     allowed. Found {}",
                    entries.len()
                )),
            },
        }
    }

    fn named(name: &str, argument: &Value) -> Self {
        let refused = |expected: &str| {
            Self::Invalid(format!("Syntax Error: Invalid '{name}' argument. Expected {expected} value"))
        };
        let text = |matcher: fn(String) -> Self| match argument {
            Value::String(text) => matcher(text.clone()),
            _ => refused("string"),
        };
        let list = |matcher: fn(Vec<Self>) -> Self| match argument {
            Value::List(items) => matcher(items.iter().map(Self::from_value).collect()),
            _ => refused("array"),
        };
        let number = |comparison| match argument {
            Value::Int(number) => Self::Numeric(comparison, *number as f64),
            Value::Float(number) => Self::Numeric(comparison, *number),
            _ => refused("numeric"),
        };
        match name {
            "equal" => Self::Equal(argument.clone()),
            "have-prefix" => text(Self::HavePrefix),
            "have-suffix" => text(Self::HaveSuffix),
            "contain-substring" => text(Self::ContainSubstring),
            "match-regexp" => text(Self::MatchRegexp),
            "semver-constraint" => text(Self::SemverConstraint),
            "ge" => number(Comparison::Ge),
            "gt" => number(Comparison::Gt),
            "le" => number(Comparison::Le),
            "lt" => number(Comparison::Lt),
            "have-len" => match argument {
                Value::Int(length) => usize::try_from(*length).map_or_else(|_| refused("non-negative"), Self::HaveLen),
                _ => refused("numeric"),
            },
            "contain-element" => match argument {
                Value::Bool(_) | Value::List(_) | Value::Null => refused("matcher, string or numeric"),
                argument => Self::ContainElement(Box::new(Self::from_value(argument))),
            },
            "contain-elements" => list(Self::ContainElements),
            "consist-of" => list(Self::ConsistOf),
            "and" => list(Self::And),
            "or" => list(Self::Or),
            "not" => Self::Not(Box::new(Self::from_value(argument))),
            "have-key" => Self::HaveKey(Box::new(Self::from_value(argument))),
            "have-patterns" => match argument {
                Value::List(items) => items
                    .iter()
                    .map(|item| match item {
                        Value::String(text) => Some(text.clone()),
                        _ => None,
                    })
                    .collect::<Option<_>>()
                    .map_or_else(|| refused("array of strings"), Self::HavePatterns),
                _ => refused("array"),
            },
            "gjson" => match argument {
                Value::Map(paths) => {
                    Self::Gjson(paths.iter().map(|(path, value)| (path.clone(), Self::from_value(value))).collect())
                }
                _ => refused("map"),
            },
            "xml" => Self::xml(argument).unwrap_or_else(|| refused("map of xpath and result")),
            _ => Self::Invalid(format!("Syntax Error: Unknown matcher: {name}")),
        }
    }

    fn xml(argument: &Value) -> Option<Self> {
        let Value::Map(entries) = argument else { return None };
        let text = |name| match entries.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            None => Some(String::new()),
            Some(_) => None,
        };
        (entries.keys().all(|key| key == "xpath" || key == "result") && entries.contains_key("xpath"))
            .then(|| Some(Self::Xml { xpath: text("xpath")?, result: text("result")? }))?
    }

    /// The value that stands for it in a gossfile.
    pub fn to_value(&self) -> Value {
        let list = |items: &[Self]| Value::List(items.iter().map(Self::to_value).collect());
        let (name, argument) = match self {
            Self::Is(value) => return value.clone(),
            Self::Has(items) => return list(items),
            Self::Equal(value) => ("equal", value.clone()),
            Self::HavePrefix(text) => ("have-prefix", text.as_str().into()),
            Self::HaveSuffix(text) => ("have-suffix", text.as_str().into()),
            Self::ContainSubstring(text) => ("contain-substring", text.as_str().into()),
            Self::MatchRegexp(text) => ("match-regexp", text.as_str().into()),
            Self::SemverConstraint(text) => ("semver-constraint", text.as_str().into()),
            Self::Numeric(comparison, number) => {
                let name = match comparison {
                    Comparison::Ge => "ge",
                    Comparison::Gt => "gt",
                    Comparison::Le => "le",
                    Comparison::Lt => "lt",
                };
                (name, whole(*number))
            }
            Self::HaveLen(length) => ("have-len", Value::Int(i64::try_from(*length).unwrap_or(i64::MAX))),
            Self::ContainElement(inner) => ("contain-element", inner.to_value()),
            Self::ContainElements(items) => ("contain-elements", list(items)),
            Self::ConsistOf(items) => ("consist-of", list(items)),
            Self::HaveKey(inner) => ("have-key", inner.to_value()),
            Self::HavePatterns(patterns) => ("have-patterns", patterns.clone().into()),
            Self::Not(inner) => ("not", inner.to_value()),
            Self::And(items) => ("and", list(items)),
            Self::Or(items) => ("or", list(items)),
            Self::Gjson(paths) => {
                let paths: BTreeMap<_, _> =
                    paths.iter().map(|(path, matcher)| (path.clone(), matcher.to_value())).collect();
                ("gjson", Value::Map(paths))
            }
            Self::Xml { xpath, result } => {
                let entries =
                    [("xpath".to_owned(), xpath.as_str().into()), ("result".to_owned(), result.as_str().into())];
                ("xml", Value::Map(entries.into()))
            }
            Self::Invalid(_) => return Value::Null,
        };
        Value::Map([(name.to_owned(), argument)].into())
    }
}

/// A number as one writes it: without a fraction where it has none.
fn whole(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.fract() == 0.0 && number.abs() <= EXACT {
        true => Value::Int(number as i64),
        false => Value::Float(number),
    }
}
