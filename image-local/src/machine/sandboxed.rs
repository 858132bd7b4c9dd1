//! A sandboxed root file system as a machine.

use super::learn;
use crate::sandbox::{self, Program, Request, Sandbox};
use image_core::{
    Command, Context, Error, ErrorKind, ExecOutput, Exit, Machine, MachineInfo, Output, OutputLines, Result, Stream,
    Upload, UploadSource, async_trait, quote,
};
use std::path::Path;

/// Commands run one at a time, in namespaces of their own; no service runs between them, and nothing is booted.
#[derive(Debug)]
pub(crate) struct SandboxMachine {
    info: MachineInfo,
    sandbox: Sandbox,
}

impl SandboxMachine {
    pub(crate) fn new(info: MachineInfo, sandbox: Sandbox) -> Self {
        Self { info, sandbox }
    }

    async fn run(&self, cx: &Context, request: Request) -> Result<sandbox::Finished> {
        let mut lines = [OutputLines::new(cx, Stream::Stderr), OutputLines::new(cx, Stream::Stdout)];
        let mut on_output = |stream: sandbox::Stream, piece: &[u8]| match stream {
            sandbox::Stream::Stderr => lines[0].push(piece),
            sandbox::Stream::Stdout => lines[1].push(piece),
        };
        let ended = async { drop(cx.ended().await) };
        match self.sandbox.run(request, &mut on_output, ended).await {
            // The run's own word on why it ended: cancelled, or past its deadline.
            Err(sandbox::SandboxError::Cancelled) => Err(cx.ended().await),
            done => Ok(done?),
        }
    }
}

#[async_trait]
impl Machine for SandboxMachine {
    fn info(&self) -> &MachineInfo {
        &self.info
    }

    async fn exec(&self, cx: &Context, command: Command) -> Result<ExecOutput> {
        cx.check()?;
        learn(cx, &command);
        let interpreter = if command.shell == "/bin/sh" { String::new() } else { format!("#!{}\n", command.shell) };
        let content = format!("{interpreter}{}\n", command.script).into_bytes();
        let mut request = Request::new(Program::Script { content, arguments: vec![] });
        request.stdin = sandbox::Input::Bytes(command.stdin);
        request.env = command.env;
        request.env.extend(command.secrets.into_iter().map(|(name, value)| (name, value.expose().to_owned())));
        request.cwd = command.cwd.unwrap_or_else(|| "/".into());
        request.user = command.user;
        request.timeout = command.timeout;
        request.output = match command.output {
            Output::Capture(limit) => sandbox::Output::Limit(limit),
            Output::Discard => sandbox::Output::Discard,
            Output::Spool(path) => sandbox::Output::File(path),
            other => return Err(Error::new(ErrorKind::Unsupported, format!("cannot write output to {other:?}"))),
        };
        let finished = self.run(cx, request).await?;
        let exit = match finished.exit {
            sandbox::Exit::Code(code) => Exit::Code(code),
            sandbox::Exit::Signal(signal) => Exit::Signal(signal),
        };
        Ok(ExecOutput::new(exit, finished.stdout, finished.stderr).with_truncated(finished.truncated))
    }

    async fn upload(&self, cx: &Context, upload: Upload) -> Result<()> {
        cx.check()?;
        let place = quote(&upload.destination);
        let owner = quote(upload.owner.as_deref().unwrap_or("0:0"));
        // Through a command inside, so that no link of the root file system leads out of it.
        let script = format!(
            "set -e; umask 077; trap 'rm -f {place}.partial' EXIT\n\
             [ ! -d {place} ] || {{ echo 'it is a directory' >&2; exit 1; }}\n\
             cat >{place}.partial; chown {owner} {place}.partial; chmod {:o} {place}.partial; mv -f {place}.partial {place}\n",
            upload.mode & 0o7777
        );
        let mut request = Request::script(script);
        request.stdin = match &upload.source {
            UploadSource::Bytes(bytes) => sandbox::Input::Bytes(bytes.to_vec()),
            UploadSource::File(path) => sandbox::Input::File(path.clone()),
            other => return Err(Error::new(ErrorKind::Unsupported, format!("cannot upload {other:?}"))),
        };
        let finished = self.run(cx, request).await?;
        succeeded("upload", &upload.destination, &finished)
    }

    async fn download(&self, cx: &Context, source: &str, destination: &Path) -> Result<()> {
        cx.check()?;
        let file = super::beside(destination)?;
        let mut request = Request::script(format!("exec cat <{}", quote(source)));
        request.output = sandbox::Output::File(file.path().to_owned());
        // Not a run of its own: the content of a file is no output that people want to read.
        let ended = async { drop(cx.ended().await) };
        let finished = match self.sandbox.run(request, &mut |_, _| {}, ended).await {
            Err(sandbox::SandboxError::Cancelled) => return Err(cx.ended().await),
            done => done?,
        };
        succeeded("download", source, &finished)?;
        file.persist(destination).map_err(|e| Error::io("write", destination, e.error))?;
        Ok(())
    }

    async fn reboot(&self, _cx: &Context) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a sandbox has not booted, so it cannot boot again"))
    }
}

fn succeeded(action: &str, path: &str, finished: &sandbox::Finished) -> Result<()> {
    if finished.exit.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&finished.stderr);
    let message = format!("cannot {action} {path}: {}", said.trim());
    Err(Error::new(ErrorKind::CommandFailed, message))
}
