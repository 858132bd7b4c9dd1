//! Running programs.

use crate::failure::Failure;
use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
};

/// A program with its arguments.
#[derive(Debug)]
pub(crate) struct Program(Command);

/// The cargo that runs us, in the root of the workspace.
pub(crate) fn cargo(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut program = program(cargo).args(args);
    program.0.current_dir(workspace());
    program
}

/// Any program of the `PATH`.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Program {
    Program(Command::new(name))
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// Where a program is, by the `PATH` and the places of administrators' tools.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|directory| directory.join(name)).find(|path| path.is_file())
}

impl Program {
    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(args);
        self
    }
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }
    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.0.current_dir(directory);
        self
    }
    /// As a shell would take it.
    pub(crate) fn line(&self) -> String {
        let words: Vec<&OsStr> = std::iter::once(self.0.get_program()).chain(self.0.get_args()).collect();
        words.join(OsStr::new(" ")).to_string_lossy().into_owned()
    }
    fn missing(&self, error: std::io::Error) -> Failure {
        Failure::new(format!("cannot run `{}`: {error}", self.line()))
    }
    /// Runs it on our terminal; it must succeed, and its exit code becomes ours.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let line = self.line();
        match self.status()? {
            status if status.success() => Ok(()),
            status => Err(match status.code().and_then(|code| u8::try_from(code).ok()) {
                Some(code) => Failure::silent(code),
                None => Failure::new(format!("`{line}` ended with {status}")),
            }),
        }
    }
    /// Runs it on our terminal.
    pub(crate) fn status(mut self) -> Result<ExitStatus, Failure> {
        self.0.status().map_err(|e| self.missing(e))
    }
    /// Runs it without input and takes what it says.
    pub(crate) fn output(mut self) -> Result<Output, Failure> {
        self.0.stdin(Stdio::null()).output().map_err(|e| self.missing(e))
    }
    /// Runs it and takes its standard output, which must be that of a success.
    pub(crate) fn stdout(self) -> Result<String, Failure> {
        let line = self.line();
        let output = self.output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Failure::new(format!("`{line}`: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }
    /// Runs it, passes its standard output on and shows each line to `see`.
    pub(crate) fn watched(mut self, mut see: impl FnMut(&str)) -> Result<ExitStatus, Failure> {
        use std::io::{BufRead, BufReader, Write};
        let mut child = self.0.stdout(Stdio::piped()).spawn().map_err(|e| self.missing(e))?;
        let out = child.stdout.take().ok_or_else(|| Failure::new("a child process without standard output"))?;
        let mut out = BufReader::new(out);
        let mut line = Vec::new();
        let lost = |e: std::io::Error| Failure::new(format!("cannot pass on the output of `{}`: {e}", self.line()));
        while out.read_until(b'\n', &mut line).map_err(lost)? > 0 {
            see(&String::from_utf8_lossy(&line));
            let mut ours = std::io::stdout().lock();
            ours.write_all(&line).and_then(|()| ours.flush()).map_err(lost)?;
            line.clear();
        }
        child.wait().map_err(lost)
    }
}

/// Whether an option with a value is among the arguments, as `--name value` or `--name=value`.
pub(crate) fn option(args: &[OsString], name: &str) -> Option<String> {
    let texts: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let joined = texts.iter().find_map(|text| text.strip_prefix(&format!("{name}=")).map(str::to_owned));
    joined.or_else(|| texts.iter().position(|text| text == name).and_then(|at| texts.get(at + 1).cloned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_two_forms() {
        let args = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(option(&args(&["--plan", "--suite", "jammy"]), "--suite").as_deref(), Some("jammy"));
        assert_eq!(option(&args(&["--suite=noble"]), "--suite").as_deref(), Some("noble"));
        assert_eq!(option(&args(&["--plan", "--suite"]), "--suite"), None);
    }

    #[test]
    fn output_is_passed_on_and_seen() {
        let mut seen = vec![];
        let status =
            program("sh").args(["-c", "echo one; echo two; exit 3"]).watched(|line| seen.push(line.to_owned()));
        assert_eq!((status.unwrap().code(), seen), (Some(3), vec!["one\n".to_owned(), "two\n".to_owned()]));
    }
}
