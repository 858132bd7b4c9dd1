//! Checks that are shell scripts.

use crate::{
    Check, Context, Error, ErrorKind, ExecOutput, Exit, Fingerprint, Machine, Report, Result, Subject, ValidationStage,
    Validator, Verdict, async_trait, provision::last_words, quote,
};
use serde::Serialize;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// How long a script may take unless it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks at something that needs time to start.
const LONGEST_INTERVAL: Duration = Duration::from_secs(2);
/// `EX_UNAVAILABLE` of sysexits.h: our own scripts end with it when the machine lacks the tool to tell.
const CANNOT_TELL: i32 = 69;

#[derive(Clone, Debug, Serialize)]
enum Expected {
    Contains(String),
    Equals(String),
    Lacks(String),
}

/// One check: a script, and how it must end.
#[derive(Clone, Debug, Serialize)]
pub struct CommandCheck {
    id: String,
    script: String,
    exit: i32,
    cannot_tell: Option<i32>,
    stdout: Vec<Expected>,
    only_on: Option<ValidationStage>,
    booted_only: bool,
    retry_for: Duration,
    timeout: Duration,
}

impl CommandCheck {
    /// A script for `/bin/sh` that must end with exit code 0 within a minute. It must leave no trace.
    pub fn new(id: impl Into<String>, script: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            script: script.into(),
            exit: 0,
            cannot_tell: None,
            stdout: vec![],
            only_on: None,
            booted_only: false,
            retry_for: Duration::ZERO,
            timeout: DEFAULT_TIMEOUT,
        }
    }
    /// A service runs, by systemd or OpenRC. Does not apply where no init system runs.
    pub fn service_active(unit: impl Into<String>) -> Self {
        let unit = unit.into();
        let word = quote(&unit);
        let script = format!(
            "if command -v systemctl >/dev/null 2>&1; then exec systemctl is-active -- {word}; fi\n\
             if command -v rc-service >/dev/null 2>&1; then exec rc-service {word} status; fi\n\
             echo 'neither systemctl nor rc-service is on the machine' >&2; exit {CANNOT_TELL}\n"
        );
        Self::new(format!("service {unit}: active"), script).cannot_tell(CANNOT_TELL).booted_only()
    }
    /// An HTTP GET of `path` at a port, asked from the machine itself past any proxy, succeeds. It is asked with curl,
    /// wget or BusyBox, whichever is there; without any of them the verdict is unknown. Does not apply where no init
    /// system runs.
    pub fn port_answers(host: impl AsRef<str>, port: u16, path: impl AsRef<str>) -> Self {
        let url = format!("http://{}:{port}/{}", host.as_ref(), path.as_ref().trim_start_matches('/'));
        let word = quote(&url);
        // No -T for BusyBox: that of Debian 12 (1.35.0) crashes with it. The check's own timeout holds.
        let script = format!(
            "unset http_proxy HTTP_PROXY all_proxy ALL_PROXY\n\
             if command -v curl >/dev/null 2>&1; then exec curl -fsS -m 10 -o /dev/null {word}; fi\n\
             if command -v wget >/dev/null 2>&1; then exec wget -q -T 10 -O /dev/null {word}; fi\n\
             if command -v busybox >/dev/null 2>&1; then exec busybox wget -q -O /dev/null {word}; fi\n\
             echo 'neither curl nor wget nor busybox is on the machine' >&2; exit {CANNOT_TELL}\n"
        );
        Self::new(format!("{url}: answers"), script).cannot_tell(CANNOT_TELL).booted_only()
    }
    /// Something is at a path; a link counts when what it names is there.
    pub fn file_exists(path: impl Into<String>) -> Self {
        let path = path.into();
        Self::new(format!("file {path}: exists"), format!("[ -e {} ]", quote(&path)))
    }
    /// Nothing is at a path, not even a link that leads nowhere.
    pub fn file_absent(path: impl Into<String>) -> Self {
        let path = path.into();
        let word = quote(&path);
        Self::new(format!("file {path}: absent"), format!("[ ! -e {word} ] && [ ! -L {word} ]"))
    }
    /// Sets the exit code that is expected.
    #[must_use]
    pub fn exit(mut self, code: i32) -> Self {
        self.exit = code;
        self
    }
    /// Sets an exit code by which the script says that it could not tell: the verdict is unknown, which fails closed.
    #[must_use]
    pub fn cannot_tell(mut self, code: i32) -> Self {
        self.cannot_tell = Some(code);
        self
    }
    /// Standard output must contain this text.
    #[must_use]
    pub fn stdout_contains(mut self, text: impl Into<String>) -> Self {
        self.stdout.push(Expected::Contains(text.into()));
        self
    }
    /// Standard output must be this text, but for white space at both ends.
    #[must_use]
    pub fn stdout_equals(mut self, text: impl Into<String>) -> Self {
        self.stdout.push(Expected::Equals(text.into()));
        self
    }
    /// Standard output must not contain this text.
    #[must_use]
    pub fn stdout_lacks(mut self, text: impl Into<String>) -> Self {
        self.stdout.push(Expected::Lacks(text.into()));
        self
    }
    /// Looks at one stage only; the check does not apply at others.
    #[must_use]
    pub fn only_on(mut self, stage: ValidationStage) -> Self {
        self.only_on = Some(stage);
        self
    }
    /// Looks only at machines on which an init system runs.
    #[must_use]
    pub fn booted_only(mut self) -> Self {
        self.booted_only = true;
        self
    }
    /// Looks again until it passes, for at most this time: for what needs time to start.
    #[must_use]
    pub fn retry_for(mut self, duration: Duration) -> Self {
        self.retry_for = duration;
        self
    }
    /// Sets how long one run of the script may take; beyond it the verdict is unknown.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn applies(&self, stage: ValidationStage, machine: &dyn Machine) -> Result<(), String> {
        match self.only_on {
            Some(only) if only != stage => Err(format!("looked at on stage {only} only")),
            _ if self.booted_only && !machine.info().booted => Err("no init system runs".into()),
            _ => Ok(()),
        }
    }

    /// Looks until it passes or its time is over; the last sight counts.
    async fn look(&self, cx: &Context, machine: &dyn Machine) -> Result<Check> {
        let give_up = Instant::now() + self.retry_for;
        let interval = (self.retry_for / 50).clamp(Duration::from_millis(10), LONGEST_INTERVAL);
        loop {
            let (verdict, message) = self.look_once(cx, machine).await?;
            if verdict == Verdict::Pass || Instant::now() + interval > give_up {
                return Ok(Check::new(&self.id, verdict, cx.redact(message)));
            }
            cx.progress(0, None, cx.redact(format!("{}: {message}", self.id)));
            cx.sleep(interval).await?;
        }
    }

    async fn look_once(&self, cx: &Context, machine: &dyn Machine) -> Result<(Verdict, String)> {
        let command = crate::Command::sh(&self.script).timeout(self.timeout);
        match cx.race(machine.exec(cx, command)).await {
            Ok(output) => Ok(self.judge(cx, &output)),
            Err(e) if e.kind() == ErrorKind::TimedOut && cx.check().is_ok() => {
                Ok((Verdict::Unknown, format!("the script took longer than {:?}", self.timeout)))
            }
            Err(e) => Err(e.with_context("check", &self.id)),
        }
    }

    fn judge(&self, cx: &Context, output: &ExecOutput) -> (Verdict, String) {
        let words = last_words(cx, output);
        let said = if words.is_empty() { String::new() } else { format!(": {words}") };
        if output.exit != Exit::Code(self.exit) {
            let unknown = self.cannot_tell.is_some_and(|code| output.exit == Exit::Code(code));
            let verdict = if unknown { Verdict::Unknown } else { Verdict::Fail };
            return (verdict, format!("{}, expected exit code {}{said}", output.exit, self.exit));
        }
        if self.stdout.is_empty() {
            return (Verdict::Pass, String::new());
        }
        if output.truncated {
            return (Verdict::Unknown, "the output was too long to be seen whole".into());
        }
        let Ok(stdout) = std::str::from_utf8(&output.stdout) else {
            return (Verdict::Unknown, "standard output is not UTF-8".into());
        };
        let broken = self.stdout.iter().find_map(|expected| match expected {
            Expected::Contains(text) if !stdout.contains(text) => Some(format!("standard output lacks `{text}`")),
            Expected::Equals(text) if stdout.trim() != text.trim() => Some(format!("standard output is not `{text}`")),
            Expected::Lacks(text) if stdout.contains(text) => Some(format!("standard output contains `{text}`")),
            _ => None,
        });
        broken.map_or((Verdict::Pass, String::new()), |broken| (Verdict::Fail, format!("{broken}{said}")))
    }
}

/// Scripts as checks, on the build machine and on the booted artifact. A root file system that does not run cannot be
/// asked; nothing applies to it.
///
/// A check that fails is a value in the report; a machine that cannot be asked is an error.
#[derive(Clone, Debug)]
pub struct Command {
    name: String,
    checks: Vec<CommandCheck>,
}

impl Command {
    /// No checks yet; the name stands in reports.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), checks: vec![] }
    }
    /// Adds a script that must end with exit code 0.
    #[must_use]
    pub fn check(self, id: impl Into<String>, script: impl Into<String>) -> Self {
        self.with(CommandCheck::new(id, script))
    }
    /// Adds a check.
    #[must_use]
    pub fn with(mut self, check: CommandCheck) -> Self {
        self.checks.push(check);
        self
    }

    fn check_settings(&self) -> Result<()> {
        let field = |name: &str| format!("{name} of validator {}", self.name);
        if self.checks.is_empty() {
            return Err(Error::invalid(&field("checks"), "empty", "at least one check"));
        }
        let mut ids = BTreeSet::new();
        for check in &self.checks {
            if !ids.insert(&check.id) {
                return Err(Error::invalid(&field("check id"), &check.id, "one that no other check has"));
            }
            if check.script.trim().is_empty() || check.script.contains('\0') {
                return Err(Error::invalid(&field("script"), &check.id, "a script that is not empty"));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Validator for Command {
    fn id(&self) -> &str {
        &self.name
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        self.check_settings()?;
        Fingerprint::of("command validator", &self.checks).map(Some)
    }
    async fn validate(&self, cx: &Context, subject: Subject<'_>) -> Result<Report> {
        self.check_settings()?;
        let (machine, stage) = match subject {
            Subject::Booted(machine) => (Some(machine), ValidationStage::Boot),
            Subject::BuildMachine(machine) => (Some(machine), ValidationStage::Build),
            Subject::Rootfs(_) => (None, ValidationStage::Rootfs),
        };
        let mut checks = vec![];
        for check in &self.checks {
            let applies = match machine {
                Some(machine) => check.applies(stage, machine).map(|()| machine),
                None => Err("no machine runs".into()),
            };
            checks.push(match applies {
                Ok(machine) => check.look(cx, machine).await?,
                Err(why) => Check::new(&check.id, Verdict::NotApplicable, why),
            });
        }
        Ok(Report::new(&self.name, stage, checks))
    }
}

#[cfg(test)]
mod tests;
