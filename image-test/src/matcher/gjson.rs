//! gjson paths: what Go's gjson finds in JSON.
//!
//! Keys, indexes, wildcards, `#`, queries, pipes, modifiers, multipaths and literals are supported. The modifiers
//! `@group` and `@dig`, and `@tostr` of lists and objects, are errors rather than silently something else.

mod json;
mod modifier;
mod multipath;
mod query;
mod step;
#[cfg(test)]
mod tests;
mod wildcard;

pub(super) use json::{Json, parse};

use super::MatchError;
use crate::Value;
use std::cell::Cell;
use step::{ArrayStep, ObjectStep, Rest};

/// Paths within paths.
const MAX_DEPTH: usize = 100;
/// Values that a path may copy on its way.
const MAX_COPIES: usize = 5_000_000;

/// The value at a path.
///
/// # Errors
/// A path that leads nowhere, is not supported or takes too long.
pub(super) fn get(document: &Json, path: &str) -> Result<Value, MatchError> {
    let lookup = Lookup { path, copies: Cell::new(MAX_COPIES) };
    match lookup.get(document, path, 0)? {
        Some(found) => Ok(found.into()),
        None => Err(MatchError::JsonPath(path.to_owned())),
    }
}

type Found = Result<Option<Json>, MatchError>;

/// One value being looked up.
struct Lookup<'p> {
    path: &'p str,
    copies: Cell<usize>,
}

impl Lookup<'_> {
    fn unsupported<T>(&self, reason: &'static str) -> Result<T, MatchError> {
        Err(MatchError::JsonPathUnsupported { path: self.path.to_owned(), reason })
    }

    fn copy(&self, json: &Json) -> Result<Json, MatchError> {
        match self.copies.get().checked_sub(json.size()) {
            Some(left) => self.copies.set(left),
            None => return self.unsupported("it collects too many values"),
        }
        Ok(json.clone())
    }

    /// A path from its beginning, where modifiers and multipaths may stand.
    fn get(&self, json: &Json, path: &str, depth: usize) -> Found {
        if depth > MAX_DEPTH {
            return self.unsupported("it is nested too deeply");
        }
        if path.len() > 1 {
            let special = match path.as_bytes().first() {
                Some(b'@') => self.modified(json, path)?,
                Some(b'!') => modifier::literal(path),
                Some(b'[' | b'{') => self.multipath(json, path, depth)?,
                _ => None,
            };
            if let Some((value, rest)) = special {
                return match rest.strip_prefix(['.', '|']) {
                    Some(rest) => value.map_or(Ok(None), |value| self.get(&value, rest, depth + 1)),
                    None => Ok(value),
                };
            }
        }
        let mut pipe = None;
        let found = self.descend(json, path, &mut pipe, depth)?;
        match (found, pipe) {
            (Some(found), Some(pipe)) => self.get(&found, &pipe, depth + 1),
            (found, _) => Ok(found),
        }
    }

    /// A path that goes on within an object or array. A pipe on the way is left to whoever began the path.
    fn descend(&self, json: &Json, path: &str, pipe: &mut Option<String>, depth: usize) -> Found {
        match json {
            Json::Object(entries) => self.object(entries, path, pipe, depth),
            Json::Array(elements) => self.array(elements, path, pipe, depth),
            _ => Ok(None),
        }
    }

    fn object(&self, entries: &[(String, Json)], path: &str, pipe: &mut Option<String>, depth: usize) -> Found {
        let step = ObjectStep::parse(path);
        if let Rest::Pipe(rest) = step.rest {
            *pipe = Some(rest.to_owned());
        }
        for (_, value) in entries.iter().filter(|(key, _)| step.matches(key)) {
            let found = match step.rest {
                Rest::Path(rest) => self.descend(value, rest, pipe, depth)?,
                Rest::Pipe(_) | Rest::End => Some(self.copy(value)?),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn array(&self, elements: &[Json], path: &str, pipe: &mut Option<String>, depth: usize) -> Found {
        let step = ArrayStep::parse(path);
        if let Rest::Pipe(rest) = step.rest {
            *pipe = Some(rest.to_owned());
        }
        if let Some(query) = &step.query {
            return self.query(elements, query, step.rest, pipe, depth);
        }
        if step.part == "#" {
            return Ok(Some(match step.each {
                None => Json::count(elements.len()),
                Some(path) => self.each(elements, path, pipe, depth)?,
            }));
        }
        let Some(element) = step.index().and_then(|index| elements.get(index)) else { return Ok(None) };
        match step.rest {
            Rest::Path(rest) => self.descend(element, rest, pipe, depth),
            Rest::Pipe(_) | Rest::End => self.copy(element).map(Some),
        }
    }

    /// `#.path`: the values at a path of each element, as far as they exist.
    fn each(&self, elements: &[Json], path: &str, pipe: &mut Option<String>, depth: usize) -> Result<Json, MatchError> {
        let path = match step::split_pipe(path) {
            Some((left, right)) => {
                *pipe = Some(right.to_owned());
                left
            }
            None => path,
        };
        let mut found = Vec::new();
        for element in elements {
            found.extend(self.get(element, path, depth + 1)?);
        }
        Ok(Json::Array(found))
    }

    /// `#(condition)`, or `#(condition)#` for all elements it holds for.
    fn query(
        &self,
        elements: &[Json],
        query: &query::Query<'_>,
        rest: Rest<'_>,
        pipe: &mut Option<String>,
        depth: usize,
    ) -> Found {
        let mut all = Vec::new();
        for element in elements {
            let value = match element {
                Json::Object(_) | Json::Array(_) => self.get(element, query.path, depth + 1)?,
                _ if !query.path.is_empty() => continue,
                scalar => Some(scalar.clone()),
            };
            if !query.holds(value) {
                continue;
            }
            let found = match rest {
                Rest::Path(path) => {
                    let path = match step::split_pipe(path) {
                        Some((left, right)) => {
                            *pipe = Some(right.to_owned());
                            left
                        }
                        None => path,
                    };
                    self.get(element, path, depth + 1)?
                }
                Rest::Pipe(_) | Rest::End => Some(self.copy(element)?),
            };
            if !query.all {
                return Ok(found);
            }
            all.extend(found);
        }
        Ok(query.all.then_some(Json::Array(all)))
    }
}
