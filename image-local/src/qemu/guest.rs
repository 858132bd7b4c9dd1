//! A running guest.

use std::convert::Infallible;
use std::ffi::OsString;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot, watch};
use tokio::time::Instant;

use super::channel::{Channel, ChannelError, Command};
use super::console::Console;
use super::hypervisor::{self, Hypervisor, Life};
use super::request::Shell;
use super::{Architecture, BootFailure, BootSpec, Finished, QemuError, Request, agent};

/// What the agent may need beyond a command's own time, before the channel is given up.
const GRACE: Duration = Duration::from_secs(60);

/// Between a sign of failure on the console and its evaluation: the explanation follows the headline.
const EXPLANATION: Duration = Duration::from_millis(300);

/// Reboots by whatever the image has. Returns before it happens.
const REBOOT: &str = "if command -v systemctl >/dev/null; then systemctl reboot --no-block; else reboot; fi";

/// Powers off by whatever the image has. Returns before it happens.
const POWEROFF: &str = "if command -v systemctl >/dev/null; then systemctl poweroff --no-block; else poweroff; fi";

/// Starts a guest. Returns as soon as QEMU runs: [`Guest::ready`] waits for the boot.
///
/// `on_console` gets everything the guest writes to its serial console, and must not block.
///
/// # Errors
/// A specification that cannot work, a missing busybox, and files that cannot be read or written. A missing QEMU, or one
/// that refuses to start, is an error of [`Guest::ready`].
pub async fn start(spec: &BootSpec, on_console: impl FnMut(&[u8]) + Send + 'static) -> Result<Guest, QemuError> {
    spec.check()?;
    let owned = spec.clone();
    let arguments = tokio::task::spawn_blocking(move || hypervisor::guest(&owned, &agent::find_busybox()?))
        .await
        .map_err(|error| QemuError::Io { operation: "prepare the guest".into(), source: error.into() })??;
    let program = spec.program();
    let (hypervisor, socket) = hypervisor::launch(&program, arguments, on_console)
        .await
        .map_err(QemuError::io(format!("start {}", program.display())))?;
    let Hypervisor { console, life, kill } = hypervisor;
    let link = Link { channel: Channel::new(socket), broken: None };
    let shared = Shared { link: Mutex::new(link), console, life, program, architecture: spec.architecture };
    Ok(Guest { shared: Arc::new(shared), kill, spool: agent::spool(spec.memory) })
}

/// A guest. QEMU is killed when this is dropped.
///
/// One command runs at a time; further callers wait their turn.
#[derive(Debug)]
pub struct Guest {
    shared: Arc<Shared>,
    kill: oneshot::Sender<()>,
    spool: u64,
}

#[derive(Debug)]
struct Shared {
    link: Mutex<Link>,
    console: Arc<Console>,
    life: Arc<watch::Sender<Life>>,
    program: OsString,
    architecture: Architecture,
}

/// The channel, and why it must not be used any more.
#[derive(Debug)]
struct Link {
    channel: Channel,
    broken: Option<String>,
}

impl Guest {
    /// Waits until the agent answers, which it does once process 1 is the init of the real root, and takes orders if it
    /// is systemd.
    ///
    /// Services may still be starting: ask the image's init, as with `systemctl is-system-running --wait`.
    ///
    /// # Errors
    /// At once when QEMU ends or the console tells that the boot failed; [`QemuError::NotReady`] at the deadline.
    pub async fn ready(&self, deadline: Instant) -> Result<(), QemuError> {
        let shared = &self.shared;
        let started = Instant::now();
        let mut life = shared.life.subscribe();
        let synchronize = async {
            let mut link = shared.link.lock().await;
            if let Some(reason) = &link.broken {
                return Err(QemuError::ChannelBroken { reason: reason.clone() });
            }
            match link.channel.synchronize().await {
                Ok(()) => Ok(()),
                // QEMU closed its end, and is about to be seen to have ended.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = synchronize => {
                done?;
                shared.forget_signs();
                Ok(())
            }
            error = shared.failure(&mut life, |_| true) => Err(error),
            () = tokio::time::sleep_until(deadline) => {
                Err(QemuError::NotReady { after: started.elapsed(), console: shared.console.tail() })
            }
        }
    }

    /// Runs a command, and waits for its end.
    ///
    /// Dropping the future kills the command; the next one waits until it is gone.
    ///
    /// # Errors
    /// [`QemuError::TimedOut`] with the output so far; [`QemuError::Lost`] when the guest ends, panics or reboots
    /// meanwhile: after a reboot, [`ready`](Self::ready) makes it usable again. [`QemuError::ChannelBroken`] is final.
    pub async fn run(&self, request: &Request) -> Result<Finished, QemuError> {
        self.run_with(request, Shell::Image).await
    }

    pub(crate) async fn run_with(&self, request: &Request, shell: Shell) -> Result<Finished, QemuError> {
        request.check(self.spool)?;
        let command = Command {
            launch: request.launch(shell),
            script: request.script(),
            stdin: request.stdin.clone(),
            limit: request.limit,
        };
        let (_caller, gone) = oneshot::channel();
        // A task of its own: half an exchange would leave a channel that nobody can make sense of.
        tokio::spawn(Arc::clone(&self.shared).exchange(command, request.timeout, gone))
            .await
            .unwrap_or_else(|error| Err(QemuError::ChannelBroken { reason: error.to_string() }))
    }

    /// Reboots the guest, and waits until the agent answers from the new boot.
    ///
    /// # Errors
    /// Those of [`ready`](Self::ready), and of a reboot command that fails.
    pub async fn reboot(&self, deadline: Instant) -> Result<(), QemuError> {
        let request = Request { timeout: until(deadline), ..Request::new(REBOOT) };
        self.shared.forget_signs();
        match self.run(&request).await {
            // It went faster than the answer.
            Err(QemuError::Lost { .. }) => {}
            Err(error) => return Err(error),
            Ok(Finished { exit: 0, .. }) => self.shared.left(deadline).await?,
            Ok(finished) => return Err(refused("reboot", &finished)),
        }
        self.ready(deadline).await
    }

    /// Powers the guest off, and waits for the end of QEMU.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), of a poweroff command that fails, and [`QemuError::NotReady`] at the deadline. QEMU has
    /// ended in any case.
    pub async fn shutdown(self, deadline: Instant) -> Result<(), QemuError> {
        let started = Instant::now();
        let request = Request { timeout: until(deadline), ..Request::new(POWEROFF) };
        let asked = self.run(&request).await;
        let mut life = self.shared.life.subscribe();
        let result = match asked {
            Ok(Finished { exit: 0, .. }) | Err(QemuError::Lost { .. }) => {
                tokio::select! {
                    _ = life.wait_for(|life| life.ended.is_some()) => Ok(()),
                    () = tokio::time::sleep_until(deadline) => {
                        Err(QemuError::NotReady { after: started.elapsed(), console: self.shared.console.tail() })
                    }
                }
            }
            Ok(finished) => Err(refused("poweroff", &finished)),
            Err(error) => Err(error),
        };
        self.kill().await;
        result
    }

    /// Kills QEMU, and waits until it is gone.
    pub async fn kill(self) {
        let Self { shared, kill, .. } = self;
        let mut life = shared.life.subscribe();
        drop(kill);
        // The sender is in `shared`, so this ends by the condition.
        drop(life.wait_for(|life| life.ended.is_some()).await);
    }

    /// The end of what the guest wrote to its serial console, without control characters.
    #[must_use]
    pub fn console(&self) -> String {
        self.shared.console.tail()
    }
}

impl Shared {
    /// One command from request to result. `gone` resolves when nobody waits for the result any more.
    async fn exchange(
        self: Arc<Self>,
        command: Command,
        timeout: Duration,
        mut gone: oneshot::Receiver<Infallible>,
    ) -> Result<Finished, QemuError> {
        let mut life = self.life.subscribe();
        let mut link = self.link.lock().await;
        if let Some(reason) = &link.broken {
            return Err(QemuError::ChannelBroken { reason: reason.clone() });
        }
        if link.channel.boot().is_none() {
            return Err(QemuError::NotYetReady);
        }
        if gone.try_recv() == Err(oneshot::error::TryRecvError::Closed) {
            return Err(QemuError::TimedOut { timeout: Duration::ZERO, output: Box::new(Finished::none()) });
        }
        // True until proved otherwise, also if this task is aborted with its runtime.
        link.broken = Some("a command was interrupted".to_owned());
        let outcome = {
            let talk = talk(&mut link.channel, command, timeout, gone);
            tokio::select! {
                biased;
                outcome = talk => outcome,
                error = self.failure(&mut life, |sign| sign == BootFailure::KernelPanic) => Outcome::Ended(error),
            }
        };
        let lost = |reason: String| QemuError::Lost { reason, console: self.console.tail() };
        match outcome {
            Outcome::Finished(finished) => {
                link.broken = None;
                Ok(finished)
            }
            Outcome::TimedOut(output) => {
                link.broken = None;
                Err(QemuError::TimedOut { timeout, output: Box::new(output) })
            }
            Outcome::Failed(ChannelError::Rebooted) => {
                link.broken = None;
                Err(lost(ChannelError::Rebooted.to_string()))
            }
            Outcome::Failed(ChannelError::Io(error)) => {
                // The socket closes a moment before QEMU is seen to have ended.
                let ended = tokio::select! {
                    end = self.failure(&mut life, |_| false) => end.to_string(),
                    () = tokio::time::sleep(GRACE) => error.to_string(),
                };
                link.broken = Some(ended.clone());
                Err(lost(ended))
            }
            Outcome::Failed(error @ ChannelError::Garbled(_)) => {
                link.broken = Some(error.to_string());
                Err(QemuError::ChannelBroken { reason: error.to_string() })
            }
            Outcome::Silent => {
                let reason = "the agent did not answer in time";
                link.broken = Some(reason.to_owned());
                Err(lost(reason.to_owned()))
            }
            Outcome::Ended(error) => {
                let reason = match error {
                    QemuError::Exited { status, .. } => format!("QEMU ended with {status}"),
                    QemuError::BootFailed { reason, .. } => reason.to_string(),
                    other => other.to_string(),
                };
                link.broken = Some(reason.clone());
                Err(lost(reason))
            }
        }
    }

    /// Waits for the end of QEMU or a sign of failure that counts.
    async fn failure(
        &self,
        life: &mut watch::Receiver<Life>,
        counts: impl Fn(BootFailure) -> bool + Send + Sync,
    ) -> QemuError {
        let happened = life.wait_for(|life| life.ended.is_some() || life.sign.is_some_and(&counts)).await;
        // The sender is in `self`.
        let mut happened = happened.map(|life| life.clone()).unwrap_or_default();
        if happened.ended.is_none() {
            tokio::time::sleep(EXPLANATION).await;
            happened = life.borrow().clone();
        }
        match (happened.ended, happened.sign) {
            (Some(ended), _) => ended.error(&self.program, self.architecture, &self.console),
            (None, sign) => {
                QemuError::BootFailed { reason: sign.unwrap_or(BootFailure::KernelPanic), console: self.console.tail() }
            }
        }
    }

    /// Waits until the guest that was told to reboot has gone.
    async fn left(&self, deadline: Instant) -> Result<(), QemuError> {
        let started = Instant::now();
        let mut life = self.life.subscribe();
        let gone = async {
            let mut link = self.link.lock().await;
            link.channel.rebooted().await
        };
        tokio::select! {
            biased;
            // An error is the end of QEMU's end of the socket.
            left = gone => match left {
                Ok(()) => Ok(()),
                Err(_) => Err(self.failure(&mut life, |_| false).await),
            },
            error = self.failure(&mut life, |_| true) => Err(error),
            () = tokio::time::sleep_until(deadline) => {
                Err(QemuError::NotReady { after: started.elapsed(), console: self.console.tail() })
            }
        }
    }

    /// A guest that works is none that failed to boot, whatever its console shows.
    fn forget_signs(&self) {
        self.life.send_if_modified(|life| life.sign.take().is_some());
    }
}

enum Outcome {
    Ended(QemuError),
    Failed(ChannelError),
    Finished(Finished),
    Silent,
    TimedOut(Finished),
}

/// Sends a command and reads its result. Kills it when its time is up or its caller gone.
async fn talk(
    channel: &mut Channel,
    command: Command,
    timeout: Duration,
    gone: oneshot::Receiver<Infallible>,
) -> Outcome {
    let limit = command.limit;
    let deadline = Instant::now() + timeout;
    let mut killed = false;
    let exchange = async {
        let id = channel.send(&command).await?;
        let announced = tokio::select! {
            biased;
            announced = channel.announced(id) => announced?,
            () = either(tokio::time::sleep_until(deadline), gone) => {
                killed = true;
                channel.cancel(id).await?;
                channel.announced(id).await?
            }
        };
        channel.output(announced, limit).await
    };
    let answer = tokio::select! {
        biased;
        answer = exchange => answer,
        () = tokio::time::sleep_until(deadline + GRACE) => return Outcome::Silent,
    };
    match answer {
        Ok(finished) if killed => Outcome::TimedOut(finished),
        Ok(finished) => Outcome::Finished(finished),
        Err(error) => Outcome::Failed(error),
    }
}

async fn either(time: impl Future<Output = ()>, gone: oneshot::Receiver<Infallible>) {
    tokio::select! {
        () = time => {}
        _ = gone => {}
    }
}

fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn refused(what: &str, finished: &Finished) -> QemuError {
    let stderr = super::console::printable(&finished.stderr);
    QemuError::Io {
        operation: format!("{what} the guest"),
        source: std::io::Error::other(format!("its command exited with {}: {}", finished.exit, stderr.trim())),
    }
}
