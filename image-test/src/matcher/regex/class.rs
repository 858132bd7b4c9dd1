//! Character classes and escaped characters.

use super::RegexProblem;

/// A class that holds no character.
pub(super) const NOTHING: &str = "[a&&b]";

const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Reads `[...]` and gives it in the syntax of the `regex` crate, with what follows.
pub(super) fn bracketed(text: &str) -> Result<(String, &str), RegexProblem> {
    let mut rest = text.get(1..).unwrap_or_default();
    let mut class = "[".to_owned();
    if let Some(inside) = rest.strip_prefix('^') {
        class.push('^');
        rest = inside;
    }
    let mut first = true;
    loop {
        if let (Some(behind), false) = (rest.strip_prefix(']'), first) {
            class.push(']');
            return Ok((class, behind));
        }
        first = false;
        if let Some((posix, behind)) = posix(rest)? {
            class.push_str(&posix);
            rest = behind;
            continue;
        }
        if let Some((escaped, behind)) = escaped(rest)? {
            class.push_str(&escaped);
            rest = behind;
            continue;
        }
        let start = rest;
        let (low, behind) = class_character(rest)?;
        rest = behind;
        let mut high = low;
        if let Some(upper) = rest.strip_prefix('-').filter(|upper| !upper.is_empty() && !upper.starts_with(']')) {
            (high, rest) = class_character(upper)?;
            if high < low {
                let range = start.get(..start.len() - rest.len()).unwrap_or_default();
                return Err(RegexProblem::Class(range.to_owned()));
            }
        }
        // Surrogates are no characters here; Go never finds them either.
        let low = if (0xD800..0xE000).contains(&low) { 0xE000 } else { low };
        let high = if (0xD800..0xE000).contains(&high) { 0xD7FF } else { high };
        class.push_str(&if low <= high { format!(r"\x{{{low:X}}}-\x{{{high:X}}}") } else { NOTHING.to_owned() });
    }
}

/// `[:name:]` and `[:^name:]`, valid only within brackets.
fn posix(text: &str) -> Result<Option<(String, &str)>, RegexProblem> {
    let Some((name, rest)) = text.strip_prefix("[:").and_then(|inside| inside.split_once(":]")) else {
        return Ok(None);
    };
    if POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        Ok(Some((format!("[:{name}:]"), rest)))
    } else {
        Err(RegexProblem::Class(format!("[:{name}:]")))
    }
}

/// `\d`, `\pN`, `\p{Greek}` and their likes, as a class in brackets.
pub(super) fn escaped(text: &str) -> Result<Option<(String, &str)>, RegexProblem> {
    let Some(after) = text.strip_prefix('\\') else { return Ok(None) };
    let mut chars = after.chars();
    let ascii = match chars.next() {
        Some('d') => "[0-9]",
        Some('D') => "[^0-9]",
        Some('s') => r"[\t\n\f\r ]",
        Some('S') => r"[^\t\n\f\r ]",
        Some('w') => "[0-9A-Za-z_]",
        Some('W') => "[^0-9A-Za-z_]",
        Some(p @ ('p' | 'P')) => return property(p == 'P', chars.as_str()).map(Some),
        _ => return Ok(None),
    };
    Ok(Some((ascii.to_owned(), chars.as_str())))
}

fn property(negated: bool, text: &str) -> Result<(String, &str), RegexProblem> {
    let error =
        || RegexProblem::Class(format!("\\{}{}", if negated { 'P' } else { 'p' }, text.get(..20).unwrap_or(text)));
    let (name, rest) = match text.strip_prefix('{') {
        Some(inside) => inside.split_once('}').ok_or_else(error)?,
        None => {
            let end = text.chars().next().ok_or_else(error)?.len_utf8();
            text.split_at(end)
        }
    };
    let (name, negated) = name.strip_prefix('^').map_or((name, negated), |name| (name, !negated));
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphabetic() || b"_ -".contains(&b)) {
        return Err(error());
    }
    // Go knows categories and scripts; the properties that the `regex` crate has beyond these are not for gossfiles.
    let known = ["gc", "sc"].into_iter().find(|kind| regex::Regex::new(&format!(r"\p{{{kind}={name}}}")).is_ok());
    let class = match known {
        Some(kind) => format!(r"[\p{{{kind}={name}}}]"),
        None if ["cs", "surrogate"].contains(&name.to_ascii_lowercase().as_str()) => NOTHING.to_owned(),
        None => return Err(error()),
    };
    Ok((if negated { format!("[^{class}]") } else { class }, rest))
}

fn class_character(text: &str) -> Result<(u32, &str), RegexProblem> {
    match text.chars().next() {
        None => Err(RegexProblem::MissingBracket),
        Some('\\') => character(text),
        Some(c) => Ok((c.into(), text.get(c.len_utf8()..).unwrap_or_default())),
    }
}

/// Reads an escaped character, which may be a surrogate.
pub(super) fn character(text: &str) -> Result<(u32, &str), RegexProblem> {
    let after = text.strip_prefix('\\').unwrap_or(text);
    let c = after.chars().next().ok_or(RegexProblem::TrailingBackslash)?;
    let rest = after.get(c.len_utf8()..).unwrap_or_default();
    let error = || RegexProblem::Escape(text.chars().take(8).collect());
    let code = match c {
        'a' => 0x07,
        'f' => 0x0C,
        'n' => 0x0A,
        'r' => 0x0D,
        't' => 0x09,
        'v' => 0x0B,
        'x' => return hexadecimal(rest).ok_or_else(error),
        '0'..='7' => {
            let digits = after.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            // A single digit other than 0 would be a backreference.
            if digits == 1 && c != '0' {
                return Err(error());
            }
            let (octal, rest) = after.split_at(digits);
            return u32::from_str_radix(octal, 8).map(|code| (code, rest)).map_err(|_| error());
        }
        _ if c.is_ascii() && !c.is_ascii_alphanumeric() => c.into(),
        _ => return Err(error()),
    };
    Ok((code, rest))
}

/// `41` or `{41}`.
fn hexadecimal(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = match text.strip_prefix('{') {
        Some(inside) => inside.split_once('}')?,
        None => text.split_at_checked(2)?,
    };
    let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, 16).ok().filter(|code| valid && *code <= u32::from(char::MAX))?;
    Some((code, rest))
}
