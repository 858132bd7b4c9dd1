//! Durations as Go writes them: `1m30s`, `1.5h`, `-2ms`.

use std::time::Duration;

/// A duration; a negative one is zero. None where Go finds none, or one beyond its range.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let scale = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanos += number.parse::<f64>().ok()? * scale;
        rest = after;
    }
    match nanos <= i64::MAX as f64 {
        true if negative => Some(Duration::ZERO),
        true => Some(Duration::from_nanos(nanos as u64)),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("1s", Some(1_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("-2ms", Some(0)),
            ("+2ms", Some(2_000_000)),
            ("3us", Some(3_000)),
            ("7ns", Some(7)),
            ("", None),
            ("-", None),
            ("5", None),
            ("s", None),
            ("1d", None),
            ("1s ", None),
            ("1..5s", None),
            ("9999999h", None),
        ] {
            assert_eq!(parse(text), nanos.map(Duration::from_nanos), "{text}");
        }
    }
}
