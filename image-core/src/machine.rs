//! A machine that commands run on: a sandboxed root file system, a virtual machine, an instance in a cloud.

use crate::{Context, Error, ErrorKind, Platform, Result, Secret, async_trait};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Output beyond this many bytes per stream is drained and dropped, unless the command asks for more.
pub const DEFAULT_OUTPUT_LIMIT: usize = 1024 * 1024;

/// Where a command's output goes.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Output {
    /// Into [`ExecOutput`], up to so many bytes a stream; what comes after is drained and dropped.
    Capture(usize),
    /// Nowhere.
    Discard,
    /// Standard output into a file on the controller, without a limit; standard error as for `Capture`.
    Spool(PathBuf),
}

/// A shell script to run on a machine.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Command {
    /// The text of a POSIX shell script.
    pub script: String,
    /// The interpreter; `/bin/sh` unless set.
    pub shell: String,
    /// Standard input; empty unless set.
    pub stdin: Vec<u8>,
    /// Environment, added to the machine's plain one.
    pub env: BTreeMap<String, String>,
    /// Secret environment: it never shows in a log, an event, the journal, a command line or a file of the image.
    pub secrets: BTreeMap<String, Secret>,
    /// Working directory; the user's home or `/` unless set.
    pub cwd: Option<String>,
    /// User to run as; root unless set.
    pub user: Option<String>,
    /// The command and all it started are killed after this time, and `exec` is a `TimedOut` error.
    pub timeout: Option<Duration>,
    /// Where the output goes.
    pub output: Output,
}

impl Command {
    /// A script for `/bin/sh`, run as root, with [`DEFAULT_OUTPUT_LIMIT`] and without a timeout of its own.
    pub fn sh(script: impl Into<String>) -> Self {
        Self {
            script: script.into(),
            shell: "/bin/sh".into(),
            stdin: vec![],
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            cwd: None,
            user: None,
            timeout: None,
            output: Output::Capture(DEFAULT_OUTPUT_LIMIT),
        }
    }
    /// Sets the interpreter.
    #[must_use]
    pub fn shell(mut self, shell: impl Into<String>) -> Self {
        self.shell = shell.into();
        self
    }
    /// Sets standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }
    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }
    /// Adds a secret environment variable.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.secrets.insert(name.into(), value);
        self
    }
    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<String>) -> Self {
        self.cwd = Some(dir.into());
        self
    }
    /// Sets the user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }
    /// Sets the timeout.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
    /// Sets where the output goes.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }
}

/// How a command ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// With an exit code.
    Code(i32),
    /// By a signal, by number.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// What a command did.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ExecOutput {
    /// How it ended.
    pub exit: Exit,
    /// Standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// Standard error, up to the limit.
    pub stderr: Vec<u8>,
    /// Whether a stream went over the limit.
    pub truncated: bool,
}

impl ExecOutput {
    /// An output that was captured whole.
    pub fn new(exit: Exit, stdout: Vec<u8>, stderr: Vec<u8>) -> Self {
        Self { exit, stdout, stderr, truncated: false }
    }
    /// Marks it as cut at the limit.
    #[must_use]
    pub fn with_truncated(mut self, truncated: bool) -> Self {
        self.truncated = truncated;
        self
    }
    /// Whether it ended with exit code 0.
    pub fn success(&self) -> bool {
        self.exit == Exit::Code(0)
    }
    /// Standard output as text, bytes that are not UTF-8 replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
    /// Standard error as text, bytes that are not UTF-8 replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
    /// The last lines of standard error, or of standard output where that is empty: what a person looks at first.
    pub fn tail(&self) -> String {
        let text =
            if self.stderr.iter().all(u8::is_ascii_whitespace) { self.stdout_text() } else { self.stderr_text() };
        let lines: Vec<&str> = text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

/// What an upload sends.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum UploadSource {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// A file on the controller.
    File(PathBuf),
}

/// A file to write on a machine. The file is complete or absent: it is written beside its place and renamed.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Upload {
    /// What to send.
    pub source: UploadSource,
    /// Absolute path on the machine; its directory must exist.
    pub destination: String,
    /// Permission bits, for example `0o644`.
    pub mode: u32,
    /// `user` or `user:group`, by name or number; root unless set.
    pub owner: Option<String>,
}

impl Upload {
    /// Sends a file of the controller, as root's, with mode 0644.
    pub fn file(source: impl Into<PathBuf>, destination: impl Into<String>) -> Self {
        let source = UploadSource::File(source.into());
        Self { source, destination: destination.into(), mode: 0o644, owner: None }
    }
    /// Sends bytes, as root's, with mode 0644.
    pub fn bytes(bytes: impl Into<Vec<u8>>, destination: impl Into<String>) -> Self {
        let source = UploadSource::Bytes(bytes.into().into());
        Self { source, destination: destination.into(), mode: 0o644, owner: None }
    }
    /// Sets the permission bits.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
    /// Sets the owner.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }
}

/// What a machine is and can do.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct MachineInfo {
    /// Its id in logs.
    pub id: String,
    /// What it runs on.
    pub platform: Platform,
    /// Whether an init system runs, so that services can be asked for.
    pub booted: bool,
    /// A command line that opens a shell on it, for people.
    pub shell: Option<String>,
}

impl MachineInfo {
    /// A machine without a way in for people.
    pub fn new(id: impl Into<String>, platform: Platform, booted: bool) -> Self {
        Self { id: id.into(), platform, booted, shell: None }
    }
    /// Sets the command that opens a shell.
    #[must_use]
    pub fn with_shell(mut self, shell: impl Into<String>) -> Self {
        self.shell = Some(shell.into());
        self
    }
}

/// A machine that commands run on. All that the core knows of a machine is here, so a pipeline runs anywhere.
///
/// **Contract**: commands may be asked for at once from several tasks; a machine that can only run one at a time queues
/// them. A non-zero exit is a value; an `Err` means that the machine could not tell: the channel was lost, the deadline
/// passed. Every line of output is also given to [`Context::output`]. A cut or lost output never looks like a whole one.
///
/// **Cancellation**: a dropped or cancelled `exec` kills what it started, where
/// [`Capabilities::kills_group`](crate::Capabilities::kills_group) says so.
#[async_trait]
pub trait Machine: fmt::Debug + Send + Sync + 'static {
    /// What it is and can do.
    fn info(&self) -> &MachineInfo;
    /// Runs a command to its end.
    async fn exec(&self, cx: &Context, command: Command) -> Result<ExecOutput>;
    /// Writes a file on the machine.
    async fn upload(&self, cx: &Context, upload: Upload) -> Result<()>;
    /// Reads a file of the machine into a file on the controller.
    async fn download(&self, cx: &Context, source: &str, destination: &Path) -> Result<()>;
    /// Restarts the machine and returns when commands work again and its boot id has changed.
    async fn reboot(&self, cx: &Context) -> Result<()>;
}

/// Conveniences for every [`Machine`].
#[async_trait]
pub trait MachineExt: Machine {
    /// Runs a script that must succeed, and returns its standard output.
    ///
    /// # Errors
    /// `CommandFailed` with the tail of the output when the script does not end with code 0.
    async fn run(&self, cx: &Context, script: &str) -> Result<String> {
        let output = self.exec(cx, Command::sh(script)).await?;
        if output.success() {
            return Ok(output.stdout_text());
        }
        let message = format!("script ended with {}: {}", output.exit, output.tail());
        Err(Error::new(ErrorKind::CommandFailed, message))
    }
}

impl<T: Machine + ?Sized> MachineExt for T {}

/// Quotes text as one word of a POSIX shell.
pub fn quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_a_shell() {
        for text in ["plain-1.0", "", "two words", "it's", "$(id) `x` \\ \"q\" *"] {
            let echoed = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quote(text))]).output();
            assert_eq!(String::from_utf8(echoed.unwrap().stdout).unwrap(), text);
        }
    }

    #[test]
    fn the_tail_is_what_a_person_looks_at() {
        let stdout = b"a\nb\n".to_vec();
        assert_eq!(ExecOutput::new(Exit::Code(1), stdout.clone(), b" \n".to_vec()).tail(), "a\nb");
        assert_eq!(ExecOutput::new(Exit::Code(1), stdout, b"1\n2\n3\n4\n5\n6\n".to_vec()).tail(), "2\n3\n4\n5\n6");
    }
}
