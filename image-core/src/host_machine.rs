//! A machine for tests: its commands run on this host, its files are in a temporary directory.

use crate::{
    Architecture, BootMode, Command, Context, Error, ErrorKind, Event, EventBody, EventSink, ExecOutput, Exit, Machine,
    MachineInfo, MemoryStore, Output, Platform, Result, Stream, Upload, UploadSource, async_trait,
};
use std::{
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};
use tokio::io::AsyncWriteExt;

/// Keeps every event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<Event>>>);

impl EventSink for Events {
    fn emit(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Events {
    pub(crate) fn bodies(&self) -> Vec<EventBody> {
        self.0.lock().unwrap().iter().map(|event| event.body.clone()).collect()
    }
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warning = |body| if let EventBody::Warning { text } = body { Some(text) } else { None };
        self.bodies().into_iter().filter_map(warning).collect()
    }
    pub(crate) fn retries(&self) -> Vec<(u32, String, u64)> {
        let retry = |body| match body {
            EventBody::Retrying { attempt, error, after_ms } => Some((attempt, error, after_ms)),
            _ => None,
        };
        self.bodies().into_iter().filter_map(retry).collect()
    }
    /// All that was said, as one text.
    pub(crate) fn text(&self) -> String {
        format!("{:?}", self.bodies())
    }
}

/// A context of its own, and what it says.
pub(crate) async fn context() -> (Context, Events) {
    let events = Events::default();
    (Context::builder(MemoryStore::default()).run_id("run-1").sink(events.clone()).open().await.unwrap(), events)
}

#[derive(Debug)]
pub(crate) struct HostMachine {
    dir: tempfile::TempDir,
    info: MachineInfo,
    shell: Vec<String>,
    /// How many of the next commands lose the channel.
    pub(crate) lost: AtomicU32,
    /// Whether a restart gives a new boot id.
    pub(crate) restarts: bool,
    /// Text replaced in every script, for paths of a real machine.
    redirects: Vec<(String, String)>,
}

impl HostMachine {
    pub(crate) fn new() -> Self {
        let platform = Platform::linux(Architecture::X86_64, BootMode::None);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("boot_id"), "boot 0\n").unwrap();
        let redirect = ("/proc/sys/kernel/random/boot_id".into(), dir.path().join("boot_id").display().to_string());
        let info = MachineInfo::new("host", platform, true).with_shell("sh");
        let redirects = vec![redirect];
        Self { dir, info, shell: vec![], lost: 0.into(), restarts: true, redirects }
    }
    /// Every shell this host has: its own and the one of BusyBox.
    pub(crate) fn all() -> Vec<Self> {
        let mut machines = vec![Self::new()];
        if Path::new("/bin/busybox").exists() {
            machines.push(Self { shell: vec!["/bin/busybox".into(), "sh".into()], ..Self::new() });
        } else {
            eprintln!("SKIPPED with BusyBox: /bin/busybox is missing");
        }
        machines
    }
    pub(crate) fn not_booted() -> Self {
        let mut machine = Self::new();
        machine.info.booted = false;
        machine
    }
    pub(crate) fn redirect(mut self, from: &str, to: impl Into<String>) -> Self {
        self.redirects.push((from.into(), to.into()));
        self
    }
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// The path as a machine's path.
    pub(crate) fn at(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
    pub(crate) fn lose(&self, commands: u32) {
        self.lost.store(commands, SeqCst);
    }
    fn channel(&self) -> Result<()> {
        let lose = self.lost.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
        if lose { Err(Error::new(ErrorKind::Unavailable, "the channel was lost")) } else { Ok(()) }
    }
}

#[async_trait]
impl Machine for HostMachine {
    fn info(&self) -> &MachineInfo {
        &self.info
    }
    async fn exec(&self, cx: &Context, command: Command) -> Result<ExecOutput> {
        self.channel()?;
        command.secrets.values().for_each(|secret| cx.learn_secret(secret));
        let shell: Vec<String> =
            if command.shell == "/bin/sh" && !self.shell.is_empty() { self.shell.clone() } else { vec![command.shell] };
        let script = self.redirects.iter().fold(command.script, |script, (from, to)| script.replace(from, to));
        let mut process = tokio::process::Command::new(&shell[0]);
        process.args(&shell[1..]).args(["-c", &script]).envs(&command.env);
        process.envs(command.secrets.iter().map(|(name, value)| (name, value.expose())));
        process.current_dir(command.cwd.as_deref().unwrap_or("/"));
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = process.spawn().map_err(|e| Error::io("run", &shell[0], e))?;
        let mut stdin = child.stdin.take().unwrap();
        let bytes = command.stdin;
        let feed = tokio::spawn(async move { stdin.write_all(&bytes).await });
        let wait = child.wait_with_output();
        let output = match command.timeout {
            None => wait.await,
            Some(timeout) => tokio::select! {
                output = wait => output,
                () = tokio::time::sleep(timeout) => {
                    return Err(Error::new(ErrorKind::TimedOut, "the command took too long"));
                }
            },
        };
        feed.abort();
        let mut output = output.map_err(|e| Error::io("wait for", &shell[0], e))?;
        cx.output(Stream::Stdout, &String::from_utf8_lossy(&output.stdout));
        cx.output(Stream::Stderr, &String::from_utf8_lossy(&output.stderr));
        let limit = if let Output::Capture(limit) = command.output { limit } else { usize::MAX };
        let truncated = output.stdout.len() > limit || output.stderr.len() > limit;
        output.stdout.truncate(limit);
        output.stderr.truncate(limit);
        let signal = || Exit::Signal(output.status.signal().unwrap_or_default());
        let exit = output.status.code().map_or_else(signal, Exit::Code);
        Ok(ExecOutput::new(exit, output.stdout, output.stderr).with_truncated(truncated))
    }
    async fn upload(&self, _cx: &Context, upload: Upload) -> Result<()> {
        self.channel()?;
        let bytes = match &upload.source {
            UploadSource::Bytes(bytes) => bytes.to_vec(),
            UploadSource::File(path) => std::fs::read(path).map_err(|e| Error::io("read", path, e))?,
        };
        let beside = format!("{}.new", upload.destination);
        std::fs::write(&beside, bytes).map_err(|e| Error::io("write", &beside, e))?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(upload.mode)).unwrap();
        std::fs::rename(&beside, &upload.destination).map_err(|e| Error::io("rename", &upload.destination, e))
    }
    async fn download(&self, _cx: &Context, source: &str, destination: &Path) -> Result<()> {
        self.channel()?;
        std::fs::copy(source, destination).map(drop).map_err(|e| Error::io("copy", source, e))
    }
    async fn reboot(&self, _cx: &Context) -> Result<()> {
        if self.restarts {
            std::fs::write(self.path("boot_id"), "boot 1\n").unwrap();
        }
        Ok(())
    }
}
