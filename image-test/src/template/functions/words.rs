//! Sprig's functions of words: case, wrapping and abbreviation.

use super::{Cx, Registry, Text};
use crate::template::{
    context::{Context, Fault},
    format::Sink,
};

/// The capital of a character, if it is one character: `ß` stays, as in Go.
pub(super) fn upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    if upper.len() == 1 { upper.next().unwrap_or(c) } else { c }
}

pub(super) fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("title", |text: Text| title(&text));
    registry.add("untitle", |text: Text| untitle(&text));
    registry.add("nospace", |text: Text| text.chars().filter(|c| !c.is_whitespace()).collect::<String>());
    registry.add("initials", |text: Text| {
        text.split_whitespace().filter_map(|word| word.chars().next()).collect::<String>()
    });
    registry.add("swapcase", |text: Text| swap_case(&text));
    registry.add("snakecase", |text: Text| separate_words(&text, '_'));
    registry.add("kebabcase", |text: Text| separate_words(&text, '-'));
    registry.add("camelcase", |text: Text| pascal_case(&text));
    registry.add("wrap", |cx: Cx, width: i64, text: Text| wrap(&cx, &text, width, "\n", false));
    registry.add("wrapWith", |cx: Cx, width: i64, separator: Text, text: Text| {
        wrap(&cx, &text, width, if separator.is_empty() { "\n" } else { &separator }, true)
    });
    registry.add("abbrev", |width: i64, text: Text| abbreviate(&text, 0, width));
    registry.add("abbrevboth", |left: i64, right: i64, text: Text| {
        if left > 0 && right < 7 { Ok(text.to_string()) } else { abbreviate(&text, left, right) }
    });
}

/// Makes the first character of every word small.
fn untitle(text: &str) -> String {
    let mut starts = true;
    let change = |c: char| if std::mem::replace(&mut starts, c.is_whitespace()) { lower(c) } else { c };
    text.chars().map(change).collect()
}

/// Go's strings.Title: a letter behind anything but a letter, a digit, `_` or `'` is a capital. In ASCII, only
/// letters, digits and `_` belong to a word.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        let separates = if before.is_ascii() {
            !(before.is_ascii_alphanumeric() || before == '_')
        } else {
            !before.is_alphanumeric() && before.is_whitespace()
        };
        out.push(if separates { upper(c) } else { c });
        before = c;
    }
    out
}

fn swap_case(text: &str) -> String {
    text.chars().map(|c| if c.is_uppercase() { lower(c) } else { upper(c) }).collect()
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || c.is_whitespace()
}

/// `Words joined like_this` as `WordsJoinedLikeThis`. Connectors at the start stay.
fn pascal_case(text: &str) -> String {
    let bare = text.trim_start_matches(is_connector);
    let mut out = String::from(text.get(..text.len() - bare.len()).unwrap_or(""));
    let mut chars = bare.chars();
    let Some(first) = chars.next() else {
        // Nothing but connectors: the library of Sprig writes the last of them twice.
        out.extend(text.chars().next_back());
        return out;
    };
    // Capitals behind the capital at the start of a word become small, up to the first that is not one.
    let mut in_capitals = first.is_uppercase();
    let mut before = upper(first);
    let mut before_connects = false;
    for c in chars {
        let connects = is_connector(c);
        if before_connects && connects {
            out.push(before);
            before = c;
            continue;
        }
        if before_connects {
            in_capitals = c.is_uppercase();
            before = upper(c);
        } else {
            out.push(before);
            if in_capitals && c.is_uppercase() {
                before = lower(c);
            } else {
                in_capitals = false;
                before = c;
            }
        }
        before_connects = connects;
    }
    out.push(before);
    out
}

/// What a part of a name consists of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Number,
    /// Begins with a capital.
    Capital,
    Letters,
    Connector,
    Punctuation,
    Other,
}

fn is_punctuation(c: char) -> bool {
    // The ASCII symbols that are no punctuation in Unicode.
    c.is_ascii_punctuation() && !matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~')
        || matches!(
            c,
            '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}' | '\u{2010}'..='\u{2027}'
        )
}

fn part_of(c: char) -> Part {
    if is_connector(c) {
        Part::Connector
    } else if is_punctuation(c) {
        Part::Punctuation
    } else if c.is_uppercase() {
        Part::Capital
    } else if c.is_alphabetic() {
        Part::Letters
    } else if c.is_numeric() {
        Part::Number
    } else {
        Part::Other
    }
}

/// Parts of a name: runs of one kind, where a capital begins a word and the last of several capitals belongs to the
/// letters behind it.
fn parts(text: &str) -> Vec<(Part, &str)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let part = part_of(first);
        let run = |from: usize, kind: Part| {
            let tail = rest.get(from..).unwrap_or("");
            from + tail.find(|c| part_of(c) != kind).unwrap_or(tail.len())
        };
        let mut length = run(0, part);
        if part == Part::Capital {
            let single = first.len_utf8();
            let follows_letter =
                rest.get(length..).and_then(|tail| tail.chars().next()).is_some_and(char::is_alphabetic);
            if length == single {
                length = run(single, Part::Letters);
            } else if follows_letter {
                length -= rest.get(..length).and_then(|run| run.chars().next_back()).map_or(0, char::len_utf8);
            }
        }
        let (word, tail) = rest.split_at_checked(length.max(1)).unwrap_or((rest, ""));
        parts.push((part, word));
        rest = tail;
    }
    parts
}

/// Words in small letters with a connector between.
///
/// A number belongs to the word before it (`bld4_floor`), unless small letters follow it (`http_2xx`).
fn separate_words(text: &str, connector: char) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut write = |part: Option<(Part, &str)>| match part {
        Some((Part::Connector, word)) => out.extend(word.chars().map(|_| connector)),
        Some((Part::Capital, word)) => out.extend(word.chars().map(lower)),
        Some((_, word)) => out.push_str(word),
        // Marks the end of a word.
        None => out.push(connector),
    };
    let parts = parts(text);
    let kind = |at: usize| parts.get(at).map(|(part, _)| *part);
    let word_at = |at: usize| parts.get(at).copied();
    let separable = |at: usize| !matches!(kind(at), None | Some(Part::Connector | Part::Punctuation));
    // The part that is not written yet, and whether it may be a connector that its predecessor has announced.
    let mut at = 0;
    while at + 1 < parts.len() {
        let before = kind(at);
        if before != Some(Part::Connector) {
            write(word_at(at));
        }
        let connector_part = word_at(at);
        at += 1;
        match before {
            Some(Part::Number) => {
                while matches!(kind(at), Some(Part::Letters | Part::Number)) {
                    write(word_at(at));
                    at += 1;
                }
                if separable(at) {
                    write(None);
                }
            }
            Some(Part::Connector) => write(connector_part),
            Some(Part::Punctuation) => {}
            _ if kind(at) != Some(Part::Number) => {
                if separable(at) {
                    write(None);
                }
            }
            _ if at + 1 == parts.len() => {}
            _ if kind(at + 1) != Some(Part::Letters) => {
                write(word_at(at));
                at += 1;
                if separable(at) {
                    write(None);
                }
            }
            _ => {
                write(None);
                while matches!(kind(at), Some(Part::Letters | Part::Number)) {
                    write(word_at(at));
                    at += 1;
                }
                if separable(at) {
                    write(None);
                }
            }
        }
    }
    if at < parts.len() {
        write(word_at(at));
    }
    out
}

/// Breaks text at spaces so that lines are no longer than `width` bytes. Long words are broken or stand alone.
fn wrap(cx: &Context, text: &str, width: i64, separator: &str, breaks_words: bool) -> Result<String, Fault> {
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    let mut out = Sink::new(cx);
    let mut rest = text;
    while rest.len() > width {
        if let Some(after) = rest.strip_prefix(' ') {
            rest = after;
            continue;
        }
        let window = rest.as_bytes().get(..=width).unwrap_or(rest.as_bytes());
        let space = window.iter().rposition(|byte| *byte == b' ');
        let (end, skip) = match space {
            Some(space) => (space, 1),
            None if breaks_words => (width, 0),
            None => match rest.as_bytes().iter().skip(width).position(|byte| *byte == b' ') {
                Some(space) => (width + space, 1),
                None => break,
            },
        };
        let line = rest.get(..end).ok_or_else(|| Fault::new("the width is within a character"))?;
        out.push(line)?;
        out.push(separator)?;
        rest = rest.get(end + skip..).unwrap_or("");
    }
    out.push(rest)?;
    out.finish()
}

const ELLIPSIS: &str = "...";

/// At most `width` bytes of a text from an offset, with an ellipsis where something is left out.
fn abbreviate(text: &str, offset: i64, width: i64) -> Result<String, Fault> {
    let (Ok(width), Ok(length)) = (usize::try_from(width), i64::try_from(text.len())) else {
        return Ok(text.to_owned());
    };
    if width < 4 || text.len() <= width {
        return Ok(text.to_owned());
    }
    let cut =
        |start: usize, end: usize| text.get(start..end).ok_or_else(|| Fault::new("the width is within a character"));
    let kept = width - ELLIPSIS.len();
    let offset = usize::try_from(offset.min(length)).unwrap_or(0).min(text.len() - kept);
    if offset <= 4 {
        return Ok(format!("{}{ELLIPSIS}", cut(0, kept)?));
    }
    if width < 7 {
        return Ok(String::new());
    }
    if offset + kept < text.len() {
        return Ok(format!("{ELLIPSIS}{}", abbreviate(cut(offset, text.len())?, 0, width as i64 - 3)?));
    }
    Ok(format!("{ELLIPSIS}{}", cut(text.len() - kept, text.len())?))
}
