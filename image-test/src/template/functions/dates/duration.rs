//! Durations as Go writes them, in nanoseconds.

const SECOND: u64 = 1_000_000_000;

/// `1h30m`, `1.5s`, `-300ms`.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_i128;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, tail) = rest.split_at_checked(number)?;
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit)?;
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.into() };
        // Beyond 18 decimals, there is no nanosecond left.
        let fraction = fraction.get(..18).unwrap_or(fraction);
        let decimals = u32::try_from(fraction.len()).ok()?;
        let fraction: i128 = if fraction.is_empty() { 0 } else { fraction.parse::<i64>().ok()?.into() };
        total = total.checked_add(whole.checked_mul(scale)?)?;
        total = total.checked_add(fraction * scale / 10_i128.pow(decimals))?;
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// `1h30m0s`
pub(super) fn format(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let size = nanoseconds.unsigned_abs();
    if size == 0 {
        return "0s".into();
    }
    let decimal = |size: u64, unit: u64| format!("{}", Decimal(size / unit, size % unit, unit));
    if size < SECOND {
        return match size {
            size if size < 1_000 => format!("{sign}{size}ns"),
            size if size < 1_000_000 => format!("{sign}{}µs", decimal(size, 1_000)),
            size => format!("{sign}{}ms", decimal(size, 1_000_000)),
        };
    }
    let (hours, minutes) = (size / SECOND / 3600, size / SECOND / 60 % 60);
    let seconds = format!("{}s", decimal(size % (60 * SECOND), SECOND));
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
    }
}

/// A whole part, and a rest of a unit as decimals.
struct Decimal(u64, u64, u64);

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(whole, rest, unit) = *self;
        write!(f, "{whole}")?;
        if rest == 0 {
            return Ok(());
        }
        let width = unit.ilog10() as usize;
        let decimals = format!("{rest:0width$}");
        write!(f, ".{}", decimals.trim_end_matches('0'))
    }
}

/// The largest unit of which there is more than one.
pub(super) fn round(nanoseconds: i64) -> String {
    let size = nanoseconds.unsigned_abs();
    const UNITS: [(u64, &str); 6] =
        [(31_536_000, "y"), (2_592_000, "mo"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    for (seconds, unit) in UNITS {
        if size > seconds * SECOND {
            return format!("{}{unit}", size / (seconds * SECOND));
        }
    }
    "0s".into()
}
