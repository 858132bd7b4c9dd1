//! Sprig's arithmetic.

use super::{
    Cx, Registry, Rest,
    types::{to_float, to_int},
};
use crate::template::{
    context::{Context, Fault},
    value::{Element, Val},
};

pub(super) fn register(registry: &mut Registry) {
    // Go's integers wrap around.
    registry.add("add", |values: Rest<Val>| values.0.iter().map(to_int).fold(0, i64::wrapping_add));
    registry.add("add1", |value: Val| to_int(&value).wrapping_add(1));
    registry.add("sub", |a: Val, b: Val| to_int(&a).wrapping_sub(to_int(&b)));
    registry.add("mul", |a: Val, rest: Rest<Val>| rest.0.iter().map(to_int).fold(to_int(&a), i64::wrapping_mul));
    registry.add("div", |a: Val, b: Val| divide(&a, &b, i64::wrapping_div));
    registry.add("mod", |a: Val, b: Val| divide(&a, &b, i64::wrapping_rem));
    registry
        .add_all(&["max", "biggest"], |a: Val, rest: Rest<Val>| rest.0.iter().map(to_int).fold(to_int(&a), i64::max));
    registry.add("min", |a: Val, rest: Rest<Val>| rest.0.iter().map(to_int).fold(to_int(&a), i64::min));
    registry.add("maxf", |a: Val, rest: Rest<Val>| rest.0.iter().map(to_float).fold(to_float(&a), larger));
    registry
        .add("minf", |a: Val, rest: Rest<Val>| rest.0.iter().map(to_float).fold(to_float(&a), |a, b| -larger(-a, -b)));
    registry.add("ceil", |value: Val| to_float(&value).ceil());
    registry.add("floor", |value: Val| to_float(&value).floor());
    registry.add("round", |value: Val, places: i64, up_from: Rest<f64>| {
        round(to_float(&value), places, up_from.0.first().copied().unwrap_or(0.5))
    });
    registry.add("addf", |values: Rest<Val>| decimals(0.0, &values.0, decimal::add));
    registry.add("add1f", |value: Val| decimals(to_float(&value), &[Val::Float(1.0)], decimal::add));
    registry.add("subf", |a: Val, rest: Rest<Val>| decimals(to_float(&a), &rest.0, decimal::sub));
    registry.add("mulf", |a: Val, rest: Rest<Val>| decimals(to_float(&a), &rest.0, decimal::mul));
    registry.add("divf", |a: Val, rest: Rest<Val>| decimals(to_float(&a), &rest.0, decimal::div));
    registry.add("until", |cx: Cx, count: i64| {
        let items = progression(&cx, 0, count, if count < 0 { -1 } else { 1 })?;
        cx.list(Element::Int, items.into_iter().map(Val::int).collect())
    });
    registry.add("untilStep", |cx: Cx, start: i64, stop: i64, step: i64| {
        cx.list(Element::Int, progression(&cx, start, stop, step)?.into_iter().map(Val::int).collect())
    });
    registry.add("seq", |cx: Cx, numbers: Rest<i64>| {
        let (start, step, end) = match numbers.0.as_slice() {
            [end] => (1, if *end < 1 { -1 } else { 1 }, *end),
            [start, end] => (*start, if end < start { -1 } else { 1 }, *end),
            [start, step, end] if end >= start || *step <= 0 => (*start, *step, *end),
            _ => return Ok(String::new()),
        };
        let beyond = end.saturating_add(if end < start { -1 } else { 1 });
        let numbers = progression(&cx, start, beyond, step)?;
        Ok::<_, Fault>(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" "))
    });
}

fn divide(a: &Val, b: &Val, operation: fn(i64, i64) -> i64) -> Result<i64, Fault> {
    match to_int(b) {
        0 => Err(Fault::new("division by zero")),
        b => Ok(operation(to_int(a), b)),
    }
}

/// Go's math.Max: not a number wins.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn round(value: f64, places: i64, up_from: f64) -> f64 {
    let scale = 10_f64.powf(places as f64);
    let scaled = scale * value;
    let rounded = if scaled.fract() >= up_from { scaled.ceil() } else { scaled.floor() };
    rounded / scale
}

/// From `start` to before `stop`. A step in the wrong direction goes nowhere.
fn progression(cx: &Context, start: i64, stop: i64, step: i64) -> Result<Vec<i64>, Fault> {
    if (stop < start && step >= 0) || (stop >= start && step <= 0) {
        return Ok(Vec::new());
    }
    cx.spend(start.abs_diff(stop) / step.unsigned_abs())?;
    let mut numbers = Vec::new();
    let mut next = Some(start);
    while let Some(number) = next.filter(|number| if step > 0 { *number < stop } else { *number > stop }) {
        numbers.push(number);
        next = number.checked_add(step);
    }
    Ok(numbers)
}

fn decimals(start: f64, values: &[Val], operation: fn(f64, f64) -> Option<f64>) -> Result<f64, Fault> {
    values.iter().map(to_float).try_fold(start, |sum, value| {
        operation(sum, value).ok_or_else(|| Fault::new("the numbers have no finite result"))
    })
}

/// Arithmetic on the shortest decimal forms of floats, so that 0.1 and 0.2 make 0.3.
mod decimal {
    /// A number as digits and a power of ten.
    fn parts(value: f64) -> Option<(i128, i32)> {
        if !value.is_finite() {
            return None;
        }
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e')?;
        let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(decimals).ok()?)?;
        Some((digits.replace('.', "").parse().ok()?, exponent))
    }

    fn float((digits, exponent): (i128, i32)) -> Option<f64> {
        format!("{digits}e{exponent}").parse::<f64>().ok().filter(|value| value.is_finite())
    }

    /// Both numbers with one exponent, if their digits can hold it.
    fn aligned(a: f64, b: f64) -> Option<(i128, i128, i32)> {
        let ((a, a_exponent), (b, b_exponent)) = (parts(a)?, parts(b)?);
        let exponent = match (a, b) {
            (0, _) => b_exponent,
            (_, 0) => a_exponent,
            _ => a_exponent.min(b_exponent),
        };
        let scale = |digits: i128, from: i32| {
            if digits == 0 {
                return Some(0);
            }
            digits.checked_mul(10_i128.checked_pow(u32::try_from(from.checked_sub(exponent)?).ok()?)?)
        };
        Some((scale(a, a_exponent)?, scale(b, b_exponent)?, exponent))
    }

    fn finite(value: f64) -> Option<f64> {
        value.is_finite().then_some(value)
    }

    // Numbers too far apart for exact digits differ by more than a float can tell, or nearly so.
    pub(super) fn add(a: f64, b: f64) -> Option<f64> {
        let exact = aligned(a, b).and_then(|(a, b, exponent)| float((a.checked_add(b)?, exponent)));
        exact.or_else(|| finite(a + b))
    }

    pub(super) fn sub(a: f64, b: f64) -> Option<f64> {
        add(a, -b)
    }

    pub(super) fn mul(a: f64, b: f64) -> Option<f64> {
        let ((a_digits, a_exponent), (b_digits, b_exponent)) = (parts(a)?, parts(b)?);
        float((a_digits.checked_mul(b_digits)?, a_exponent.checked_add(b_exponent)?))
    }

    /// To sixteen decimals, as the library that Sprig uses.
    pub(super) fn div(a: f64, b: f64) -> Option<f64> {
        const DECIMALS: u32 = 16;
        let (a_digits, b_digits, _) = aligned(a, b)?;
        if b_digits == 0 {
            return None;
        }
        let exact = a_digits.checked_mul(10_i128.pow(DECIMALS)).and_then(|scaled| {
            let (quotient, rest) = (scaled / b_digits, scaled % b_digits);
            let up = rest.unsigned_abs().checked_mul(2)? >= b_digits.unsigned_abs();
            let away = if (scaled < 0) == (b_digits < 0) { 1 } else { -1 };
            float((quotient + if up { away } else { 0 }, -16))
        });
        exact.or_else(|| finite(a / b))
    }
}
