//! Matchers as they are written in gossfiles.

use super::{Comparison, Matcher, transform};
use crate::Value;
use std::collections::BTreeMap;

/// Matchers within matchers. A gossfile needs a handful.
pub(super) const MAX_DEPTH: usize = 64;

type Parsed = Result<Matcher, String>;

impl Matcher {
    /// The matcher that a value of a gossfile means. What goss would find wrong with it makes it
    /// [`Invalid`](Self::Invalid), with goss's message.
    pub fn from_value(value: &Value) -> Self {
        parse(value, 0).unwrap_or_else(Self::Invalid)
    }

    /// The value that means this matcher in a gossfile. An [`Invalid`](Self::Invalid) one gives nothing, since its
    /// value is not known any more.
    pub fn to_value(&self) -> Value {
        let list = |matchers: &[Self]| Value::List(matchers.iter().map(Self::to_value).collect());
        let (name, argument) = match self {
            Self::Is(value) => return value.clone(),
            Self::Has(matchers) => return list(matchers),
            Self::Invalid(_) => return Value::Null,
            Self::Equal(value) => ("equal", value.clone()),
            Self::HavePrefix(text) => ("have-prefix", text.as_str().into()),
            Self::HaveSuffix(text) => ("have-suffix", text.as_str().into()),
            Self::ContainSubstring(text) => ("contain-substring", text.as_str().into()),
            Self::MatchRegexp(text) => ("match-regexp", text.as_str().into()),
            Self::Numeric(comparison, number) => (comparison.name(), number.clone()),
            Self::HaveLen(length) => ("have-len", (*length).into()),
            Self::ContainElement(matcher) => ("contain-element", matcher.to_value()),
            Self::ContainElements(matchers) => ("contain-elements", list(matchers)),
            Self::ConsistOf(matchers) => ("consist-of", list(matchers)),
            Self::HaveKey(matcher) => ("have-key", matcher.to_value()),
            Self::HavePatterns(patterns) => ("have-patterns", patterns.clone().into()),
            Self::Not(matcher) => ("not", matcher.to_value()),
            Self::And(matchers) => ("and", list(matchers)),
            Self::Or(matchers) => ("or", list(matchers)),
            Self::SemverConstraint(range) => ("semver-constraint", range.as_str().into()),
            Self::Gjson(paths) => {
                let paths = paths.iter().map(|(path, matcher)| (path.clone(), matcher.to_value()));
                ("gjson", Value::Map(paths.collect()))
            }
            Self::Xml { xpath, result } => {
                let settings = [("xpath", xpath), ("result", result)];
                ("xml", Value::Map(settings.map(|(key, text)| (key.to_owned(), text.as_str().into())).into()))
            }
        };
        named(name, argument)
    }

    /// How goss prints the matcher as a part of what was expected: without the names of what a bare value means.
    pub(super) fn shown(&self) -> Value {
        let list = |matchers: &[Self]| Value::List(matchers.iter().map(Self::shown).collect());
        match self {
            Self::Equal(value) => value.clone(),
            Self::Is(number @ (Value::Int(_) | Value::Float(_))) => named("eq", number.clone()),
            Self::Has(matchers) | Self::ContainElements(matchers) => named("contain-elements", list(matchers)),
            Self::ConsistOf(matchers) => named("consist-of", list(matchers)),
            Self::ContainElement(matcher) => named("contain-element", matcher.shown()),
            Self::HaveKey(matcher) => named("have-key", matcher.shown()),
            Self::Not(matcher) => named("not", matcher.shown()),
            Self::And(matchers) => match matchers.as_slice() {
                [only] => only.shown(),
                matchers => named("and", list(matchers)),
            },
            Self::Or(matchers) => named("or", list(matchers)),
            Self::Gjson(paths) => {
                let mut shown: Vec<_> = paths.values().map(Self::shown).collect();
                if shown.len() == 1 { shown.remove(0) } else { named("and", Value::List(shown)) }
            }
            matcher => matcher.to_value(),
        }
    }
}

impl Comparison {
    /// Its name in a gossfile.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ge => "ge",
            Self::Gt => "gt",
            Self::Le => "le",
            Self::Lt => "lt",
        }
    }
}

/// A map of one entry.
pub(super) fn named(name: &str, argument: Value) -> Value {
    Value::Map(BTreeMap::from([(name.to_owned(), argument)]))
}

fn parse(value: &Value, depth: usize) -> Parsed {
    if depth > MAX_DEPTH {
        return Err(format!("Syntax Error: matchers are nested more than {MAX_DEPTH} levels deep"));
    }
    match value {
        Value::Null => Err("Syntax Error: Missing required attribute".to_owned()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => Ok(Matcher::Is(value.clone())),
        Value::List(items) => parse_all(items, depth).map(Matcher::Has),
        Value::Map(map) => {
            let mut entries = map.iter();
            match (entries.next(), entries.next()) {
                (Some((name, argument)), None) => parse_named(name, argument, depth),
                (None, _) => {
                    Err("Syntax Error: Invalid matcher configuration. The map of a matcher is empty".to_owned())
                }
                _ => Err(format!(
                    "Syntax Error: Invalid matcher configuration. At a given nesting level, only one matcher is allowed. \
                     Found multiple matchers: {:?}",
                    map.keys().collect::<Vec<_>>()
                )),
            }
        }
    }
}

fn parse_all(items: &[Value], depth: usize) -> Result<Vec<Matcher>, String> {
    items.iter().map(|item| parse(item, depth + 1)).collect()
}

fn parse_named(name: &str, argument: &Value, depth: usize) -> Parsed {
    let wrong = |expected: &str| {
        let found = transform::display(argument);
        format!("Syntax Error: Invalid '{name}' argument. Expected {expected} value, but received: {found:?}")
    };
    let text = || match argument {
        Value::String(text) => Ok(text.clone()),
        _ => Err(wrong("string")),
    };
    let list = || match argument {
        Value::List(items) => parse_all(items, depth),
        _ => Err(wrong("array")),
    };
    let number = || match argument {
        Value::Int(_) | Value::Float(_) => Ok(argument.clone()),
        _ => Err(wrong("numeric")),
    };
    let map = || match argument {
        Value::Map(map) => Ok(map),
        _ => Err(wrong("map")),
    };
    let inner = || parse(argument, depth + 1).map(Box::new);
    Ok(match name {
        "equal" => Matcher::Equal(argument.clone()),
        "have-prefix" => Matcher::HavePrefix(text()?),
        "have-suffix" => Matcher::HaveSuffix(text()?),
        "contain-substring" => Matcher::ContainSubstring(text()?),
        "match-regexp" => Matcher::MatchRegexp(text()?),
        "semver-constraint" => Matcher::SemverConstraint(text()?),
        "ge" => Matcher::Numeric(Comparison::Ge, number()?),
        "gt" => Matcher::Numeric(Comparison::Gt, number()?),
        "le" => Matcher::Numeric(Comparison::Le, number()?),
        "lt" => Matcher::Numeric(Comparison::Lt, number()?),
        "have-len" => Matcher::HaveLen(match argument {
            Value::Int(length) => *length,
            #[expect(clippy::cast_possible_truncation, reason = "goss drops the fraction too")]
            Value::Float(length) => *length as i64,
            _ => return Err(wrong("numeric")),
        }),
        "have-patterns" => match argument {
            Value::List(items) => Matcher::HavePatterns(items.iter().map(pattern).collect::<Result<_, _>>()?),
            _ => return Err(wrong("array")),
        },
        "have-key" => Matcher::HaveKey(inner()?),
        "contain-element" => match argument {
            Value::Map(_) | Value::String(_) | Value::Int(_) | Value::Float(_) => Matcher::ContainElement(inner()?),
            _ => return Err(wrong("matcher, string or numeric")),
        },
        "contain-elements" => Matcher::ContainElements(list()?),
        "consist-of" => Matcher::ConsistOf(list()?),
        "not" => Matcher::Not(inner()?),
        "and" => Matcher::And(list()?),
        "or" => Matcher::Or(list()?),
        "gjson" => {
            let paths = map()?.iter().map(|(path, value)| Ok((path.clone(), parse(value, depth + 1)?)));
            Matcher::Gjson(paths.collect::<Result<_, String>>()?)
        }
        "xml" => {
            let map = map()?;
            match (map.get("xpath"), map.get("result"), map.len()) {
                (Some(xpath), Some(result), 2) => Matcher::Xml {
                    xpath: transform::display(xpath).into_owned(),
                    result: transform::display(result).into_owned(),
                },
                _ => return Err(wrong("map of xpath and result")),
            }
        }
        _ => return Err(format!("Syntax Error: Unknown matcher: {name}")),
    })
}

fn pattern(item: &Value) -> Result<String, String> {
    match item {
        Value::String(pattern) => Ok(pattern.clone()),
        other => {
            Err(format!("HavePatterns matcher expects patterns to be a string. got: {}", transform::display(other)))
        }
    }
}
