//! The command line: goss's names and environment variables, and a few of our own.

mod flags;
#[cfg(test)]
mod tests;

use flags::Flags;
use image_test::{
    Compat, PackageManager,
    gossfile::Severity,
    report::{Format, Options},
};
use lexopt::{Arg, Parser, ValueExt};
use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf, time::Duration};

pub(crate) const HELP: &str = "\
Usage: goss-check [global flags] COMMAND [flags]

Commands:
  validate, v              check the system
  render, r [-d]           print the gossfile as it is after templates and includes; -d: and where it says what
  add, a TYPE KEY...       record how things are now
  add goss PATH...         include other gossfiles
  autoadd, aa KEY...       record everything of this name that is there
  snapshot                 print what the gossfile looks at, as JSON
  diff BEFORE AFTER        what differs between two snapshots

Global flags:
  -g, --gossfile FILE      - for standard input [GOSS_FILE, ./goss.yaml]
      --vars FILE          variables, may be repeated [GOSS_VARS]
      --vars-inline TEXT   variables as YAML or JSON [GOSS_VARS_INLINE]
      --package MANAGER    apk, dpkg, pacman or rpm
  -L, --log-level LEVEL    what is said of a gossfile that looks wrong: FATAL nothing, ERROR, WARN, INFO, DEBUG and
                           TRACE everything [GOSS_LOGLEVEL, INFO]
      --root DIR           look at a root file system instead of this system
      --facts FILE         look at a snapshot instead of this system
      --compat goss|fixed  whose outcomes where goss has bugs [fixed]
      --strict             refuse what goss only warns of

Flags of validate:
  -f, --format NAME        documentation, json, junit, nagios, prometheus, rspecish, silent, structured, tap [GOSS_FMT]
  -o, --format-options X   exclude_raw, perfdata, pretty, sort, verbose [GOSS_FMT_OPTIONS]
      --color, --no-color  [GOSS_COLOR, GOSS_NOCOLOR]
  -r, --retry-timeout TIME try again for so long [GOSS_RETRY_TIMEOUT, 0]
  -s, --sleep TIME         between two tries [GOSS_SLEEP, 1s]
      --max-concurrent N   most commands, names, addresses and requests at a time [GOSS_MAX_CONCURRENT, 50]

Flags of add:
      --exclude-attr X     leave these attributes out; * and ? stand for any characters
      --timeout TIME       of addr, command, dns, http and mount
      --server HOST[:PORT] of dns: the server to ask
  -k, --insecure           of http: take any certificate
  -r, --no-follow-redirects
  -u, --username NAME      of http: for basic authentication, as is the next
  -p, --password TEXT
  -x, --proxy URL          of http
  -H, --header TEXT        of http, may be repeated: a header to send, Name: value

Exit codes: 0 passed, 1 failed, or a wrong command line, 2 failed (nagios), 3 not passed in time, 78 wrong gossfile.
";

/// What is to be done, and to what.
#[derive(Debug)]
pub(crate) struct Args {
    pub gossfile: String,
    pub vars: Vec<String>,
    pub vars_inline: Option<String>,
    pub package: Option<String>,
    /// From where on it is said that a gossfile looks wrong; not at all where none.
    pub lints: Option<Severity>,
    pub target: Target,
    pub compat: Compat,
    pub strict: bool,
    pub command: Command,
}

impl Args {
    /// The package manager that is asked for. As in goss, one that is not known is no error: the distribution's is taken.
    pub(crate) fn package_manager(&self) -> Option<PackageManager> {
        let package = self.package.as_deref()?;
        // Goss has this word in its documentation only.
        let is_known = self.compat == Compat::Fixed || package != "deb";
        package.parse().ok().filter(|_| is_known)
    }
}

/// What is looked at.
#[derive(Debug, PartialEq)]
pub(crate) enum Target {
    Here,
    Root(PathBuf),
    Facts(PathBuf),
}

#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Version,
    Validate(Validate),
    Render { debug: bool },
    Add { kind: String, keys: Vec<String>, settings: Box<Settings> },
    AutoAdd { keys: Vec<String> },
    Snapshot,
    Diff { before: PathBuf, after: PathBuf },
}

#[derive(Debug)]
pub(crate) struct Validate {
    pub format: Format,
    pub options: Options,
    /// Forced on or off.
    pub color: Option<bool>,
    pub retry_timeout: Duration,
    pub sleep: Duration,
    pub max_concurrent: Option<NonZeroUsize>,
}

/// How that is looked at which is added.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub exclude: Vec<String>,
    pub timeout: Option<Duration>,
    pub server: Option<String>,
    pub insecure: bool,
    pub no_follow_redirects: bool,
    pub username: Option<String>,
    pub password: Option<String>,
    pub proxy: Option<String>,
    pub headers: Vec<String>,
}

/// Reads a command line without the program's name; `env` looks up what it leaves open.
pub(crate) fn parse(
    args: impl IntoIterator<Item = impl Into<OsString>>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Args, String> {
    let (mut flags, mut words) = (Flags::default(), vec![]);
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        let flag = match arg {
            Arg::Value(word) => {
                words.push(word.string().map_err(|e| e.to_string())?);
                continue;
            }
            Arg::Short(letter) => format!("-{letter}"),
            Arg::Long(name) => format!("--{name}"),
        };
        flags.set(flag, &words, &mut parser)?;
    }
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let command = command(&mut flags, words, &env)?;
    let target = match (flags.root, flags.facts) {
        (None, None) => Target::Here,
        (Some(root), None) => Target::Root(root),
        (None, Some(facts)) => Target::Facts(facts),
        (Some(_), Some(_)) => return Err("--root and --facts exclude each other".into()),
    };
    let compat = match flags.compat.as_deref() {
        None | Some("fixed") => Compat::Fixed,
        Some("goss") => Compat::Goss,
        Some(other) => return Err(format!("--compat: {other}: accepted are goss and fixed")),
    };
    let vars = if flags.vars.is_empty() { flags::split(&env("GOSS_VARS").unwrap_or_default()) } else { flags.vars };
    Ok(Args {
        gossfile: flags.gossfile.or_else(|| env("GOSS_FILE")).unwrap_or_else(|| "./goss.yaml".into()),
        vars,
        vars_inline: flags.vars_inline.or_else(|| env("GOSS_VARS_INLINE")),
        package: flags.package,
        lints: flags::lints(&flags.log_level.or_else(|| env("GOSS_LOGLEVEL")).unwrap_or_else(|| "INFO".into()))?,
        target,
        compat,
        strict: flags.strict,
        command,
    })
}

fn command(flags: &mut Flags, words: Vec<String>, env: &impl Fn(&str) -> Option<String>) -> Result<Command, String> {
    let mut keys = words.into_iter();
    let name = match keys.next() {
        _ if flags.help => return Ok(Command::Help),
        _ if flags.version => return Ok(Command::Version),
        None => return Ok(Command::Help),
        Some(name) => name,
    };
    let mut keys: Vec<String> = keys.collect();
    let name = match name.as_str() {
        "v" => "validate",
        "r" => "render",
        "a" => "add",
        "aa" => "autoadd",
        "h" => "help",
        name => name,
    };
    let command = match name {
        "validate" => Command::Validate(flags.validate(env)?),
        "render" => Command::Render { debug: flags.debug },
        "add" if keys.len() < 2 => return Err("add: needs a type and at least one key".into()),
        "add" => {
            let (kind, keys) = (keys.remove(0), std::mem::take(&mut keys));
            flags.check("add", Some(&kind))?;
            return Ok(Command::Add { kind, keys, settings: Box::new(flags.settings()?) });
        }
        "autoadd" if keys.is_empty() => return Err("autoadd: needs at least one key".into()),
        "autoadd" => Command::AutoAdd { keys: std::mem::take(&mut keys) },
        "snapshot" => Command::Snapshot,
        "diff" => {
            let [before, after] = keys.as_slice() else {
                return Err("diff: needs two snapshots".into());
            };
            let command = Command::Diff { before: before.into(), after: after.into() };
            keys.clear();
            command
        }
        "help" => return Ok(Command::Help),
        other => return Err(format!("{other}: there is no such command")),
    };
    flags.check(name, None)?;
    match keys.first() {
        None => Ok(command),
        Some(key) => Err(format!("{key}: the command takes no such argument")),
    }
}
