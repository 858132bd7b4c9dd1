//! Events to a tree: anchors, aliases, merge keys and limits.

use super::{
    Content, Document, Key, Node, Origin, Scalar, YamlError,
    indented::{self, Indented},
    scalar::{Resolved, Tag, resolve},
};
use crate::Position;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use std::collections::{HashMap, HashSet};

/// How deep a value may nest. Those who walk the tree do so by recursion.
pub(super) const MAX_DEPTH: usize = 100;

/// How large a tree may grow, aliases expanded: its nodes, and one for every [`TEXT_UNIT`] bytes of text.
const MAX_SIZE: usize = 1_000_000;
const TEXT_UNIT: usize = 32;

/// Reads the first document of a text.
pub(crate) fn parse(text: &str, origin: &Origin) -> Result<Document, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_characters(text, origin)?;
    let mut text = Indented::new(text);
    loop {
        match compose(&text, origin) {
            Ok(document) => return Ok(document),
            Err(Failure { unindented: Some(start), .. }) if text.indent(&start) => {}
            Err(Failure { error, .. }) => return Err(error),
        }
    }
}

/// Why a text cannot be read.
struct Failure {
    error: YamlError,
    /// Where the quoted text begins that goes on without indentation.
    unindented: Option<Marker>,
}

impl From<YamlError> for Failure {
    fn from(error: YamlError) -> Self {
        Self { error, unindented: None }
    }
}

fn compose(indented: &Indented<'_>, origin: &Origin) -> Result<Document, Failure> {
    let text = indented.text();
    let unterminated = (!text.ends_with('\n')).then(|| text.chars().count());
    let (anchors, used) = (HashMap::new(), HashSet::new());
    let mut composer = Composer { origin, indented, anchors, used, stack: vec![], size: 0, unterminated };
    let mut root = None;
    let mut second = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            // Like yaml.v3, we read no further than the first document.
            Err(_) if root.is_some() => break,
            Err(error) => {
                let unindented = (error.info() == indented::COMPLAINT).then(|| *error.marker());
                return Err(Failure { error: composer.error(error.marker(), error.info()), unindented });
            }
        };
        match (&root, event) {
            (None, event) => root = composer.event(event, span)?,
            (Some(_), Event::DocumentStart(_)) => {
                second = Some(composer.position(&span.start));
                break;
            }
            _ => {}
        }
    }
    let root = root.unwrap_or_else(|| Node {
        position: origin.position(1, 0),
        anchor: None,
        content: Content::Scalar(Scalar { text: String::new(), resolved: Resolved::Null }),
    });
    Ok(Document { root, used: composer.used, second })
}

/// Refuses what `yaml.v3` calls control characters.
fn check_characters(text: &str, origin: &Origin) -> Result<(), YamlError> {
    let allowed = |c: char| {
        matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
            && c != '\u{feff}'
    };
    for (number, line) in text.split('\n').enumerate() {
        if let Some((column, c)) = line.chars().enumerate().find(|(_, c)| !allowed(*c)) {
            let message = format!("the control character U+{:04X} must be escaped in double quotes", u32::from(c));
            return Err(YamlError { position: origin.position(number + 1, column), message });
        }
    }
    Ok(())
}

struct Composer<'a> {
    origin: &'a Origin,
    indented: &'a Indented<'a>,
    anchors: HashMap<usize, Anchored>,
    used: HashSet<usize>,
    stack: Vec<Frame>,
    size: usize,
    /// Where a text that has no line break at its end ends, in characters.
    unterminated: Option<usize>,
}

struct Anchored {
    node: Node,
    size: usize,
}

/// A collection that is not closed.
struct Frame {
    position: Position,
    anchor: usize,
    /// The size of the tree where it begins.
    begins: usize,
    open: Open,
}

enum Open {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, seen: HashMap<String, Position>, key: Option<PendingKey>, merge: Option<Node> },
}

enum PendingKey {
    Merge,
    Plain(Key),
}

impl Composer<'_> {
    fn position(&self, marker: &Marker) -> Position {
        self.origin.position(marker.line(), self.indented.column(marker))
    }

    fn error(&self, marker: &Marker, message: impl Into<String>) -> YamlError {
        YamlError { position: self.position(marker), message: message.into() }
    }

    /// Takes an event; gives the root when it is whole.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<Option<Node>, YamlError> {
        let start = span.start;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.and_then(|tag| Tag::new(&tag.handle, &tag.suffix));
                let quoted = style != ScalarStyle::Plain;
                self.grow(1 + text.len() / TEXT_UNIT, &start)?;
                let merges = text == "<<" && tag.map_or(!quoted, |tag| tag == Tag::Merge);
                if merges && self.awaits_key() {
                    return self.merge_key(&start).map(|()| None);
                }
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let text = match text.strip_suffix('\n') {
                    // The text ends without a line break, and so does its last value.
                    Some(line) if is_block && self.unterminated.is_some_and(|end| span.end.index() >= end) => line,
                    _ => &text,
                };
                let (text, resolved) = resolve(text, tag, quoted).map_err(|message| self.error(&start, message))?;
                if resolved == Resolved::Null && self.awaits_key() {
                    return Err(self.error(&start, "a key must not be null"));
                }
                // What is not written stands where its key stands.
                let position = match self.pending_key() {
                    Some(key) if resolved == Resolved::Null && text.is_empty() => key.position.clone(),
                    _ => self.position(&start),
                };
                let size = 1 + text.len() / TEXT_UNIT;
                let node = Node { position, anchor: None, content: Content::Scalar(Scalar { text, resolved }) };
                self.close(node, anchor, size, &start)
            }
            Event::SequenceStart(anchor, _) => self.open(Open::List(vec![]), anchor, &start),
            Event::MappingStart(anchor, _) => {
                let open = Open::Map { entries: vec![], seen: HashMap::new(), key: None, merge: None };
                self.open(open, anchor, &start)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.stack.pop() else { return Ok(None) };
                let size = self.size - frame.begins;
                let content = match frame.open {
                    Open::List(items) => Content::List(items),
                    Open::Map { entries, seen, merge, .. } => Content::Map(merge_into(entries, seen, merge)?),
                };
                let node = Node { position: frame.position, anchor: None, content };
                self.close(node, frame.anchor, size, &start)
            }
            Event::Alias(anchor) => {
                self.used.insert(anchor);
                let Some(Anchored { node, size }) = self.anchors.get(&anchor) else {
                    return Err(self.error(&start, "the anchor contains this alias to itself"));
                };
                let (node, size) = (node.clone(), *size);
                self.grow(size, &start)?;
                self.close(node, 0, size, &start)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(None)
            }
        }
    }

    fn grow(&mut self, by: usize, start: &Marker) -> Result<(), YamlError> {
        self.size += by;
        match self.size <= MAX_SIZE {
            true => Ok(()),
            false => Err(self.error(start, format!("with its aliases, the text has more than {MAX_SIZE} values"))),
        }
    }

    fn open(&mut self, open: Open, anchor: usize, start: &Marker) -> Result<Option<Node>, YamlError> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.error(start, format!("values nest deeper than {MAX_DEPTH}")));
        }
        let begins = self.size;
        self.grow(1, start)?;
        self.stack.push(Frame { position: self.position(start), anchor, begins, open });
        Ok(None)
    }

    fn awaits_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { open: Open::Map { key: None, .. }, .. }))
    }

    fn pending_key(&self) -> Option<&Key> {
        match self.stack.last() {
            Some(Frame { open: Open::Map { key: Some(PendingKey::Plain(key)), .. }, .. }) => Some(key),
            _ => None,
        }
    }

    fn merge_key(&mut self, start: &Marker) -> Result<(), YamlError> {
        let position = self.position(start);
        let Some(Frame { open: Open::Map { seen, key, .. }, .. }) = self.stack.last_mut() else { return Ok(()) };
        unique(seen, "<<", &position)?;
        *key = Some(PendingKey::Merge);
        Ok(())
    }

    /// Puts a whole node where it belongs; gives it back where it is the root.
    fn close(&mut self, mut node: Node, anchor: usize, size: usize, at: &Marker) -> Result<Option<Node>, YamlError> {
        if anchor != 0 {
            self.grow(size, at)?;
            node.anchor = Some(anchor);
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
        let position = self.position(at);
        let Some(frame) = self.stack.last_mut() else { return Ok(Some(node)) };
        match &mut frame.open {
            Open::List(items) => items.push(node),
            Open::Map { entries, seen, key, merge } => match key.take() {
                None => {
                    let Content::Scalar(Scalar { text, .. }) = node.content else {
                        return Err(YamlError { position: node.position, message: "a key must be a scalar".into() });
                    };
                    unique(seen, &text, &position)?;
                    *key = Some(PendingKey::Plain(Key { position, text }));
                }
                Some(PendingKey::Plain(key)) => entries.push((key, node)),
                Some(PendingKey::Merge) => *merge = Some(node),
            },
        }
        Ok(None)
    }
}

/// Refuses a key that was there before.
pub(super) fn unique(seen: &mut HashMap<String, Position>, key: &str, position: &Position) -> Result<(), YamlError> {
    match seen.insert(key.to_owned(), position.clone()) {
        None => Ok(()),
        Some(first) => {
            let message = format!("the key `{key}` is already at {}:{}", first.line, first.column);
            Err(YamlError { position: position.clone(), message })
        }
    }
}

/// The entries of a map with those it merges. Its own win, then the earlier source.
fn merge_into(
    mut entries: Vec<(Key, Node)>,
    seen: HashMap<String, Position>,
    merge: Option<Node>,
) -> Result<Vec<(Key, Node)>, YamlError> {
    let Some(merge) = merge else { return Ok(entries) };
    let sources = match merge.content {
        Content::List(sources) => sources,
        _ => vec![merge],
    };
    let mut seen: HashSet<String> = seen.into_keys().collect();
    for source in sources {
        let Content::Map(inherited) = source.content else {
            let message = "`<<` merges a map or a list of maps".into();
            return Err(YamlError { position: source.position, message });
        };
        entries.extend(inherited.into_iter().filter(|(key, _)| seen.insert(key.text.clone())));
    }
    Ok(entries)
}
