//! The functions of Go's text/template itself.

use super::{Cx, Int, Registry, Rest, Text};
use crate::template::{
    context::{Context, Fault},
    format,
    value::{IntType, Val},
};

pub(super) fn register(registry: &mut Registry) {
    registry.add("not", |value: Val| !value.truth());
    registry.add("len", |value: Val| len(&value));
    registry.add("index", |cx: Cx, value: Val, keys: Rest<Val>| index(&cx, value, keys.0));
    registry.add("print", |cx: Cx, values: Rest<Val>| format::print(&cx, &values.0));
    registry.add("println", |cx: Cx, values: Rest<Val>| format::println(&cx, &values.0));
    registry.add("printf", |cx: Cx, format: Text, values: Rest<Val>| format::printf(&cx, &format, &values.0));
    registry.add("html", |cx: Cx, values: Rest<Val>| escape(&cx, &values.0, escape_html));
    registry.add("js", |cx: Cx, values: Rest<Val>| escape(&cx, &values.0, escape_js));
    registry.add("urlquery", |cx: Cx, values: Rest<Val>| escape(&cx, &values.0, escape_query));
    registry.add("call", |function: Val, _: Rest<Val>| -> Result<Val, Fault> {
        Err(Fault::new(format!("{} is not a function; functions are called by their name", function.type_name())))
    });
    registry.add("eq", |value: Val, others: Rest<Val>| {
        if others.0.is_empty() {
            return Err(Fault::new("nothing to compare with"));
        }
        for other in &others.0 {
            if equal(&value, other)? {
                return Ok(true);
            }
        }
        Ok(false)
    });
    registry.add("ne", |a: Val, b: Val| equal(&a, &b).map(|equal| !equal));
    registry.add("lt", |a: Val, b: Val| less(&a, &b));
    registry.add("le", |a: Val, b: Val| Ok::<_, Fault>(less(&a, &b)? || equal(&a, &b)?));
    registry.add("gt", |a: Val, b: Val| Ok::<_, Fault>(!less(&a, &b)? && !equal(&a, &b)?));
    registry.add("ge", |a: Val, b: Val| less(&a, &b).map(|less| !less));
}

fn len(value: &Val) -> Result<Int, Fault> {
    let length = match value {
        Val::Str(text) => text.len(),
        Val::List(list) => list.items.len(),
        Val::Map(map) => map.len(),
        other => return Err(Fault::new(format!("a value of type {} has no length", other.type_name()))),
    };
    Ok(Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(cx: &Context, value: Val, keys: Vec<Val>) -> Result<Val, Fault> {
    if matches!(value, Val::Nil) {
        return Err(Fault::new("nil cannot be indexed"));
    }
    let mut value = value;
    for key in keys {
        value = match (&value, &key) {
            (Val::List(list), Val::Int(at, _)) => {
                let item = usize::try_from(*at).ok().and_then(|at| list.items.get(at));
                item.cloned().ok_or_else(|| out_of_range(*at, list.items.len()))?
            }
            (Val::Str(text), Val::Int(at, _)) => {
                let byte = usize::try_from(*at).ok().and_then(|at| text.as_bytes().get(at));
                Val::Int(i64::from(*byte.ok_or_else(|| out_of_range(*at, text.len()))?), IntType::Uint8)
            }
            (Val::Map(map), Val::Str(key)) => match map.get(key) {
                Some(value) => value,
                // What is not there is the zero value of the map's type.
                None if map.of_strings => cx.text("")?,
                None => Val::Nil,
            },
            (Val::List(_) | Val::Str(_) | Val::Map(_), key) => {
                let (container, key) = (value.type_name(), key.type_name());
                return Err(Fault::new(format!("a value of type {container} cannot be indexed with {key}")));
            }
            (other, _) => return Err(Fault::new(format!("a value of type {} cannot be indexed", other.type_name()))),
        };
    }
    Ok(value)
}

fn out_of_range(at: i64, length: usize) -> Fault {
    Fault::new(format!("index {at} is out of range of {length} elements"))
}

fn incomparable(a: &Val, b: &Val) -> Fault {
    Fault::new(format!("a value of type {} cannot be compared with one of type {}", a.type_name(), b.type_name()))
}

fn equal(a: &Val, b: &Val) -> Result<bool, Fault> {
    match (a, b) {
        (Val::Bool(a), Val::Bool(b)) => Ok(a == b),
        (Val::Int(a, _), Val::Int(b, _)) => Ok(a == b),
        (Val::Float(a), Val::Float(b)) => Ok(a == b),
        (Val::Str(a), Val::Str(b)) => Ok(a == b),
        (Val::Time(a), Val::Time(b)) => Ok(a == b),
        (Val::Version(a), Val::Version(b)) => Ok(std::rc::Rc::ptr_eq(a, b)),
        (Val::Data(_), Val::Data(_)) => Ok(true),
        // Anything can be compared with nil.
        (Val::Nil, other) | (other, Val::Nil) => Ok(other.is_nil()),
        (Val::List(_), Val::List(_)) | (Val::Map(_), Val::Map(_)) if a.is_nil() || b.is_nil() => {
            Ok(a.is_nil() == b.is_nil())
        }
        _ => Err(incomparable(a, b)),
    }
}

fn less(a: &Val, b: &Val) -> Result<bool, Fault> {
    match (a, b) {
        (Val::Int(a, _), Val::Int(b, _)) => Ok(a < b),
        (Val::Float(a), Val::Float(b)) => Ok(a < b),
        (Val::Str(a), Val::Str(b)) => Ok(a < b),
        _ => Err(incomparable(a, b)),
    }
}

/// The arguments as one text with every character escaped that needs it.
fn escape(cx: &Context, values: &[Val], escape: fn(char, &mut String)) -> Result<String, Fault> {
    let no_value = |value: &Val| if matches!(value, Val::Nil) { Val::text("<no value>") } else { value.clone() };
    let text = format::print(cx, &values.iter().map(no_value).collect::<Vec<_>>())?;
    // The longest escape sequence of a byte has six.
    cx.spend_text(text.len())?;
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| escape(c, &mut out));
    Ok(out)
}

fn escape_html(c: char, out: &mut String) {
    match c {
        '\0' => out.push(char::REPLACEMENT_CHARACTER),
        '"' => out.push_str("&#34;"),
        '\'' => out.push_str("&#39;"),
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}

fn escape_js(c: char, out: &mut String) {
    match c {
        '\\' | '\'' | '"' => out.extend(['\\', c]),
        '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        c if c.is_ascii_control() && c != '\u{7f}' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        c if !c.is_ascii() && c.escape_debug().len() > 1 => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        c => out.push(c),
    }
}

fn escape_query(c: char, out: &mut String) {
    match c {
        ' ' => out.push('+'),
        'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_' | '.' | '~' => out.push(c),
        c => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}"))),
    }
}
