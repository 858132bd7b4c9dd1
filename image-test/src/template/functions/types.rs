//! Sprig's functions of types, defaults and conditions.

use super::{Int, Registry, Rest, Text};
use crate::template::{
    context::{Context, Fault},
    number,
    value::Val,
};

pub(super) fn register(registry: &mut Registry) {
    registry.add("default", |default: Val, given: Rest<Val>| match given.0.into_iter().next() {
        Some(given) if !is_empty(&given) => given,
        _ => default,
    });
    registry.add("empty", |value: Val| is_empty(&value));
    registry
        .add("coalesce", |values: Rest<Val>| values.0.into_iter().find(|value| !is_empty(value)).unwrap_or(Val::Nil));
    registry.add("all", |values: Rest<Val>| !values.0.iter().any(is_empty));
    registry.add("any", |values: Rest<Val>| !values.0.iter().all(is_empty));
    registry.add("ternary", |yes: Val, no: Val, condition: bool| if condition { yes } else { no });
    registry.add("fail", |message: Text| -> Result<Val, Fault> { Err(Fault::new(&*message)) });
    registry.add("typeOf", |value: Val| value.type_name());
    registry.add("typeIs", |name: Text, value: Val| *name == *value.type_name());
    registry.add("typeIsLike", |name: Text, value: Val| {
        value.type_name().trim_start_matches('*') == name.trim_start_matches('*')
    });
    registry.add("kindOf", |value: Val| value.kind_name());
    registry.add("kindIs", |name: Text, value: Val| *name == *value.kind_name());
    registry.add("deepEqual", |cx: super::Cx, a: Val, b: Val| a.deep_equal(&b, &cx));
    registry.add("atoi", |text: Text| Int(number::parse_int(&text, 10).unwrap_or(0)));
    registry.add("int64", |value: Val| to_int(&value));
    registry.add("int", |value: Val| Int(to_int(&value)));
    registry.add("float64", |value: Val| to_float(&value));
    registry.add("toDecimal", |cx: super::Cx, value: Val| to_decimal(&cx, &value));
}

/// Whether a value is the zero value of its type.
pub(super) fn is_empty(value: &Val) -> bool {
    !value.truth()
}

/// A number in any form as a whole number, or 0.
pub(super) fn to_int(value: &Val) -> i64 {
    match value {
        Val::Int(value, _) => *value,
        // What Go's conversion gives on amd64 where it is out of range.
        Val::Float(value) if value.is_nan() || value.abs() >= 9_223_372_036_854_775_808.0 => i64::MIN,
        Val::Float(value) => *value as i64,
        Val::Bool(value) => i64::from(*value),
        Val::Str(text) => number::parse_int(without_zero_decimals(text), 0).unwrap_or(0),
        _ => 0,
    }
}

/// A number in any form as a float, or 0.
pub(super) fn to_float(value: &Val) -> f64 {
    match value {
        Val::Int(value, _) => *value as f64,
        Val::Float(value) => *value,
        Val::Bool(value) => f64::from(u8::from(*value)),
        Val::Str(text) => number::parse_float(text).unwrap_or(0.0),
        _ => 0.0,
    }
}

/// `1.00` as `1`.
fn without_zero_decimals(text: &str) -> &str {
    let bare = text.trim_end_matches('0');
    match bare.strip_suffix('.') {
        Some(whole) if bare.len() < text.len() => whole,
        _ => text,
    }
}

/// An octal number, as of a file's mode.
fn to_decimal(cx: &Context, value: &Val) -> Result<i64, Fault> {
    let text = crate::template::format::display(cx, value)?;
    Ok(number::parse_int(&text, 8).unwrap_or(0))
}
