//! The command line: goss's names and environment variables, and a few of our own.

use image_test::{
    Compat, PackageManager,
    report::{Format, Options},
};
use lexopt::{Arg, Parser, ValueExt};
use std::{ffi::OsString, fmt::Display, path::PathBuf, time::Duration};

pub(crate) const HELP: &str = "\
Usage: goss-check [global flags] COMMAND [flags]

Commands:
  validate, v              check the system
  render [-d]              print the gossfile as it is after templates and includes
  add, a TYPE KEY...       record how things are now; --exclude-attr PATTERN
  autoadd, aa KEY...       the same for everything of this name that is there
  snapshot                 print what the gossfile looks at, as JSON
  diff BEFORE AFTER        what differs between two snapshots

Global flags:
  -g, --gossfile FILE      - for standard input [GOSS_FILE, ./goss.yaml]
      --vars FILE          variables, may be repeated [GOSS_VARS]
      --vars-inline TEXT   variables as YAML or JSON [GOSS_VARS_INLINE]
      --package MANAGER    apk, dpkg, pacman or rpm
  -L, --log-level LEVEL    accepted, as goss has it [GOSS_LOGLEVEL]
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
      --max-concurrent N   accepted, as goss has it [GOSS_MAX_CONCURRENT]

Exit codes: 0 passed, 1 failed, 2 failed (nagios), 3 not passed in time, 78 wrong gossfile.
";

/// What is to be done, and to what.
#[derive(Debug)]
pub(crate) struct Args {
    pub gossfile: String,
    pub vars: Vec<String>,
    pub vars_inline: Option<String>,
    pub package: Option<String>,
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
    Add { kind: String, keys: Vec<String>, exclude: Vec<String> },
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
}

/// Flags, each as it was last given.
#[derive(Default)]
struct Flags {
    gossfile: Option<String>,
    vars: Vec<String>,
    vars_inline: Option<String>,
    package: Option<String>,
    root: Option<PathBuf>,
    facts: Option<PathBuf>,
    compat: Option<String>,
    strict: bool,
    format: Option<String>,
    format_options: Vec<String>,
    color: Option<bool>,
    retry_timeout: Option<String>,
    sleep: Option<String>,
    debug: bool,
    exclude: Vec<String>,
    help: bool,
    version: bool,
}

/// Reads a command line without the program's name; `env` looks up what it leaves open.
pub(crate) fn parse(
    args: impl IntoIterator<Item = impl Into<OsString>>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Args, String> {
    let (mut flags, mut words) = (Flags::default(), vec![]);
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Arg::Value(word) => words.push(word.string().map_err(|e| e.to_string())?),
            flag => {
                let flag = match flag {
                    Arg::Short(letter) => format!("-{letter}"),
                    Arg::Long(name) => format!("--{name}"),
                    Arg::Value(_) => continue,
                };
                flags.set(&flag, &mut parser).map_err(|e| format!("{flag}: {e}"))?;
            }
        }
    }
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let command = flags.command(words, &env)?;
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
    let vars = if flags.vars.is_empty() { split(&env("GOSS_VARS").unwrap_or_default()) } else { flags.vars };
    Ok(Args {
        gossfile: flags.gossfile.or_else(|| env("GOSS_FILE")).unwrap_or_else(|| "./goss.yaml".into()),
        vars,
        vars_inline: flags.vars_inline.or_else(|| env("GOSS_VARS_INLINE")),
        package: flags.package,
        target,
        compat,
        strict: flags.strict,
        command,
    })
}

impl Flags {
    fn set(&mut self, flag: &str, parser: &mut Parser) -> Result<(), lexopt::Error> {
        let mut text = || parser.value()?.string();
        match flag {
            "-g" | "--gossfile" => self.gossfile = Some(text()?),
            "--vars" => self.vars.extend(split(&text()?)),
            "--vars-inline" => self.vars_inline = Some(text()?),
            "--package" => self.package = Some(text()?),
            // Goss's logs and workers have no counterpart here: facts are gathered together.
            "-L" | "-l" | "--log-level" | "--loglevel" | "--max-concurrent" => drop(text()?),
            "--root" => self.root = Some(parser.value()?.into()),
            "--facts" => self.facts = Some(parser.value()?.into()),
            "--compat" => self.compat = Some(text()?),
            "--strict" => self.strict = true,
            "-f" | "--format" => self.format = Some(text()?),
            "-o" | "--format-options" => self.format_options.extend(split(&text()?)),
            "--color" => self.color = Some(true),
            "--no-color" => self.color = Some(false),
            "-r" | "--retry-timeout" => self.retry_timeout = Some(text()?),
            "-s" | "--sleep" => self.sleep = Some(text()?),
            "-d" | "--debug" => self.debug = true,
            "--exclude-attr" => self.exclude.extend(split(&text()?)),
            "-h" | "--help" => self.help = true,
            "-v" | "--version" => self.version = true,
            _ => return Err("there is no such flag".into()),
        }
        Ok(())
    }

    fn command(&mut self, words: Vec<String>, env: &impl Fn(&str) -> Option<String>) -> Result<Command, String> {
        let mut words = words.into_iter();
        let command = match words.next() {
            _ if self.help => return Ok(Command::Help),
            _ if self.version => return Ok(Command::Version),
            None => return Ok(Command::Help),
            Some(command) => command,
        };
        let mut keys: Vec<String> = words.collect();
        let command = match command.as_str() {
            "validate" | "v" => Command::Validate(self.validate(env)?),
            "render" | "r" => Command::Render { debug: self.debug },
            "add" | "a" if keys.len() < 2 => return Err("add: needs a type and at least one key".into()),
            "add" | "a" => {
                let kind = keys.remove(0);
                return Ok(Command::Add { kind, keys, exclude: std::mem::take(&mut self.exclude) });
            }
            "autoadd" | "aa" if keys.is_empty() => return Err("autoadd: needs at least one key".into()),
            "autoadd" | "aa" => return Ok(Command::AutoAdd { keys }),
            "snapshot" => Command::Snapshot,
            "diff" => {
                let [before, after] = keys.as_slice() else {
                    return Err("diff: needs two snapshots".into());
                };
                return Ok(Command::Diff { before: before.into(), after: after.into() });
            }
            "help" | "h" => return Ok(Command::Help),
            other => return Err(format!("{other}: there is no such command")),
        };
        match keys.first() {
            None => Ok(command),
            Some(key) => Err(format!("{key}: the command takes no such argument")),
        }
    }

    fn validate(&self, env: &impl Fn(&str) -> Option<String>) -> Result<Validate, String> {
        let named = |flag: &Option<String>, name: &str| flag.clone().or_else(|| env(name));
        let format = named(&self.format, "GOSS_FMT").map_or_else(|| Ok(Format::default()), |name| name.parse());
        let names = match self.format_options.is_empty() {
            true => split(&env("GOSS_FMT_OPTIONS").unwrap_or_default()),
            false => self.format_options.clone(),
        };
        let mut options = Options::default();
        names.iter().try_for_each(|name| options.enable(name)).map_err(text)?;
        let time = |flag: &Option<String>, name: &str, default| match named(flag, name) {
            Some(time) => duration(&time).ok_or_else(|| format!("{time}: accepted is a time such as 500ms or 1m30s")),
            None => Ok(default),
        };
        let on = |name: &str| env(name).is_some_and(|value| matches!(value.as_str(), "1" | "t" | "true" | "TRUE"));
        let from_env = if on("GOSS_NOCOLOR") { Some(false) } else { on("GOSS_COLOR").then_some(true) };
        Ok(Validate {
            format: format.map_err(text)?,
            options,
            color: self.color.or(from_env),
            retry_timeout: time(&self.retry_timeout, "GOSS_RETRY_TIMEOUT", Duration::ZERO)?,
            sleep: time(&self.sleep, "GOSS_SLEEP", Duration::from_secs(1))?,
        })
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Lists are separated by commas, as goss takes them.
fn split(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Into::into).collect()
}

/// A duration as Go writes it: `500ms`, `1.5s`, `1h30m`; zero needs no unit.
fn duration(mut text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    while !text.is_empty() {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at(digits);
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        (total, text) = (total.checked_add(part)?, rest);
    }
    (total > Duration::ZERO).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str, env: &[(&str, &str)]) -> Result<Args, String> {
        let look = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        parse(line.split_whitespace(), look)
    }

    fn validate(line: &str, env: &[(&str, &str)]) -> Validate {
        match args(line, env).unwrap().command {
            Command::Validate(validate) => validate,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn goss_command_lines_are_understood() {
        let line = "-g x.yaml --vars a.yaml,b.yaml --vars c.yaml --vars-inline {} --package dpkg -L DEBUG v -f json \
                    -o pretty,sort --no-color -r 1m30s -s 500ms --max-concurrent 5";
        let parsed = args(line, &[("GOSS_FILE", "y.yaml"), ("GOSS_VARS", "z")]).unwrap();
        assert_eq!((parsed.gossfile.as_str(), parsed.vars.join(" ")), ("x.yaml", "a.yaml b.yaml c.yaml".into()));
        assert_eq!((parsed.package.as_deref(), parsed.vars_inline.as_deref()), (Some("dpkg"), Some("{}")));
        let validate = validate(line, &[]);
        assert_eq!((validate.format, validate.options.pretty, validate.options.sort), (Format::Json, true, true));
        assert_eq!(validate.color, Some(false));
        assert_eq!((validate.retry_timeout.as_secs(), validate.sleep.as_millis()), (90, 500));
    }

    #[test]
    fn the_environment_stands_in_for_flags() {
        let env = [
            ("GOSS_FILE", "e.yaml"),
            ("GOSS_VARS", "a,b"),
            ("GOSS_FMT", "tap"),
            ("GOSS_FMT_OPTIONS", "sort"),
            ("GOSS_SLEEP", "2s"),
            ("GOSS_RETRY_TIMEOUT", "1h"),
            ("GOSS_COLOR", "true"),
        ];
        let parsed = args("validate", &env).unwrap();
        assert_eq!((parsed.gossfile.as_str(), parsed.vars.len()), ("e.yaml", 2));
        let found = validate("validate", &env);
        assert_eq!((found.format, found.options.sort, found.color), (Format::Tap, true, Some(true)));
        assert_eq!((found.sleep.as_secs(), found.retry_timeout.as_secs()), (2, 3600));
        assert_eq!(validate("validate --no-color -f silent", &env).color, Some(false));
        assert_eq!(args("v", &[]).unwrap().gossfile, "./goss.yaml");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, message) in [
            ("validate -f yaml", "bad output format: yaml"),
            ("validate -o loud", "bad output option: loud"),
            ("validate -r 5", "5: accepted is a time"),
            ("validate --bogus", "--bogus: there is no such flag"),
            ("validate extra", "extra: the command takes no such argument"),
            ("check", "check: there is no such command"),
            ("add file", "add: needs a type and at least one key"),
            ("diff one", "diff: needs two snapshots"),
            ("--compat old v", "--compat: old: accepted are"),
            ("--root / --facts x v", "--root and --facts"),
        ] {
            let error = args(line, &[]).unwrap_err();
            assert!(error.contains(message), "{line}: {error}");
        }
    }

    #[test]
    fn a_package_manager_that_is_not_known_is_that_of_the_distribution() {
        for (line, expected) in [
            ("v", None),
            ("--package rpm v", Some(PackageManager::Rpm)),
            ("--package yum v", None),
            ("--package deb v", Some(PackageManager::Dpkg)),
            ("--package deb --compat goss v", None),
            ("--package apk --compat goss v", Some(PackageManager::Apk)),
        ] {
            assert_eq!(args(line, &[]).unwrap().package_manager(), expected, "{line}");
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, millis) in [("0", Some(0)), ("1.5s", Some(1500)), ("1h2m3s4ms", Some(3_723_004)), ("100us", Some(0))]
        {
            assert_eq!(duration(text).map(|d| d.as_millis()), millis, "{text}");
        }
        for wrong in ["5", "s", "1d", "-1s", "", "1.2.3s"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
