//! JSON of RFC 8259, as a tree that knows where everything is written.

use super::{
    Content, Document, Key, Node, Origin, Resolved, Scalar, YamlError,
    compose::{MAX_DEPTH, unique},
};
use crate::{Compat, Position};
use serde::de::IgnoredAny;
use std::collections::{HashMap, HashSet};

/// Reads a text. A key that is there twice is an error, as in YAML. All numbers are floating-point ones with
/// [`Compat::Goss`], since Go reads them so.
///
/// # Errors
/// The text is not JSON, or nests too deep.
pub(crate) fn parse_json(text: &str, origin: &Origin, compat: Compat) -> Result<Document, YamlError> {
    // The library knows what JSON is; we know where things are.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
        let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        let before = line.as_bytes().get(..error.column().saturating_sub(1)).unwrap_or_default();
        let column = String::from_utf8_lossy(before).chars().count();
        error_at(origin.position(error.line(), column), &error)
    })?;
    let mut cursor = Cursor { origin, compat, rest: text, line: 1, column: 0 };
    cursor.space();
    let root = cursor.value(0)?;
    Ok(Document { root, used: HashSet::new(), second: None })
}

/// The library ends its messages with a place of its own.
fn error_at(position: Position, error: &serde_json::Error) -> YamlError {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    YamlError { position, message: format!("not JSON: {message}") }
}

/// What is left of a text that is known to be JSON.
struct Cursor<'a> {
    origin: &'a Origin,
    compat: Compat,
    rest: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Cursor<'a> {
    fn position(&self) -> Position {
        self.origin.position(self.line, self.column)
    }

    /// Goes behind so many bytes.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        for c in taken.chars() {
            (self.line, self.column) = if c == '\n' { (self.line + 1, 0) } else { (self.line, self.column + 1) };
        }
        self.rest = rest;
        taken
    }

    fn space(&mut self) {
        let trimmed = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.take(self.rest.len() - trimmed.len());
    }

    /// Goes behind a punctuation mark and the space after it, if that is what comes next.
    fn passes(&mut self, mark: char) -> bool {
        let is_next = self.rest.starts_with(mark);
        if is_next {
            self.take(mark.len_utf8());
            self.space();
        }
        is_next
    }

    /// A value and the space behind it.
    fn value(&mut self, depth: usize) -> Result<Node, YamlError> {
        let position = self.position();
        if depth >= MAX_DEPTH && self.rest.starts_with(['[', '{']) {
            return Err(YamlError { position, message: format!("values nest deeper than {MAX_DEPTH}") });
        }
        let content = if self.passes('[') {
            let mut items = vec![];
            while !self.passes(']') && !self.rest.is_empty() {
                items.push(self.value(depth + 1)?);
                self.passes(',');
            }
            Content::List(items)
        } else if self.passes('{') {
            let (mut entries, mut seen) = (vec![], HashMap::new());
            while !self.passes('}') && !self.rest.is_empty() {
                let key = Key { position: self.position(), text: self.text()? };
                unique(&mut seen, &key.text, &key.position)?;
                self.passes(':');
                entries.push((key, self.value(depth + 1)?));
                self.passes(',');
            }
            Content::Map(entries)
        } else {
            Content::Scalar(self.scalar()?)
        };
        Ok(Node { position, anchor: None, content })
    }

    fn scalar(&mut self) -> Result<Scalar, YamlError> {
        if self.rest.starts_with('"') {
            return Ok(Scalar { text: self.text()?, resolved: Resolved::String });
        }
        let position = self.position();
        let end = self.rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(self.rest.len());
        let word = self.take(end);
        self.space();
        let resolved = match (word, word.parse::<i64>(), word.parse::<f64>()) {
            ("null", ..) => Resolved::Null,
            ("true", ..) => Resolved::Bool(true),
            ("false", ..) => Resolved::Bool(false),
            (_, Ok(number), _) if self.compat == Compat::Fixed => Resolved::Int(number),
            (.., Ok(number)) if number.is_finite() => Resolved::Float(number),
            _ => return Err(YamlError { position, message: format!("the number `{word}` is out of range") }),
        };
        Ok(Scalar { text: word.to_owned(), resolved })
    }

    /// A text in quotes and the space behind it.
    fn text(&mut self) -> Result<String, YamlError> {
        let position = self.position();
        let mut is_escaped = true;
        let end = self.rest.find(|c| {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        let quoted = self.take(end.map_or(self.rest.len(), |end| end + 1));
        self.space();
        serde_json::from_str(quoted).map_err(|error| error_at(position, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, compat: Compat) -> Result<Node, String> {
        let parsed = parse_json(text, &Origin::verbatim("f", text), compat);
        parsed.map(|document| document.root).map_err(|error| format!("{}: {}", error.position, error.message))
    }

    #[test]
    fn only_json_is_json() {
        for (text, message) in [
            ("", "f:1:1: not JSON: EOF while parsing a value"),
            ("a: 1\n", "f:1:1: not JSON: expected value"),
            ("{\"a\": 1,}", "f:1:9: not JSON: key must be a string"),
            ("{\n  \"é\": 'x'\n}", "f:2:8: not JSON: expected value"),
            ("[01]", "f:1:3: not JSON: invalid number"),
            ("[1] x", "f:1:5: not JSON: trailing characters"),
            ("[1e999]", "f:1:2: the number `1e999` is out of range"),
            ("{\"a\": 1,\n \"a\": 2}", "f:2:2: the key `a` is already at 1:2"),
            ("\u{feff}{}", "f:1:1: not JSON: expected value"),
        ] {
            assert_eq!(read(text, Compat::Fixed).unwrap_err(), message, "{text}");
        }
        let deep = |depth: usize| read(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)), Compat::Fixed);
        assert!(deep(MAX_DEPTH).is_ok());
        assert_eq!(deep(100_000).unwrap_err(), "f:1:101: values nest deeper than 100");
    }

    #[test]
    fn what_yaml_would_refuse_is_read() {
        let text = "{\n\t\"\\ud83d\\ude00\\/\": [\"\u{7f}\", true, null],\"b\":\t-1\n}";
        let value = read(text, Compat::Fixed).unwrap().to_value(Compat::Fixed);
        assert_eq!(value, serde_json::from_str(text).unwrap());
    }

    #[test]
    fn numbers_are_fractions_in_go() {
        let numbers = |compat| match read("[1, -0, 1.5, 18446744073709551615]", compat).unwrap().content {
            Content::List(items) => items.into_iter().map(|item| item.to_value(compat)).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        use crate::Value::{Float, Int};
        assert_eq!(numbers(Compat::Fixed), [Int(1), Int(0), Float(1.5), Float(18_446_744_073_709_551_615.0)]);
        assert_eq!(numbers(Compat::Goss)[..3], [Float(1.0), Float(0.0), Float(1.5)]);
    }

    #[test]
    fn values_know_their_places() {
        let node = read("{\"a\": [1,\n {\"b\": null}]}", Compat::Fixed).unwrap();
        let Content::Map(entries) = &node.content else { panic!("not a map") };
        let Content::List(items) = &entries[0].1.content else { panic!("not a list") };
        let Content::Map(inner) = &items[1].content else { panic!("not a map") };
        let positions = [&entries[0].0.position, &items[0].position, &inner[0].0.position, &inner[0].1.position];
        assert_eq!(positions.map(ToString::to_string), ["f:1:2", "f:1:8", "f:2:3", "f:2:8"]);
    }

    proptest! {
        #[test]
        fn values_are_those_of_the_library(value in super::super::any_value(), is_pretty in any::<bool>()) {
            let write = if is_pretty { serde_json::to_string_pretty } else { serde_json::to_string };
            let text = write(&value).unwrap();
            let read = read(&text, Compat::Fixed).map_err(TestCaseError::fail)?.to_value(Compat::Fixed);
            prop_assert_eq!(read, serde_json::from_str::<crate::Value>(&text).unwrap(), "{}", text);
        }

        #[test]
        fn no_text_panics(text in "[]\\[{}:,\"a1 \n\\\\ue-]{0,40}") {
            let _ = read(&text, Compat::Goss);
        }
    }
}
