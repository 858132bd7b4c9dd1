//! The components of a path.

use super::{modifier, query::Query, wildcard};

/// What follows a component.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rest<'p> {
    End,
    /// After a dot.
    Path(&'p str),
    /// After `|`, or a dot before a modifier or multipath.
    Pipe(&'p str),
}

/// What follows a dot.
fn after_dot(rest: &str) -> Rest<'_> {
    if rest.starts_with(['[', '{']) || modifier::is_known(rest) { Rest::Pipe(rest) } else { Rest::Path(rest) }
}

/// A key of an object.
#[derive(Debug)]
pub(super) struct ObjectStep<'p> {
    key: String,
    wild: bool,
    pub(super) rest: Rest<'p>,
}

impl<'p> ObjectStep<'p> {
    pub(super) fn parse(path: &'p str) -> Self {
        let mut step = Self { key: String::new(), wild: false, rest: Rest::End };
        let mut chars = path.char_indices();
        while let Some((at, c)) = chars.next() {
            let rest = path.get(at + 1..).unwrap_or_default();
            match c {
                '|' => {
                    step.rest = Rest::Pipe(rest);
                    return step;
                }
                '.' => {
                    step.rest = after_dot(rest);
                    return step;
                }
                '\\' => step.key.extend(chars.next().map(|(_, escaped)| escaped)),
                c => {
                    step.wild |= matches!(c, '*' | '?');
                    step.key.push(c);
                }
            }
        }
        step
    }

    pub(super) fn matches(&self, key: &str) -> bool {
        if self.wild { wildcard::matches(key, &self.key) } else { self.key == key }
    }
}

/// An index, `#`, or a query of an array.
#[derive(Debug)]
pub(super) struct ArrayStep<'p> {
    pub(super) part: &'p str,
    pub(super) rest: Rest<'p>,
    pub(super) query: Option<Query<'p>>,
    /// The path after `#.`.
    pub(super) each: Option<&'p str>,
}

impl<'p> ArrayStep<'p> {
    pub(super) fn parse(path: &'p str) -> Self {
        let mut step = Self { part: path, rest: Rest::End, query: None, each: path.strip_prefix("#.") };
        let mut start = 0;
        if path.starts_with("#(") || path.starts_with("#[") {
            let (query, len) = Query::parse(path);
            step.query = Some(query);
            start = len;
        }
        let hash = path.starts_with('#');
        if let Some((at, c)) =
            path.char_indices().skip_while(|(at, _)| *at < start).find(|(_, c)| matches!(c, '|' | '.'))
        {
            let rest = path.get(at + 1..).unwrap_or_default();
            step.part = path.get(..at).unwrap_or_default();
            step.rest = match c {
                '|' => Rest::Pipe(rest),
                _ if hash || step.part.contains('#') => Rest::Path(rest),
                _ => after_dot(rest),
            };
        }
        step
    }

    pub(super) fn index(&self) -> Option<usize> {
        let digits = !self.part.is_empty() && self.part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| self.part.parse().ok()).flatten()
    }
}

/// Splits a path at its first pipe that is not within a query.
pub(super) fn split_pipe(path: &str) -> Option<(&str, &str)> {
    if path.starts_with('{') {
        let end = multipath_end(path)?;
        return path.get(end..)?.strip_prefix('|').map(|right| (&path[..end], right));
    }
    let bytes = path.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'.' if path[at + 1..].starts_with("#(") || path[at + 1..].starts_with("#[") => {
                at = at + 1 + Query::parse(path.get(at + 1..)?).1;
                continue;
            }
            b'|' => return Some((path.get(..at)?, path.get(at + 1..)?)),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the brackets that a text begins with are closed, past quoted text.
pub(super) fn multipath_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, b)) = bytes.next() {
        match b {
            b'\\' => {
                bytes.next();
            }
            b'"' => quoted = !quoted,
            b'[' | b'{' | b'(' if !quoted => depth += 1,
            b']' | b'}' | b')' if !quoted => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}
