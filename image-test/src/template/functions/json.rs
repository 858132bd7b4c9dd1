//! JSON as Go's encoding/json reads and writes it.

use super::{Cx, Registry, Text};
use crate::template::{
    context::{Context, Fault, STEPS_PER_WRITE},
    format::Sink,
    value::{Element, MAX_DEPTH, Val, too_deep},
};

pub(super) fn register(registry: &mut Registry) {
    registry.add("toJson", |cx: Cx, value: Val| lenient(write(&cx, &value, true, None)));
    registry.add("toPrettyJson", |cx: Cx, value: Val| lenient(write(&cx, &value, true, Some(0))));
    registry.add("mustToJson", |cx: Cx, value: Val| write(&cx, &value, true, None));
    registry.add("mustToPrettyJson", |cx: Cx, value: Val| write(&cx, &value, true, Some(0)));
    registry.add_all(&["toRawJson", "mustToRawJson"], |cx: Cx, value: Val| write(&cx, &value, false, None));
    registry.add("fromJson", |cx: Cx, text: Text| match serde_json::from_str(&text) {
        Ok(value) => read(&cx, &value),
        Err(_) => Ok(Val::Nil),
    });
    registry.add("mustFromJson", |cx: Cx, text: Text| {
        let value = serde_json::from_str(&text).map_err(|error| Fault::new(format!("this is no JSON: {error}")))?;
        read(&cx, &value)
    });
}

const NOT_FINITE: &str = "JSON has no number that is not finite";

/// Sprig ignores that a number cannot be written, but not that a limit is reached.
fn lenient(json: Result<String, Fault>) -> Result<String, Fault> {
    match json {
        Err(Fault(message)) if message == NOT_FINITE => Ok(String::new()),
        json => json,
    }
}

/// All numbers become floats, as in Go.
fn read(cx: &Context, value: &serde_json::Value) -> Result<Val, Fault> {
    use serde_json::Value;
    // The parser has bounded the depth.
    Ok(match value {
        Value::Null => Val::Nil,
        Value::Bool(value) => Val::Bool(*value),
        Value::Number(value) => Val::Float(value.as_f64().ok_or_else(|| Fault::new(NOT_FINITE))?),
        Value::String(text) => cx.text(text.as_str())?,
        Value::Array(items) => {
            cx.list(Element::Any, items.iter().map(|item| read(cx, item)).collect::<Result<_, _>>()?)?
        }
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| Ok((key.as_str().into(), read(cx, value)?)));
            cx.map(entries.collect::<Result<_, Fault>>()?)?
        }
    })
}

/// Writes JSON: in one line, or indented by two spaces a level.
fn write(cx: &Context, value: &Val, escapes_html: bool, level: Option<usize>) -> Result<String, Fault> {
    let mut writer = Writer { out: Sink::new(cx), escapes_html };
    writer.value(value, level, 0)?;
    writer.out.finish()
}

struct Writer<'a> {
    out: Sink<'a>,
    /// Whether `<`, `>` and `&` are escaped.
    escapes_html: bool,
}

impl Writer<'_> {
    fn value(&mut self, value: &Val, level: Option<usize>, depth: usize) -> Result<(), Fault> {
        self.out.cx().spend(STEPS_PER_WRITE)?;
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        match value {
            value if value.is_nil() => self.out.push("null"),
            Val::Nil => self.out.push("null"),
            Val::Bool(value) => self.out.push(if *value { "true" } else { "false" }),
            Val::Int(value, _) => self.out.push(&value.to_string()),
            Val::Float(value) => self.out.push(&number(*value)?),
            Val::Str(text) => self.text(text),
            Val::Time(time) => self.text(&time.rfc3339()),
            Val::Version(version) => self.text(&version.to_string()),
            Val::Data(root) => {
                let vars = [(Some("Vars".into()), root.vars.clone())];
                self.container('{', &vars, '}', level, depth)
            }
            Val::List(list) => {
                let items: Vec<_> = list.items.iter().map(|item| (None, item.clone())).collect();
                self.container('[', &items, ']', level, depth)
            }
            Val::Map(map) => {
                let entries: Vec<_> = map.snapshot().into_iter().map(|(key, value)| (Some(key), value)).collect();
                self.container('{', &entries, '}', level, depth)
            }
        }
    }

    fn container(
        &mut self,
        open: char,
        items: &[(Option<Text>, Val)],
        close: char,
        level: Option<usize>,
        depth: usize,
    ) -> Result<(), Fault> {
        self.out.push_char(open)?;
        for (i, (key, value)) in items.iter().enumerate() {
            if i > 0 {
                self.out.push(",")?;
            }
            self.line(level.map(|level| level + 1))?;
            if let Some(key) = key {
                self.text(key)?;
                self.out.push(if level.is_some() { ": " } else { ":" })?;
            }
            self.value(value, level.map(|level| level + 1), depth + 1)?;
        }
        if !items.is_empty() {
            self.line(level)?;
        }
        self.out.push_char(close)
    }

    fn line(&mut self, level: Option<usize>) -> Result<(), Fault> {
        let Some(level) = level else { return Ok(()) };
        self.out.push("\n")?;
        self.out.repeat(' ', level * 2)
    }

    fn text(&mut self, text: &str) -> Result<(), Fault> {
        self.out.push("\"")?;
        for c in text.chars() {
            match c {
                '"' => self.out.push("\\\"")?,
                '\\' => self.out.push("\\\\")?,
                '\u{8}' => self.out.push("\\b")?,
                '\u{c}' => self.out.push("\\f")?,
                '\n' => self.out.push("\\n")?,
                '\r' => self.out.push("\\r")?,
                '\t' => self.out.push("\\t")?,
                c if c < ' ' || matches!(c, '\u{2028}' | '\u{2029}') || (self.escapes_html && "<>&".contains(c)) => {
                    self.out.push(&format!("\\u{:04x}", u32::from(c)))?;
                }
                c => self.out.push_char(c)?,
            }
        }
        self.out.push("\"")
    }
}

fn number(value: f64) -> Result<String, Fault> {
    if !value.is_finite() {
        return Err(Fault::new(NOT_FINITE));
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        return Ok(match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        });
    }
    Ok(format!("{value}"))
}
