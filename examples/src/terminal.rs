//! Progress for people: live on a terminal, plain lines anywhere else.

use crate::{
    phrase,
    renderer::{Render, Renderer},
};
use image_core::{Event, EventBody, EventSink, StageOutcome};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    collections::{HashMap, VecDeque},
    io::{IsTerminal, Write},
};

/// Lines of output that are shown below the running stages.
const TAIL: usize = 4;

/// Shows stages with their durations on standard error. On a terminal, running stages and the last lines of output stay at
/// the bottom; elsewhere each stage is a line when it begins and a line when it ends.
#[derive(Debug)]
pub struct Terminal(Renderer);

impl Terminal {
    /// Looks whether standard error is a terminal.
    pub fn new() -> Self {
        if std::io::stderr().is_terminal() {
            Self(Renderer::new(Live::new(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(15)))))
        } else {
            Self(Renderer::new(Plain(std::io::stderr())))
        }
    }
    /// Waits until everything so far is shown.
    pub fn flush(&self) {
        self.0.flush();
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl EventSink for Terminal {
    fn emit(&self, event: &Event) {
        self.0.send(event);
    }
}

/// The line of a stage that ended.
fn ended(stage: &str, outcome: StageOutcome, duration_ms: u64, reason: Option<&str>) -> String {
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{:>9} {:>11}  {stage}{}", phrase::mark(outcome), phrase::duration(duration_ms), phrase::printable(&reason))
}

struct Plain<W>(W);

impl<W: Write> Plain<W> {
    /// A terminal that is gone has nobody to complain to.
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.0, "{line}");
    }
}

impl<W: Write + Send + 'static> Render for Plain<W> {
    fn event(&mut self, event: &Event) {
        match &event.body {
            EventBody::StageStarted => self.line(&format!("{:>21}  {}", "...", event.stage)),
            EventBody::StageFinished { outcome, duration_ms, reason } => {
                self.line(&ended(&event.stage, *outcome, *duration_ms, reason.as_deref()));
            }
            body => {
                for line in phrase::notice(body) {
                    self.line(&format!("{:>21}  {}", "", phrase::printable(&line)));
                }
            }
        }
    }
}

struct Live {
    screen: MultiProgress,
    stages: HashMap<String, ProgressBar>,
    /// In the order in which they began.
    running: Vec<String>,
    lines: Vec<ProgressBar>,
    tail: VecDeque<String>,
}

impl Live {
    fn new(screen: MultiProgress) -> Self {
        Self { screen, stages: HashMap::new(), running: vec![], lines: vec![], tail: VecDeque::new() }
    }
    /// Above what moves.
    fn line(&self, line: &str) {
        let _ = self.screen.println(line);
    }
    fn start(&mut self, stage: &str) {
        let style = ProgressStyle::with_template("{spinner:>9.cyan} {elapsed:>11}  {prefix} {msg:.dim}");
        let bar = ProgressBar::new_spinner().with_prefix(stage.to_owned());
        let bar = match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        let bar = match self.lines.first() {
            Some(first) => self.screen.insert_before(first, bar),
            None => self.screen.add(bar),
        };
        self.stages.insert(stage.to_owned(), bar);
        self.running.push(stage.to_owned());
    }
    fn finish(&mut self, stage: &str) {
        self.running.retain(|running| running != stage);
        if let Some(bar) = self.stages.remove(stage) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
        if self.running.is_empty() {
            self.tail.clear();
            self.lines.drain(..).for_each(|line| {
                line.finish_and_clear();
                self.screen.remove(&line);
            });
        }
    }
    fn output(&mut self, text: &str) {
        let text = phrase::printable(text);
        if text.trim().is_empty() || self.running.is_empty() {
            return;
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(text);
        while self.lines.len() < self.tail.len() {
            let line = self.screen.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("                       {wide_msg:.dim}");
            self.lines.push(match style {
                Ok(style) => line.with_style(style),
                Err(_) => line,
            });
        }
        for (line, text) in self.lines.iter().zip(&self.tail) {
            line.set_message(text.clone());
        }
    }
}

impl Render for Live {
    fn event(&mut self, event: &Event) {
        match &event.body {
            EventBody::Output { text, .. } => self.output(text),
            EventBody::Progress { detail, .. } => {
                if let Some(bar) = self.stages.get(&event.stage) {
                    bar.set_message(phrase::printable(detail));
                }
            }
            EventBody::StageStarted => self.start(&event.stage),
            EventBody::StageFinished { outcome, duration_ms, reason } => {
                self.finish(&event.stage);
                self.line(&ended(&event.stage, *outcome, *duration_ms, reason.as_deref()));
            }
            body => {
                for line in phrase::notice(body) {
                    self.line(&format!("{:>21}  {}", "", phrase::printable(&line)));
                }
            }
        }
    }
    fn tick(&mut self) {
        self.stages.values().for_each(ProgressBar::tick);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::InMemoryTerm;

    fn event(stage: &str, body: serde_json::Value) -> Event {
        let mut event = serde_json::json!({ "at": 0, "run": "r", "stage": stage });
        event.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    }

    fn build() -> Vec<Event> {
        use serde_json::json;
        vec![
            event("layer base", json!({ "event": "stage_started" })),
            event("layer base/launch", json!({ "event": "stage_started" })),
            event(
                "layer base/launch",
                json!({ "event": "output", "stream": "stdout", "text": "I: \u{1b}[2Jstarting" }),
            ),
            event("layer base/launch", json!({ "event": "stage_finished", "outcome": "passed", "duration_ms": 1234 })),
            event("layer base", json!({ "event": "warning", "text": "slow mirror" })),
            event(
                "layer base",
                json!({ "event": "stage_finished", "outcome": "failed", "duration_ms": 61000, "reason": "no" }),
            ),
        ]
    }

    #[test]
    fn without_a_terminal_there_are_lines() {
        let mut plain = Plain(vec![]);
        build().iter().for_each(|event| plain.event(event));
        let text = String::from_utf8(plain.0).unwrap();
        let expected = [
            "                  ...  layer base",
            "                  ...  layer base/launch",
            "       ok       1.2 s  layer base/launch",
            "                       warning: slow mirror",
            "   FAILED  1 min 01 s  layer base: no",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_terminal_shows_what_runs_and_keeps_what_ended() {
        let term = InMemoryTerm::new(20, 80);
        let mut live =
            Live::new(MultiProgress::with_draw_target(ProgressDrawTarget::term_like(Box::new(term.clone()))));
        let events = build();
        events[..3].iter().for_each(|event| live.event(event));
        live.tick();
        let running = term.contents();
        assert!(running.contains("layer base/launch") && running.contains("I: starting"), "{running}");
        events[3..].iter().for_each(|event| live.event(event));
        let ended = term.contents();
        assert!(ended.contains("ok       1.2 s  layer base/launch") && ended.contains("layer base: no"), "{ended}");
        assert!(!ended.contains("starting"), "{ended}");
    }
}
