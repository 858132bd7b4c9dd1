//! JSON with its keys in order, repeated ones included.

use crate::{Value, matcher::MatchError};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// JSON as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::matcher) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// Reads JSON. Beyond what gjson accepts, a number may not overflow, a surrogate must have its pair, and lists and
/// objects nest up to 128 levels deep.
pub(in crate::matcher) fn parse(text: &str) -> Result<Json, MatchError> {
    serde_json::from_str(text).map_err(|error| MatchError::Json(error.to_string()))
}

impl Json {
    #[expect(clippy::cast_precision_loss, reason = "numbers of JSON are floating-point numbers")]
    pub(super) fn count(count: usize) -> Self {
        Self::Number(count as f64)
    }

    /// How many values it is made of.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Array(elements) => 1 + elements.iter().map(Self::size).sum::<usize>(),
            Self::Object(entries) => 1 + entries.iter().map(|(_, value)| value.size()).sum::<usize>(),
            _ => 1,
        }
    }
}

/// The first of repeated keys is found by a path, the last one is the value, as in Go.
impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(bool) => Self::Bool(bool),
            Json::Number(number) => Self::Float(number),
            Json::String(text) => Self::String(text),
            Json::Array(elements) => Self::List(elements.into_iter().map(Self::from).collect()),
            Json::Object(entries) => {
                let mut map = std::collections::BTreeMap::new();
                for (key, value) in entries {
                    map.entry(key).or_insert_with(|| value.into());
                }
                Self::Map(map)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

#[expect(clippy::cast_precision_loss, reason = "numbers of JSON are floating-point numbers")]
impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Json, E> {
        Ok(Json::Bool(bool))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element()? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Json::Object(entries))
    }
}
