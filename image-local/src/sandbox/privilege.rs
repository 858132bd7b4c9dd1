use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::SandboxError;
use crate::process::{spawn, supervised};

/// Where the tools of the host are looked for, whatever the caller's environment says.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The right by which namespaces are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Privilege {
    /// We are root, and so is root in the sandbox. Files keep their owners.
    Root,
    /// We are not: root in the sandbox is us, and other users are our subordinate ids (subuid(5)).
    UserNamespace,
}

impl Privilege {
    /// Finds out by which right this process can make namespaces.
    ///
    /// # Errors
    /// [`SandboxError::MissingTool`], and [`SandboxError::Namespaces`] with what to enable.
    pub async fn probe() -> Result<Self, SandboxError> {
        require("unshare", "util-linux")?;
        let privilege = if rustix::process::geteuid().is_root() { Self::Root } else { Self::UserNamespace };
        if privilege == Self::UserNamespace {
            require("newuidmap", "uidmap")?;
        }
        let mut command = privilege.namespaces(&["--mount", "--pid", "--ipc", "--uts", "--net", "--kill-child"]);
        command.args(["--", "mount", "-n", "-t", "proc", "proc", "/proc"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = match spawn(command).await {
            Ok(child) => child.wait_with_output().await,
            Err(error) => Err(error),
        }
        .map_err(SandboxError::io("run", "unshare"))?;
        if output.status.success() {
            return Ok(privilege);
        }
        Err(SandboxError::Namespaces {
            message: one_line(&output.stderr),
            advice: match privilege {
                Self::Root => "root needs CAP_SYS_ADMIN and an unmasked /proc: a container has to be privileged",
                Self::UserNamespace => {
                    "needed are util-linux 2.38, a range for the user in /etc/subuid and /etc/subgid, and a kernel \
                     that lets users make namespaces: sysctl user.max_user_namespaces, \
                     kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0"
                }
            },
        })
    }

    /// `unshare` with these options, inside a user namespace where one is needed. Dies with us.
    pub(crate) fn namespaces(self, options: &[&str]) -> Command {
        let mut command = supervised("unshare");
        command.env_clear().env("PATH", PATH).env("LC_ALL", "C");
        if self == Self::UserNamespace {
            command.args(["--map-root-user", "--map-auto"]);
        }
        command.args(options);
        command
    }

    /// A tool of the host that sees the owners of the files as the sandbox does. Dies with us.
    pub(super) fn tool(self, program: &str) -> Command {
        let mut command = match self {
            Self::Root => supervised(program),
            // The tool replaces `unshare`: without a fork, the parent-death signal stays with it.
            Self::UserNamespace => {
                let mut command = self.namespaces(&["--"]);
                command.arg(program);
                command
            }
        };
        command.env_clear().env("PATH", PATH).env("LC_ALL", "C");
        command
    }
}

/// Looks a tool up in [`PATH`].
pub(crate) fn require(tool: &'static str, package: &'static str) -> Result<PathBuf, SandboxError> {
    let mut paths = PATH.split(':').map(|dir| Path::new(dir).join(tool));
    paths.find(|path| path.is_file()).ok_or(SandboxError::MissingTool { tool, package })
}

/// What a tool said, on one line.
pub(crate) fn one_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}
