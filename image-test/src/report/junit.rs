//! JUnit's XML.

use super::{Options, Run};
use crate::Finding;
use std::io;

pub(super) fn junit(run: &Run<'_>, options: &Options, out: &mut dyn io::Write) -> io::Result<u8> {
    let style = Options { color: false, ..*options }.style(true);
    let (count, seconds) = (run.count(), run.elapsed.as_secs_f64());
    let (total, errors, failures, skipped) = (count.total, count.unknown, count.failed - count.unknown, count.skipped);
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(
        out,
        r#"<testsuite name="goss" errors="{errors}" tests="{total}" failures="{failures}" skipped="{skipped}" time="{seconds:.3}" timestamp="{}">"#,
        run.started.after(run.elapsed)
    )?;
    for outcome in run.groups(options.sort).into_iter().flatten() {
        let name = match outcome.title.as_deref() {
            Some(title) if !title.is_empty() => title.to_owned(),
            _ => format!("{} {} {}", outcome.kind, outcome.id, outcome.attribute.report_name()),
        };
        let line = escape(&style.outcome(outcome)?);
        writeln!(out, r#"<testcase name="{}" time="0.000">"#, escape(&name))?;
        match &outcome.finding {
            Finding::Fail(_) | Finding::Error(_) => {
                writeln!(out, "<system-err>{line}</system-err>\n<failure>{line}</failure>")?;
            }
            Finding::Unknown(_) => writeln!(out, "<system-err>{line}</system-err>\n<error>{line}</error>")?,
            Finding::Skip => writeln!(out, "<skipped/><system-out>{line}</system-out>")?,
            Finding::NotApplicable(why) => {
                writeln!(out, r#"<skipped message="{}"/><system-out>{line}</system-out>"#, escape(why))?;
            }
            Finding::Pass(_) => writeln!(out, "<system-out>{line}</system-out>")?,
        }
        writeln!(out, "</testcase>")?;
    }
    writeln!(out, "</testsuite>")?;
    Ok(count.exit_code())
}

/// Text for XML 1.0, which cannot carry most control characters at all.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\t' => escaped.push_str("&#x9;"),
            '\n' => escaped.push_str("&#xA;"),
            '\r' => escaped.push_str("&#xD;"),
            '\0'..'\x20' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
