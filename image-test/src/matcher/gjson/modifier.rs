//! `@modifiers` and `!literals`.

use super::{Lookup, json::Json, step::multipath_end};
use crate::matcher::{MatchError, number};

const MODIFIERS: [&str; 13] = [
    "dig", "flatten", "fromstr", "group", "join", "keys", "pretty", "reverse", "this", "tostr", "ugly", "valid",
    "values",
];

/// A value, and the path that is left.
pub(super) type Special<'p> = Option<(Option<Json>, &'p str)>;

/// Whether a path begins with a modifier. Any other `@name` is a key.
pub(super) fn is_known(path: &str) -> bool {
    path.strip_prefix('@').is_some_and(|rest| MODIFIERS.contains(&name(rest)))
}

fn name(rest: &str) -> &str {
    rest.split([':', '|', '.']).next().unwrap_or_default()
}

/// `!"text"`, `!5`, `!true`.
pub(super) fn literal(path: &str) -> Special<'_> {
    let text = path.strip_prefix('!')?;
    let end = match text.as_bytes().first()? {
        b'[' | b'{' => multipath_end(text)?,
        b'"' => quoted_end(text)?,
        _ => text.find(['.', '|']).unwrap_or(text.len()),
    };
    let (text, rest) = text.split_at_checked(end)?;
    Some((serde_json::from_str(text).ok(), rest))
}

fn quoted_end(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, b)) = bytes.next() {
        match b {
            b'\\' => {
                bytes.next();
            }
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// What follows the name of a modifier: its argument, and the path that is left.
fn argument(rest: &str) -> (&str, &str) {
    let Some(rest) = rest.strip_prefix(':') else { return ("", rest) };
    let end = match rest.as_bytes().first() {
        Some(b'[' | b'{') => multipath_end(rest),
        Some(b'"') => quoted_end(rest),
        _ => rest.find('|'),
    };
    rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""))
}

/// Whether an argument such as `{"deep": true}` sets an option.
fn has_option(argument: &str, option: &str) -> bool {
    match serde_json::from_str(argument) {
        Ok(Json::Object(entries)) => entries.iter().any(|(key, value)| key == option && *value == Json::Bool(true)),
        _ => false,
    }
}

impl Lookup<'_> {
    /// Applies the modifier that a path begins with.
    pub(super) fn modified<'p>(&self, json: &Json, path: &'p str) -> Result<Special<'p>, MatchError> {
        if !is_known(path) {
            return Ok(None);
        }
        let rest = path.get(1..).unwrap_or_default();
        let name = name(rest);
        let (argument, rest) = argument(rest.get(name.len()..).unwrap_or_default());
        let json = self.copy(json)?;
        let modified = match (name, json) {
            ("flatten", Json::Array(elements)) => {
                Json::Array(if has_option(argument, "deep") { flatten_all(elements) } else { flatten(elements) })
            }
            ("fromstr", Json::String(text)) => return Ok(Some((serde_json::from_str(&text).ok(), rest))),
            ("join", Json::Array(elements)) => Json::Object(join(elements, has_option(argument, "preserve"))),
            ("keys", Json::Object(entries)) => {
                Json::Array(entries.into_iter().map(|(key, _)| Json::String(key)).collect())
            }
            ("keys", Json::Array(elements)) => Json::Array(vec![Json::Null; elements.len()]),
            ("keys", _) => Json::Array(vec![Json::Null]),
            ("reverse", Json::Array(mut elements)) => {
                elements.reverse();
                Json::Array(elements)
            }
            ("reverse", Json::Object(mut entries)) => {
                entries.reverse();
                Json::Object(entries)
            }
            ("tostr", Json::Array(_) | Json::Object(_)) => {
                return self.unsupported("`@tostr` of a list or an object is not supported");
            }
            ("tostr", scalar) => Json::String(written(&scalar)),
            ("values", Json::Object(entries)) => Json::Array(entries.into_iter().map(|(_, value)| value).collect()),
            ("values", Json::Array(elements)) => Json::Array(elements),
            ("values", scalar) => Json::Array(vec![scalar]),
            ("dig" | "group", _) => return self.unsupported("the modifiers `@dig` and `@group` are not supported"),
            (_, json) => json,
        };
        Ok(Some((Some(modified), rest)))
    }
}

/// A plain value as JSON.
fn written(scalar: &Json) -> String {
    match scalar {
        Json::Bool(bool) => bool.to_string(),
        Json::Number(float) => number::format(*float),
        Json::String(text) => serde_json::Value::from(text.as_str()).to_string(),
        _ => "null".to_owned(),
    }
}

fn flatten(elements: Vec<Json>) -> Vec<Json> {
    let each = elements.into_iter().flat_map(|element| match element {
        Json::Array(inner) => inner,
        other => vec![other],
    });
    each.collect()
}

fn flatten_all(elements: Vec<Json>) -> Vec<Json> {
    let each = elements.into_iter().flat_map(|element| match element {
        Json::Array(inner) => flatten_all(inner),
        other => vec![other],
    });
    each.collect()
}

/// Joins objects into one. The last value of a key wins, at the place of the first.
fn join(elements: Vec<Json>, preserve: bool) -> Vec<(String, Json)> {
    let mut joined: Vec<(String, Json)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (key, value) in elements.into_iter().flat_map(|element| match element {
        Json::Object(entries) => entries,
        _ => Vec::new(),
    }) {
        match places.get(&key).and_then(|place: &usize| joined.get_mut(*place)) {
            Some(entry) if !preserve => entry.1 = value,
            _ => {
                places.entry(key.clone()).or_insert(joined.len());
                joined.push((key, value));
            }
        }
    }
    joined
}
