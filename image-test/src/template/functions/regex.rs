//! Sprig's functions of regular expressions.

use super::{Cx, Registry, Text};
use crate::template::{
    context::{Context, Fault, STEPS_PER_MATCH},
    format::Sink,
    value::{Element, Val},
};
use regex::{Regex, RegexBuilder};

/// The memory that one compiled expression may take, in bytes.
const MAX_PROGRAM: usize = 1 << 20;

/// Compiles an expression. All expressions of templates come through here.
pub(in crate::template) fn compile(pattern: &str) -> Result<Regex, Fault> {
    let regex = RegexBuilder::new(pattern).size_limit(MAX_PROGRAM).dfa_size_limit(MAX_PROGRAM).build();
    regex.map_err(|error| Fault::new(format!("this is no regular expression: {error}")))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("mustRegexMatch", |cx: Cx, pattern: Text, text: Text| {
        Ok::<_, Fault>(regex(&cx, &pattern, &text)?.is_match(&text))
    });
    registry.add_all(&["regexFind", "mustRegexFind"], |cx: Cx, pattern: Text, text: Text| {
        let found = regex(&cx, &pattern, &text)?.find(&text).map_or("", |found| found.as_str()).to_owned();
        Ok::<_, Fault>(found)
    });
    registry.add_all(&["regexFindAll", "mustRegexFindAll"], |cx: Cx, pattern: Text, text: Text, count: i64| {
        let regex = regex(&cx, &pattern, &text)?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let found = regex.find_iter(&text).take(count).map(|found| {
            cx.spend(STEPS_PER_MATCH)?;
            Ok(Val::text(found.as_str()))
        });
        let found = found.collect::<Result<Vec<Val>, Fault>>()?;
        if found.is_empty() { Ok(cx.nil_list(Element::Str)) } else { cx.list(Element::Str, found) }
    });
    registry.add_all(&["regexReplaceAll", "mustRegexReplaceAll"], |cx: Cx, pattern: Text, text: Text, with: Text| {
        replace(&cx, &pattern, &text, |groups, out| groups.expand(&with, out))
    });
    registry.add_all(
        &["regexReplaceAllLiteral", "mustRegexReplaceAllLiteral"],
        |cx: Cx, pattern: Text, text: Text, with: Text| replace(&cx, &pattern, &text, |_, out| out.push_str(&with)),
    );
    registry.add_all(&["regexSplit", "mustRegexSplit"], |cx: Cx, pattern: Text, text: Text, count: i64| {
        split(&cx, &pattern, &text, count)
    });
    registry.add("regexQuoteMeta", |text: Text| {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            if r"\.+*?()|[]{}^$".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        out
    });
}

fn regex(cx: &Context, pattern: &str, text: &str) -> Result<Regex, Fault> {
    cx.spend_text(text.len())?;
    cx.regex(pattern)
}

fn replace(
    cx: &Context,
    pattern: &str,
    text: &str,
    write: impl Fn(&regex::Captures<'_>, &mut String),
) -> Result<String, Fault> {
    let mut out = Sink::new(cx);
    let mut end = 0;
    for groups in regex(cx, pattern, text)?.captures_iter(text) {
        cx.spend(STEPS_PER_MATCH)?;
        let Some(all) = groups.get(0) else { continue };
        out.push(text.get(end..all.start()).unwrap_or(""))?;
        let mut replacement = String::new();
        write(&groups, &mut replacement);
        cx.spend_text(replacement.len())?;
        out.push(&replacement)?;
        end = all.end();
    }
    out.push(text.get(end..).unwrap_or(""))?;
    out.finish()
}

/// The text between matches, in at most `count` parts. A match of nothing at the start separates nothing.
fn split(cx: &Context, pattern: &str, text: &str, count: i64) -> Result<Val, Fault> {
    if count == 0 {
        return Ok(cx.nil_list(Element::Str));
    }
    let regex = regex(cx, pattern, text)?;
    if !pattern.is_empty() && text.is_empty() {
        return cx.list(Element::Str, vec![Val::text("")]);
    }
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for found in regex.find_iter(text) {
        cx.spend(STEPS_PER_MATCH)?;
        if parts.len() + 1 == most {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(Val::text(text.get(start..end).unwrap_or("")));
        }
        start = found.end();
    }
    if end != text.len() {
        parts.push(Val::text(text.get(start..).unwrap_or("")));
    }
    cx.list(Element::Str, parts)
}
