//! One command: an init that holds the namespaces, and beside it `nsenter`, which runs the command in them.
//!
//! The init is process 1, so that everything dies with it. The command is not, because process 1 is immune to signals
//! and reports those of its children as an exit status; `nsenter` ends by the same signal as its child.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::privilege::{PATH, one_line, require};
use super::user::User;
use super::{Exit, Finished, Input, Network, Output, Privilege, Program, Request, SandboxError, Stream};
use crate::process::spawn;

const PROLOGUE: &str = include_str!("prologue.sh");
const SCRIPT: &str = "/dev/.build/script";
const CHUNK: usize = 64 << 10;

/// What packages need to install and services to be configured, and nothing that reaches the host: no mounts, no
/// devices, no kernel modules, no clock.
const CAPABILITIES: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
                            +net_bind_service,+net_raw,+sys_chroot,+setfcap,+audit_write";

/// Tools of the host on the way to the command, whose `PATH` may be another.
#[derive(Debug)]
pub(super) struct Tools {
    chroot: PathBuf,
    nsenter: PathBuf,
    setpriv: PathBuf,
    setsid: PathBuf,
}

impl Tools {
    pub(super) fn find() -> Result<Self, SandboxError> {
        require("unshare", "util-linux")?;
        Ok(Self {
            chroot: require("chroot", "coreutils")?,
            nsenter: require("nsenter", "util-linux")?,
            setpriv: require("setpriv", "util-linux")?,
            setsid: require("setsid", "util-linux")?,
        })
    }
}

/// Process 1 of the namespaces.
pub(super) struct Init {
    /// `unshare`, which ends when process 1 and with it every process of the namespaces is gone.
    unshare: Child,
    pid: u32,
    pidfd: OwnedFd,
    privilege: Privilege,
    network: Network,
}

impl Init {
    pub(super) async fn start(
        rootfs: &std::path::Path,
        fstab: &std::path::Path,
        network: Network,
        privilege: Privilege,
        script: &[u8],
        owner: &User,
    ) -> Result<Self, SandboxError> {
        let mut options = vec!["--mount", "--pid", "--ipc", "--uts", "--kill-child"];
        if network == Network::None {
            options.push("--net");
        }
        let mut command = privilege.namespaces(&options);
        command.args(["--", "/bin/sh", "-c", PROLOGUE, "sh"]).arg(rootfs).arg(fstab);
        command.arg(script.len().to_string()).arg(format!("{}:{}", owner.uid, owner.gid));
        command.arg(if network == Network::None { "up" } else { "host" });
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = || SandboxError::io("run", "unshare");
        let mut unshare = spawn(command).await.map_err(failed())?;

        let mut stdin = unshare.stdin.take();
        if let Some(stdin) = &mut stdin {
            // One that did not get as far as to read it says why on standard error.
            drop(stdin.write_all(script).await);
        }
        // Its end would be the signal to end: process 1 waits for it.
        unshare.stdin = stdin;
        let mut line = String::new();
        if let Some(stdout) = &mut unshare.stdout {
            BufReader::new(stdout).read_line(&mut line).await.map_err(failed())?;
        }
        let opened = line.trim().parse().ok().and_then(Pid::from_raw).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        match opened {
            Some(Ok(pidfd)) => {
                let pid = line.trim().parse().unwrap_or_default();
                Ok(Self { unshare, pid, pidfd, privilege, network })
            }
            // The namespaces are gone again.
            Some(Err(rustix::io::Errno::SRCH)) => Err(SandboxError::Lost),
            Some(Err(error)) => Err(failed()(error.into())),
            None => {
                let output = unshare.wait_with_output().await.map_err(failed())?;
                Err(match output.status.signal() {
                    Some(_) => SandboxError::Lost,
                    None => SandboxError::Setup { message: one_line(&output.stderr) },
                })
            }
        }
    }

    /// A process without memory is about to end, or has.
    fn lost(&self) -> bool {
        std::fs::read(format!("/proc/{}/cmdline", self.pid)).map_or(true, |cmdline| cmdline.is_empty())
    }

    fn kill(&self) -> Result<(), SandboxError> {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(SandboxError::io("kill", "unshare")(error.into())),
        }
    }

    /// Kills every process of the namespaces and waits until they are gone.
    pub(super) async fn end(mut self) -> Result<(), SandboxError> {
        self.kill()?;
        self.unshare.wait().await.map_err(SandboxError::io("wait for", "unshare"))?;
        Ok(())
    }

    /// Runs the command to its end.
    pub(super) async fn attend(
        &self,
        request: Request,
        user: &User,
        tools: &Tools,
        on_output: &mut (dyn FnMut(Stream, &[u8]) + Send),
    ) -> Result<Finished, SandboxError> {
        let failed = || SandboxError::io("run", "nsenter");
        let mut sink = Sink::open(&request.output).await?;
        let mut command = self.command(&request, user, tools);
        let bytes = match &request.stdin {
            Input::Bytes(bytes) if bytes.is_empty() => {
                command.stdin(Stdio::null());
                &[][..]
            }
            Input::Bytes(bytes) => {
                command.stdin(Stdio::piped());
                bytes
            }
            Input::File(path) => {
                command.stdin(std::fs::File::open(path).map_err(SandboxError::io("open", path))?);
                &[][..]
            }
        };
        let mut child = command.spawn().map_err(failed())?;
        let stdin = child.stdin.take();
        let mut stdout = child.stdout.take();
        let mut stderr = child.stderr.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A command need not read what it is given.
                drop(stdin.write_all(bytes).await);
            }
        };
        tokio::pin!(feed);
        let (mut out, mut err) = (vec![0; CHUNK], vec![0; CHUNK]);
        let (mut fed, mut status) = (false, None::<ExitStatus>);
        while status.is_none() || stdout.is_some() || stderr.is_some() {
            tokio::select! {
                () = &mut feed, if !fed => fed = true,
                read = read(&mut stdout, &mut out), if stdout.is_some() => {
                    match read.map_err(failed())? {
                        0 => stdout = None,
                        size => sink.take(Stream::Stdout, &out[..size], on_output).await?,
                    }
                }
                read = read(&mut stderr, &mut err), if stderr.is_some() => {
                    match read.map_err(failed())? {
                        0 => stderr = None,
                        size => sink.take(Stream::Stderr, &err[..size], on_output).await?,
                    }
                }
                ended = child.wait(), if status.is_none() => {
                    let ended = ended.map_err(failed())?;
                    if self.lost() {
                        return Err(SandboxError::Lost);
                    }
                    status = Some(ended);
                    // Daemons that it left would hold the streams open.
                    self.kill()?;
                }
            }
        }
        let exit = match status {
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => return Err(SandboxError::Lost),
            },
            None => return Err(SandboxError::Lost),
        };
        sink.finish(exit).await
    }

    fn command(&self, request: &Request, user: &User, tools: &Tools) -> Command {
        let mut command = Command::new("/bin/sh");
        command.env_clear().env("PATH", PATH).env("HOME", &user.home).env("LANG", "C.UTF-8").env("TERM", "dumb");
        // A session of its own has no terminal that the command could type into.
        command.args(["-c", r#"umask 022; exec "$@""#, "sh"]).arg(&tools.setsid).arg(&tools.nsenter);
        command.arg("--target").arg(self.pid.to_string());
        if self.privilege == Privilege::UserNamespace {
            command.arg("--user");
        }
        if self.network == Network::None {
            command.arg("--net");
        }
        command.args(["--mount", "--pid", "--ipc", "--uts", "--root", "--wd", "--"]).arg(&tools.setpriv);
        command.args(["--bounding-set", CAPABILITIES, "--inh-caps=-all", "--"]).arg(&tools.chroot);
        command.arg(format!("--userspec=+{}:+{}", user.uid, user.gid));
        let groups: Vec<_> = user.groups.iter().map(|gid| format!("+{gid}")).collect();
        command.arg(format!("--groups={}", groups.join(","))).arg(".");
        if request.cwd != "/" {
            command.args(["/bin/sh", "-c", r#"cd -- "$1" && shift && exec "$@""#, "sh", &request.cwd]);
        }
        let (late, early): (Vec<_>, Vec<_>) = request.env.iter().partition(|(name, _)| for_loader(name));
        command.envs(early);
        if !late.is_empty() {
            command.arg("env").args(late.iter().map(|(name, value)| format!("{name}={value}")));
        }
        match &request.program {
            Program::Argv(argv) => command.args(argv),
            Program::Script { content, arguments } => {
                if !content.starts_with(b"#!") {
                    command.arg("/bin/sh");
                }
                command.arg(SCRIPT).args(arguments)
            }
        };
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

/// Variables by which the dynamic loader changes every program, those of the host included (ld.so(8)).
fn for_loader(name: &str) -> bool {
    name.starts_with("LD_") || name == "GLIBC_TUNABLES"
}

async fn read(stream: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match stream {
        Some(stream) => stream.read(buffer).await,
        None => Ok(0),
    }
}

/// Keeps output as the request says.
struct Sink {
    limit: [usize; 2],
    kept: [Vec<u8>; 2],
    cut: bool,
    file: Option<(PathBuf, File)>,
}

impl Sink {
    async fn open(output: &Output) -> Result<Self, SandboxError> {
        let (limit, file) = match output {
            Output::Discard => ([0, 0], None),
            Output::Limit(limit) => ([*limit; 2], None),
            Output::File(path) => {
                let file = File::create(path).await.map_err(SandboxError::io("create", path))?;
                ([0, Request::DEFAULT_LIMIT], Some((path.clone(), file)))
            }
        };
        Ok(Self { limit, kept: [Vec::new(), Vec::new()], cut: false, file })
    }

    async fn take(
        &mut self,
        stream: Stream,
        bytes: &[u8],
        on_output: &mut (dyn FnMut(Stream, &[u8]) + Send),
    ) -> Result<(), SandboxError> {
        on_output(stream, bytes);
        let index = match stream {
            Stream::Stdout => 0,
            Stream::Stderr => 1,
        };
        if let (0, Some((path, file))) = (index, &mut self.file) {
            return file.write_all(bytes).await.map_err(SandboxError::io("write", path.clone()));
        }
        let room = self.limit[index] - self.kept[index].len();
        self.kept[index].extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room && self.limit[index] > 0;
        Ok(())
    }

    async fn finish(mut self, exit: Exit) -> Result<Finished, SandboxError> {
        if let Some((path, file)) = &mut self.file {
            file.flush().await.map_err(SandboxError::io("write", path.clone()))?;
        }
        let [stdout, stderr] = self.kept;
        Ok(Finished { exit, stdout, stderr, truncated: self.cut })
    }
}
