//! Floats as Go's strconv.FormatFloat writes them.

/// The digits of a positive number and its exponent: `d.ddd` times ten to the exponent.
struct Decimal {
    digits: String,
    exponent: i32,
}

impl Decimal {
    /// With the given count of digits behind the first, or as few digits as tell the number from all others.
    fn new(value: f64, decimals: Option<usize>) -> Self {
        let text = match decimals {
            Some(decimals) => format!("{value:.decimals$e}"),
            None => format!("{value:e}"),
        };
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        Self { digits: digits.replace('.', ""), exponent: exponent.parse().unwrap_or(0) }
    }

    fn scientific(&self, e: char) -> String {
        let (first, rest) = self.digits.split_at_checked(1).unwrap_or(("0", ""));
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if self.exponent < 0 { '-' } else { '+' };
        format!("{first}{point}{rest}{e}{sign}{:02}", self.exponent.unsigned_abs())
    }
}

/// A finite positive number with the verb `e`, `E`, `f`, `F`, `g` or `G`. Without a precision, the shortest form.
pub(super) fn positive(value: f64, verb: char, precision: Option<usize>) -> String {
    let e = if verb.is_ascii_uppercase() { 'E' } else { 'e' };
    match verb {
        'e' | 'E' => Decimal::new(value, precision).scientific(e),
        'f' | 'F' => match precision {
            Some(precision) => format!("{value:.precision$}"),
            None => format!("{value}"),
        },
        _ => general(value, e, precision),
    }
}

fn general(value: f64, e: char, precision: Option<usize>) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let mut decimal = Decimal::new(value, precision.map(|precision| precision - 1));
    decimal.digits.truncate(decimal.digits.trim_end_matches('0').len().max(1));
    let digits = decimal.digits.len();
    let point = decimal.exponent + 1;
    let count = i32::try_from(digits).unwrap_or(i32::MAX);
    let threshold = match precision {
        None => 6,
        Some(precision) if precision > digits && count >= point => count,
        Some(precision) => i32::try_from(precision).unwrap_or(i32::MAX),
    };
    if decimal.exponent < -4 || decimal.exponent >= threshold {
        return decimal.scientific(e);
    }
    let decimals = usize::try_from(count - point).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// A number with a decimal point in any case, and with the verb `g` also with zeros up to the precision: the flag `#`.
pub(super) fn with_point(number: &str, verb: char, precision: Option<usize>) -> String {
    let end = number.find(['e', 'E']).unwrap_or(number.len());
    let (mantissa, exponent) = number.split_at_checked(end).unwrap_or((number, ""));
    let point = if mantissa.contains('.') { "" } else { "." };
    let significant = mantissa.replace('.', "").trim_start_matches('0').len();
    let wanted = if matches!(verb, 'g' | 'G') { precision.unwrap_or(6) } else { 0 };
    // The zero of 0 counts as a digit.
    let zeros = "0".repeat(wanted.saturating_sub(significant.max(usize::from(mantissa == "0"))));
    format!("{mantissa}{point}{zeros}{exponent}")
}
