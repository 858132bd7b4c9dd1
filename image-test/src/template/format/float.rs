//! Floats as Go's strconv.FormatFloat writes them.

/// A double has no digit but zeros this far behind the point, nor behind its first digit. Rust panics when asked for more
/// than 65,535.
const MAX_DECIMALS: usize = 1_100;

/// The digits of a positive number and its exponent: `d.ddd` times ten to the exponent.
struct Decimal {
    digits: String,
    exponent: i32,
}

impl Decimal {
    /// With the given count of digits behind the first, or as few digits as tell the number from all others.
    fn new(value: f64, decimals: Option<usize>) -> Self {
        let text = match decimals.map(|decimals| decimals.min(MAX_DECIMALS)) {
            Some(decimals) => format!("{value:.decimals$e}"),
            None => format!("{value:e}"),
        };
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = digits.replace('.', "") + &more_zeros(decimals);
        Self { digits, exponent: exponent.parse().unwrap_or(0) }
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
            Some(precision) => format!("{value:.*}", precision.min(MAX_DECIMALS)) + &more_zeros(Some(precision)),
            None => format!("{value}"),
        },
        _ => general(value, e, precision),
    }
}

/// Those beyond [`MAX_DECIMALS`].
fn more_zeros(decimals: Option<usize>) -> String {
    "0".repeat(decimals.unwrap_or(0).saturating_sub(MAX_DECIMALS))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_precision_is_taken() {
        for precision in [MAX_DECIMALS, MAX_DECIMALS + 1, 65_536, 9_999_999] {
            let fixed = positive(1.5, 'f', Some(precision));
            assert_eq!((fixed.len(), fixed.trim_end_matches('0')), (precision + 2, "1.5"), "{precision}");
            let scientific = positive(15.0, 'e', Some(precision));
            assert_eq!((scientific.len(), scientific.ends_with("00e+01")), (precision + 6, true), "{precision}");
            assert_eq!(positive(f64::MIN_POSITIVE, 'g', Some(precision)).len(), 2 + 715 + 4, "{precision}");
        }
    }
}
