//! How goss turns one type of value into another before it compares.

use super::number;
use crate::Value;
use std::borrow::Cow;

/// Text of bytes: what is not UTF-8 becomes U+FFFD byte by byte, as Go reads strings.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => {
            let mut text = String::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
            }
            text.into()
        }
    }
}

/// A value as Go's `%v` prints it.
pub(crate) fn display(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "<nil>".into(),
        Value::Bool(bool) => bool.to_string().into(),
        Value::Int(int) => int.to_string().into(),
        Value::Float(float) => number::format(*float).into(),
        Value::String(text) => text.into(),
        Value::List(list) => format!("[{}]", joined(list, " ")).into(),
        Value::Map(map) => {
            let entries: Vec<_> = map.iter().map(|(key, value)| format!("{key}:{}", display(value))).collect();
            format!("map[{}]", entries.join(" ")).into()
        }
    }
}

fn joined(list: &[Value], separator: &str) -> String {
    list.iter().map(display).collect::<Vec<_>>().join(separator)
}

/// `to-string`: a list becomes lines.
pub(super) fn to_string(value: &Value) -> Cow<'_, str> {
    match value {
        Value::List(list) => joined(list, "\n").into(),
        value => display(value),
    }
}

/// `to-array`: text becomes a list of its lines, the last one even when it is empty.
pub(super) fn to_array(value: &Value) -> Cow<'_, Value> {
    match value {
        Value::String(text) => Cow::Owned(Value::List(text.split('\n').map(Value::from).collect())),
        value => Cow::Borrowed(value),
    }
}

/// `to-numeric`: text is parsed as Go parses it. `lines` says whether a list of strings is text.
pub(super) fn to_numeric(value: &Value, lines: bool) -> Option<Value> {
    match value {
        Value::Int(_) | Value::Float(_) => Some(value.clone()),
        Value::String(text) => number::parse(text.trim()).map(Value::Float),
        Value::List(list) if lines => number::parse(joined(list, "\n").trim()).map(Value::Float),
        _ => None,
    }
}

/// Whether two values are the same, in type and all.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    a == b
}

/// Whether two values are the same, where numbers compare as numbers at any depth.
pub(super) fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && alike(a, b))
        }
        (a, b) => a == b || number::compare(a, b).is_some_and(|order| order.is_eq()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn values_are_shown_as_go_shows_them() {
        let map = BTreeMap::from([("b".into(), Value::Null), ("a".into(), Value::from(vec![1, 2]))]);
        for (value, text) in [
            (Value::from("a b"), "a b"),
            (Value::from(1.0), "1"),
            (Value::from(1e6), "1e+06"),
            (Value::from(0.00001), "1e-05"),
            (Value::from(0.0), "0"),
            (Value::Map(map), "map[a:[1 2] b:<nil>]"),
        ] {
            assert_eq!(display(&value), text);
        }
    }

    #[test]
    fn each_byte_that_is_not_text_is_a_replacement_of_its_own() {
        assert_eq!(decode(b"a\xe2\x82b\xff"), "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(decode("é".as_bytes()), "é");
    }
}
