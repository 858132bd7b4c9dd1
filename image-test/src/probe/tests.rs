use super::*;
use crate::{
    Fact,
    facts::{AddrWanted, CommandResult, CommandWanted, DnsWanted, FileWanted, Text},
};
use image_core::{Architecture, BootMode, ExecOutput, Exit, MachineInfo, MemoryStore, Platform, Upload, async_trait};
use std::{
    collections::BTreeSet,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::ExitStatusExt,
    },
    path::Path,
    process::Stdio,
    sync::Mutex,
};

mod answers;
mod channel;
mod fuzz;
mod shells;

/// This host behind a shell, which may lie about what it answered.
struct Host {
    info: MachineInfo,
    program: Vec<String>,
    path: Option<String>,
    lie: Box<dyn Fn(usize, Vec<u8>) -> Vec<u8> + Send + Sync>,
    /// Bytes of every script and of every answer.
    traffic: Mutex<Vec<(usize, usize)>>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.program)
    }
}

impl Host {
    fn with(program: &[&str]) -> Self {
        let platform = Platform::linux(Architecture::X86_64, BootMode::None);
        Self {
            info: MachineInfo::new("host", platform, false),
            program: program.iter().map(|word| (*word).to_owned()).collect(),
            path: None,
            lie: Box::new(|_, answer| answer),
            traffic: Mutex::default(),
        }
    }
    fn new() -> Self {
        Self::with(&["/bin/sh"])
    }
    fn lying(lie: impl Fn(usize, Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { lie: Box::new(lie), ..Self::new() }
    }
    fn round_trips(&self) -> usize {
        self.traffic.lock().unwrap().len()
    }
}

#[async_trait]
impl Machine for Host {
    fn info(&self) -> &MachineInfo {
        &self.info
    }
    async fn exec(&self, _cx: &Context, command: Command) -> Result<ExecOutput> {
        let mut process = tokio::process::Command::new(&self.program[0]);
        process.args(&self.program[1..]).args(["-c", &command.script]).current_dir("/").kill_on_drop(true);
        process.stdin(Stdio::null());
        process.envs(command.secrets.iter().map(|(name, secret)| (name, secret.expose())));
        if let Some(path) = &self.path {
            process.env("PATH", path);
        }
        let output = process.output().await.map_err(|e| Error::io("run", &self.program[0], e))?;
        let number = self.round_trips();
        let mut answer = (self.lie)(number, output.stdout);
        self.traffic.lock().unwrap().push((command.script.len(), answer.len()));
        let limit = if let Output::Capture(limit) = command.output { limit } else { usize::MAX };
        let truncated = answer.len() > limit;
        answer.truncate(limit);
        let signal = || Exit::Signal(output.status.signal().unwrap_or_default());
        let exit = output.status.code().map_or_else(signal, Exit::Code);
        Ok(ExecOutput::new(exit, answer, output.stderr).with_truncated(truncated))
    }
    async fn upload(&self, _cx: &Context, _upload: Upload) -> Result<()> {
        Err(Error::bug("a probe uploads nothing"))
    }
    async fn download(&self, _cx: &Context, _source: &str, _destination: &Path) -> Result<()> {
        Err(Error::bug("a probe downloads nothing"))
    }
    async fn reboot(&self, _cx: &Context) -> Result<()> {
        Err(Error::bug("a probe restarts nothing"))
    }
}

async fn context() -> Context {
    Context::builder(MemoryStore::default()).open().await.unwrap()
}

async fn facts(machine: &Host, wanted: &Wanted) -> Facts {
    gather(&context().await, machine, wanted, &ProbeOptions::default()).await.unwrap()
}

fn command(exec: impl Into<String>, milliseconds: u64) -> CommandWanted {
    CommandWanted { exec: exec.into(), timeout: Duration::from_millis(milliseconds) }
}

/// Something of every kind that every shell must tell alike. Nothing in it changes while the tests run.
fn everything(directory: &Path) -> Wanted {
    let path = |name: &str| directory.join(name).display().to_string();
    std::fs::write(path("plain"), "text\n").unwrap();
    std::fs::write(path("binary"), [0, 255, b'\n', 0]).unwrap();
    std::fs::write(path("it's \"odd\"\n$(name)"), "").unwrap();
    std::fs::write(path("-rf"), "x").unwrap();
    std::fs::set_permissions(path("plain"), PermissionsExt::from_mode(0o640)).unwrap();
    symlink("somewhere\n", path("link")).unwrap();
    std::fs::create_dir_all(path("closed/inside")).unwrap();
    std::fs::set_permissions(path("closed"), PermissionsExt::from_mode(0o700)).unwrap();
    let all = FileWanted { contents: true, md5: true, sha256: true, sha512: true };
    let mut wanted = Wanted::default();
    let names =
        ["plain", "binary", "it's \"odd\"\n$(name)", "-rf", "link", "link/", "closed/inside", "none", "plain/none", ""];
    wanted.files.extend(names.map(|name| (path(name), all)));
    wanted.files.extend(["/etc", "~root/none", "~nobody-here/x", "~", "-", "a\0b", ""].map(|name| (name.into(), all)));
    wanted.commands.insert("both".into(), command("printf 'a\\n\\n'; printf 'b\\000c' >&2; exit 3", 9000));
    wanted.commands.insert("markers".into(), command("printf 'end 1\\nstat 0 3\\n=ab\\nt'", 9000));
    wanted.commands.insert("quotes".into(), command("echo \"it's $0 $#\" '$x' ${LC_ALL-none}", 9000));
    wanted.commands.insert("syntax".into(), command("if", 9000));
    wanted.commands.insert("input".into(), command("cat", 9000));
    wanted.users.extend(["root", "daemon", "nobody-here", "x*", "a:b"].map(Into::into));
    wanted.groups.extend(["root", "daemon", "nobody-here", "r.ot"].map(Into::into));
    wanted.packages.extend(["dpkg", "libc6", "nothing-here", "-x", "Upper"].map(Into::into));
    wanted.services.extend(["cron", "nothing-here", "a/b", "a b", "getty@tty1"].map(Into::into));
    wanted.ports.extend(["tcp:1", "tcp6:1", "udp:1", "udp6:1", "tcp:x"].map(Into::into));
    wanted.interfaces.extend(["lo", "none0", "../lo"].map(Into::into));
    wanted.kernel_params.extend(["kernel.ostype", "net.ipv4.ip_local_port_range", "no.such"].map(Into::into));
    let timeout = Duration::from_secs(5);
    wanted.dns.insert("self".into(), DnsWanted { resolve: "localhost".into(), server: None, timeout });
    wanted.processes.extend(["nothing-here", "a\nb"].map(Into::into));
    wanted.mounts.extend([("/proc".into(), true), ("/".into(), false), ("/no such".into(), true)]);
    wanted
}
