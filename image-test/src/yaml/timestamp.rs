//! Timestamps that `yaml.v3` recognises in plain scalars.

/// Whether `yaml.v3` decodes this as a time: `2006-1-2`, `2006-1-2 15:4:5[.9]`, or `2006-1-2T15:4:5[.9](Z|+07:00)`.
pub(super) fn is_timestamp(text: &str) -> bool {
    printed(text).is_some()
}

/// The time as Go prints it where the local time is UTC, `2006-01-02 15:04:05.9 +0700 +0700`; none of what is no time.
pub(super) fn printed(text: &str) -> Option<String> {
    let (year, rest) = digits(text, 4, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    if !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) {
        return None;
    }
    let mut after = rest.chars();
    let (time, zone) = match after.next() {
        None => ("00:00:00".into(), UTC.into()),
        Some(' ') => time(after.as_str()).filter(|(_, rest)| rest.is_empty()).map(|(time, _)| (time, UTC.into()))?,
        Some('T' | 't') => {
            let (time, rest) = time(after.as_str())?;
            (time, zone(rest)?)
        }
        Some(_) => return None,
    };
    Some(format!("{year:04}-{month:02}-{day:02} {time} {zone}"))
}

const UTC: &str = "+0000 UTC";

/// `15:4:5[.9]` with all digits that count, and what follows.
fn time(text: &str) -> Option<(String, &str)> {
    let (hour, rest) = digits(text, 1, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 1, 2)?;
    let (second, rest) = digits(rest.strip_prefix(':')?, 1, 2)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let whole = format!("{hour:02}:{minute:02}:{second:02}");
    let Some(after) = rest.strip_prefix(['.', ',']) else { return Some((whole, rest)) };
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    let fraction = after.strip_suffix(rest).filter(|fraction| !fraction.is_empty())?;
    // Go counts in nanoseconds.
    let fraction = fraction.get(..9).unwrap_or(fraction).trim_end_matches('0');
    Some((if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }, rest))
}

/// `Z` or an offset, which is its own name unless it is none.
fn zone(text: &str) -> Option<String> {
    if text == "Z" {
        return Some(UTC.into());
    }
    let sign = text.chars().next().filter(|sign| matches!(sign, '+' | '-'))?;
    let (hour, rest) = digits(text.get(1..)?, 2, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2, 2)?;
    if hour > 24 || minute > 60 || !rest.is_empty() {
        return None;
    }
    let minutes = hour * 60 + minute;
    if minutes == 0 {
        return Some(UTC.into());
    }
    let offset = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
    Some(format!("{offset} {offset}"))
}

/// A number of so many digits, and what follows.
fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(count)?;
    (count >= least).then(|| Some((number.parse().ok()?, rest)))?
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_go_prints_them() {
        for (text, expected) in [
            ("2001-01-01", Some("2001-01-01 00:00:00 +0000 UTC")),
            ("2024-2-29 3:4:5", Some("2024-02-29 03:04:05 +0000 UTC")),
            ("2001-12-14T21:59:43.10Z", Some("2001-12-14 21:59:43.1 +0000 UTC")),
            ("2001-12-14t21:59:43.0+00:00", Some("2001-12-14 21:59:43 +0000 UTC")),
            ("2001-12-14T21:59:43,5-05:30", Some("2001-12-14 21:59:43.5 -0530 -0530")),
            ("2001-12-14T21:59:43.1234567891+01:60", Some("2001-12-14 21:59:43.123456789 +0200 +0200")),
            ("2001-02-29", None),
            ("2001-01-01 00:00:00Z", None),
            ("2001-01-01T00:00:00", None),
            ("2001-01-01T00:00:00.Z", None),
            ("2001-01-01Té", None),
        ] {
            assert_eq!(printed(text).as_deref(), expected, "{text}");
        }
    }
}
