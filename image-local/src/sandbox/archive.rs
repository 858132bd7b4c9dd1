use std::io::{self, ErrorKind, PipeReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Child;

use super::privilege::{one_line, require};
use super::{Privilege, SandboxError};
use crate::process::spawn;

/// Unpacks a plain tar into an existing directory, with owners, modes, links and extended attributes.
///
/// What lies in `dev/` stays behind: kernel and udev fill it, and without root nobody can make device nodes. Dropping
/// the future kills tar.
///
/// # Errors
/// [`SandboxError::Archive`] with what tar said, or with the error of `archive`.
pub async fn extract(
    privilege: Privilege,
    mut archive: impl Read + Send + 'static,
    into: &Path,
) -> Result<(), SandboxError> {
    require("tar", "tar")?;
    let failed = |message: String| SandboxError::Archive { action: "extract into", path: into.into(), message };
    let mut command = privilege.tool("tar");
    command.args(["--extract", "--file=-", "--numeric-owner", "--same-owner", "--preserve-permissions", "--xattrs"]);
    // A directory that stands before its content keeps its own time.
    command
        .args([
            "--delay-directory-restore",
            "--xattrs-include=*",
            "--anchored",
            "--exclude=./dev/*",
            "--exclude=dev/*",
            "--directory",
        ])
        .arg(into);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = spawn(command).await.map_err(SandboxError::io("run", "tar"))?;
    let feed = match child.stdin.take().map(tokio::process::ChildStdin::into_owned_fd) {
        Some(Ok(stdin)) => tokio::task::spawn_blocking(move || {
            let mut stdin = std::fs::File::from(stdin);
            match io::copy(&mut archive, &mut stdin) {
                // tar may stop at the end-of-archive mark, before padding, or has failed and says why.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                copied => copied.map(|_| ()),
            }
        }),
        _ => return Err(failed("no pipe to tar".into())),
    };
    let output = child.wait_with_output().await.map_err(SandboxError::io("wait for", "tar"))?;
    let fed = feed.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    if let Err(error) = fed {
        return Err(failed(error.to_string()));
    }
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(one_line(&output.stderr))),
    }
}

/// Packs a directory as a plain tar in pax format: sorted, with numeric owners and extended attributes, without access
/// and change times.
///
/// # Errors
/// Missing or failing tools.
pub async fn pack(privilege: Privilege, rootfs: &Path) -> Result<Archive, SandboxError> {
    require("tar", "tar")?;
    let (reader, writer) = io::pipe().map_err(SandboxError::io("make a pipe for", "tar"))?;
    let mut command = privilege.tool("tar");
    command.args(["--create", "--file=-", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sort=name"]);
    command.args(["--one-file-system", "--format=pax"]);
    command.args(["--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", "--directory"]);
    command.arg(rootfs).arg(".");
    command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let child = spawn(command).await.map_err(SandboxError::io("run", "tar"))?;
    Ok(Archive { reader, child, path: rootfs.into() })
}

/// A tar that is being written. Dropping it stops that.
#[derive(Debug)]
#[must_use = "only `finish` tells whether the archive is complete"]
pub struct Archive {
    reader: PipeReader,
    child: Child,
    path: PathBuf,
}

impl Archive {
    /// Another reader of the same stream, for a thread that blocks. It ends when tar ends, well or not.
    ///
    /// # Errors
    /// Too many open files.
    pub fn reader(&self) -> io::Result<PipeReader> {
        self.reader.try_clone()
    }

    /// Waits for tar, after the stream was read to its end.
    ///
    /// # Errors
    /// [`SandboxError::Archive`] with what tar said. What was read is then worthless.
    pub async fn finish(self) -> Result<(), SandboxError> {
        let Self { reader, child, path } = self;
        // A tar that still writes must not wait for a reader that has gone.
        drop(reader);
        let output = child.wait_with_output().await.map_err(SandboxError::io("wait for", "tar"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(SandboxError::Archive { action: "pack", path, message: one_line(&output.stderr) }),
        }
    }
}

/// Removes a directory with all that is in it, whoever of the sandbox owns it. None is fine. Links are not followed.
///
/// # Errors
/// [`SandboxError::Archive`] with what could not be removed.
pub async fn remove_tree(privilege: Privilege, path: &Path) -> Result<(), SandboxError> {
    let mut command = privilege.tool("rm");
    command.args(["-rf", "--one-file-system", "--"]).arg(path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = spawn(command).await.map_err(SandboxError::io("run", "rm"))?;
    let output = child.wait_with_output().await.map_err(SandboxError::io("wait for", "rm"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let message = one_line(&output.stderr);
            Err(SandboxError::Archive { action: "remove", path: path.into(), message })
        }
    }
}
