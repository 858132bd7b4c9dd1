//! JSON as Go writes it, so that reports are the same text.

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use std::io;

/// The shortest digits that give the number back; as a power of ten below 1e-6 and from 1e21 on.
fn number(value: f64) -> String {
    match value {
        _ if value.is_nan() => return "NaN".into(),
        _ if value.is_infinite() => return if value > 0.0 { "+Inf" } else { "-Inf" }.into(),
        _ => {}
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if value != 0.0 && !(-6..21).contains(&exponent) => {
            format!("{digits}e{exponent:+}")
        }
        _ => value.to_string(),
    }
}

/// JSON as Go's package encoding/json writes it.
///
/// # Errors
/// The value has keys that are no strings, which none of ours has.
pub(super) fn json(value: &impl Serialize, html: bool, indent: Option<&str>) -> io::Result<String> {
    let mut bytes = vec![];
    write_json(&mut bytes, value, html, indent)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// Writes what [`json`] gives.
///
/// # Errors
/// As [`json`], and those of the writer.
pub(super) fn write_json(
    out: &mut impl io::Write,
    value: &impl Serialize,
    html: bool,
    indent: Option<&str>,
) -> io::Result<()> {
    match indent {
        None => {
            let formatter = GoFormatter { inner: CompactFormatter, html };
            value.serialize(&mut Serializer::with_formatter(out, formatter))?;
        }
        Some(indent) => {
            let formatter = GoFormatter { inner: PrettyFormatter::with_indent(indent.as_bytes()), html };
            value.serialize(&mut Serializer::with_formatter(out, formatter))?;
        }
    }
    Ok(())
}

/// Another formatter, with the numbers and escapes of Go.
struct GoFormatter<F> {
    inner: F,
    /// Whether `<`, `>` and `&` are escaped.
    html: bool,
}

macro_rules! forward {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        fn $method<W: io::Write + ?Sized>(&mut self, writer: &mut W $(, $name: $type)*) -> io::Result<()> {
            self.inner.$method(writer $(, $name)*)
        }
    )*};
}

impl<F: Formatter> Formatter for GoFormatter<F> {
    forward! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }

    fn write_f64<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(number(value).as_bytes())
    }

    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let escaped = |c: char| matches!(c, '\u{2028}' | '\u{2029}') || (self.html && matches!(c, '<' | '>' | '&'));
        for piece in fragment.split_inclusive(escaped) {
            match piece.chars().next_back().filter(|last| escaped(*last)) {
                Some(last) => {
                    writer.write_all(&piece.as_bytes()[..piece.len() - last.len_utf8()])?;
                    write!(writer, "\\u{:04x}", u32::from(last))?;
                }
                None => writer.write_all(piece.as_bytes())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[test]
    fn json_is_escaped_as_go_does() {
        let value = Value::from("<a href='x'>&\u{2028}\u{7}\n\u{7f}é");
        assert_eq!(json(&value, false, None).unwrap(), r#""<a href='x'>&\u2028\u0007\n"#.to_owned() + "\u{7f}é\"");
        assert!(json(&value, true, None).unwrap().starts_with(r#""\u003ca href='x'\u003e\u0026\u2028"#));
    }

    #[test]
    fn json_numbers_are_those_of_go() {
        let values = Value::from(vec![644.0, 0.5, 1e21, 1e-7, 0.000001, -3.0]);
        assert_eq!(json(&values, true, None).unwrap(), "[644,0.5,1e+21,1e-7,0.000001,-3]");
        assert_eq!(json(&Value::from(vec![1.0]), true, Some("  ")).unwrap(), "[\n  1\n]");
    }
}
