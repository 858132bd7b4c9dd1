//! Conditions on the elements of an array.

use super::{json::Json, wildcard};
use std::borrow::Cow;

/// `#(path operator value)`.
#[derive(Debug)]
pub(super) struct Query<'p> {
    pub(super) path: &'p str,
    operator: &'p str,
    value: Cow<'p, str>,
    /// Whether a second `#` asks for all elements.
    pub(super) all: bool,
}

const OPERATORS: [&str; 9] = ["!=", "!%", "<=", ">=", "==", "<", ">", "=", "%"];

impl<'p> Query<'p> {
    /// Reads a query from `#(` on, and how long it is. One that is not closed asks for any plain value.
    pub(super) fn parse(text: &'p str) -> (Self, usize) {
        let mut query = Self { path: "", operator: "", value: "".into(), all: false };
        let Some((comparison, end, escaped)) = bounds(text) else { return (query, text.len()) };
        query.all = text.get(end + 1..).is_some_and(|rest| rest.starts_with('#'));
        let trim = |text: &'p str| text.trim_matches(|c: char| c <= ' ');
        query.path = trim(text.get(2..comparison.unwrap_or(end)).unwrap_or_default());
        if let Some(at) = comparison {
            let condition = trim(text.get(at..end).unwrap_or_default());
            query.operator =
                OPERATORS.into_iter().find(|operator| condition.starts_with(operator)).unwrap_or(condition);
            let value = trim(condition.get(query.operator.len()..).unwrap_or_default());
            query.value = match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
                None => value.into(),
                Some(quoted) if !escaped => quoted.into(),
                Some(quoted) => serde_json::from_str(value).map_or_else(|_| quoted.into(), Cow::Owned),
            };
        }
        (query, end + 1)
    }

    /// Whether the condition holds for the value at the path.
    pub(super) fn holds(&self, value: Option<Json>) -> bool {
        let (value, expected) = match self.value.strip_prefix('~') {
            None => (value, self.value.as_ref()),
            Some(kind) => {
                let truth = match kind {
                    "*" => value.is_some(),
                    "null" => matches!(value, None | Some(Json::Null)),
                    "true" => truth(value.as_ref()) == Some(true),
                    "false" => truth(value.as_ref()) == Some(false),
                    _ => return false,
                };
                (Some(Json::Bool(truth)), "true")
            }
        };
        let Some(value) = value else { return false };
        if self.operator.is_empty() {
            return true;
        }
        let order = match &value {
            Json::String(text) => match self.operator {
                "%" => return wildcard::matches(text, expected),
                "!%" => return !wildcard::matches(text, expected),
                _ => Some(text.as_str().cmp(expected)),
            },
            Json::Number(number) => {
                if self.operator.ends_with('%') {
                    return false;
                }
                number.partial_cmp(&expected.parse::<f64>().unwrap_or(0.0))
            }
            Json::Bool(bool) => {
                // Only `true` and `false` have an order among each other; the weak comparisons of the end hold always.
                return match (self.operator, bool) {
                    ("=" | "==", bool) => expected == bool.to_string(),
                    ("!=", bool) => expected != bool.to_string(),
                    (">", true) => expected == "false",
                    ("<", false) => expected == "true",
                    (">=", true) | ("<=", false) => true,
                    _ => false,
                };
            }
            Json::Null | Json::Array(_) | Json::Object(_) => return false,
        };
        match self.operator {
            "=" | "==" => order.is_some_and(|order| order.is_eq()),
            "!=" => order.is_none_or(|order| order.is_ne()),
            "<" => order.is_some_and(|order| order.is_lt()),
            "<=" => order.is_some_and(|order| order.is_le()),
            ">" => order.is_some_and(|order| order.is_gt()),
            ">=" => order.is_some_and(|order| order.is_ge()),
            _ => false,
        }
    }
}

/// What a value is as a boolean, if anything. Nothing is false.
fn truth(value: Option<&Json>) -> Option<bool> {
    match value {
        None | Some(Json::Null) => Some(false),
        Some(Json::Bool(bool)) => Some(*bool),
        Some(Json::Number(number)) => Some(*number != 0.0),
        Some(Json::String(text)) => match text.to_lowercase().as_str() {
            "1" | "t" | "true" => Some(true),
            "0" | "f" | "false" => Some(false),
            _ => None,
        },
        Some(Json::Array(_) | Json::Object(_)) => None,
    }
}

/// Where the comparison begins, where the query ends, and whether quoted text has escapes.
fn bounds(text: &str) -> Option<(Option<usize>, usize, bool)> {
    let bytes = text.as_bytes();
    let mut comparison = None;
    let mut escaped = false;
    let mut depth = 1_usize;
    let mut at = 2;
    while at < bytes.len() {
        match bytes[at] {
            b'!' | b'=' | b'<' | b'>' | b'%' if depth == 1 && comparison.is_none() => comparison = Some(at),
            b'\\' => at += 1,
            b'[' | b'(' => depth += 1,
            b']' | b')' => {
                depth -= 1;
                if depth == 0 {
                    return Some((comparison, at, escaped));
                }
            }
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    if bytes[at] == b'\\' {
                        escaped = true;
                        at += 1;
                    }
                    at += 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}
