//! Numbers as Go reads, prints and compares them.

use crate::Value;
use std::cmp::Ordering;

/// Compares numbers: whole ones exactly, others as floating-point numbers. `None` for what is not a number.
pub(super) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (a, b) => float(a)?.partial_cmp(&float(b)?),
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "Go converts in the same way")]
        Value::Int(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        _ => None,
    }
}

/// A floating-point number as Go's `%v` prints it: the shortest form, with an exponent below 1e-4 and from 1e6.
pub(super) fn format(float: f64) -> String {
    if float.is_nan() {
        return "NaN".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let parts = scientific.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)));
    match parts {
        Some((digits, exponent)) if !(-4..6).contains(&exponent) => {
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
        _ => float.to_string(),
    }
}

/// Reads a floating-point number as Go's `ParseFloat`: `1_000`, `0x1p4` and `inf` are numbers, what overflows is none.
pub(super) fn parse(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let hexadecimal = unsigned.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    let plain = without_underscores(text, unsigned, hexadecimal)?;
    if hexadecimal {
        return parse_hexadecimal(&plain);
    }
    let lower = unsigned.to_ascii_lowercase();
    let infinite = ["inf", "infinity"].contains(&lower.as_str());
    if lower == "nan" && unsigned.len() < text.len() {
        return None;
    }
    plain.parse().ok().filter(|float: &f64| infinite || !float.is_infinite())
}

/// Underscores may stand between digits, and behind the `0x`.
fn without_underscores(text: &str, unsigned: &str, hexadecimal: bool) -> Option<String> {
    if !text.contains('_') {
        return Some(text.to_owned());
    }
    let is_digit = |b: u8| if hexadecimal { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
    let mut before_is_digit = false;
    let mut after_underscore = false;
    for (at, b) in unsigned.bytes().enumerate() {
        let digit = is_digit(b) || (hexadecimal && at == 1);
        if (b == b'_' && !before_is_digit) || (after_underscore && !digit) {
            return None;
        }
        (before_is_digit, after_underscore) = (digit, b == b'_');
    }
    (!after_underscore).then(|| text.replace('_', ""))
}

/// `0x1.8p3`. The exponent is required.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = unsigned.get(2..)?.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut value = 0.0_f64;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    value *= 2.0_f64.powi(exponent.checked_sub(shift)?);
    value.is_finite().then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_as_go() {
        for (text, value) in [("1_000", Some("1000")), ("0x1.8p3", Some("12")), ("-Inf", Some("-Inf")), ("1e400", None)]
        {
            assert_eq!(parse(text).map(format).as_deref(), value, "{text}");
        }
        for (value, text) in
            [(123456.0, "123456"), (1e6, "1e+06"), (12345678.5, "1.23456785e+07"), (0.0001, "0.0001"), (1e-5, "1e-05")]
        {
            assert_eq!(format(value), text);
        }
    }
}
