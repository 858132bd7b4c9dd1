//! The QEMU process: its command line, its console, and its end.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::sync::{oneshot, watch};

use super::console::{Console, printable};
use super::{Accelerator, Architecture, Boot, BootFailure, BootSpec, Firmware, QemuError, agent};
use crate::process;

/// Exit status of [`process::supervised`] for a program that does not exist.
const NOT_FOUND: i32 = 127;

/// What is known of a running guest from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    /// The last sign of failure on the console.
    pub(crate) sign: Option<BootFailure>,
    /// QEMU's end.
    pub(crate) ended: Option<Ended>,
}

/// How QEMU ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) status: String,
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

/// A QEMU process, killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Hypervisor {
    pub(crate) console: Arc<Console>,
    pub(crate) life: Arc<watch::Sender<Life>>,
    /// Kills QEMU when it is used or dropped.
    pub(crate) kill: oneshot::Sender<()>,
}

/// Starts QEMU with these arguments after those of the machine. Returns our end of the socket that is its descriptor 0.
pub(crate) async fn launch(
    program: &OsStr,
    arguments: Vec<OsString>,
    mut on_console: impl FnMut(&[u8]) + Send + 'static,
) -> io::Result<(Hypervisor, UnixStream)> {
    let (agent, agent_theirs) = socket_pair()?;
    let (mut output, output_theirs) = socket_pair()?;
    let mut command = process::supervised(program);
    command.args(arguments);
    command.stdin(Stdio::from(agent_theirs)).stdout(Stdio::from(output_theirs)).stderr(Stdio::piped());
    let mut child = process::spawn(command).await?;

    let console = Arc::new(Console::default());
    let life = Arc::new(watch::Sender::new(Life::default()));
    let (kept, seen) = (Arc::clone(&console), Arc::clone(&life));
    let reader = tokio::spawn(async move {
        let mut buffer = vec![0; 8192];
        // An error is the end of QEMU, which is seen and reported as such.
        while let Ok(length @ 1..) = output.read(&mut buffer).await {
            on_console(&buffer[..length]);
            if let Some(sign) = kept.push(&buffer[..length]) {
                seen.send_modify(|life| life.sign = Some(sign));
            }
        }
    });
    let (kill, killed) = oneshot::channel();
    let end = Arc::clone(&life);
    tokio::spawn(async move {
        let ended = wait(&mut child, killed).await;
        // The console is complete before the end is known; a reader that panicked in the caller's code is no news.
        drop(reader.await);
        end.send_modify(|life| life.ended = Some(ended));
    });
    Ok((Hypervisor { console, life, kill }, agent))
}

/// Waits for the end of QEMU, or brings it about.
async fn wait(child: &mut Child, killed: oneshot::Receiver<()>) -> Ended {
    let errors = Console::default();
    let stderr = child.stderr.take();
    let listen = async {
        let Some(mut stderr) = stderr else { return };
        let mut buffer = vec![0; 4096];
        while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
            errors.push(&buffer[..length]);
        }
    };
    let end = async {
        tokio::select! {
            status = child.wait() => status,
            // Also when the guest was dropped without a word.
            _ = killed => match child.start_kill() {
                Ok(()) => child.wait().await,
                Err(error) => Err(error),
            },
        }
    };
    let (status, ()) = tokio::join!(end, listen);
    let code = status.as_ref().ok().and_then(|status| status.code());
    let status = status.map_or_else(|error| format!("an unknown status ({error})"), |status| status.to_string());
    Ended { status, code, stderr: errors.tail() }
}

impl Ended {
    pub(crate) fn error(self, program: &OsStr, architecture: Architecture, console: &Console) -> QemuError {
        let Self { status, code, stderr } = self;
        if code == Some(NOT_FOUND) && stderr.contains("not found") {
            return missing(program, architecture);
        }
        QemuError::Exited { status, stderr, console: console.tail() }
    }
}

fn missing(program: &OsStr, architecture: Architecture) -> QemuError {
    QemuError::Tool {
        tool: printable(program.as_encoded_bytes()),
        problem: "is missing",
        looked: "PATH".to_owned(),
        package: match architecture {
            Architecture::Aarch64 => "qemu-system-arm",
            Architecture::X86_64 => "qemu-system-x86",
        },
    }
}

/// Looks for the QEMU that guests of an architecture run in, before anything depends on it.
///
/// # Errors
/// [`QemuError::Tool`] with the Debian package that has it.
pub fn require(architecture: Architecture) -> Result<(), QemuError> {
    let program = format!("qemu-system-{}", architecture.name());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|directory| directory.join(&program).is_file());
    if there { Ok(()) } else { Err(missing(program.as_ref(), architecture)) }
}

/// Our end for tokio, and the other for a child process.
fn socket_pair() -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs.into()))
}

/// Arguments for a bare machine with a serial console on descriptor 1.
pub(crate) fn machine(
    architecture: Architecture,
    accelerator: Accelerator,
    firmware: Option<&Firmware>,
) -> Result<Vec<OsString>, QemuError> {
    let mut machine = match architecture {
        Architecture::Aarch64 => "virt".to_owned(),
        Architecture::X86_64 => "q35".to_owned(),
    };
    let (accelerator, cpu) = match accelerator {
        Accelerator::Kvm => ("kvm", "host"),
        Accelerator::Tcg => ("tcg,thread=multi", "max"),
    };
    let mut arguments = words(&["-nodefaults", "-no-user-config", "-display", "none", "-accel", accelerator]);
    arguments.extend(words(&["-cpu", cpu, "-chardev", "socket,id=console,fd=1", "-serial", "chardev:console"]));
    if cfg!(target_os = "linux") {
        let denied = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
        arguments.extend(words(&["-sandbox", denied]));
    }
    match firmware {
        None => {}
        Some(Firmware::Combined(file)) => arguments.extend(["-bios".into(), file.into()]),
        Some(Firmware::Split { code, variables }) => {
            machine.push_str(",pflash0=code,pflash1=variables");
            arguments.extend(block("code", code, serde_json::json!({ "driver": "file", "read-only": true }))?);
            arguments.extend(block("variables", variables, serde_json::json!({ "driver": "file" }))?);
        }
    }
    arguments.extend(words(&["-M", &machine]));
    Ok(arguments)
}

/// The command line of a guest. Writes what it needs into the work directory.
pub(crate) fn guest(spec: &BootSpec, busybox: &Path) -> Result<Vec<OsString>, QemuError> {
    let mut arguments = match &spec.boot {
        Boot::Firmware(firmware) => {
            machine(spec.architecture, spec.accelerator, Some(&private_variables(firmware, &spec.work)?))?
        }
        Boot::Kernel { kernel, initrd, parameters } => {
            let combined = spec.work.join("initrd-with-agent");
            write_initrd(&combined, &agent::initrd(busybox, spec.memory)?, initrd)?;
            let mut arguments = machine(spec.architecture, spec.accelerator, None)?;
            arguments.extend(["-kernel".into(), kernel.into(), "-initrd".into(), combined.into(), "-append".into()]);
            arguments.push(agent::kernel_parameters(parameters, spec.architecture).into());
            arguments
        }
    };
    arguments.extend(words(&["-name", &spec.token, "-smp", &spec.cpus.to_string()]));
    arguments.extend(words(&["-m", &format!("{}M", spec.memory)]));
    arguments.extend(["-blockdev".into(), disk(&spec.disk)?]);
    let port = format!("virtserialport,chardev=agent,name={}", agent::PORT);
    arguments.extend(words(&[
        "-device",
        "virtio-blk-pci,drive=disk,bootindex=1",
        "-device",
        "virtio-serial-pci",
        "-chardev",
        "socket,id=agent,fd=0",
        "-device",
        &port,
        "-device",
        "virtio-rng-pci",
        // Network units settle on an address, and nothing can be reached. No option ROM: nobody boots from it.
        "-netdev",
        "user,id=net,restrict=on",
        "-device",
        "virtio-net-pci,netdev=net,romfile=",
    ]));
    Ok(arguments)
}

/// The overlay. What it holds need not survive a crash of the host, so flushes of the guest are ignored.
fn disk(path: &Path) -> Result<OsString, QemuError> {
    let file = serde_json::json!({ "driver": "file", "filename": utf8("disk", path)? });
    let disk = serde_json::json!({
        "driver": "qcow2", "node-name": "disk", "discard": "unmap", "cache": { "no-flush": true }, "file": file,
    });
    Ok(disk.to_string().into())
}

fn block(name: &str, path: &Path, mut options: serde_json::Value) -> Result<[OsString; 2], QemuError> {
    options["node-name"] = name.into();
    options["filename"] = utf8("firmware", path)?.into();
    Ok(["-blockdev".into(), options.to_string().into()])
}

fn utf8<'a>(field: &'static str, path: &'a Path) -> Result<&'a str, QemuError> {
    path.to_str().ok_or_else(|| QemuError::InvalidSpec {
        field,
        value: format!("{path:?}"),
        accepted: "a path in UTF-8".to_owned(),
    })
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

/// Firmware with variables of its own, if it keeps any.
pub(crate) fn private_variables(firmware: &Firmware, work: &Path) -> Result<Firmware, QemuError> {
    let Firmware::Split { code, variables } = firmware else { return Ok(firmware.clone()) };
    let copy: PathBuf = work.join("variables.fd");
    let template = std::fs::read(variables).map_err(QemuError::io(format!("read {}", variables.display())))?;
    create(&copy).and_then(|mut file| io::Write::write_all(&mut file, &template)).map_err(write_error(&copy))?;
    Ok(Firmware::Split { code: code.clone(), variables: copy })
}

fn write_initrd(path: &Path, agent: &[u8], initrd: &Path) -> Result<(), QemuError> {
    let mut image = std::fs::File::open(initrd).map_err(QemuError::io(format!("read {}", initrd.display())))?;
    // Never over the initrd itself: a file that is copied onto its own end grows until the disk is full.
    let mut file = std::fs::File::create_new(path).map_err(write_error(path))?;
    io::Write::write_all(&mut file, agent).map_err(write_error(path))?;
    io::copy(&mut image, &mut file).map_err(write_error(path))?;
    Ok(())
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> QemuError {
    QemuError::io(format!("write {}", path.display()))
}

fn create(path: &Path) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
