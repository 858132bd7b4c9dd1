//! Runs commands in a root filesystem, isolated by namespaces.
//!
//! The tools are those of util-linux: no container runtime, no daemon, and no mount that the host ever sees. As root,
//! or unprivileged with subordinate ids ([`Privilege`]).
//!
//! A command has its own mounts, process ids, IPC and host name (`build`), and its own network unless it is given the
//! host's; a reduced set of capabilities; no terminal; a umask of 022. `/proc` and `/sys` do not change the host. All
//! its processes die when it ends. `/dev`, `/run` and `/tmp` are directories beside the root filesystem: they last from
//! one command to the next, and never become part of an image. Services do not start when packages are installed.
//!
//! This keeps builds apart from the host and from one another. It is not a boundary against a hostile kernel exploit,
//! and with [`Network::Host`] the abstract sockets of the host can be reached.

use std::path::{Path, PathBuf};

use tokio::sync::Mutex;
use tokio::time::Instant;

mod archive;
mod copy;
mod error;
mod inside;
mod mounts;
mod privilege;
mod request;
mod run;
#[cfg(test)]
mod tests;
mod user;

pub use archive::{Archive, extract, pack, remove_tree};
pub use copy::Owner;
pub use error::SandboxError;
pub use privilege::Privilege;
pub(crate) use privilege::{one_line, require};
pub use request::{Exit, Finished, Input, Output, Program, Request, Stream};

use mounts::Mounts;
use run::{Init, Tools};
use user::User;

/// What a command can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Network {
    /// The network of the host, and its `/etc/resolv.conf`.
    Host,
    /// Nothing but itself. Loopback is up if the host has `ip` or `ifconfig`.
    None,
}

/// A root filesystem to run commands in, one at a time.
#[derive(Debug)]
pub struct Sandbox {
    rootfs: PathBuf,
    work: PathBuf,
    network: Network,
    privilege: Privilege,
    tools: Tools,
    turn: Mutex<()>,
}

impl Sandbox {
    /// Takes a root filesystem and a directory beside it, which is made if it does not exist and holds `/dev`, `/run`
    /// and `/tmp`. In the end the caller removes both with [`remove_tree`].
    ///
    /// # Errors
    /// Missing tools and directories that cannot be used. Whether namespaces work, [`Privilege::probe`] finds out.
    pub fn new(rootfs: &Path, work: &Path, network: Network, privilege: Privilege) -> Result<Self, SandboxError> {
        let tools = Tools::find()?;
        let canonical = |path: &Path| path.canonicalize().map_err(SandboxError::io("open directory", path));
        std::fs::create_dir_all(work).map_err(SandboxError::io("create directory", work))?;
        let (rootfs, work) = (canonical(rootfs)?, canonical(work)?);
        if rootfs.starts_with(&work) || work.starts_with(&rootfs) {
            return Err(SandboxError::Nested { rootfs, work });
        }
        mounts::prepare(&work)?;
        Ok(Self { rootfs, work, network, privilege, tools, turn: Mutex::new(()) })
    }

    /// Runs one command to its end and gives its output live to `on_output`. A second call waits for the first.
    ///
    /// An exit status other than 0 is a value. When the timeout has passed, when `cancel` completes or when the future
    /// is dropped, every process of the command is killed at once, and in the first two cases gone on return.
    ///
    /// # Errors
    /// [`SandboxError::TimedOut`], [`SandboxError::Cancelled`]; [`SandboxError::Lost`] when something outside killed
    /// the sandbox; and what can fail on the way to the command.
    pub async fn run(
        &self,
        request: Request,
        on_output: &mut (dyn FnMut(Stream, &[u8]) + Send),
        cancel: impl Future<Output = ()> + Send,
    ) -> Result<Finished, SandboxError> {
        check(&request)?;
        tokio::pin!(cancel);
        let _turn = tokio::select! {
            biased;
            () = &mut cancel => return Err(SandboxError::Cancelled),
            turn = self.turn.lock() => turn,
        };
        let deadline = request.timeout.map(|after| (after, Instant::now() + after));
        let interrupted = async {
            let late = async {
                match deadline {
                    Some((after, at)) => {
                        tokio::time::sleep_until(at).await;
                        SandboxError::TimedOut { after }
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cancel => SandboxError::Cancelled,
                error = late => error,
            }
        };
        tokio::pin!(interrupted);
        let user = match &request.user {
            Some(user) => User::find(&self.rootfs, user)?,
            None => User::root(),
        };
        let mounts = Mounts::new(&self.rootfs, &self.work, self.network, self.privilege)?;
        let script = match &request.program {
            Program::Argv(_) => &[][..],
            Program::Script { content, .. } => content,
        };
        let init = tokio::select! {
            biased;
            error = &mut interrupted => return Err(error),
            init = Init::start(&self.rootfs, &mounts.fstab, self.network, self.privilege, script, &user) => init?,
        };
        let result = tokio::select! {
            biased;
            error = &mut interrupted => Err(error),
            result = init.attend(request, &user, &self.tools, on_output) => result,
        };
        init.end().await?;
        mounts.close()?;
        result
    }
}

/// A NUL byte or an impossible variable would otherwise fail somewhere on the way.
fn check(request: &Request) -> Result<(), SandboxError> {
    let refuse = |field, value: &str, accepted| Err(SandboxError::Request { field, value: value.into(), accepted });
    let words = match &request.program {
        Program::Argv(argv) if argv.first().is_none_or(String::is_empty) => {
            return refuse("program", "", "a program");
        }
        Program::Argv(argv) => argv,
        Program::Script { content, .. } if content.is_empty() => return refuse("script", "", "at least one byte"),
        Program::Script { arguments, .. } => arguments,
    };
    if let Some(word) = words.iter().find(|word| word.contains('\0')) {
        return refuse("arguments", word, "text without a NUL byte");
    }
    if let Some(name) = request.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return refuse("env", name, "names without `=` and without a NUL byte");
    }
    // The value may be secret.
    if let Some((name, _)) = request.env.iter().find(|(_, value)| value.contains('\0')) {
        return refuse("env", name, "values without a NUL byte");
    }
    if !request.cwd.starts_with('/') || request.cwd.contains('\0') {
        return refuse("cwd", &request.cwd, "an absolute path");
    }
    Ok(())
}
