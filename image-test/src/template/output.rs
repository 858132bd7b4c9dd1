//! The rendered text and the template lines it comes from.

use super::context::{Fault, MAX_TEXT};

#[derive(Debug, Default)]
pub(super) struct Output {
    text: String,
    lines: Vec<u32>,
}

impl Output {
    /// Appends what an action on a line of the template printed.
    pub(super) fn print(&mut self, text: &str, line: u32) -> Result<(), Fault> {
        self.append(text, line, 0)
    }

    /// Appends text of the template that begins on a line of it.
    pub(super) fn copy(&mut self, text: &str, line: u32) -> Result<(), Fault> {
        self.append(text, line, 1)
    }

    /// `step` is what a line feed adds to the line of the template.
    fn append(&mut self, text: &str, line: u32, step: u32) -> Result<(), Fault> {
        if self.text.len() + text.len() > MAX_TEXT {
            return Err(Fault::new(format!("the rendered text is longer than {} MiB", MAX_TEXT >> 20)));
        }
        let mut line = line;
        for piece in text.split_inclusive('\n') {
            if self.text.is_empty() || self.text.ends_with('\n') {
                self.lines.push(line);
            }
            self.text.push_str(piece);
            line += step;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> (String, Vec<u32>) {
        (self.text, self.lines)
    }
}
