//! The scripts that the machine is sent: variables, what all begin with, and what one of them does.

use super::frame::PAGE;
use base64::{Engine, engine::general_purpose::STANDARD};
use image_core::quote;
use std::{fmt::Write, time::Duration};
use uuid::Uuid;

const FUNCTIONS: &str = include_str!("machine_side/functions.sh");
const COMMON: &str = include_str!("machine_side/common.sh");
const HELLO: &str = include_str!("machine_side/hello.sh");
const KEEPER: &str = include_str!("machine_side/keeper.sh");
const KILL: &str = include_str!("machine_side/kill.sh");
const PAGE_SCRIPT: &str = include_str!("machine_side/page.sh");
const RESTART: &str = include_str!("machine_side/restart.sh");
const RUN: &str = include_str!("machine_side/run.sh");
const STAGE: &str = include_str!("machine_side/stage.sh");
pub(super) const LAUNCH: &str = include_str!("machine_side/launch.sh");

/// The service refuses a command whose document and parameters exceed 64 KiB together; the document needs a part of it.
/// See `MaxDocumentSizeExceeded` in
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html>.
pub(crate) const SCRIPT_LIMIT: usize = 48_000;
/// What is around the base64 of a piece, and around that of a request: scripts and acknowledgements.
const AROUND_PIECE: usize = 5_000;
const AROUND_REQUEST: usize = 11_500;
/// Bytes of one piece of a request.
pub(crate) const PIECE: usize = (SCRIPT_LIMIT - AROUND_PIECE) / 4 * 3;
/// A request of this size travels in the script that runs it.
pub(crate) const INLINE: usize = (SCRIPT_LIMIT - AROUND_REQUEST) / 4 * 3;
/// What does no more than reads, or writes a piece, has so long.
const SHORT: Duration = Duration::from_secs(120);
/// Beyond the time of the command itself: its output has to be packed.
const PACKING: Duration = Duration::from_secs(600);
/// Results that one script may acknowledge.
const MOST_ACKNOWLEDGED: usize = 20;

/// One script for the machine, and what it is about.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// What it does, for whoever reads the command history.
    pub(crate) verb: &'static str,
    /// What its answer is recognised by.
    pub(crate) nonce: String,
    /// How long it may run.
    pub(crate) runs_for: Duration,
    variables: String,
    functions: String,
    body: &'static str,
}

/// What the keeper of a command is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    /// The command and all it started is killed after this time; a full second at least.
    pub(crate) timeout: Duration,
    /// Bytes of standard output to keep; all unless set.
    pub(crate) out_limit: Option<u64>,
    /// Bytes of standard error to keep; all unless set.
    pub(crate) err_limit: Option<u64>,
    /// Length of the launch script, the first part of the request.
    pub(crate) launch: usize,
    /// Length of the script, its second part. The rest is standard input.
    pub(crate) script: usize,
}

/// A request as it travels.
#[derive(Clone, Debug)]
pub(crate) enum Packed {
    /// In the script itself.
    Inline(Vec<u8>),
    /// In so many pieces that were staged before.
    Staged(usize),
}

/// Which results have arrived, so that the machine may forget them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acknowledged {
    /// Sent once and heard of: nothing of them is kept.
    pub(crate) forget: Vec<String>,
    /// Perhaps sent twice: a guard stays, for the case that the other one arrives late.
    pub(crate) retire: Vec<String>,
}

impl Acknowledged {
    /// Takes as many as one script carries.
    pub(crate) fn take(&mut self) -> Self {
        let first = |all: &mut Vec<String>| all.drain(..all.len().min(MOST_ACKNOWLEDGED)).collect();
        Self { forget: first(&mut self.forget), retire: first(&mut self.retire) }
    }
}

impl Script {
    fn new(verb: &'static str, nonce: String, body: &'static str) -> Self {
        Self { verb, nonce, runs_for: SHORT, variables: String::new(), functions: String::new(), body }
    }

    fn set(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        // Writing to a string cannot fail.
        let _ = writeln!(self.variables, "{name}={}", quote(&value.to_string()));
        self
    }

    /// `content`, a function that prints these bytes.
    fn content(mut self, bytes: &[u8]) -> Self {
        self.functions += &format!("content() {{\nbase64 -d <<'END'\n{}\nEND\n}}\n", STANDARD.encode(bytes));
        self
    }

    /// Asks for the boot id, and for what the other scripts need.
    pub(crate) fn hello() -> Self {
        Self::new("look", Uuid::new_v4().to_string(), HELLO)
    }

    /// Keeps a piece of a request.
    pub(crate) fn stage(token: &str, work: &str, index: usize, piece: &[u8]) -> Self {
        Self::new("send", format!("{token}.{index}"), STAGE)
            .set("token", token)
            .set("work", work)
            .set("piece", index)
            .set("sha256", image_core::sha256(piece))
            .content(piece)
    }

    /// Runs a command, once.
    pub(crate) fn run(
        token: &str,
        work: &str,
        keeping: &Keeping,
        packing: &str,
        packed: &Packed,
        sha256: &str,
    ) -> Self {
        let limit = |bytes: Option<u64>| bytes.map_or_else(|| "-1".into(), |bytes| bytes.to_string());
        // Rounded up: a shorter time than asked for would kill what was in time.
        let seconds = keeping.timeout.as_secs() + u64::from(keeping.timeout.subsec_nanos() > 0);
        let arguments = format!(
            "{} {} {} {packing} {} {} {PAGE}",
            seconds.max(1),
            limit(keeping.out_limit),
            limit(keeping.err_limit),
            keeping.launch,
            keeping.script
        );
        let script = Self::new("run", token.to_owned(), RUN)
            .set("token", token)
            .set("work", work)
            .set("sha256", sha256)
            .set("arguments", arguments);
        let mut script = match packed {
            Packed::Inline(bytes) => script.set("pieces", 0).content(bytes),
            Packed::Staged(pieces) => script.set("pieces", pieces),
        };
        let keeper = format!("{}{}", without_comments(FUNCTIONS), without_comments(KEEPER));
        script.functions += &format!("keeper_script() {{\ncat <<'KEEPER'\n{keeper}KEEPER\n}}\n");
        script.runs_for = keeping.timeout + PACKING;
        script
    }

    /// One page of a payload.
    pub(crate) fn page(token: &str, index: u64) -> Self {
        Self::new("fetch", format!("{token}.{index}"), PAGE_SCRIPT)
            .set("token", token)
            .set("page", index)
            .set("page_bytes", PAGE)
    }

    /// Ends a command, or keeps it from starting.
    pub(crate) fn kill(token: &str) -> Self {
        Self::new("kill", Uuid::new_v4().to_string(), KILL).set("token", token)
    }

    /// Restarts the machine.
    pub(crate) fn restart() -> Self {
        Self::new("restart", Uuid::new_v4().to_string(), RESTART)
    }

    /// The whole text, for this boot of the machine only where there is one.
    pub(crate) fn text(&self, boot: Option<&str>, acknowledged: &Acknowledged) -> String {
        let Acknowledged { forget, retire } = acknowledged;
        format!(
            "nonce={}\nboot={}\nforget='{}'\nretire='{}'\n{}{}{}{}{}",
            quote(&self.nonce),
            quote(boot.unwrap_or_default()),
            forget.join(" "),
            retire.join(" "),
            without_comments(FUNCTIONS),
            without_comments(COMMON),
            self.variables,
            self.functions,
            without_comments(self.body)
        )
    }
}

/// Comments are for us; the machine is spared them.
fn without_comments(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty())
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeping() -> Keeping {
        Keeping {
            timeout: Duration::from_secs(172_800),
            out_limit: Some(u64::MAX),
            err_limit: None,
            launch: usize::MAX,
            script: usize::MAX,
        }
    }

    fn everything() -> Vec<Script> {
        let (token, work) = (Uuid::new_v4().to_string(), "/var/lib/golden-image.11111111-2222-3333-4444-555555555555");
        let run = |packed| Script::run(&token, work, &keeping(), "plain", &packed, &"f".repeat(64));
        vec![
            Script::hello(),
            Script::stage(&token, work, usize::MAX, &vec![255; PIECE]),
            run(Packed::Inline(vec![255; INLINE])),
            run(Packed::Staged(usize::MAX)),
            Script::page(&token, u64::MAX),
            Script::kill(&token),
            Script::restart(),
        ]
    }

    #[test]
    fn every_script_fits_into_a_command() {
        let tokens = vec![Uuid::new_v4().to_string(); MOST_ACKNOWLEDGED + 1];
        let acknowledged = Acknowledged { forget: tokens.clone(), retire: tokens }.take();
        assert_eq!(acknowledged.retire.len(), MOST_ACKNOWLEDGED);
        for script in everything() {
            let length = script.text(Some(&script.nonce), &acknowledged).len();
            assert!(length <= SCRIPT_LIMIT, "{}: {length}", script.verb);
        }
    }

    #[test]
    fn every_script_is_one_that_a_posix_shell_reads() {
        for script in everything() {
            let text = script.text(None, &Acknowledged::default());
            let read = std::process::Command::new("sh").args(["-n", "-c", &text]).output().unwrap();
            assert!(read.status.success(), "{}: {}", script.verb, String::from_utf8_lossy(&read.stderr));
        }
    }

    #[test]
    fn nothing_in_a_script_looks_like_a_parameter_of_the_service() {
        for script in everything() {
            assert!(!script.text(None, &Acknowledged::default()).contains("{{"), "{}", script.verb);
        }
    }
}
