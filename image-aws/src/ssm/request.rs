//! A command as the machine's keeper takes it: the script that becomes the command, the command's script, its input.

use super::script::LAUNCH;
use flate2::{Compression, write::GzEncoder};
use image_core::{Command, Error, Result, Upload, UploadSource, quote};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    sync::Arc,
};
use tempfile::SpooledTempFile;

/// A packed request beyond this size waits in a file.
const IN_MEMORY: usize = 1024 * 1024;

/// A command in parts.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) launch: String,
    pub(crate) script: String,
    pub(crate) stdin: Input,
}

/// Standard input.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Bytes(Arc<[u8]>),
    File(std::path::PathBuf),
}

impl Request {
    /// # Errors
    /// `InvalidInput` for what no shell can be told, and for secrets: the service keeps what it is sent for thirty days.
    pub(crate) fn of(command: &Command) -> Result<Self> {
        if let Some(name) = command.secrets.keys().next() {
            let message = format!(
                "secret {name} cannot be sent: Systems Manager shows the text of every command in its history; let the \
                 machine fetch it from Secrets Manager or Parameter Store with the role of its instance profile"
            );
            return Err(Error::new(image_core::ErrorKind::Unsupported, message));
        }
        let mut launch = without_first_comment(LAUNCH);
        let fixed = [("PATH", "$PATH"), ("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root")];
        for (name, value) in fixed {
            launch += &format!("export {name}={value}\n");
        }
        for (name, value) in &command.env {
            check_variable(name, value)?;
            launch += &format!("export {name}={}\n", quote(value));
        }
        let cwd = command.cwd.as_deref().unwrap_or("/");
        check_word("cwd", cwd, "an absolute path", cwd.starts_with('/'))?;
        check_word("shell", &command.shell, "an absolute path", command.shell.starts_with('/'))?;
        launch += &format!("cd {} || exit 126\nunset OLDPWD\n", quote(cwd));
        let interpreter = format!("{} /proc/self/fd/8\n", quote(&command.shell));
        launch += &match &command.user {
            None => format!("exec {interpreter}"),
            Some(user) => as_user(user, &command.env, &interpreter)?,
        };
        // A shell is freed from the descriptor that it was given the script by. On the first line: the others keep their
        // numbers.
        let freed = if is_posix(&command.shell) { "exec 8<&-; " } else { "" };
        let script = format!("{freed}{}\n", command.script);
        Ok(Self { launch, script, stdin: Input::Bytes(command.stdin.clone().into()) })
    }

    /// A script of ours, run by root.
    pub(crate) fn internal(script: impl Into<String>, stdin: Input) -> Result<Self> {
        Ok(Self { stdin, ..Self::of(&Command::sh(script))? })
    }

    /// Writes a file as [`Upload`] says.
    pub(crate) fn upload(upload: &Upload, sha256: &str) -> Result<Self> {
        check_word("destination", &upload.destination, "an absolute path", upload.destination.starts_with('/'))?;
        let owner = upload.owner.as_deref().unwrap_or("0:0");
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-:+@$".contains(&b);
        check_word("owner", owner, "user or user:group", owner.bytes().all(plain) && !owner.starts_with('-'))?;
        let stdin = match &upload.source {
            UploadSource::Bytes(bytes) => Input::Bytes(Arc::clone(bytes)),
            UploadSource::File(path) => Input::File(path.clone()),
            other => {
                let message = format!("cannot upload {other:?}");
                return Err(Error::new(image_core::ErrorKind::Unsupported, message));
            }
        };
        let script = format!(
            "set -e; umask 077; place={}; new=$place.partial.$$; trap 'rm -f \"$new\"' EXIT\n\
             [ ! -d \"$place\" ] || {{ echo 'it is a directory' >&2; exit 1; }}\n\
             cat >\"$new\"\n\
             [ \"$(sha256sum <\"$new\" | cut -c 1-64)\" = {sha256} ] || {{ echo 'the digest is another one' >&2; exit 1; }}\n\
             chown {} \"$new\"; chmod {:o} \"$new\"; mv -f \"$new\" \"$place\"\n",
            quote(&upload.destination),
            quote(owner),
            upload.mode & 0o7777
        );
        Self::internal(script, stdin)
    }

    /// Reads a file to standard output.
    pub(crate) fn download(source: &str) -> Result<Self> {
        check_word("source", source, "an absolute path", source.starts_with('/'))?;
        Self::internal(format!("exec cat <{}", quote(source)), Input::Bytes([].into()))
    }
}

fn without_first_comment(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect()
}

fn is_posix(shell: &str) -> bool {
    matches!(shell.rsplit('/').next(), Some("ash" | "bash" | "dash" | "ksh" | "mksh" | "sh" | "zsh"))
}

fn check_word(field: &str, value: &str, accepted: &str, fits: bool) -> Result<()> {
    if fits && !value.is_empty() && !value.contains(['\0', '\n']) {
        return Ok(());
    }
    Err(Error::invalid(field, value.escape_debug(), format_args!("{accepted}, without line ends and NUL bytes")))
}

fn check_variable(name: &str, value: &str) -> Result<()> {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !letters || name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        let accepted = "a name of letters, digits and `_`, no digit first";
        return Err(Error::invalid("env", name.escape_debug(), accepted));
    }
    if value.contains('\0') {
        return Err(Error::invalid(&format!("env.{name}"), value.escape_debug(), "text without NUL bytes"));
    }
    Ok(())
}

/// Another user than root: by setpriv(1), which leaves no record in the logs of the image as a login would.
fn as_user(user: &str, env: &std::collections::BTreeMap<String, String>, interpreter: &str) -> Result<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let fits = user.bytes().all(plain) && user.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    check_word("user", user, "the name of a user", fits)?;
    let mut text = format!("uid=$(id -u {user}) && gid=$(id -g {user}) || exit 126\n");
    for (name, value) in [("HOME", format!("~{user}")), ("USER", user.to_owned()), ("LOGNAME", user.to_owned())] {
        if !env.contains_key(name) {
            text += &format!("export {name}={value}\n");
        }
    }
    text += &format!("exec setpriv --reuid \"$uid\" --regid \"$gid\" --init-groups {interpreter}");
    Ok(text)
}

/// A request as it travels: one stream, compressed where the machine can read that.
#[derive(Debug)]
pub(crate) struct Parcel {
    file: SpooledTempFile,
    /// Lengths of the first two parts, before compression.
    pub(crate) lengths: (usize, usize),
    /// Length of all parts, before compression.
    pub(crate) content: u64,
    /// Length of the stream.
    pub(crate) length: u64,
    /// SHA-256 of the stream.
    pub(crate) sha256: String,
}

impl Parcel {
    /// Packs a request. Reads and writes files: not for a task's own thread.
    pub(crate) fn pack(request: &Request, gzip: bool) -> Result<Self> {
        let mut sink = Counted { file: SpooledTempFile::new(IN_MEMORY), length: 0, digest: Sha256::new() };
        let content = if gzip {
            let mut encoder = GzEncoder::new(&mut sink, Compression::default());
            let content = write_parts(request, &mut encoder)?;
            encoder.finish().map_err(unwritten)?;
            content
        } else {
            write_parts(request, &mut sink)?
        };
        sink.file.rewind().map_err(unwritten)?;
        let sha256 = sink.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let lengths = (request.launch.len(), request.script.len());
        Ok(Self { file: sink.file, lengths, content, length: sink.length, sha256 })
    }

    /// The next so many bytes; fewer at the end.
    pub(crate) fn next(&mut self, bytes: usize) -> Result<Vec<u8>> {
        let mut piece = vec![];
        let read = Read::by_ref(&mut self.file).take(bytes as u64).read_to_end(&mut piece);
        read.map_err(|e| Error::io("read", std::env::temp_dir(), e))?;
        Ok(piece)
    }
}

fn unwritten(e: io::Error) -> Error {
    Error::io("write", std::env::temp_dir(), e)
}

fn write_parts(request: &Request, sink: &mut impl Write) -> Result<u64> {
    let mut written = (request.launch.len() + request.script.len()) as u64;
    sink.write_all(request.launch.as_bytes())
        .and_then(|()| sink.write_all(request.script.as_bytes()))
        .map_err(unwritten)?;
    match &request.stdin {
        Input::Bytes(bytes) => {
            sink.write_all(bytes).map_err(unwritten)?;
            written += bytes.len() as u64;
        }
        Input::File(path) => {
            let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
            written += io::copy(&mut file, sink).map_err(|e| Error::io("read", path, e))?;
        }
    }
    Ok(written)
}

struct Counted {
    file: SpooledTempFile,
    length: u64,
    digest: Sha256,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        self.digest.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image_core::{ErrorKind, Secret};

    #[test]
    fn what_no_shell_can_be_told_is_refused_by_its_field() {
        let cases: [(&str, Command); 8] = [
            ("env", Command::sh("").env("A B", "")),
            ("env", Command::sh("").env("1A", "")),
            ("env.A", Command::sh("").env("A", "\0")),
            ("cwd", Command::sh("").cwd("relative")),
            ("cwd", Command::sh("").cwd("/two\nlines")),
            ("shell", Command::sh("").shell("bash")),
            ("user", Command::sh("").user("-c")),
            ("user", Command::sh("").user("a b")),
        ];
        for (field, command) in cases {
            let error = Request::of(&command).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().starts_with(&format!("{field} is ")), "{field}: {error}");
        }
    }

    #[test]
    fn secrets_are_refused_without_showing_them() {
        let error = Request::of(&Command::sh("").secret("TOKEN", Secret::new("hunter22"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("secret TOKEN cannot be sent") && !error.chain().contains("hunter22"));
    }

    #[test]
    fn a_parcel_is_the_parts_one_after_the_other() {
        let request = Request::internal("echo hi", Input::Bytes(b"input".to_vec().into())).unwrap();
        let mut parcel = Parcel::pack(&request, false).unwrap();
        let (first, rest) = (parcel.next(7).unwrap(), parcel.next(usize::MAX).unwrap());
        let whole = [first, rest].concat();
        let expected = [request.launch.as_bytes(), request.script.as_bytes(), b"input"].concat();
        assert_eq!(whole, expected);
        assert_eq!((parcel.length, parcel.content), (expected.len() as u64, expected.len() as u64));
        assert_eq!(parcel.sha256, image_core::sha256(&expected));
        assert_eq!(parcel.lengths, (request.launch.len(), request.script.len()));
    }
}
