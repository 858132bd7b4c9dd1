//! Events in words.

use image_core::{Check, EventBody, Report, StageOutcome, Verdict};

/// Milliseconds as people say them.
pub(crate) fn duration(milliseconds: u64) -> String {
    match milliseconds / 1000 {
        seconds @ 60.. => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds => format!("{seconds}.{} s", milliseconds % 1000 / 100),
    }
}

/// The mark of an outcome.
pub(crate) fn mark(outcome: StageOutcome) -> &'static str {
    match outcome {
        StageOutcome::Cancelled => "cancelled",
        StageOutcome::Failed => "FAILED",
        StageOutcome::Passed => "ok",
        StageOutcome::Skipped => "skipped",
        _ => "ended",
    }
}

/// How many checks of a report passed, and each one that did not.
pub(crate) fn report(report: &Report) -> Vec<String> {
    let applied: Vec<&Check> = report.checks.iter().filter(|check| check.verdict != Verdict::NotApplicable).collect();
    let (passed, others): (Vec<&Check>, Vec<&Check>) = applied.iter().partition(|check| check.verdict == Verdict::Pass);
    let mut lines = vec![format!("{}: {} of {} checks passed", report.validator, passed.len(), applied.len())];
    lines.extend(others.iter().map(|check| format!("  {}: {}: {}", check.verdict, check.id, check.message)));
    lines
}

/// What should be said at once, whatever stage it is from. Nothing for what only moves a display.
pub(crate) fn notice(body: &EventBody) -> Vec<String> {
    match body {
        EventBody::Message { text } => text.lines().map(str::to_owned).collect(),
        EventBody::Paused { error, shell } => {
            let mut lines = vec![format!("PAUSED: {error}")];
            lines.extend(shell.iter().map(|shell| format!("  look around with: {shell}")));
            lines
        }
        EventBody::Report { report } => self::report(report),
        EventBody::Retrying { attempt, error, after_ms } => {
            vec![format!("attempt {attempt} failed, again in {}: {error}", duration(*after_ms))]
        }
        EventBody::UndoFailed { kind, id, error } => vec![format!("NOT UNDONE: {kind} {id}: {error}")],
        EventBody::Undone { kind, id } => vec![format!("undone: {kind} {id}")],
        EventBody::Warning { text } => vec![format!("warning: {text}")],
        _ => vec![],
    }
}

/// Text of a command without what would move the cursor or colour the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            // ECMA-48: a control sequence ends with a byte from @ to ~.
            while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
        } else if c == '\t' {
            plain.push(' ');
        } else if !c.is_control() {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use image_core::ValidationStage;

    #[test]
    fn durations_are_short() {
        assert_eq!(
            (duration(49), duration(12_345), duration(61_000)),
            ("0.0 s".into(), "12.3 s".into(), "1 min 01 s".into())
        );
    }

    #[test]
    fn a_report_names_what_did_not_pass() {
        let checks = vec![
            Check::pass("a"),
            Check::fail("b", "seen 1, want 2"),
            Check::new("c", Verdict::NotApplicable, "no init system"),
        ];
        let lines = report(&Report::new("base", ValidationStage::Build, checks));
        assert_eq!(lines, ["base: 1 of 2 checks passed", "  fail: b: seen 1, want 2"]);
    }

    #[test]
    fn nothing_of_a_command_moves_the_cursor() {
        assert_eq!(printable("\u{1b}[2J\u{1b}[31mred\u{1b}[0m\ta\r\u{7}b"), "red ab");
    }
}
