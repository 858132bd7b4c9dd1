//! Programs on the controller.

use super::{failure::command_failed, pin::Pins, tree::Tree};
use crate::{
    Context, Error, ErrorKind, ExecOutput, Exit, Fingerprint, Machine, Provisioner, Result, Secret, Stream,
    async_trait, sha256,
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::Stdio,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a stream that are kept for the message of a failure, and the longest line of an event.
const KEPT: usize = 64 * 1024;
/// How long to read on after the program has ended, when a process that left its group holds its output open.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs a program on the controller, without a shell in between.
///
/// The program sees the controller's environment and, about the machine, `IMAGE_RUN_ID`, `IMAGE_MACHINE_ID` and, where
/// there is a way in, `IMAGE_MACHINE_SHELL`. Its standard input is empty, its output becomes events line by line.
///
/// **End**: a timeout, a cancel or a dropped run kills its process group; so does its own end, so that it leaves
/// nothing behind. A process that moved to another session escapes.
///
/// **Fingerprint**: none, unless [`inputs`](Self::inputs) says what it depends on. Then the program, its arguments, the
/// environment given here, names of secrets, valid exit codes, and the digests of the inputs.
#[derive(Clone, Debug)]
pub struct LocalCommand {
    name: String,
    program: OsString,
    args: Vec<OsString>,
    env: BTreeMap<String, String>,
    secrets: BTreeMap<String, Secret>,
    clean_env: bool,
    cwd: Option<PathBuf>,
    timeout: Option<Duration>,
    valid: BTreeSet<i32>,
    inputs: Option<Vec<PathBuf>>,
    pins: Pins,
}

impl LocalCommand {
    /// A program, by path or to be found in `PATH`; the name stands in stages and messages.
    pub fn new(name: impl Into<String>, program: impl Into<OsString>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: vec![],
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            clean_env: false,
            cwd: None,
            timeout: None,
            valid: BTreeSet::from([0]),
            inputs: None,
            pins: Pins::default(),
        }
    }
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }
    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }
    /// Adds a secret environment variable, which shows in no event, error or fingerprint.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.secrets.insert(name.into(), value);
        self
    }
    /// Keeps the controller's environment from the program, credentials and `PATH` with it.
    #[must_use]
    pub fn clean_env(mut self) -> Self {
        self.clean_env = true;
        self
    }
    /// Sets the working directory; the controller's unless set.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }
    /// Limits how long it may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
    /// Sets the exit codes that are a success, in place of 0 alone.
    #[must_use]
    pub fn valid_exit_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.valid = codes.into_iter().collect();
        self
    }
    /// Declares the files and directories it depends on, and that it depends on nothing else, so that its layer can be
    /// reused.
    #[must_use]
    pub fn inputs(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.inputs = Some(paths.into_iter().map(Into::into).collect());
        self
    }

    fn check_settings(&self) -> Result<()> {
        if self.program.is_empty() {
            return Err(Error::invalid(&format!("program of provisioner {}", self.name), "", "a program"));
        }
        if self.valid.is_empty() {
            let field = format!("valid_exit_codes of provisioner {}", self.name);
            return Err(Error::invalid(&field, "empty", "at least one code"));
        }
        Ok(())
    }

    /// One digest over all inputs, in the order of their declaration.
    async fn inputs_digest(&self, inputs: &[PathBuf]) -> Result<String> {
        let mut digests = String::new();
        for input in inputs {
            digests.push_str(&Tree::read(input).await?.digest()?);
        }
        Ok(sha256(digests))
    }

    fn process(&self, cx: &Context, machine: &dyn Machine) -> tokio::process::Command {
        let mut process = tokio::process::Command::new(&self.program);
        if self.clean_env {
            process.env_clear();
        }
        let info = machine.info();
        process.args(&self.args).env("IMAGE_RUN_ID", cx.run_id()).env("IMAGE_MACHINE_ID", &info.id);
        process.envs(info.shell.as_ref().map(|shell| ("IMAGE_MACHINE_SHELL", shell)));
        process.envs(&self.env);
        process.envs(self.secrets.iter().map(|(name, value)| (name, value.expose())));
        if let Some(cwd) = &self.cwd {
            process.current_dir(cwd);
        }
        process.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        process
    }

    async fn execute(&self, cx: &Context, machine: &dyn Machine) -> Result<ExecOutput> {
        let program = self.program.display().to_string();
        let mut child = self.process(cx, machine).spawn().map_err(|e| Error::io("run", &program, e))?;
        let mut group = Group::of(&child);
        let (stdout, stderr) = (Tail::default(), Tail::default());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let drained =
            async { tokio::join!(stdout.follow(cx, Stream::Stdout, out), stderr.follow(cx, Stream::Stderr, err)) };
        tokio::pin!(drained);
        let mut closed = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.map_err(|e| Error::io("wait for", &program, e))?,
                _ = &mut drained, if !closed => closed = true,
            }
        };
        group.kill();
        if !closed {
            tokio::select! {
                _ = &mut drained => {}
                () = tokio::time::sleep(DRAIN) => {
                    cx.warn(format!("provisioner {}: a process it left running holds its output open", self.name));
                }
            }
        }
        let exit = status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or_default()), Exit::Code);
        Ok(ExecOutput::new(exit, stdout.bytes(), stderr.bytes()))
    }
}

#[async_trait]
impl Provisioner for LocalCommand {
    fn id(&self) -> &str {
        &self.name
    }
    async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
        self.check_settings()?;
        let Some(inputs) = &self.inputs else { return Ok(None) };
        let digest = self.inputs_digest(inputs).await?;
        self.pins.set(cx, &digest);
        let text = |arg: &OsString| arg.as_encoded_bytes().to_vec();
        let args: Vec<Vec<u8>> = self.args.iter().map(text).collect();
        let secrets: Vec<&String> = self.secrets.keys().collect();
        let what = (text(&self.program), args, &self.env, secrets, self.clean_env, &self.valid, digest);
        Fingerprint::of("local command", &what).map(Some)
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        self.secrets.values().for_each(|secret| cx.learn_secret(secret));
        self.check_settings()?;
        if let Some(inputs) = &self.inputs {
            let digest = self.inputs_digest(inputs).await?;
            self.pins.check(cx, &format!("an input of provisioner {}", self.name), &digest)?;
        }
        let limited = async {
            let Some(timeout) = self.timeout else { return self.execute(cx, machine).await };
            tokio::select! {
                done = self.execute(cx, machine) => done,
                () = tokio::time::sleep(timeout) => {
                    let message = format!("provisioner {} took longer than {timeout:?}", self.name);
                    Err(Error::new(ErrorKind::TimedOut, message))
                }
            }
        };
        let output = cx.race(limited).await?;
        match output.exit {
            Exit::Code(code) if self.valid.contains(&code) => Ok(()),
            _ => Err(command_failed(cx, &self.name, &output, &self.valid)),
        }
    }
}

/// The process group of a program; killed when it goes out of scope.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }
    /// Kills what is left of it, once: its number may later be another's.
    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            // Nothing is left of it in most cases, and that is the only way in which our own group refuses.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The end of what a stream said.
#[derive(Default)]
struct Tail(Mutex<Vec<u8>>);

impl Tail {
    /// Emits a stream line by line until it is closed.
    async fn follow(&self, cx: &Context, stream: Stream, source: Option<impl AsyncRead + Unpin>) {
        let Some(mut source) = source else { return };
        let (mut chunk, mut line) = (vec![0; 8192], vec![]);
        // A stream that cannot be read any more has ended.
        while let Ok(n @ 1..) = source.read(&mut chunk).await {
            self.keep(&chunk[..n]);
            for piece in chunk[..n].split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(piece);
                if line.ends_with(b"\n") || line.len() >= KEPT {
                    cx.output(stream, &String::from_utf8_lossy(&line));
                    line.clear();
                }
            }
        }
        cx.output(stream, &String::from_utf8_lossy(&line));
    }
    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests;
