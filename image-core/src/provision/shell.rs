//! Shell scripts on a machine.

use super::{failure::command_failed, pin::Pins, retry::Retries};
use crate::{
    Command, Context, DEFAULT_OUTPUT_LIMIT, Error, ErrorKind, Exit, Fingerprint, Machine, Output, Provisioner,
    Requirements, Result, Secret, async_trait, sha256,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

const DEFAULT_SHELL: &str = "/bin/sh";
/// Shells in which `set -eu` means what we want.
const POSIX_SHELLS: [&str; 8] = ["ash", "bash", "dash", "ksh", "mksh", "sh", "yash", "zsh"];
/// SIGHUP and SIGTERM: how a machine that goes down ends its shells.
const SHUTDOWN_SIGNALS: [i32; 2] = [1, 15];

#[derive(Clone, Debug)]
enum Source {
    Inline(String),
    File(PathBuf),
}

/// Runs a shell script on the machine, as root unless told otherwise.
///
/// **Interpreter**: `/bin/sh`, or the one that the first line of the script names, or [`shell`](Self::shell). A first line
/// with options, such as `#!/bin/sh -x`, is refused rather than half obeyed.
///
/// **Strict**: the script starts under `set -eu`, so that a command that fails and a variable that nobody set end it,
/// unless [`lenient`](Self::lenient) or an interpreter that is not a POSIX shell is asked for. Line numbers in error
/// messages stay those of the script. `pipefail` is not set: not every `/bin/sh` has it.
///
/// **Failure**: any exit code but [`valid_exit_codes`](Self::valid_exit_codes), and any signal, is `CommandFailed` with
/// the last lines of the output, secrets replaced.
///
/// **Fingerprint**: the script, interpreter, environment, names of secrets, directory, user and valid exit codes. Never
/// secret values: a rotated secret builds nothing anew. A script file that changes between the plan of a run and its
/// use is a `Conflict`.
#[derive(Clone, Debug)]
pub struct Shell {
    name: String,
    source: Source,
    shell: Option<String>,
    lenient: bool,
    env: BTreeMap<String, String>,
    secrets: BTreeMap<String, Secret>,
    cwd: Option<String>,
    user: Option<String>,
    valid: BTreeSet<i32>,
    timeout: Option<Duration>,
    retries: Retries,
    expect_disconnect: bool,
    output_limit: usize,
    pins: Pins,
}

impl Shell {
    /// A script given as text; the name stands in stages and messages.
    pub fn inline(name: impl Into<String>, script: impl Into<String>) -> Self {
        Self::new(name.into(), Source::Inline(script.into()))
    }
    /// A script file of the controller, named after the file. It is read anew for every run.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self::new(name, Source::File(path))
    }
    fn new(name: String, source: Source) -> Self {
        Self {
            name,
            source,
            shell: None,
            lenient: false,
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            cwd: None,
            user: None,
            valid: BTreeSet::from([0]),
            timeout: None,
            retries: Retries::default(),
            expect_disconnect: false,
            output_limit: DEFAULT_OUTPUT_LIMIT,
            pins: Pins::default(),
        }
    }
    /// Sets the name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
    /// Sets the interpreter, whatever the script's first line says: one program without options.
    #[must_use]
    pub fn shell(mut self, shell: impl Into<String>) -> Self {
        self.shell = Some(shell.into());
        self
    }
    /// Leaves out `set -eu`: the script goes on after a command that fails.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }
    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }
    /// Adds a secret environment variable. It never shows in a log, an event, the journal or a fingerprint, and needs a
    /// machine that can carry secrets.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.secrets.insert(name.into(), value);
        self
    }
    /// Sets the working directory, an absolute path.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<String>) -> Self {
        self.cwd = Some(dir.into());
        self
    }
    /// Sets the user to run as.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }
    /// Sets the exit codes that are a success, in place of 0 alone.
    #[must_use]
    pub fn valid_exit_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.valid = codes.into_iter().collect();
        self
    }
    /// Limits each attempt; the script and all it started are killed then.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
    /// Tries up to `times` times more, with `delay` in between. The script must bear being run again.
    #[must_use]
    pub fn retries(mut self, times: u32, delay: Duration) -> Self {
        self.retries = Retries { times, delay };
        self
    }
    /// Takes a lost channel, and the end of the shell by SIGHUP or SIGTERM, for success: the script ends the connection,
    /// for example by changing the network. To restart a machine use [`Reboot`](super::Reboot), which waits for it.
    #[must_use]
    pub fn expect_disconnect(mut self) -> Self {
        self.expect_disconnect = true;
        self
    }
    /// Sets how many bytes of each stream are kept for the message of a failure; events have all of it.
    #[must_use]
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// The script as it will run, checked; or why it cannot.
    async fn prepare(&self) -> Result<Prepared> {
        let text = match &self.source {
            Source::Inline(text) => text.clone(),
            Source::File(path) => read_script(path).await?,
        };
        self.check_settings()?;
        let refuse = |value: &str, accepted: &str| {
            Err(Error::invalid(&format!("script of provisioner {}", self.name), value, accepted))
        };
        if text.trim().is_empty() {
            return refuse("empty", "a script");
        }
        if text.contains('\0') {
            return refuse("text with a NUL byte", "a text file");
        }
        let first = text.split_inclusive('\n').next().unwrap_or_default();
        if first.ends_with("\r\n") {
            return refuse("text with Windows line ends", "Unix line ends");
        }
        let shell = match (&self.shell, first.strip_prefix("#!")) {
            (Some(shell), _) => shell.clone(),
            (None, None) => DEFAULT_SHELL.into(),
            (None, Some(line)) => match *line.split_whitespace().collect::<Vec<_>>() {
                [shell] | ["/usr/bin/env", shell] if !shell.starts_with('-') => shell.into(),
                _ => return refuse(first.trim(), "an interpreter without options, or `shell` and `set` in the script"),
            },
        };
        let posix = Path::new(&shell).file_name().is_some_and(|name| POSIX_SHELLS.iter().any(|posix| name == *posix));
        let script = if posix && !self.lenient { format!("set -eu; {text}") } else { text };
        Ok(Prepared { script, shell })
    }

    fn check_settings(&self) -> Result<()> {
        let field = |name: &str| format!("{name} of provisioner {}", self.name);
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for name in self.env.keys().chain(self.secrets.keys()) {
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(named) {
                return Err(Error::invalid(&field("env"), name, "letters, digits and _, not a digit first"));
            }
        }
        if let Some(name) = self.env.keys().find(|name| self.secrets.contains_key(*name)) {
            return Err(Error::invalid(&field("env"), name, "either a plain or a secret value"));
        }
        if self.env.values().any(|value| value.contains('\0')) {
            return Err(Error::invalid(&field("env"), "a value with a NUL byte", "text"));
        }
        if self.valid.is_empty() {
            return Err(Error::invalid(&field("valid_exit_codes"), "empty", "at least one code"));
        }
        if let Some(cwd) = self.cwd.as_deref().filter(|cwd| !cwd.starts_with('/')) {
            return Err(Error::invalid(&field("cwd"), cwd, "an absolute path"));
        }
        let shell = self.shell.as_deref().unwrap_or(DEFAULT_SHELL);
        if shell.is_empty() || shell.contains(char::is_whitespace) {
            return Err(Error::invalid(&field("shell"), shell, "one program without options"));
        }
        Ok(())
    }

    async fn attempt(&self, cx: &Context, machine: &dyn Machine, prepared: &Prepared) -> Result<()> {
        let mut command = Command::sh(&prepared.script).shell(&prepared.shell);
        command.env = self.env.clone();
        command.secrets = self.secrets.clone();
        command.cwd = self.cwd.clone();
        command.user = self.user.clone();
        command.timeout = self.timeout;
        command.output = Output::Capture(self.output_limit);
        let disconnected = |how: &str| {
            cx.message(format!("provisioner {}: {how}, as expected", self.name));
            Ok(())
        };
        match cx.race(machine.exec(cx, command)).await {
            Ok(output) => match output.exit {
                Exit::Code(code) if self.valid.contains(&code) => Ok(()),
                Exit::Signal(signal) if self.expect_disconnect && SHUTDOWN_SIGNALS.contains(&signal) => {
                    disconnected("the shell was ended")
                }
                _ => Err(command_failed(cx, &self.name, &output, &self.valid)),
            },
            Err(e) if self.expect_disconnect && e.kind() == ErrorKind::Unavailable => {
                disconnected("the channel was lost")
            }
            Err(e) => Err(e.with_context("provisioner", &self.name)),
        }
    }
}

struct Prepared {
    script: String,
    shell: String,
}

async fn read_script(path: &Path) -> Result<String> {
    let bytes = tokio::fs::read(path).await.map_err(|e| Error::io("read", path, e))?;
    let not_text = |_| Error::invalid("script", path.display(), "a file of UTF-8 text");
    String::from_utf8(bytes).map_err(not_text)
}

#[async_trait]
impl Provisioner for Shell {
    fn id(&self) -> &str {
        &self.name
    }
    async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
        let Prepared { script, shell } = self.prepare().await?;
        let digest = sha256(&script);
        self.pins.set(cx, &digest);
        let secrets: Vec<&String> = self.secrets.keys().collect();
        let how = (&self.cwd, &self.user, &self.valid, self.expect_disconnect);
        Fingerprint::of("shell", &(digest, shell, &self.env, secrets, how)).map(Some)
    }
    fn requirements(&self) -> Requirements {
        if self.secrets.is_empty() { Requirements::NONE } else { Requirements::SECRETS }
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        self.secrets.values().for_each(|secret| cx.learn_secret(secret));
        let prepared = self.prepare().await?;
        self.pins.check(cx, &format!("the script of provisioner {}", self.name), &sha256(&prepared.script))?;
        self.retries.run(cx, || self.attempt(cx, machine, &prepared)).await
    }
}

#[cfg(test)]
mod tests;
