//! A machine that runs nothing and writes down what it was asked for.

use image_core::{
    Architecture, BootMode, Command, Context, Error, ErrorKind, ExecOutput, Exit, Machine, MachineInfo, Platform,
    Result, Upload, UploadSource, async_trait,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How a [`ScriptedMachine`] answers.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Every command ends with exit code 1.
    Fails,
    /// Every command takes an hour, unless the run ends before.
    Hangs,
    /// The channel is lost: nothing can be told.
    Lost,
    /// Every command ends with exit code 0.
    Succeeds,
}

/// A machine that runs nothing, answers every command alike, and writes down what it was asked for.
#[derive(Clone, Debug)]
pub struct ScriptedMachine {
    info: MachineInfo,
    answer: Answer,
    log: Arc<Mutex<Vec<String>>>,
}

impl ScriptedMachine {
    /// A machine that answers like this.
    pub fn new(answer: Answer) -> Self {
        let platform = Platform::linux(Architecture::host().unwrap_or(Architecture::X86_64), BootMode::Uefi);
        Self { info: MachineInfo::new("scripted", platform, true), answer, log: Arc::default() }
    }
    /// Sets what the machine says it is.
    #[must_use]
    pub fn with_info(mut self, info: MachineInfo) -> Self {
        self.info = info;
        self
    }
    /// What it was asked for, in order: scripts with their environment, uploads with their content, downloads, restarts.
    /// Secrets of a command are not in it.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    async fn answer(&self, cx: &Context, line: String) -> Result<Exit> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        match self.answer {
            Answer::Succeeds | Answer::Fails => cx.sleep(Duration::from_millis(5)).await?,
            Answer::Hangs => cx.sleep(Duration::from_secs(3600)).await?,
            Answer::Lost => return Err(Error::new(ErrorKind::Unavailable, "the channel to the machine was lost")),
        }
        Ok(Exit::Code(i32::from(self.answer == Answer::Fails)))
    }
    async fn file(&self, cx: &Context, line: String) -> Result<()> {
        match self.answer(cx, line).await? {
            Exit::Code(0) => Ok(()),
            _ => Err(Error::new(ErrorKind::CommandFailed, "the file could not be moved")),
        }
    }
}

#[async_trait]
impl Machine for ScriptedMachine {
    fn info(&self) -> &MachineInfo {
        &self.info
    }
    async fn exec(&self, cx: &Context, command: Command) -> Result<ExecOutput> {
        command.secrets.values().for_each(|secret| cx.learn_secret(secret));
        let stdin = String::from_utf8_lossy(&command.stdin).into_owned();
        let exit = self.answer(cx, format!("exec {} {:?} {stdin}", command.script, command.env)).await?;
        Ok(ExecOutput::new(exit, vec![], vec![]))
    }
    async fn upload(&self, cx: &Context, upload: Upload) -> Result<()> {
        let content = match &upload.source {
            UploadSource::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            UploadSource::File(path) => path.display().to_string(),
            _ => String::new(),
        };
        self.file(cx, format!("upload {} {content}", upload.destination)).await
    }
    async fn download(&self, cx: &Context, source: &str, _destination: &Path) -> Result<()> {
        self.file(cx, format!("download {source}")).await
    }
    async fn reboot(&self, cx: &Context) -> Result<()> {
        self.file(cx, "reboot".into()).await
    }
}
