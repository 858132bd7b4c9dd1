use std::path::Path;

use super::{Exit, Finished, Input, Output, Request, Sandbox, SandboxError};

/// Writes beside the target and renames, so that a broken copy is never taken for a file.
const COPY_IN: &str = r#"
set -e
[ ! -d "$1" ] || { echo "is a directory" >&2; exit 1; }
part=$1.$$.part
trap 'rm -f -- "$part"' EXIT
umask 077
cat >"$part"
chown -- "$3" "$part"
chmod -- "$2" "$part"
mv -f -- "$part" "$1"
"#;

/// Who owns a file in the root filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a file has these two owners")]
pub struct Owner {
    /// User id inside the root filesystem.
    pub uid: u32,
    /// Group id inside the root filesystem.
    pub gid: u32,
}

impl Owner {
    /// Root.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

impl Sandbox {
    /// Copies a file of the host to an absolute path of the root filesystem. Written in the sandbox, by its `/bin/sh`:
    /// a link there cannot lead to a file of the host.
    ///
    /// # Errors
    /// [`SandboxError::Copy`], for example without the directory that the path lies in; and those of [`Sandbox::run`].
    pub async fn copy_in(
        &self,
        source: &Path,
        path: &str,
        mode: u32,
        owner: Owner,
        cancel: impl Future<Output = ()> + Send,
    ) -> Result<(), SandboxError> {
        let (mode, owner) = (format!("{mode:04o}"), format!("{}:{}", owner.uid, owner.gid));
        let mut request = Request::argv(["/bin/sh", "-c", COPY_IN, "sh", absolute(path)?, &mode, &owner]);
        request.stdin = Input::File(source.into());
        succeeded(path, &self.run(request, &mut |_, _| {}, cancel).await?)
    }

    /// Copies a file of the root filesystem to a new file of the host. A link there is followed inside only.
    ///
    /// # Errors
    /// [`SandboxError::Copy`], and those of [`Sandbox::run`].
    pub async fn copy_out(
        &self,
        path: &str,
        target: &Path,
        cancel: impl Future<Output = ()> + Send,
    ) -> Result<(), SandboxError> {
        let mut request = Request::argv(["cat", "--", absolute(path)?]);
        request.output = Output::File(target.into());
        succeeded(path, &self.run(request, &mut |_, _| {}, cancel).await?)
    }
}

fn absolute(path: &str) -> Result<&str, SandboxError> {
    match path.starts_with('/') {
        true => Ok(path),
        false => Err(SandboxError::Request { field: "path", value: path.into(), accepted: "an absolute path" }),
    }
}

fn succeeded(path: &str, finished: &Finished) -> Result<(), SandboxError> {
    if finished.exit.success() {
        return Ok(());
    }
    let said = super::one_line(&finished.stderr);
    let message = match (said.is_empty(), finished.exit) {
        (false, _) => said,
        (true, Exit::Code(code)) => format!("exit status {code}"),
        (true, Exit::Signal(signal)) => format!("signal {signal}"),
    };
    Err(SandboxError::Copy { path: path.into(), message })
}
