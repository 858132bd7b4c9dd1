//! Sprig's functions of strings.

use super::{Cx, Registry, Rest, Text, words};
use crate::template::{
    context::{Context, Fault, MAX_TEXT},
    format::{self, Sink},
    value::Val,
};

pub(super) fn register(registry: &mut Registry) {
    registry.add("hello", |_: Cx| "Hello!");
    registry.add("trim", |text: Text| text.trim().to_owned());
    registry.add("upper", |text: Text| text.chars().map(words::upper).collect::<String>());
    registry.add("lower", |text: Text| text.chars().map(words::lower).collect::<String>());
    registry.add("repeat", |cx: Cx, count: i64, text: Text| repeat(&cx, &text, count));
    registry
        .add_all(&["trimAll", "trimall"], |cut: Text, text: Text| text.trim_matches(|c| cut.contains(c)).to_owned());
    registry.add("trimSuffix", |suffix: Text, text: Text| text.strip_suffix(&*suffix).unwrap_or(&text).to_owned());
    registry.add("trimPrefix", |prefix: Text, text: Text| text.strip_prefix(&*prefix).unwrap_or(&text).to_owned());
    registry.add("contains", |part: Text, text: Text| text.contains(&*part));
    registry.add("hasPrefix", |prefix: Text, text: Text| text.starts_with(&*prefix));
    registry.add("hasSuffix", |suffix: Text, text: Text| text.ends_with(&*suffix));
    registry.add("trunc", |length: i64, text: Text| truncate(&text, length));
    registry.add("substr", |start: i64, end: i64, text: Text| substring(&text, start, end));
    registry.add("replace", |cx: Cx, old: Text, new: Text, text: Text| {
        let added = text.matches(&*old).count().saturating_mul(new.len());
        cx.spend_text(text.len().saturating_add(added))?;
        Ok::<_, Fault>(text.replace(&*old, &new))
    });
    registry.add("indent", |cx: Cx, spaces: i64, text: Text| indent(&cx, spaces, &text));
    registry
        .add("nindent", |cx: Cx, spaces: i64, text: Text| Ok::<_, Fault>(format!("\n{}", indent(&cx, spaces, &text)?)));
    registry.add("plural", |one: Text, many: Text, count: i64| if count == 1 { one } else { many });
    registry.add("quote", |cx: Cx, values: Rest<Val>| join_shown(&cx, &values.0, |text| format::quote(&text)));
    registry.add("squote", |cx: Cx, values: Rest<Val>| join_shown(&cx, &values.0, |text| format!("'{text}'")));
    registry.add("cat", |cx: Cx, values: Rest<Val>| join_shown(&cx, &values.0, |text| text));
    registry.add("toString", |cx: Cx, value: Val| format::display(&cx, &value));
    registry.add("toStrings", |cx: Cx, value: Val| to_strings(&cx, &value));
    registry.add("join", |cx: Cx, separator: Text, value: Val| {
        let parts = to_strings(&cx, &value)?;
        let length = parts.iter().map(|part| part.len() + separator.len()).fold(0, usize::saturating_add);
        cx.spend_text(length.saturating_sub(separator.len()))?;
        Ok::<_, Fault>(parts.join(&separator))
    });
    registry.add("split", |cx: Cx, separator: Text, text: Text| numbered(&cx, split(&text, &separator, None)));
    registry.add("splitn", |cx: Cx, separator: Text, count: i64, text: Text| {
        let parts = match usize::try_from(count) {
            Ok(0) => Vec::new(),
            Ok(count) => split(&text, &separator, Some(count)),
            Err(_) => split(&text, &separator, None),
        };
        numbered(&cx, parts)
    });
    registry.add("splitList", |separator: Text, text: Text| split(&text, &separator, None));
}

/// The text of every value that is not nil, in its form, with spaces between.
fn join_shown(cx: &Context, values: &[Val], form: fn(String) -> String) -> Result<String, Fault> {
    let mut out = Sink::new(cx);
    for (i, value) in values.iter().filter(|value| !matches!(value, Val::Nil)).enumerate() {
        if i > 0 {
            out.push(" ")?;
        }
        out.push(&form(format::display(cx, value)?))?;
    }
    out.finish()
}

/// The elements of a list as text, without nils. Anything else is one element.
pub(super) fn to_strings(cx: &Context, value: &Val) -> Result<Vec<String>, Fault> {
    match value {
        Val::List(list) => {
            list.items.iter().filter(|item| !matches!(item, Val::Nil)).map(|item| format::display(cx, item)).collect()
        }
        Val::Nil => Ok(Vec::new()),
        value => Ok(vec![format::display(cx, value)?]),
    }
}

fn repeat(cx: &Context, text: &str, count: i64) -> Result<String, Fault> {
    let count = usize::try_from(count).map_err(|_| Fault::new("the count is negative"))?;
    cx.spend_text(text.len().saturating_mul(count))?;
    Ok(text.repeat(count))
}

/// The bytes from `start` to `end`, if they are characters.
fn cut(text: &str, start: usize, end: usize) -> Result<String, Fault> {
    if start > end || end > text.len() {
        return Err(Fault::new(format!("{start} to {end} is out of range of {} bytes", text.len())));
    }
    let part = text.get(start..end);
    part.map(str::to_owned).ok_or_else(|| Fault::new("the cut is within a character"))
}

fn truncate(text: &str, length: i64) -> Result<String, Fault> {
    let bytes = usize::try_from(length.unsigned_abs()).unwrap_or(usize::MAX);
    match (length < 0, bytes < text.len()) {
        (_, false) => Ok(text.to_owned()),
        (true, true) => cut(text, text.len() - bytes, text.len()),
        (false, true) => cut(text, 0, bytes),
    }
}

fn substring(text: &str, start: i64, end: i64) -> Result<String, Fault> {
    let (start, end) = match (usize::try_from(start), usize::try_from(end)) {
        (Err(_), Ok(end)) => (0, end),
        (Err(_), Err(_)) => return Err(Fault::new("both ends are negative")),
        (Ok(start), Ok(end)) => (start, end.min(text.len())),
        (Ok(start), Err(_)) => (start, text.len()),
    };
    cut(text, start, end)
}

fn indent(cx: &Context, spaces: i64, text: &str) -> Result<String, Fault> {
    let spaces = usize::try_from(spaces).map_err(|_| Fault::new("the number of spaces is negative"))?;
    let lines = text.matches('\n').count() + 1;
    cx.spend_text(spaces.saturating_mul(lines).saturating_add(text.len()))?;
    let pad = " ".repeat(spaces);
    Ok(format!("{pad}{}", text.replace('\n', &format!("\n{pad}"))))
}

/// Go's strings.SplitN, where no separator separates all characters.
fn split(text: &str, separator: &str, count: Option<usize>) -> Vec<String> {
    debug_assert!(text.len() <= MAX_TEXT);
    if separator.is_empty() {
        let mut parts: Vec<String> = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if count == Some(parts.len() + 1) {
                parts.push(rest.to_owned());
                break;
            }
            parts.push(c.into());
            rest = rest.get(c.len_utf8()..).unwrap_or("");
        }
        return parts;
    }
    match count {
        Some(count) => text.splitn(count, separator).map(str::to_owned).collect(),
        None => text.split(separator).map(str::to_owned).collect(),
    }
}

/// A map from `_0`, `_1` and so on.
fn numbered(cx: &Context, parts: Vec<String>) -> Result<Val, Fault> {
    cx.spend_text(parts.iter().map(String::len).sum())?;
    cx.map_of_strings(parts.into_iter().enumerate().map(|(i, part)| (format!("_{i}").into(), part.into())))
}
