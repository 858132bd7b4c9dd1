//! How a failed command reads.

use crate::{Context, Error, ErrorKind, ExecOutput};
use std::collections::BTreeSet;

/// Bytes of output in a message; a person who wants more reads the events.
const TAIL: usize = 2000;

/// A command that ended in a way that counts as a failure: who, how, and the last it said, on one line.
pub(super) fn command_failed(cx: &Context, who: &str, output: &ExecOutput, accepted: &BTreeSet<i32>) -> Error {
    let mut message = format!("provisioner {who} ended with {}", output.exit);
    if accepted.iter().ne(&[0]) {
        let codes: Vec<String> = accepted.iter().map(i32::to_string).collect();
        message.push_str(&format!(" (accepted: {})", codes.join(", ")));
    }
    let tail = last_words(cx, output);
    if !tail.is_empty() {
        message.push_str(": ");
        message.push_str(&tail);
    }
    if output.truncated {
        message.push_str(" [the output was cut at its limit; this is not its end]");
    }
    Error::new(ErrorKind::CommandFailed, message)
}

/// The tail of the output on one line, secrets replaced.
pub(crate) fn last_words(cx: &Context, output: &ExecOutput) -> String {
    // Redacted first: a cut through a secret would hide it from the redaction.
    let text = cx.redact(output.tail());
    let text = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ");
    let mut start = text.len().saturating_sub(TAIL);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}
