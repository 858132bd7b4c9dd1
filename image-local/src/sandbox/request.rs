use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Program {
    /// A program of the root filesystem with its arguments. A name without a slash is looked up in `PATH`.
    Argv(Vec<String>),
    /// A script of any size, which no command line shows and no disk holds. The kernel runs it when it begins with
    /// `#!`, else `/bin/sh` does.
    Script {
        /// The text.
        content: Vec<u8>,
        /// `$1` and following.
        arguments: Vec<String>,
    },
}

/// What the command reads.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// These bytes, then the end. Empty is `/dev/null`.
    Bytes(Vec<u8>),
    /// A file of the host, which the command reads directly.
    File(PathBuf),
}

/// What becomes of the output. The live callback gets all of it in any case.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Keeps nothing.
    Discard,
    /// Writes standard output to this file of the host, and keeps 1 MiB of standard error.
    File(PathBuf),
    /// Keeps the first bytes of each stream, at most this many each, and drains the rest.
    Limit(usize),
}

/// One command for [`Sandbox::run`](super::Sandbox::run).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// What runs.
    pub program: Program,
    /// What it reads; nothing by default.
    pub stdin: Input,
    /// Variables beside `PATH`, `HOME`, `LANG` and `TERM`, and in place of them. They may be secret: they travel in the
    /// environment of our own processes. The exception are `LD_*` and `GLIBC_TUNABLES`, which would act on tools of the
    /// host: they are set by the `env` of the root filesystem, whose command line shows them.
    pub env: BTreeMap<String, String>,
    /// Directory in the root filesystem. Any other than `/` needs a `/bin/sh` there.
    pub cwd: String,
    /// Name or number of a user of the root filesystem; `None` is its root. A user has the groups of `/etc/group`; a
    /// number without an entry has the group of the same number.
    pub user: Option<String>,
    /// After which all processes of the command are killed.
    pub timeout: Option<Duration>,
    /// What becomes of the output; 1 MiB of each stream by default.
    pub output: Output,
}

impl Request {
    /// How much of a stream is kept unless the request says otherwise, in bytes.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// A program with its arguments.
    pub fn argv(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new(Program::Argv(argv.into_iter().map(Into::into).collect()))
    }

    /// A script without arguments.
    pub fn script(content: impl Into<Vec<u8>>) -> Self {
        Self::new(Program::Script { content: content.into(), arguments: Vec::new() })
    }

    /// A program with the defaults of everything else.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self {
            program,
            stdin: Input::Bytes(Vec::new()),
            env: BTreeMap::new(),
            cwd: "/".into(),
            user: None,
            timeout: None,
            output: Output::Limit(Self::DEFAULT_LIMIT),
        }
    }
}

/// A stream of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a process has these two")]
pub enum Stream {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "wait(2) knows these two")]
pub enum Exit {
    /// With this status. 127 and 126 also stand for a program that was not found or could not be run.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// Whether the status was 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

/// A command that ran to its end, well or not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// Standard output, as far as it was kept.
    pub stdout: Vec<u8>,
    /// Standard error, as far as it was kept.
    pub stderr: Vec<u8>,
    /// Whether [`Output::Limit`] cut one of the two.
    pub truncated: bool,
}
