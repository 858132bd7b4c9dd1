//! `[path,path]` and `{path,"name":path}`: new arrays and objects of several paths.

use super::{Lookup, json::Json, modifier::Special, step::multipath_end};
use crate::matcher::MatchError;

impl Lookup<'_> {
    /// Builds what the multipath that a path begins with describes. What does not exist is left out.
    pub(super) fn multipath<'p>(&self, json: &Json, path: &'p str, depth: usize) -> Result<Special<'p>, MatchError> {
        let Some((inside, rest)) = multipath_end(path).and_then(|end| Some((path.get(1..end - 1)?, path.get(end..)?)))
        else {
            return Ok(None);
        };
        if !rest.is_empty() && !rest.starts_with(['.', '|']) {
            return Ok(None);
        }
        let mut found = Vec::new();
        for (name, path) in selectors(inside) {
            if let Some(value) = self.get(json, path, depth + 1)? {
                found.push((key(name, path), value));
            }
        }
        let built = if path.starts_with('{') {
            Json::Object(found)
        } else {
            Json::Array(found.into_iter().map(|(_, value)| value).collect())
        };
        Ok(Some((Some(built), rest)))
    }
}

/// The key of a value: its name, or the last component of its path.
fn key(name: Option<&str>, path: &str) -> String {
    if let Some(name) = name {
        let quoted = name.starts_with('"').then(|| serde_json::from_str(name).ok()).flatten();
        return quoted.unwrap_or_else(|| name.to_owned());
    }
    let bytes = path.as_bytes();
    let separator = (0..bytes.len())
        .rev()
        .find(|at| matches!(bytes[*at], b'|' | b'.') && at.checked_sub(1).is_none_or(|before| bytes[before] != b'\\'));
    let last = separator.and_then(|at| path.get(at + 1..)).unwrap_or(path);
    let simple = !last.contains(|c: char| c < ' ' || "[]{}()#|!".contains(c));
    if simple { last.to_owned() } else { "_".to_owned() }
}

/// Splits at commas outside of brackets and quotes; a colon before a path ends its name.
fn selectors(inside: &str) -> Vec<(Option<&str>, &str)> {
    let mut selectors = Vec::new();
    let (mut start, mut colon, mut modifier) = (0, None, false);
    let (mut depth, mut quoted) = (0_i32, false);
    let mut add = |start: usize, colon: Option<usize>, end: usize| {
        let path = inside.get(colon.map_or(start, |colon| colon + 1)..end).unwrap_or_default();
        selectors.push((colon.and_then(|colon| inside.get(start..colon)), path));
    };
    let mut bytes = inside.bytes().enumerate();
    let mut before = b',';
    while let Some((at, b)) = bytes.next() {
        match b {
            b'\\' => {
                bytes.next();
            }
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'@' if matches!(before, b'.' | b'|') => modifier = true,
            b':' if depth == 0 && colon.is_none() && !modifier => colon = Some(at),
            b',' if depth == 0 => {
                add(start, colon, at);
                (start, colon, modifier) = (at + 1, None, false);
            }
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => depth -= 1,
            _ => {}
        }
        before = b;
    }
    add(start, colon, inside.len());
    selectors
}
