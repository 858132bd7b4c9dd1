//! Go's literals, and its conversions between numbers and text.

/// A numeric constant: what Go's untyped constants can become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    /// The value, if it is a whole number.
    pub(super) int: Option<i64>,
    pub(super) float: f64,
    /// Written with a fraction or an exponent: a float where any type will do.
    pub(super) is_float: bool,
}

/// The number of bytes at the start of `text` that can be a number.
pub(super) fn scan(text: &str) -> usize {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut digits: fn(char) -> bool = |c| c.is_ascii_digit() || c == '_';
    let mut exponent = ['e', 'E'];
    if let Some(after) = rest.strip_prefix('0') {
        rest = after;
        if let Some(after) = rest.strip_prefix(['x', 'X']) {
            (rest, digits, exponent) = (after, |c: char| c.is_ascii_hexdigit() || c == '_', ['p', 'P']);
        } else if let Some(after) = rest.strip_prefix(['o', 'O']) {
            (rest, digits) = (after, |c: char| matches!(c, '0'..='7' | '_'));
        } else if let Some(after) = rest.strip_prefix(['b', 'B']) {
            (rest, digits) = (after, |c: char| matches!(c, '0' | '1' | '_'));
        }
    }
    rest = rest.trim_start_matches(digits);
    if let Some(after) = rest.strip_prefix('.') {
        rest = after.trim_start_matches(digits);
    }
    if let Some(after) = rest.strip_prefix(exponent) {
        let after = after.strip_prefix(['+', '-']).unwrap_or(after);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    }
    text.len() - rest.len()
}

/// The value of a numeric or character constant.
pub(super) fn constant(text: &str) -> Result<Number, String> {
    if let Some(inside) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        let decoded = unquote(inside, '\'')?;
        let mut chars = decoded.chars();
        let (Some(c), None) = (chars.next(), chars.next()) else {
            return Err("a character constant holds one character".into());
        };
        return Ok(whole(i64::from(u32::from(c))));
    }
    if let Some(int) = parse_int(text, 0) {
        return Ok(whole(int));
    }
    if parse_u64(text.strip_prefix('+').unwrap_or(text), 0).is_some() {
        return Err(format!("the number {text} overflows int"));
    }
    let float = parse_float(text).ok_or_else(|| format!("{text} is no number"))?;
    if !text.contains(['.', 'e', 'E', 'p', 'P']) {
        return Err(format!("the number {text} overflows int"));
    }
    // The cast saturates, so a number out of range does not come back as itself.
    let int = (float.abs() < 9.2e18 && float as i64 as f64 == float).then_some(float as i64);
    Ok(Number { int, float, is_float: true })
}

fn whole(int: i64) -> Number {
    Number { int: Some(int), float: int as f64, is_float: false }
}

/// Go's strconv.ParseInt for 64 bits. Base 0 takes it from the prefix, and allows underscores.
pub(super) fn parse_int(text: &str, base: u32) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = i128::from(parse_u64(digits, base)?);
    i64::try_from(if negative { -value } else { value }).ok()
}

/// Go's strconv.ParseUint for 64 bits.
pub(super) fn parse_u64(text: &str, base: u32) -> Option<u64> {
    if base != 0 {
        return if text.starts_with('+') { None } else { u64::from_str_radix(text, base).ok() };
    }
    let lower = text.to_ascii_lowercase();
    let (base, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, lower.get(1..)?)
    } else {
        (10, lower.as_str())
    };
    // An underscore stands between digits, or between a prefix and a digit.
    let prefixed = digits.len() < lower.len();
    if digits.ends_with('_') || digits.contains("__") || (digits.starts_with('_') && !prefixed) {
        return None;
    }
    let digits = digits.replace('_', "");
    if digits.starts_with('+') { None } else { u64::from_str_radix(&digits, base).ok() }
}

/// Go's strconv.ParseFloat for 64 bits. Out of range is no number.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    if bare.len() > 1 && bare.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x")) {
        let value = parse_hex_float(bare.get(2..)?)?;
        return Some(if text.starts_with('-') { -value } else { value });
    }
    let special = matches!(bare.to_ascii_lowercase().as_str(), "inf" | "infinity" | "nan");
    let value = text.parse::<f64>().ok()?;
    (special || value.is_finite()).then_some(value)
}

fn parse_hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}").replace('_', "");
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    let exponent = exponent.parse::<i32>().ok()?.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    let value = u64::from_str_radix(&digits, 16).ok()? as f64 * 2_f64.powi(exponent);
    value.is_finite().then_some(value)
}

/// The text of a quoted constant, without its quotes.
pub(super) fn unquote(inside: &str, quote: char) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.next().ok_or("a backslash ends the constant")?;
        let (length, base) = match escape {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (3, 8),
            c => {
                bytes.push(match c {
                    'a' => 7,
                    'b' => 8,
                    'f' => 12,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'v' => 11,
                    '\\' => b'\\',
                    c if c == quote => c as u8,
                    c => return Err(format!("unknown escape sequence \\{c}")),
                });
                continue;
            }
        };
        let mut digits = String::new();
        if base == 8 {
            digits.push(escape);
        }
        digits.extend(rest.by_ref().take(length - digits.len()));
        let wrong = || format!("the escape sequence \\{escape} takes {length} digits");
        let code = u32::from_str_radix(&digits, base).ok().filter(|_| digits.len() == length).ok_or_else(wrong)?;
        if matches!(escape, 'u' | 'U') || quote == '\'' {
            let c = char::from_u32(code).ok_or("an escape sequence names no character")?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            bytes.push(u8::try_from(code).map_err(|_| "an octal escape sequence goes up to \\377")?);
        }
    }
    String::from_utf8(bytes).map_err(|_| "the escape sequences of the constant are not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_the_bases_of_go() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0644", Some(420)),
            ("0o644", Some(420)),
            ("0x_ff", Some(255)),
            ("1_000", Some(1000)),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("08", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("+-1", None),
            ("", None),
        ] {
            assert_eq!(parse_int(text, 0), expected, "{text}");
        }
    }

    #[test]
    fn floats_that_are_whole_are_integers_too() {
        let number = constant("1e3").unwrap();
        assert_eq!((number.int, number.is_float), (Some(1000), true));
        assert_eq!(constant("1.5").unwrap().int, None);
        assert_eq!(constant("0x1p4").unwrap().float, 16.0);
        assert!(constant("99999999999999999999").is_err());
        assert!(constant("1e999").is_err());
    }
}
