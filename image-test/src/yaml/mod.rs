//! YAML as Go's `yaml.v3` decodes it, and JSON, as a tree that knows where everything is written.

mod base64;
mod compose;
mod emit;
mod indented;
mod json;
mod scalar;
#[cfg(test)]
mod tests;
mod timestamp;

use crate::{Compat, Position, Value};
use std::{collections::HashSet, sync::Arc};

pub(crate) use compose::parse;
pub(crate) use emit::{block, key as emit_key};
pub(crate) use json::parse_json;
pub(crate) use scalar::Resolved;
#[cfg(test)]
pub(crate) use tests::any_value;

/// Where a text comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Name in positions.
    pub(crate) file: Arc<str>,
    /// For each line of the text, its line in the file; the last one holds for all that follow.
    pub(crate) lines: Vec<u32>,
}

impl Origin {
    /// A text that stands in the file as it is.
    pub(crate) fn verbatim(file: &str, text: &str) -> Self {
        Self { file: file.into(), lines: (1..=text.lines().count().max(1) as u32).collect() }
    }

    fn position(&self, line: usize, column: usize) -> Position {
        let line = self.lines.get(line.saturating_sub(1)).or_else(|| self.lines.last()).copied().unwrap_or(1);
        Position::new(Arc::clone(&self.file), line, u32::try_from(column + 1).unwrap_or(u32::MAX))
    }
}

/// The first document of a text.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its root; null where the text is empty.
    pub(crate) root: Node,
    /// Anchors that an alias refers to.
    pub(crate) used: HashSet<usize>,
    /// Where the second document begins, which nothing reads.
    pub(crate) second: Option<Position>,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) position: Position,
    pub(crate) anchor: Option<usize>,
    pub(crate) content: Content,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    /// Keys are unique. Merged keys stand behind the map's own.
    Map(Vec<(Key, Node)>),
}

/// A scalar.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    /// As it is written, without quotes; decoded where it is tagged `!!binary`.
    pub(crate) text: String,
    /// What it means where no type is asked for.
    pub(crate) resolved: Resolved,
}

/// A key of a map: scalars only, and always taken as they are written.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) position: Position,
    pub(crate) text: String,
}

/// A text that is not YAML, or not YAML that can be read.
#[derive(Debug)]
pub(crate) struct YamlError {
    pub(crate) position: Position,
    pub(crate) message: String,
}

impl Node {
    /// Whether it is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(Scalar { resolved: Resolved::Null, .. }))
    }

    /// What it is, in words.
    pub(crate) fn describe(&self) -> String {
        match &self.content {
            Content::List(_) => "a list".into(),
            Content::Map(_) => "a map".into(),
            Content::Scalar(scalar) => match &scalar.resolved {
                Resolved::Null => "null".into(),
                Resolved::Bool(_) => format!("the boolean `{}`", scalar.text),
                Resolved::Int(_) | Resolved::Unsigned(_) | Resolved::Float(_) => {
                    format!("the number `{}`", scalar.text)
                }
                Resolved::String => format!("the text `{}`", shorten(&scalar.text)),
                Resolved::Timestamp => format!("the timestamp `{}`", scalar.text),
            },
        }
    }

    /// The first node within it, itself included, for which this holds.
    pub(crate) fn find(&self, holds: &impl Fn(&Self) -> bool) -> Option<&Self> {
        if holds(self) {
            return Some(self);
        }
        match &self.content {
            Content::Scalar(_) => None,
            Content::List(items) => items.iter().find_map(|item| item.find(holds)),
            Content::Map(entries) => entries.iter().find_map(|(_, value)| value.find(holds)),
        }
    }

    /// The value without its places. A timestamp is the text it is written as, a number beyond 63 bits is not exact; with
    /// [`Compat::Goss`] both are as Go prints them.
    pub(crate) fn to_value(&self, compat: Compat) -> Value {
        match &self.content {
            Content::List(items) => Value::List(items.iter().map(|item| item.to_value(compat)).collect()),
            Content::Map(entries) => {
                Value::Map(entries.iter().map(|(key, value)| (key.text.clone(), value.to_value(compat))).collect())
            }
            Content::Scalar(scalar) => match scalar.resolved {
                Resolved::Timestamp if compat == Compat::Goss => {
                    Value::String(timestamp::printed(&scalar.text).unwrap_or_else(|| scalar.text.clone()))
                }
                Resolved::Unsigned(value) if compat == Compat::Goss => Value::String(value.to_string()),
                Resolved::Unsigned(value) => Value::Float(value as f64),
                Resolved::Null => Value::Null,
                Resolved::Bool(value) => Value::Bool(value),
                Resolved::Int(value) => Value::Int(value),
                Resolved::Float(value) => Value::Float(value),
                Resolved::String | Resolved::Timestamp => Value::String(scalar.text.clone()),
            },
        }
    }
}

/// The beginning of a text, for messages.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}..", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}
