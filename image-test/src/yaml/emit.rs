//! Values as YAML text that reads back as the same values.

use super::scalar::{Resolved, plain};
use crate::Value;
use std::fmt::Write as _;

const STEP: usize = 2;

/// Writes a value behind a `key:` or `-` that stands at `indent`, with the line's end.
pub(crate) fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                out.extend(std::iter::repeat_n(' ', indent + STEP));
                out.push('-');
                block(out, item, indent + STEP);
            }
        }
        Value::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            for (name, value) in entries {
                out.extend(std::iter::repeat_n(' ', indent + STEP));
                key(out, name, indent + STEP);
                block(out, value, indent + STEP);
            }
        }
        Value::String(text) if is_literal(text) => literal(out, text, indent + STEP),
        value => {
            out.push(' ');
            scalar(out, value);
            out.push('\n');
        }
    }
}

/// Writes `key:` at `indent`.
pub(crate) fn key(out: &mut String, key: &str, indent: usize) {
    let begins = out.len();
    string(out, key);
    // A key of more than 1024 characters must be explicit.
    if out.len() - begins > 1000 {
        out.insert_str(begins, "? ");
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
    }
    out.push(':');
}

fn scalar(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => _ = write!(out, "{value}"),
        Value::Float(value) if value.is_nan() => out.push_str(".nan"),
        Value::Float(value) if value.is_infinite() => out.push_str(if *value > 0.0 { ".inf" } else { "-.inf" }),
        Value::Float(value) => _ = write!(out, "{value:?}"),
        Value::String(text) => string(out, text),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
}

fn string(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Two of them would begin an action of the template.
            '{' => out.push_str("\\x7b"),
            ' '..='~' => out.push(c),
            // Letters may stand as they are; what editors and parsers might take for a space, break or mark may not.
            c if c.is_alphanumeric() => out.push(c),
            c => {
                let code = u32::from(c);
                _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                }
            }
        }
    }
    out.push('"');
}

/// Whether a text can do without quotes in block and key, for any version of YAML.
fn is_plain(text: &str) -> bool {
    let is_word =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.' | '-' | '+' | '@' | '%' | '=' | '~');
    let is_inner = |c: char| is_word(c) || matches!(c, ' ' | ':' | ',' | '(' | ')' | '$' | '^' | ';');
    let boolean = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_'))
        && text.ends_with(is_word)
        && text.chars().all(is_inner)
        && !text.contains(": ")
        && !boolean.iter().any(|word| word.eq_ignore_ascii_case(text))
        && plain(text, true) == Resolved::String
}

/// Whether a text of several lines can stand as a literal block.
fn is_literal(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.contains("{{")
        && body.split('\n').all(|line| {
            let visible = |c: char| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
            line.chars().all(visible) && (line.is_empty() || line.ends_with(|c: char| c != ' '))
        })
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n')
}

fn literal(out: &mut String, text: &str, indent: usize) {
    let (header, body) = match text.strip_suffix('\n') {
        Some(body) => (" |\n", body),
        None => (" |-\n", text),
    };
    out.push_str(header);
    for line in body.split('\n') {
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
        out.push('\n');
    }
}
