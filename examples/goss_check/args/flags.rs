//! Flags, and which command takes which.

use super::{Settings, Validate};
use image_test::{
    gossfile::Severity,
    report::{Format, Options},
};
use lexopt::{Parser, ValueExt};
use std::{fmt::Display, num::NonZeroUsize, path::PathBuf, time::Duration};

/// The types of what has a timeout.
const TIMED: &[&str] = &["addr", "command", "dns", "http", "mount"];

/// What takes a flag.
#[derive(Clone, Copy, Debug)]
enum Scope {
    Any,
    /// A command.
    Of(&'static str),
    /// `add` of these types.
    Add(&'static [&'static str]),
}

/// Flags, each as it was last given.
#[derive(Debug, Default)]
pub(super) struct Flags {
    pub(super) gossfile: Option<String>,
    pub(super) vars: Vec<String>,
    pub(super) vars_inline: Option<String>,
    pub(super) package: Option<String>,
    pub(super) log_level: Option<String>,
    pub(super) root: Option<PathBuf>,
    pub(super) facts: Option<PathBuf>,
    pub(super) compat: Option<String>,
    pub(super) strict: bool,
    pub(super) debug: bool,
    pub(super) help: bool,
    pub(super) version: bool,
    format: Option<String>,
    format_options: Vec<String>,
    color: Option<bool>,
    retry_timeout: Option<String>,
    sleep: Option<String>,
    max_concurrent: Option<String>,
    timeout: Option<String>,
    settings: Settings,
    /// All of them, to see whether the command takes them.
    given: Vec<(String, Scope)>,
}

impl Flags {
    /// Takes a flag with its value. The words before it tell what a letter stands for.
    pub(super) fn set(&mut self, flag: String, words: &[String], parser: &mut Parser) -> Result<(), String> {
        let adds_http = matches!(words, [add, http, ..] if matches!(add.as_str(), "add" | "a") && http == "http");
        let scope = self.take(&flag, adds_http, parser).map_err(|e| format!("{flag}: {e}"))?;
        self.given.push((flag, scope));
        Ok(())
    }

    fn take(&mut self, flag: &str, adds_http: bool, parser: &mut Parser) -> Result<Scope, lexopt::Error> {
        let mut text = || parser.value()?.string();
        let mut scope = Scope::Any;
        match flag {
            "-g" | "--gossfile" => self.gossfile = Some(text()?),
            "--vars" => self.vars.extend(split(&text()?)),
            "--vars-inline" => self.vars_inline = Some(text()?),
            "--package" => self.package = Some(text()?),
            "-L" | "-l" | "--log-level" | "--loglevel" => self.log_level = Some(text()?),
            "--root" => self.root = Some(parser.value()?.into()),
            "--facts" => self.facts = Some(parser.value()?.into()),
            "--compat" => self.compat = Some(text()?),
            "--strict" => self.strict = true,
            "-h" | "--help" => self.help = true,
            "-v" | "--version" => self.version = true,
            "-d" | "--debug" => (self.debug, scope) = (true, Scope::Of("render")),
            "--exclude-attr" => {
                self.settings.exclude.extend(split(&text()?));
                scope = Scope::Of("add");
            }
            "--timeout" => (self.timeout, scope) = (Some(text()?), Scope::Add(TIMED)),
            "--server" => (self.settings.server, scope) = (Some(text()?), Scope::Add(&["dns"])),
            _ if self.take_of_validate(flag, adds_http, parser)? => scope = Scope::Of("validate"),
            _ if self.take_of_http(flag, parser)? => scope = Scope::Add(&["http"]),
            _ => return Err("there is no such flag".into()),
        }
        Ok(scope)
    }

    fn take_of_validate(&mut self, flag: &str, adds_http: bool, parser: &mut Parser) -> Result<bool, lexopt::Error> {
        let mut text = || parser.value()?.string();
        match flag {
            "-f" | "--format" => self.format = Some(text()?),
            "-o" | "--format-options" => self.format_options.extend(split(&text()?)),
            "--color" => self.color = Some(true),
            "--no-color" => self.color = Some(false),
            "-r" if adds_http => return Ok(false),
            "-r" | "--retry-timeout" => self.retry_timeout = Some(text()?),
            "-s" | "--sleep" => self.sleep = Some(text()?),
            "--max-concurrent" => self.max_concurrent = Some(text()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_of_http(&mut self, flag: &str, parser: &mut Parser) -> Result<bool, lexopt::Error> {
        let mut text = || parser.value()?.string();
        let settings = &mut self.settings;
        match flag {
            "-k" | "--insecure" => settings.insecure = true,
            "-r" | "--no-follow-redirects" => settings.no_follow_redirects = true,
            "-u" | "--username" => settings.username = Some(text()?),
            "-p" | "--password" => settings.password = Some(text()?),
            "-x" | "--proxy" => settings.proxy = Some(text()?),
            "-H" | "--header" => settings.headers.push(text()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Refuses flags that the command does not take; `kind` is the type of what it adds.
    pub(super) fn check(&self, command: &str, kind: Option<&str>) -> Result<(), String> {
        for (flag, scope) in &self.given {
            match scope {
                Scope::Any => {}
                Scope::Of(name) if *name == command => {}
                Scope::Of(_) => return Err(format!("{flag}: {command} takes no such flag")),
                Scope::Add(kinds) => match kind {
                    Some(kind) if kinds.contains(&kind) => {}
                    Some(kind) => return Err(format!("{flag}: {command} {kind} takes no such flag")),
                    None => return Err(format!("{flag}: {command} takes no such flag")),
                },
            }
        }
        Ok(())
    }

    pub(super) fn settings(&mut self) -> Result<Settings, String> {
        let settings = std::mem::take(&mut self.settings);
        if let Some(header) = settings.headers.iter().find(|header| !header.contains(": ")) {
            return Err(format!("--header: {header}: accepted is a header such as `Accept: text/plain`"));
        }
        Ok(Settings { timeout: self.timeout.as_deref().map(time).transpose()?, ..settings })
    }

    pub(super) fn validate(&self, env: &impl Fn(&str) -> Option<String>) -> Result<Validate, String> {
        let named = |flag: &Option<String>, name: &str| flag.clone().or_else(|| env(name));
        let format = named(&self.format, "GOSS_FMT").map_or_else(|| Ok(Format::default()), |name| name.parse());
        let names = match self.format_options.is_empty() {
            true => split(&env("GOSS_FMT_OPTIONS").unwrap_or_default()),
            false => self.format_options.clone(),
        };
        let mut options = Options::default();
        names.iter().try_for_each(|name| options.enable(name)).map_err(text)?;
        let duration = |flag: &Option<String>, name: &str, default| named(flag, name).map_or(Ok(default), |t| time(&t));
        let on = |name: &str| env(name).is_some_and(|value| matches!(value.as_str(), "1" | "t" | "true" | "TRUE"));
        let from_env = if on("GOSS_NOCOLOR") { Some(false) } else { on("GOSS_COLOR").then_some(true) };
        let number = |number: String| -> Result<NonZeroUsize, String> {
            number.parse().map_err(|_| format!("--max-concurrent: {number}: accepted is a number from 1 on"))
        };
        Ok(Validate {
            format: format.map_err(text)?,
            options,
            color: self.color.or(from_env),
            retry_timeout: duration(&self.retry_timeout, "GOSS_RETRY_TIMEOUT", Duration::ZERO)?,
            sleep: duration(&self.sleep, "GOSS_SLEEP", Duration::from_secs(1))?,
            max_concurrent: named(&self.max_concurrent, "GOSS_MAX_CONCURRENT").map(number).transpose()?,
        })
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Lists are separated by commas, as goss takes them.
pub(super) fn split(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Into::into).collect()
}

/// What is said of a gossfile at a level of goss's log.
pub(super) fn lints(level: &str) -> Result<Option<Severity>, String> {
    Ok(match level.to_ascii_uppercase().as_str() {
        "FATAL" => None,
        "ERROR" => Some(Severity::Error),
        "WARN" => Some(Severity::Warning),
        "INFO" | "DEBUG" | "TRACE" => Some(Severity::Note),
        _ => return Err(format!("--log-level: {level}: accepted are FATAL, ERROR, WARN, INFO, DEBUG and TRACE")),
    })
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| format!("{text}: accepted is a time such as 500ms or 1m30s"))
}

/// A duration as Go writes it: `500ms`, `1.5s`, `1h30m`; zero needs no unit.
pub(super) fn duration(mut text: &str) -> Option<Duration> {
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
