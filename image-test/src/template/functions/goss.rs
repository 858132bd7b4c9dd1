//! The functions that goss itself adds.

use super::{Cx, Registry, Rest, Text, words};
use crate::template::{
    context::{Context, Fault, MAX_TEXT},
    value::Val,
};
use std::{collections::BTreeMap, fs::File, io::Read};

pub(super) fn register(registry: &mut Registry) {
    registry.add("mkSlice", |items: Rest<Val>| items.0);
    registry.add("readFile", |path: Text| read_file(&path));
    registry.add("getEnv", |cx: Cx, name: Text, default: Rest<Text>| {
        let value = cx.env(&name).unwrap_or("");
        match default.0.first() {
            Some(default) if value.is_empty() => Text::clone(default),
            _ => value.into(),
        }
    });
    registry.add("regexMatch", |cx: Cx, pattern: Text, text: Text| {
        cx.spend_text(text.len())?;
        Ok::<_, Fault>(cx.regex(&pattern)?.is_match(&text))
    });
    registry.add("toUpper", |text: Text| text.chars().map(words::upper).collect::<String>());
    registry.add("toLower", |text: Text| text.chars().map(words::lower).collect::<String>());
    registry.add("findStringSubmatch", |cx: Cx, pattern: Text, text: Text| submatches(&cx, &pattern, &text));
}

fn read_file(path: &str) -> Result<String, Fault> {
    let fault = |error: std::io::Error| Fault::new(format!("cannot read {path}: {error}"));
    let mut text = String::new();
    // Special files have no length, so the limit holds while reading.
    let file = File::open(path).map_err(fault)?;
    file.take(MAX_TEXT as u64 + 1).read_to_string(&mut text).map_err(fault)?;
    if text.len() > MAX_TEXT {
        return Err(Fault::new(format!("{path} is longer than {} MiB", MAX_TEXT >> 20)));
    }
    Ok(text.trim().to_owned())
}

/// The groups of the first match by name, or by number if none has a name.
fn submatches(cx: &Context, pattern: &str, text: &str) -> Result<Val, Fault> {
    let regex = cx.regex(pattern)?;
    cx.spend_text(text.len())?;
    let mut named = BTreeMap::new();
    let mut numbered = BTreeMap::new();
    if let Some(groups) = regex.captures(text) {
        for (i, (group, name)) in groups.iter().zip(regex.capture_names()).enumerate() {
            let group = cx.text(group.map_or("", |group| group.as_str()))?;
            if let Some(name) = name {
                named.insert(name.into(), group.clone());
            }
            numbered.insert(i.to_string().into(), group);
        }
    }
    cx.map(if named.is_empty() { numbered } else { named })
}
