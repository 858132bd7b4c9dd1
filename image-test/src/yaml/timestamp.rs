//! Timestamps that `yaml.v3` recognises in plain scalars.

/// Whether `yaml.v3` decodes this as a time: `2006-1-2`, `2006-1-2 15:4:5[.9]`, or `2006-1-2T15:4:5[.9](Z|+07:00)`.
pub(super) fn is_timestamp(text: &str) -> bool {
    date_and_time(text).is_some()
}

fn date_and_time(text: &str) -> Option<()> {
    let (year, rest) = digits(text, 4, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    if !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) {
        return None;
    }
    let mut after = rest.chars();
    match after.next() {
        None => Some(()),
        Some(' ') => time(after.as_str()).filter(|rest| rest.is_empty()).map(drop),
        Some('T' | 't') => zone(time(after.as_str())?),
        Some(_) => None,
    }
}

/// What follows `15:4:5[.9]`.
fn time(text: &str) -> Option<&str> {
    let (hour, rest) = digits(text, 1, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 1, 2)?;
    let (second, rest) = digits(rest.strip_prefix(':')?, 1, 2)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    match rest.strip_prefix(['.', ',']) {
        None => Some(rest),
        Some(fraction) => {
            let rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (rest.len() < fraction.len()).then_some(rest)
        }
    }
}

fn zone(text: &str) -> Option<()> {
    if text == "Z" {
        return Some(());
    }
    let (hour, rest) = digits(text.strip_prefix(['+', '-'])?, 2, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2, 2)?;
    (hour <= 24 && minute <= 60 && rest.is_empty()).then_some(())
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
