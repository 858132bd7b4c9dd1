//! Quoted text that goes on at the beginning of a line, which `yaml.v3` takes and our parser does not.
//!
//! What begins the lines of quoted text is not part of it, so that it may be indented where that is complained about.

use saphyr_parser::Marker;
use std::{borrow::Cow, collections::BTreeMap};

/// What the parser says of such text, with the place of its first quote.
pub(super) const COMPLAINT: &str = "invalid indentation in quoted scalar";

/// As many texts as are indented: for each, all is read again.
const MOST: usize = 100;

/// A text of YAML, some lines of which are indented further than they were written.
pub(super) struct Indented<'a> {
    text: Cow<'a, str>,
    /// Added spaces by line, from 1.
    added: BTreeMap<usize, usize>,
    /// Where the texts begin, in characters.
    starts: Vec<usize>,
}

impl<'a> Indented<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text: text.into(), added: BTreeMap::new(), starts: vec![] }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The column of a place as it was written, from 0.
    pub(super) fn column(&self, marker: &Marker) -> usize {
        let added = self.added.get(&marker.line()).copied().unwrap_or(0);
        marker.col().saturating_sub(added)
    }

    /// Indents the lines on which a quoted text goes on behind its first quote. False where that cannot help.
    pub(super) fn indent(&mut self, start: &Marker) -> bool {
        if self.starts.len() >= MOST || self.starts.contains(&start.index()) {
            return false;
        }
        self.starts.push(start.index());
        let Some((at, _)) = self.text.char_indices().nth(start.index()) else { return false };
        let (before, quoted) = self.text.split_at(at);
        let (quoted, after) = quoted.split_at(end(quoted));
        // No deeper than its own column can anything be that it is within.
        let spaces = start.col() + 1;
        let mut text = before.to_owned();
        for (number, line) in quoted.split('\n').enumerate() {
            if number > 0 {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', spaces));
                *self.added.entry(start.line() + number).or_default() += spaces;
            }
            text.push_str(line);
        }
        text.push_str(after);
        self.text = text.into();
        true
    }
}

/// Where the quoted text ends that this begins with.
fn end(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    let Some((_, quote)) = chars.next() else { return 0 };
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quote == '"' => _ = chars.next(),
            '\'' if quote == c && chars.next_if(|(_, next)| *next == quote).is_some() => {}
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::super::{Content, Origin, parse};
    use crate::Compat;

    fn read(text: &str) -> Result<String, String> {
        let parsed = parse(text, &Origin::verbatim("f", text));
        let json =
            |document: super::super::Document| serde_json::to_string(&document.root.to_value(Compat::Fixed)).unwrap();
        parsed.map(json).map_err(|error| format!("{}: {}", error.position, error.message))
    }

    #[test]
    fn quoted_text_may_go_on_at_the_beginning_of_a_line() {
        for (text, expected) in [
            ("a:\n  b: 'x\ny'\n", r#"{"a":{"b":"x y"}}"#),
            ("a:\n  b: \"x\n\ny\\\nz\\\"\n'\"\n", r#"{"a":{"b":"x\nyz\" '"}}"#),
            ("a:\n  b: {c: 'it''s\n', d: 'x\n\n\ny'}\n", r#"{"a":{"b":{"c":"it's ","d":"x\n\ny"}}}"#),
            ("a:\n  b: 'é\r\nü'\n  c: 1\n", r#"{"a":{"b":"é ü","c":1}}"#),
            ("a:\n- - 'x\ny'\n  - \"z\nw\"\n", r#"{"a":[["x y","z w"]]}"#),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(
            read("a:\n  b: 'x\ny\n").unwrap_err(),
            "f:2:6: while scanning a quoted scalar, found unexpected end of stream"
        );
    }

    #[test]
    fn places_are_those_of_the_text_as_it_was_written() {
        let text = "a:\n  b: {c: 'x\ny', d: e}\n  f: g\n";
        let root = parse(text, &Origin::verbatim("f", text)).unwrap().root;
        let Content::Map(entries) = &root.content else { panic!("not a map") };
        let Content::Map(entries) = &entries[0].1.content else { panic!("not a map") };
        let Content::Map(inner) = &entries[0].1.content else { panic!("not a map") };
        let places = [&inner[0].1.position, &inner[1].0.position, &entries[1].0.position].map(ToString::to_string);
        assert_eq!(places, ["f:2:10", "f:3:5", "f:4:3"]);
    }

    #[test]
    fn what_would_be_read_again_and_again_is_refused() {
        let lines = |count| format!("a:\n{}", "  - 'x\ny'\n".repeat(count));
        assert!(read(&lines(100)).is_ok());
        let error = read(&lines(101)).unwrap_err();
        assert_eq!(error, "f:202:5: invalid indentation in quoted scalar");
    }
}
