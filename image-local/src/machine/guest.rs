//! A guest booted from an image as a machine.

use super::{beside, learn, upload_file};
use crate::qemu::{Guest, QemuError, Request};
use image_core::{
    Command, Context, Error, ErrorKind, ExecOutput, Exit, Machine, MachineInfo, Output, OutputLines, Result, Stream,
    Upload, async_trait, quote,
};
use std::{path::Path, time::Duration};

/// How much of a stream is spooled: the guest keeps it in memory.
const SPOOL_LIMIT: u64 = 64 * 1024 * 1024;
/// How long a restart may take where the run has more time.
const REBOOT_WITHIN: Duration = Duration::from_secs(600);

/// Commands run one at a time, in the root of the guest's process 1.
#[derive(Debug)]
pub(crate) struct GuestMachine {
    info: MachineInfo,
    guest: Guest,
}

impl GuestMachine {
    pub(crate) fn new(info: MachineInfo, guest: Guest) -> Self {
        Self { info, guest }
    }
}

#[async_trait]
impl Machine for GuestMachine {
    fn info(&self) -> &MachineInfo {
        &self.info
    }

    async fn exec(&self, cx: &Context, command: Command) -> Result<ExecOutput> {
        cx.check()?;
        learn(cx, &command);
        let script = if command.shell == "/bin/sh" {
            command.script
        } else {
            format!("exec {} -c {}", quote(&command.shell), quote(&command.script))
        };
        let left = cx.deadline().saturating_duration_since(tokio::time::Instant::now());
        let mut request = Request::new(script);
        request.stdin = command.stdin;
        request.env = command.env.into_iter().collect();
        request.secrets = command.secrets.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect();
        request.cwd = command.cwd;
        request.user = command.user;
        request.timeout = command.timeout.unwrap_or(left);
        request.limit = match &command.output {
            Output::Capture(limit) => *limit as u64,
            Output::Discard => 0,
            _ => SPOOL_LIMIT,
        };
        let finished = cx.race(async { Ok(self.guest.run(&request).await?) }).await?;
        OutputLines::new(cx, Stream::Stdout).push(&finished.stdout);
        OutputLines::new(cx, Stream::Stderr).push(&finished.stderr);
        let exit = Exit::Code(finished.exit);
        if let Output::Spool(path) = &command.output {
            if finished.truncated {
                let message = format!("a guest spools {SPOOL_LIMIT} bytes; the command printed more");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            tokio::fs::write(path, &finished.stdout).await.map_err(|e| Error::io("write", path, e))?;
            return Ok(ExecOutput::new(exit, vec![], finished.stderr));
        }
        let truncated = finished.truncated && !matches!(command.output, Output::Discard);
        Ok(ExecOutput::new(exit, finished.stdout, finished.stderr).with_truncated(truncated))
    }

    async fn upload(&self, cx: &Context, upload: Upload) -> Result<()> {
        cx.check()?;
        let (path, _temporary) = upload_file(&upload)?;
        let mut file = tokio::fs::File::open(&path).await.map_err(|e| Error::io("open", &path, e))?;
        let sent = async {
            self.guest.upload(&mut file, &upload.destination, upload.mode, upload.owner.as_deref()).await?;
            Ok(())
        };
        cx.race(sent).await
    }

    async fn download(&self, cx: &Context, source: &str, destination: &Path) -> Result<()> {
        cx.check()?;
        let file = beside(destination)?;
        let handle = file.reopen().map_err(|e| Error::io("open", file.path(), e))?;
        let mut sink = tokio::fs::File::from_std(handle);
        let received = async {
            self.guest.download(source, &mut sink).await?;
            tokio::io::AsyncWriteExt::flush(&mut sink).await.map_err(|e| Error::io("write", destination, e))
        };
        cx.race(received).await?;
        file.persist(destination).map_err(|e| Error::io("write", destination, e.error))?;
        Ok(())
    }

    async fn reboot(&self, cx: &Context) -> Result<()> {
        let within = cx.with_timeout(REBOOT_WITHIN);
        within.race(async { self.guest.reboot(within.deadline()).await.map_err(QemuError::into) }).await
    }
}
