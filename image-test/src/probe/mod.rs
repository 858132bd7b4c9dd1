//! Gathers facts from a machine without installing anything on it.
//!
//! What is wanted becomes one POSIX shell [`Script`], which any [`Machine`] can run: a container, an instance over SSH or
//! a cloud's agent. It looks at everything in one go and answers once; the controller [`decode`]s that answer into
//! [`Facts`]. An answer that does not fit one message is kept on the machine and fetched in pages.
//!
//! **Trust**: nothing but an untouched answer to this very question is read. A cut, old, repeated or damaged one is an
//! error, and what the machine could not tell is unknown with the reason: neither can pass a check. A machine that lies
//! about itself on purpose is beyond any probe that runs on it.

mod decode;
mod error;
mod files;
mod frame;
mod http;
mod network;
mod record;
mod run;
mod script;
mod system;

use crate::{Facts, Wanted};
use frame::{Frame, Place};
use image_core::{Command, Context, Error, ErrorKind, Machine, Output, Result};
use std::time::Duration;

pub use decode::decode;
pub use error::ProbeError;
pub use frame::Nonce;
pub use script::Script;

/// Bytes of standard output that AWS Systems Manager returns of a command.
const SSM_STDOUT: usize = 24_000;
/// Bytes of a script that an SSM document of at most 64 KB takes for sure.
const SSM_SCRIPT: usize = 48 * 1024;

/// Limits of a channel and of what is read over it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProbeOptions {
    /// Bytes of standard output that the channel returns of one command; a larger answer comes in pages. No limit unless
    /// set.
    pub max_stdout: Option<usize>,
    /// Bytes of a script that the channel takes: 96 KiB, since Linux takes 128 KiB in an argument.
    pub max_script: usize,
    /// Bytes of each output of a command, each file's contents and each response: 256 KiB. What is larger is unknown.
    pub max_output: usize,
    /// Bytes of a whole answer after decompression: 16 MiB, a small part of what the smallest machines have. A larger one
    /// is an error.
    pub max_answer: usize,
    /// Time for the script; unless set, two minutes and the timeouts of all that it runs.
    pub timeout: Option<Duration>,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self { max_stdout: None, max_script: 96 << 10, max_output: 256 << 10, max_answer: 16 << 20, timeout: None }
    }
}

impl ProbeOptions {
    /// The limits of AWS Systems Manager: 24,000 characters of output and scripts of 48 KiB.
    pub fn ssm() -> Self {
        Self { max_stdout: Some(SSM_STDOUT), max_script: SSM_SCRIPT, ..Self::default() }
    }
}

/// Gathers what is wanted from a machine, in one command where the answer fits one message, and in one more for each
/// further page otherwise.
///
/// Facts are those of the user that the machine runs commands as: root unless the machine says otherwise. A command of
/// the suite that a signal ended has the exit status a shell gives it, 128 and the signal.
///
/// **What stays behind**: nothing, once it returns. An answer in pages is kept in a directory of its own, mode 0700 and
/// named by random bits, in `/run` or `/dev/shm`, on disk only where neither can be written. If the controller dies
/// before it has read the last page, that directory stays there until the machine restarts.
///
/// # Errors
/// Where the machine could not be asked, and with the text of a [`ProbeError`] where its answer is not one.
pub async fn gather(cx: &Context, machine: &dyn Machine, wanted: &Wanted, options: &ProbeOptions) -> Result<Facts> {
    let nonce = Nonce::random();
    let script = Script::compile(wanted, &nonce, options)?;
    let channel = Channel { cx, machine, options, script: &script };
    let mut answer = channel.ask(script.text()).await?;
    if frame::is_undecoded(&answer, &nonce) {
        let (size, limit) = (script.plain().len(), options.max_script);
        if size > limit {
            return Err(ProbeError::Undecoded { size, limit }.into());
        }
        answer = channel.ask(script.plain()).await?;
    }
    let frame = Frame::parse(&answer, &nonce)?;
    let Place::Stored(store) = frame.place else {
        return Ok(decode(&answer, wanted, &nonce, options)?);
    };
    match channel.pages(&frame, &nonce, store).await {
        Ok(payload) => Ok(decode::open(&frame, &payload, wanted, &nonce, options)?),
        Err(error) => {
            // The error counts; a machine that cannot be reached keeps the answer in memory until it restarts.
            if let Err(kept) = channel.ask(&script::remove(&nonce, store)).await {
                cx.warn(format!("an answer may be left on the machine in {store}: {kept}"));
            }
            Err(error)
        }
    }
}

struct Channel<'a> {
    cx: &'a Context,
    machine: &'a dyn Machine,
    options: &'a ProbeOptions,
    script: &'a Script,
}

impl Channel<'_> {
    async fn ask(&self, text: &str) -> Result<Vec<u8>> {
        // A channel without a limit carries what was decompressed, and at worst as two digits a byte.
        let room = self.options.max_answer.saturating_mul(2).saturating_add(frame::HEADER_ROOM);
        let mut command = Command::sh(text).output(Output::Capture(self.options.max_stdout.unwrap_or(room)));
        for (name, secret) in &self.script.secrets {
            command = command.secret(name.clone(), secret.clone());
        }
        command = command.timeout(self.options.timeout.unwrap_or(self.script.timeout));
        let output = self.cx.race(self.machine.exec(self.cx, command)).await?;
        if output.success() && !output.truncated {
            return Ok(output.stdout);
        }
        let how = if output.truncated { "was cut".into() } else { format!("ended with {}", output.exit) };
        let message = format!("the probe's answer {how}: {}", self.cx.redact(output.tail()));
        Err(Error::new(ErrorKind::CommandFailed, message).with_operation("probe"))
    }

    /// A stored answer, put together.
    async fn pages(&self, frame: &Frame<'_>, nonce: &Nonce, store: &str) -> Result<Vec<u8>> {
        let size = self.script.page;
        if frame.length > self.options.max_answer.saturating_mul(2) {
            return Err(ProbeError::TooLarge { limit: self.options.max_answer }.into());
        }
        let count = frame.length.div_ceil(size);
        let mut payload = frame.payload.to_vec();
        for number in 1..count {
            if payload.len() != number * size {
                return Err(ProbeError::Length { expected: number * size, found: payload.len() }.into());
            }
            let answer = self.ask(&script::page(nonce, store, size, number, number + 1 == count)).await?;
            payload.extend_from_slice(frame::page(&answer, nonce, number)?);
        }
        Ok(payload)
    }
}

#[cfg(test)]
mod tests;
