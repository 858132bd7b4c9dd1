//! A directory of logs: for each run one for people and one for programs.

use super::{
    json_lines::write_json,
    queue::{Queue, Write},
};
use crate::{Error, Event, EventBody, EventSink, Report, Result, StageOutcome, Stream, Verdict};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, BufWriter},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Writes the events of every run to `<run>.log`, with the time and the stage before each line, and to
/// `<run>.events.jsonl`, as JSON.
///
/// The files can be read by their owner only: output of commands is in them. A run that goes on, after a recovery, goes on
/// in its files. As [`JsonLines`](super::JsonLines) it never holds up a run.
#[derive(Debug)]
pub struct LogFiles(Queue);

impl LogFiles {
    /// Writes into `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// The directory cannot be made, or no thread could be started.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self> {
        let directory = directory.into();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|e| Error::io("make", &directory, e))?;
        Queue::new(Files { directory, open: BTreeMap::new() }).map(Self)
    }
    /// How many events were not written so far.
    pub fn dropped(&self) -> u64 {
        self.0.dropped()
    }
    /// Writes what waits, and tells how many events were not written. Dropping does the same, without a word.
    ///
    /// # Errors
    /// The first error of a file; nothing was written after it.
    pub fn finish(mut self) -> Result<u64> {
        self.0.finish().map_err(|e| Error::io("write", "the log files", e))
    }
}

impl EventSink for LogFiles {
    fn emit(&self, event: &Event) {
        self.0.push(event);
    }
}

struct Files {
    directory: PathBuf,
    open: BTreeMap<String, Pair>,
}

struct Pair {
    text: BufWriter<File>,
    json: BufWriter<File>,
}

impl Pair {
    fn open(directory: &Path, run: &str) -> io::Result<Self> {
        // A run's id names files elsewhere too and has been checked; an event alone has not.
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let name: String = run.chars().map(safe).collect();
        let name = name.trim_start_matches('.');
        let append = |end: &str| {
            let path = directory.join(format!("{name}.{end}"));
            OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(BufWriter::new)
        };
        Ok(Self { text: append("log")?, json: append("events.jsonl")? })
    }
    fn flush(&mut self) -> io::Result<()> {
        io::Write::flush(&mut self.text)?;
        io::Write::flush(&mut self.json)
    }
}

impl Write for Files {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        if !self.open.contains_key(&event.run) {
            self.open.insert(event.run.clone(), Pair::open(&self.directory, &event.run)?);
        }
        let Some(pair) = self.open.get_mut(&event.run) else { return Ok(()) };
        io::Write::write_all(&mut pair.text, render(event).as_bytes())?;
        write_json(&mut pair.json, event)?;
        if matches!(event.body, EventBody::RunFinished { .. })
            && let Some(mut pair) = self.open.remove(&event.run)
        {
            pair.flush()?;
        }
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.open.values_mut().try_for_each(Pair::flush)
    }
}

/// An event for people: one line, or one for each line of its text, each with the time and the stage.
fn render(event: &Event) -> String {
    let stage = if event.stage.is_empty() { "run" } else { &event.stage };
    describe(&event.body).lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{} [{stage}] {}", event.at, printable(line)); // writing to a String cannot fail
        text
    })
}

/// Escapes control characters: what a command printed must not drive the terminal of whoever reads the log.
fn printable(line: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\t' { c.escape_default().to_string() } else { c.to_string() };
    line.chars().map(shown).collect()
}

fn describe(body: &EventBody) -> String {
    let because = |reason: &Option<String>| reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    match body {
        EventBody::Created { kind, id } => format!("created {kind} {id}"),
        EventBody::Kept { ids } => format!("kept {}", ids.join(", ")),
        EventBody::Message { text } => text.clone(),
        EventBody::Output { stream, text } => format!("{} {text}", mark(*stream)),
        EventBody::Paused { error, shell } => {
            let shell = shell.as_ref().map(|shell| format!("\nto look around: {shell}")).unwrap_or_default();
            format!("PAUSED: {error}{shell}")
        }
        EventBody::Progress { done, total: Some(total), detail } => format!("{detail} ({done} of {total})"),
        EventBody::Progress { done: 0, total: None, detail } => detail.clone(),
        EventBody::Progress { done, total: None, detail } => format!("{detail} ({done})"),
        EventBody::Report { report } => report_lines(report),
        EventBody::Retrying { attempt, error, after_ms } => {
            format!("attempt {attempt} failed, the next one in {}: {error}", seconds(*after_ms))
        }
        EventBody::RunFinished { outcome, error } => format!("run {}{}", word(*outcome), because(error)),
        EventBody::RunStarted => "run started".into(),
        EventBody::StageFinished { outcome, duration_ms, reason } => {
            format!("{} after {}{}", word(*outcome), seconds(*duration_ms), because(reason))
        }
        EventBody::StageStarted => "started".into(),
        EventBody::Undone { kind, id } => format!("undone {kind} {id}"),
        EventBody::UndoFailed { kind, id, error } => format!("NOT UNDONE {kind} {id}: {error}"),
        EventBody::Warning { text } => format!("WARNING: {text}"),
    }
}

fn report_lines(report: &Report) -> String {
    let mut text = format!("report of {} at stage {}", report.validator, report.stage);
    for verdict in [Verdict::Pass, Verdict::Fail, Verdict::Unknown, Verdict::Skip, Verdict::NotApplicable] {
        match report.count(verdict) {
            0 => {}
            n => text.push_str(&format!(", {n} {verdict}")),
        }
    }
    for check in report.checks.iter().filter(|check| check.verdict != Verdict::Pass) {
        text.push_str(&format!("\n  {}: {} {}", check.verdict, check.id, check.message.replace('\n', " | ")));
    }
    text
}

fn mark(stream: Stream) -> &'static str {
    match stream {
        Stream::Console => "console|",
        Stream::Stderr => "stderr|",
        Stream::Stdout => "stdout|",
    }
}

fn word(outcome: StageOutcome) -> &'static str {
    match outcome {
        StageOutcome::Cancelled => "CANCELLED",
        StageOutcome::Failed => "FAILED",
        StageOutcome::Passed => "passed",
        StageOutcome::Skipped => "skipped",
    }
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Check, Timestamp, ValidationStage};
    use std::os::unix::fs::PermissionsExt;

    fn event(run: &str, stage: &str, body: EventBody) -> Event {
        Event { at: Timestamp::from_millis(1_700_000_000_123), run: run.into(), stage: stage.into(), body }
    }

    fn story(run: &str) -> Vec<Event> {
        let checks = vec![Check::pass("a"), Check::fail("b", "seen 1\nwant 2")];
        let report = Report::new("chrony", ValidationStage::Boot, checks);
        let text = |text: &str| text.to_owned();
        [
            ("", EventBody::RunStarted),
            ("layer base", EventBody::StageStarted),
            ("layer base", EventBody::Created { kind: text("disk"), id: text("d-1") }),
            ("layer base", EventBody::Output { stream: Stream::Stderr, text: text("red \u{1b}[31mtext\tend") }),
            ("layer base", EventBody::Retrying { attempt: 1, error: text("lost"), after_ms: 1500 }),
            ("layer base", EventBody::Progress { done: 1, total: Some(2), detail: text("bytes") }),
            ("layer base", EventBody::Report { report }),
            ("layer base", EventBody::Message { text: text("two\nlines") }),
            ("layer base", EventBody::Paused { error: text("broken"), shell: Some(text("ssh x")) }),
            ("layer base", EventBody::UndoFailed { kind: text("disk"), id: text("d-1"), error: text("busy") }),
            (
                "layer base",
                EventBody::StageFinished {
                    outcome: StageOutcome::Failed,
                    duration_ms: 61_002,
                    reason: Some(text("broken")),
                },
            ),
            ("", EventBody::RunFinished { outcome: StageOutcome::Failed, error: Some(text("broken")) }),
        ]
        .map(|(stage, body)| event(run, stage, body))
        .into()
    }

    #[test]
    fn a_log_reads_well() {
        let text: String = story("run-1").iter().map(render).collect();
        insta::assert_snapshot!(text.replace("2023-11-14T22:13:20.123Z", "TIME"), @r"
        TIME [run] run started
        TIME [layer base] started
        TIME [layer base] created disk d-1
        TIME [layer base] stderr| red \u{1b}[31mtext	end
        TIME [layer base] attempt 1 failed, the next one in 1.500 s: lost
        TIME [layer base] bytes (1 of 2)
        TIME [layer base] report of chrony at stage boot, 1 pass, 1 fail
        TIME [layer base]   fail: b seen 1 | want 2
        TIME [layer base] two
        TIME [layer base] lines
        TIME [layer base] PAUSED: broken
        TIME [layer base] to look around: ssh x
        TIME [layer base] NOT UNDONE disk d-1: busy
        TIME [layer base] FAILED after 61.002 s: broken
        TIME [run] run FAILED: broken
        ");
    }

    #[test]
    fn every_run_has_its_files_which_nobody_else_reads() {
        let dir = tempfile::tempdir().unwrap();
        let sink = LogFiles::new(dir.path().join("logs")).unwrap();
        for (one, two) in story("run-1").iter().zip(&story("../run/2")) {
            sink.emit(one);
            sink.emit(two);
        }
        assert_eq!(sink.finish().unwrap(), 0);
        let mut names: Vec<String> = std::fs::read_dir(dir.path().join("logs"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["_run_2.events.jsonl", "_run_2.log", "run-1.events.jsonl", "run-1.log"]);
        let json = std::fs::read_to_string(dir.path().join("logs/run-1.events.jsonl")).unwrap();
        let read: Vec<Event> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, story("run-1"));
        let text: String = story("run-1").iter().map(render).collect();
        assert_eq!(std::fs::read_to_string(dir.path().join("logs/run-1.log")).unwrap(), text);
        let mode = std::fs::metadata(dir.path().join("logs/run-1.log")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(LogFiles::new(file.path().join("logs")).is_err());
    }
}
