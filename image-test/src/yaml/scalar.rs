//! What a scalar means. The rules are those of `yaml.v3`: YAML 1.2 with the octal numbers and underscores of 1.1.

use super::{base64, timestamp::is_timestamp};

/// What a scalar means where no type is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    /// A whole number that needs 64 bits, for which Go has another type.
    Unsigned(u64),
    Float(f64),
    String,
    /// Goss gets a time from it, which no check can use.
    Timestamp,
}

/// A tag of the YAML schema, or one that only marks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tag {
    Binary,
    Bool,
    Float,
    Int,
    Merge,
    Null,
    Other,
    Str,
    Timestamp,
}

impl Tag {
    /// None for `!` alone, which says nothing.
    pub(super) fn new(handle: &str, suffix: &str) -> Option<Self> {
        let tag = format!("{handle}{suffix}");
        Some(match tag.strip_prefix("tag:yaml.org,2002:").unwrap_or_default() {
            "" if tag == "!" => return None,
            "binary" => Self::Binary,
            "bool" => Self::Bool,
            "float" => Self::Float,
            "int" => Self::Int,
            "merge" => Self::Merge,
            "null" => Self::Null,
            "str" => Self::Str,
            "timestamp" => Self::Timestamp,
            _ => Self::Other,
        })
    }
}

/// Text and meaning of a scalar, or why it has none.
pub(super) fn resolve(text: &str, tag: Option<Tag>, quoted: bool) -> Result<(String, Resolved), String> {
    let as_written = |resolved| Ok((text.to_owned(), resolved));
    let tag = match tag {
        None if quoted => return as_written(Resolved::String),
        None => return as_written(plain(text, true)),
        Some(Tag::Str | Tag::Other | Tag::Merge) => return as_written(Resolved::String),
        Some(Tag::Binary) => {
            let bytes = base64::decode(text).ok_or("`!!binary` is not base64")?;
            let text = String::from_utf8(bytes).map_err(|_| "`!!binary` that is not UTF-8 cannot be compared")?;
            return Ok((text, Resolved::String));
        }
        Some(tag) => tag,
    };
    match (tag, plain(text, tag == Tag::Timestamp)) {
        (Tag::Float, Resolved::Int(number)) => as_written(Resolved::Float(number as f64)),
        (Tag::Float, Resolved::Unsigned(number)) => as_written(Resolved::Float(number as f64)),
        (Tag::Bool, resolved @ Resolved::Bool(_))
        | (Tag::Float, resolved @ Resolved::Float(_))
        | (Tag::Int, resolved @ (Resolved::Int(_) | Resolved::Unsigned(_)))
        | (Tag::Null, resolved @ Resolved::Null)
        | (Tag::Timestamp, resolved @ Resolved::Timestamp) => as_written(resolved),
        (tag, _) => Err(format!("`{text}` is not a `!!{}`", format!("{tag:?}").to_lowercase())),
    }
}

/// What a plain scalar means.
pub(super) fn plain(text: &str, timestamps: bool) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes().first() {
        Some(b'.') => match text.replace('_', "").parse::<f64>() {
            Ok(number) if number.is_finite() => Resolved::Float(number),
            _ => Resolved::String,
        },
        Some(b'+' | b'-' | b'0'..=b'9') if timestamps && is_timestamp(text) => Resolved::Timestamp,
        Some(b'+' | b'-' | b'0'..=b'9') => number(&text.replace('_', "")).unwrap_or(Resolved::String),
        _ => Resolved::String,
    }
}

fn number(text: &str) -> Option<Resolved> {
    if let Some(number) = integer(text) {
        return Some(number);
    }
    if is_float(text) {
        return text.parse().ok().filter(|number: &f64| number.is_finite()).map(Resolved::Float);
    }
    // Of the two signs that these forms can have, only one can reach this.
    let (digits, base) = match (text.strip_prefix("0b"), text.strip_prefix("0o")) {
        (Some(digits), _) => (digits, 2),
        (_, Some(digits)) => (digits, 8),
        _ => return None,
    };
    i64::from_str_radix(digits, base).ok().map(Resolved::Int)
}

/// An integer of Go's base 0: a prefix, or a leading zero for octal.
fn integer(text: &str) -> Option<Resolved> {
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, base) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    match i64::try_from(if negative { -i128::from(magnitude) } else { i128::from(magnitude) }) {
        Ok(number) => Some(Resolved::Int(number)),
        Err(_) if negative || text.starts_with('+') => None,
        Err(_) => Some(Resolved::Unsigned(magnitude)),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let mantissa = match mantissa.split_once('.') {
        None => is_number(mantissa),
        Some(("", fraction)) => is_number(fraction),
        Some((whole, fraction)) => is_number(whole) && (fraction.is_empty() || is_number(fraction)),
    };
    mantissa && exponent.is_none_or(|e| is_number(e.strip_prefix(['+', '-']).unwrap_or(e)))
}
