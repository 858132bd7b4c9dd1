//! Reports in the formats of goss, with its names, fields, colours and exit codes.
//!
//! A report of equal outcomes is equal: goss prints resources as its workers finish them, we in the order of the suite.
//! What goss does not know stands in words and fields of our own, and only where it occurs: outcomes that are unknown
//! count as failed, those that are not applicable as skipped, and both say so.

mod go;
mod json;
mod junit;
mod line;
mod prometheus;
mod text;

use crate::{Compat, Outcome};
use image_core::{Timestamp, Verdict};
use line::Style;
use std::{fmt, io, str::FromStr, time::Duration};

pub(crate) use line::describe;

/// The exit code where a suite did not pass in the time it was given.
pub const EXIT_RETRY_TIMED_OUT: u8 = 3;
/// The exit code where a suite, its variables or its templates are wrong (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Format {
    /// A line for each outcome, and those that did not pass again below.
    Documentation,
    /// An object with results and a summary.
    Json,
    /// A JUnit test suite.
    Junit,
    /// One line for Nagios, which takes exit code 2 for critical.
    Nagios,
    /// Metrics in the text format of Prometheus.
    Prometheus,
    /// A character for each outcome, and those that did not pass below.
    #[default]
    Rspecish,
    /// Nothing but the exit code.
    Silent,
    /// As JSON, in another shape.
    Structured,
    /// The Test Anything Protocol.
    Tap,
}

impl Format {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 9] = [
        Self::Documentation,
        Self::Json,
        Self::Junit,
        Self::Nagios,
        Self::Prometheus,
        Self::Rspecish,
        Self::Silent,
        Self::Structured,
        Self::Tap,
    ];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Documentation => "documentation",
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Nagios => "nagios",
            Self::Prometheus => "prometheus",
            Self::Rspecish => "rspecish",
            Self::Silent => "silent",
            Self::Structured => "structured",
            Self::Tap => "tap",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is none of a format or option.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("bad output {what}: {name}: accepted are {accepted}")]
#[non_exhaustive]
pub struct UnknownName {
    /// `format` or `option`.
    pub what: &'static str,
    /// The name.
    pub name: String,
    /// The names there are.
    pub accepted: String,
}

impl FromStr for Format {
    type Err = UnknownName;
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| UnknownName {
            what: "format",
            name: name.into(),
            accepted: Self::ALL.map(Self::name).join(", "),
        })
    }
}

/// What a report shows and how. Options that a format has no use for are ignored, as goss does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Leaves out the raw value where a value was changed before it was compared.
    pub exclude_raw: bool,
    /// Figures for Nagios.
    pub perfdata: bool,
    /// Indents JSON.
    pub pretty: bool,
    /// Sorts by type and id, bytewise.
    pub sort: bool,
    /// Failures for Nagios, and ids for Prometheus.
    pub verbose: bool,
    /// Colours for terminals, in the formats that people read.
    pub color: bool,
    /// With [`Compat::Goss`], reports have no field that goss has not, and `structured` always exits with 0.
    pub compat: Compat,
}

impl Options {
    /// Switches on an option by its name on a command line.
    ///
    /// # Errors
    /// There is no such option.
    pub fn enable(&mut self, name: &str) -> Result<(), UnknownName> {
        let option = match name {
            "exclude_raw" => &mut self.exclude_raw,
            "perfdata" => &mut self.perfdata,
            "pretty" => &mut self.pretty,
            "sort" => &mut self.sort,
            "verbose" => &mut self.verbose,
            _ => {
                let accepted = "exclude_raw, perfdata, pretty, sort, verbose".into();
                return Err(UnknownName { what: "option", name: name.into(), accepted });
            }
        };
        *option = true;
        Ok(())
    }

    fn style(&self, compact: bool) -> Style {
        Style { compact, raw: !self.exclude_raw, color: self.color }
    }
}

/// What is reported: the outcomes of a suite, and when they were found.
///
/// Facts are gathered together and not for each outcome, so that an outcome has no duration of its own; reports say zero.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Run<'a> {
    /// The outcomes in the order of the suite.
    pub outcomes: &'a [Outcome],
    /// When the look began.
    pub started: Timestamp,
    /// How long it took.
    pub elapsed: Duration,
}

impl<'a> Run<'a> {
    /// Outcomes that were found in a time.
    pub fn new(outcomes: &'a [Outcome], started: Timestamp, elapsed: Duration) -> Self {
        Self { outcomes, started, elapsed }
    }

    /// The outcomes of each resource.
    fn groups(&self, sort: bool) -> Vec<&'a [Outcome]> {
        let same = |a: &Outcome, b: &Outcome| (a.kind, &a.key) == (b.kind, &b.key);
        let mut groups: Vec<_> = self.outcomes.chunk_by(same).collect();
        if sort {
            groups.sort_by_key(|group| group.first().map(sort_key));
        }
        groups
    }

    fn count(&self) -> Count {
        let of = |verdict| self.outcomes.iter().filter(|outcome| outcome.verdict() == verdict).count();
        let (unknown, not_applicable) = (of(Verdict::Unknown), of(Verdict::NotApplicable));
        Count {
            total: self.outcomes.len(),
            failed: of(Verdict::Fail) + unknown,
            skipped: of(Verdict::Skip) + not_applicable,
            unknown,
            not_applicable,
        }
    }
}

/// Goss's order: by type and id, bytewise.
fn sort_key(outcome: &Outcome) -> (&'static str, &str) {
    (outcome.kind.name(), &outcome.id)
}

/// Whether suites passed, in numbers.
#[derive(Clone, Copy, Debug)]
struct Count {
    total: usize,
    /// With those that are unknown.
    failed: usize,
    /// With those that are not applicable.
    skipped: usize,
    unknown: usize,
    not_applicable: usize,
}

impl Count {
    fn exit_code(self) -> u8 {
        u8::from(self.failed > 0)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Count: {}, Failed: {}, Skipped: {}", self.total, self.failed, self.skipped)?;
        match (self.unknown, self.not_applicable) {
            (0, 0) => Ok(()),
            (unknown, 0) => write!(f, " (unknown: {unknown})"),
            (0, not_applicable) => write!(f, " (not applicable: {not_applicable})"),
            (unknown, not_applicable) => write!(f, " (unknown: {unknown}, not applicable: {not_applicable})"),
        }
    }
}

/// Writes a report, and says how a program that wrote it should exit: 0 where nothing failed, 1 where something did, and 2
/// in its place for Nagios.
///
/// # Errors
/// Those of the writer.
pub fn write(format: Format, run: &Run<'_>, options: &Options, out: &mut dyn io::Write) -> io::Result<u8> {
    match format {
        Format::Documentation => text::documentation(run, options, out),
        Format::Json => json::json(run, options, out),
        Format::Junit => junit::junit(run, options, out),
        Format::Nagios => text::nagios(run, options, out),
        Format::Prometheus => prometheus::prometheus(run, options, out),
        Format::Rspecish => text::rspecish(run, options, out),
        Format::Silent => Ok(run.count().exit_code()),
        Format::Structured => json::structured(run, options, out),
        Format::Tap => text::tap(run, options, out),
    }
}

#[cfg(test)]
mod tests;
