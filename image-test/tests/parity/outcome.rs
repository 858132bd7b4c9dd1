//! What a checker says, as far as it must be the same.

use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Output,
};

/// The goss whose outcomes ours must have.
pub(crate) const GOSS: &str = "0.4.10";

/// What a checker says to a case on one system.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Run {
    pub(crate) exit: i32,
    /// `pass`, `fail` or `skip`, by `Type: id: property`.
    pub(crate) outcomes: BTreeMap<String, String>,
}

impl Run {
    /// Reads the report in goss's JSON; where there is none there is only the exit code.
    pub(crate) fn of(output: &Output) -> Self {
        // A goss that panics races with itself: the report of what it has so far, with exit code 0, or the end with 2.
        if output.stderr.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"panic: ")) {
            return Self { exit: 2, outcomes: BTreeMap::new() };
        }
        let exit = output.status.code().unwrap_or(-1);
        // Warnings may stand before it.
        let report = output.stdout.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"{\""));
        let report = report.map(|line| serde_json::from_slice::<Report>(line).unwrap()).unwrap_or_default();
        Self { exit, outcomes: report.results.into_iter().flatten().map(Finding::outcome).collect() }
    }
}

#[derive(Default, Deserialize)]
struct Report {
    results: Option<Vec<Finding>>,
}

/// A result. Where it holds what JSON cannot say, such as a number that is none, goss leaves out all but the summary.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Finding {
    resource_type: Option<String>,
    #[serde(default)]
    resource_id: String,
    #[serde(default)]
    property: String,
    #[serde(default)]
    result: u8,
    successful: bool,
    summary_line_compact: String,
}

impl Finding {
    fn outcome(self) -> (String, String) {
        let Some(kind) = self.resource_type else {
            let what: Vec<&str> = self.summary_line_compact.splitn(4, ": ").take(3).collect();
            return (what.join(": "), if self.successful { "pass" } else { "fail" }.into());
        };
        let outcome = ["pass", "fail", "skip"].get(usize::from(self.result)).unwrap_or(&"unknown");
        (format!("{kind}: {}: {}", self.resource_id, self.property), (*outcome).into())
    }
}

/// What goss said to a case, by system.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Recording {
    /// Its version.
    pub(crate) goss: String,
    pub(crate) runs: BTreeMap<String, Run>,
}

fn recording(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/parity/recorded/{case}.json"))
}

impl Recording {
    pub(crate) fn read(case: &str) -> Option<Self> {
        serde_json::from_slice(&fs::read(recording(case)).ok()?).unwrap()
    }
    pub(crate) fn write(&self, case: &str) {
        let path = recording(case);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, serde_json::to_string_pretty(self).unwrap() + "\n").unwrap();
    }
    /// The cases that there are recordings of.
    pub(crate) fn names() -> BTreeSet<String> {
        let entries = fs::read_dir(recording("x").parent().unwrap()).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.map(|name| name.strip_suffix(".json").unwrap().to_owned()).collect()
    }
}

/// Something that we say and goss does not: where, what, goss's and ours.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Difference {
    /// `flavour/case`.
    pub(crate) at: String,
    /// `exit`, or an outcome's `Type: id: property`.
    pub(crate) of: String,
    pub(crate) goss: String,
    pub(crate) ours: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |text: &str| text.replace('\n', "\\n");
        write!(f, "{} | {} | {} | {}", line(&self.at), line(&self.of), self.goss, self.ours)
    }
}

/// How much was compared, and where it differs.
pub(crate) fn compare(at: &str, goss: &Run, ours: &Run) -> (usize, Vec<Difference>) {
    let difference = |of: &str, goss: String, ours: String| {
        (goss != ours).then(|| Difference { at: at.into(), of: of.into(), goss, ours })
    };
    let keys: BTreeSet<&String> = goss.outcomes.keys().chain(ours.outcomes.keys()).collect();
    let of = |run: &Run, key: &String| run.outcomes.get(key).map_or_else(|| "none".to_owned(), Clone::clone);
    let outcomes = keys.iter().filter_map(|key| difference(key, of(goss, key), of(ours, key)));
    let exit = difference("exit", goss.exit.to_string(), ours.exit.to_string());
    (keys.len() + 1, exit.into_iter().chain(outcomes).collect())
}

/// The differences that are wanted or known: `flavour/case | what | goss | ours | reason`.
pub(crate) fn listed() -> BTreeSet<String> {
    let lines = include_str!("differences.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entry = |line: &str| {
        let (difference, reason) = line.rsplit_once(" | ").unwrap_or((line, ""));
        assert!(difference.matches(" | ").count() >= 3 && !reason.is_empty(), "a difference without a reason: {line}");
        difference.to_owned()
    };
    lines.map(entry).collect()
}
