//! A job's log on GitHub Actions: groups, annotations, and a summary.

use crate::{
    phrase,
    renderer::{Render, Renderer},
};
use image_core::{Event, EventBody, EventSink, StageOutcome};
use std::{
    fmt::Write as _,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

/// Writes workflow commands to standard output: a group for each top-level stage, an annotation for each error and
/// warning; and appends a table of stages and reports to the job's summary when the run is over.
#[derive(Debug)]
pub struct GithubActions(Renderer);

impl GithubActions {
    /// Takes the path that the variable `GITHUB_STEP_SUMMARY` has; without one there is no summary.
    pub fn new(summary: Option<PathBuf>) -> Self {
        Self(Renderer::new(Log { out: std::io::stdout(), summary, open: None, stages: vec![], reports: vec![] }))
    }
    /// Waits until everything so far is written.
    pub fn flush(&self) {
        self.0.flush();
    }
}

impl EventSink for GithubActions {
    fn emit(&self, event: &Event) {
        self.0.send(event);
    }
}

struct Log<W> {
    out: W,
    summary: Option<PathBuf>,
    /// The top-level stage whose group is open; groups cannot be nested.
    open: Option<String>,
    stages: Vec<(String, StageOutcome, u64)>,
    reports: Vec<String>,
}

/// The value of a workflow command, in the encoding that the runner takes back.
fn encoded(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A line of the log that the runner must not take for a command of ours: it looks for `::` at its beginning, and for
/// the old form `##[` anywhere.
fn inert(text: &str) -> String {
    format!("| {}", phrase::printable(text).replace("##[", "# #["))
}

impl<W: Write> Log<W> {
    /// A log that is gone has nobody to complain to.
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
    }
    fn annotate(&mut self, level: &str, stage: &str, text: &str) {
        let title = encoded(stage).replace(':', "%3A").replace(',', "%2C");
        self.line(&format!("::{level} title={title}::{}", encoded(&phrase::printable(text))));
    }
    fn finish_stage(&mut self, stage: &str, outcome: StageOutcome, duration_ms: u64, reason: Option<&str>) {
        if self.open.as_deref() == Some(stage) {
            self.open = None;
            self.line("::endgroup::");
        }
        self.line(&inert(&format!("{} {} {stage}", phrase::mark(outcome), phrase::duration(duration_ms))));
        // The stages around it fail for the same reason.
        if let (StageOutcome::Failed, Some(reason), true) = (outcome, reason, stage.split('/').count() == 1) {
            self.annotate("error", stage, reason);
        }
        self.stages.push((stage.to_owned(), outcome, duration_ms));
    }
    fn summarise(&mut self, outcome: StageOutcome, error: Option<&str>) {
        let Some(path) = &self.summary else { return };
        let text = self.markdown(outcome, error);
        if let Err(e) = append(path, &text) {
            self.annotate("warning", "summary", &format!("{}: {e}", path.display()));
        }
    }
    fn markdown(&self, outcome: StageOutcome, error: Option<&str>) -> String {
        let cell = |text: &str| phrase::printable(text).replace('|', "\\|").replace('<', "&lt;");
        let mut text = format!("### Image build: {}\n\n", phrase::mark(outcome));
        if let Some(error) = error {
            let _ = writeln!(text, "> {}\n", cell(error)); // writing to a String cannot fail
        }
        text.push_str("| Stage | Outcome | Time |\n|---|---|---|\n");
        for (stage, outcome, duration_ms) in &self.stages {
            let (stage, mark, time) = (cell(stage), phrase::mark(*outcome), phrase::duration(*duration_ms));
            let _ = writeln!(text, "| {stage} | {mark} | {time} |");
        }
        text.push('\n');
        self.reports.iter().for_each(|line| {
            let _ = writeln!(text, "- {}", cell(line.trim()));
        });
        text
    }
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path)?.write_all(text.as_bytes())
}

impl<W: Write + Send + 'static> Render for Log<W> {
    fn event(&mut self, event: &Event) {
        let stage = event.stage.as_str();
        match &event.body {
            EventBody::StageStarted if self.open.is_none() => {
                self.open = Some(stage.to_owned());
                let title = phrase::printable(stage);
                self.line(&format!("::group::{}", encoded(&title)));
            }
            EventBody::StageFinished { outcome, duration_ms, reason } => {
                self.finish_stage(stage, *outcome, *duration_ms, reason.as_deref());
            }
            EventBody::Output { text, .. } => self.line(&inert(text)),
            EventBody::Warning { text } => self.annotate("warning", stage, text),
            EventBody::UndoFailed { kind, id, error } => {
                self.annotate("error", stage, &format!("{kind} {id} is left behind: {error}"));
            }
            EventBody::RunFinished { outcome, error } => self.summarise(*outcome, error.as_deref()),
            body => {
                let lines = phrase::notice(body);
                lines.iter().for_each(|line| self.line(&inert(line)));
                if matches!(body, EventBody::Report { .. }) {
                    self.reports.extend(lines);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn log(events: &[(&str, serde_json::Value)], summary: Option<PathBuf>) -> String {
        let mut log = Log { out: vec![], summary, open: None, stages: vec![], reports: vec![] };
        for (stage, body) in events {
            let mut event = json!({ "at": 0, "run": "r", "stage": stage });
            event.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
            log.event(&serde_json::from_value(event).unwrap());
        }
        String::from_utf8(log.out).unwrap()
    }

    #[test]
    fn stages_are_groups_and_failures_annotations() {
        let dir = tempfile::tempdir().unwrap();
        let summary = dir.path().join("summary.md");
        let failed = |stage| {
            (
                stage,
                json!({ "event": "stage_finished", "outcome": "failed", "duration_ms": 1500, "reason": "100%\nno" }),
            )
        };
        let text = log(
            &[
                ("layer a", json!({ "event": "stage_started" })),
                ("layer a/shell", json!({ "event": "stage_started" })),
                failed("layer a/shell"),
                failed("layer a"),
                ("", json!({ "event": "run_finished", "outcome": "failed", "error": "a | b" })),
            ],
            Some(summary.clone()),
        );
        let expected = "\
::group::layer a
| FAILED 1.5 s layer a/shell
::endgroup::
| FAILED 1.5 s layer a
::error title=layer a::100%25no
";
        assert_eq!(text, expected);
        let summary = std::fs::read_to_string(summary).unwrap();
        assert!(summary.starts_with("### Image build: FAILED\n\n> a \\| b\n"), "{summary}");
        assert!(summary.contains("| layer a/shell | FAILED | 1.5 s |"), "{summary}");
    }

    #[test]
    fn no_output_of_a_build_is_a_workflow_command() {
        let output = |text| ("s", json!({ "event": "output", "stream": "stdout", "text": text }));
        let text =
            log(&[output("::add-mask::x"), output("  ##[set-env name=A]b"), output("\u{1b}[1m::error::x")], None);
        assert!(text.lines().all(|line| line.starts_with("| ") && !line.contains("##[")), "{text}");
    }
}
