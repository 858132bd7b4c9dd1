//! One outcome in words.

use super::{Run, go, sort_key};
use crate::{
    Finding, Outcome, Value,
    matcher::{Match, display},
};
use image_core::Verdict;
use serde::Serialize;
use similar::TextDiff;
use std::{fmt::Write, io};

/// How an outcome is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// On one line.
    pub compact: bool,
    /// With the value before it was changed for the comparison.
    pub raw: bool,
    /// In colour.
    pub color: bool,
}

/// The colours of goss, by their code for terminals.
#[derive(Clone, Copy, Debug)]
pub(super) enum Color {
    Green = 32,
    Red = 31,
    Yellow = 33,
}

impl Style {
    pub(super) fn paint(self, color: Color, text: &str) -> String {
        if self.color { format!("\x1b[{}m{text}\x1b[0m", color as u8) } else { text.to_owned() }
    }

    /// An outcome in words.
    pub(super) fn outcome(self, outcome: &Outcome) -> io::Result<String> {
        let head = format!("{}: {}: {}:", outcome.kind, outcome.id, outcome.attribute.report_name());
        let sep = if self.compact { " " } else { "\n" };
        Ok(match &outcome.finding {
            Finding::Pass(found) => {
                let line = format!("{head} {}: {}", found.message, go::json(&found.expected, false, None)?);
                self.paint(Color::Green, &line)
            }
            Finding::Fail(found) => self.paint(Color::Red, &format!("{head}{sep}{}", self.comparison(found)?)),
            Finding::Error(why) => self.paint(Color::Red, &format!("{head}{sep}Error{sep}{}", self.reason(why))),
            Finding::Unknown(why) => self.paint(Color::Red, &format!("{head}{sep}Unknown{sep}{}", self.reason(why))),
            Finding::Skip => self.paint(Color::Yellow, &format!("{head} skipped")),
            Finding::NotApplicable(why) => self.paint(Color::Yellow, &format!("{head} not applicable: {why}")),
        })
    }

    fn reason(self, why: &str) -> String {
        if self.compact { why.split_whitespace().collect::<Vec<_>>().join(" ") } else { indent(why) }
    }

    fn value(self, value: &impl Serialize) -> io::Result<String> {
        let json = go::json(value, false, None)?;
        Ok(if self.compact { json } else { indent(&json) })
    }

    /// What was found, and what was expected in its place.
    fn comparison(self, found: &Match) -> io::Result<String> {
        let mut parts = vec!["Expected".into(), self.value(&found.actual)?];
        parts.extend([found.message.clone(), self.value(&found.expected)?]);
        if let (Value::String(expected), Value::String(actual)) = (&found.expected, &found.actual)
            && !self.compact
            && expected != actual
        {
            parts.extend(["diff".into(), indent(&diff(expected, actual))]);
        }
        for (words, values) in [
            ("the missing elements were", &found.missing),
            ("the extra elements were", &found.extra),
            ("the transform chain was", &found.transforms),
        ] {
            if !values.is_empty() {
                parts.extend([words.into(), self.value(values)?]);
            }
        }
        if let Some(raw) = found.raw.as_ref().filter(|_| self.raw && !found.transforms.is_empty()) {
            parts.extend(["the raw value was".into(), self.value(raw)?]);
        }
        Ok(parts.join(if self.compact { " " } else { "\n" }))
    }

    /// All outcomes that did not pass.
    pub(super) fn failures(self, run: &Run<'_>) -> io::Result<String> {
        let failed = |group: &[Outcome]| group.iter().any(|outcome| outcome.verdict() != Verdict::Pass);
        let mut groups = run.groups(false);
        groups.retain(|group| failed(group));
        groups.sort_by_key(|group| group.first().map(sort_key));
        if groups.is_empty() {
            return Ok(String::new());
        }
        let mut text = String::from("Failures/Skipped:\n\n");
        for group in groups {
            text.push_str(&group.first().map(header).unwrap_or_default());
            for outcome in group.iter().filter(|outcome| outcome.verdict() != Verdict::Pass) {
                text.push_str(&self.outcome(outcome)?);
                text.push('\n');
            }
            text.push('\n');
        }
        Ok(text)
    }
}

/// What was expected and found in place of it, or why nothing was, on one line; empty on a pass and where it was skipped.
pub(crate) fn describe(outcome: &Outcome) -> String {
    let style = Style { compact: true, raw: false, color: false };
    match &outcome.finding {
        Finding::Pass(_) | Finding::Skip => String::new(),
        // Values have no part that JSON cannot express; if one had, its failure is still said.
        Finding::Fail(found) => style.comparison(found).unwrap_or_else(|_| found.message.clone()),
        Finding::Error(why) | Finding::Unknown(why) | Finding::NotApplicable(why) => style.reason(why),
    }
}

/// The title and free data of a resource.
pub(super) fn header(outcome: &Outcome) -> String {
    let mut text = String::new();
    if let Some(title) = outcome.title.as_ref().filter(|title| !title.is_empty()) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Title: {title}");
    }
    if !outcome.meta.is_empty() {
        text.push_str("Meta:\n");
        for (key, value) in &outcome.meta {
            let _ = writeln!(text, "    {key}: {}", display(value));
        }
    }
    text
}

/// How a text must change to become the one found, with a line around each change.
///
/// The text goes on after its last newline for goss, so that a newline at the end shows as a line of its own.
fn diff(expected: &str, actual: &str) -> String {
    let (expected, actual) = (format!("{expected}\n"), format!("{actual}\n"));
    let diff = TextDiff::from_lines(&expected, &actual);
    diff.unified_diff().context_radius(1).header("test", "actual").to_string()
}

fn indent(text: &str) -> String {
    let lines: Vec<_> = text.trim_end_matches('\n').split('\n').map(|line| format!("    {line}")).collect();
    lines.join("\n")
}
