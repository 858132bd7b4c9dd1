//! The formats `json` and `structured`: the same results, with other fields around them.

use super::{Options, Run, go};
use crate::{Compat, Outcome, Value, matcher::Match};
use image_core::Verdict;
use serde::{
    Serialize, Serializer,
    ser::{Error, SerializeMap, SerializeSeq},
};
use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
    time::Duration,
};

/// One outcome, with the fields of goss in its order, and two of ours at the end.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct TestResult<'a> {
    successful: bool,
    skipped: bool,
    resource_id: &'a str,
    resource_type: &'static str,
    property: &'static str,
    title: &'a str,
    meta: Option<&'a BTreeMap<String, Value>>,
    /// 0 success, 1 failure, 2 skipped.
    result: u8,
    err: Option<&'a str>,
    matcher_result: MatcherResult<'a>,
    start_time: &'a str,
    end_time: &'a str,
    duration: u64,
    summary_line: String,
    summary_line_compact: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

impl<'a> TestResult<'a> {
    /// The result of an outcome that was found at a time.
    fn of(outcome: &'a Outcome, at: &'a str, options: &Options) -> io::Result<Self> {
        let plain = Options { color: false, ..*options };
        let verdict = outcome.verdict();
        let result = match verdict {
            Verdict::Pass => 0,
            Verdict::Skip | Verdict::NotApplicable => 2,
            _ => 1,
        };
        let ours = options.compat != Compat::Goss;
        Ok(Self {
            successful: result != 1,
            skipped: result == 2,
            resource_id: &outcome.id,
            resource_type: outcome.kind.name(),
            property: outcome.attribute.report_name(),
            title: outcome.title.as_deref().unwrap_or_default(),
            meta: Some(&outcome.meta).filter(|meta| !meta.is_empty()),
            result,
            err: outcome.finding.reason(),
            matcher_result: outcome.finding.matched().map(MatcherResult::of).unwrap_or_default(),
            start_time: at,
            end_time: at,
            duration: 0,
            summary_line: plain.style(false).outcome(outcome)?,
            summary_line_compact: plain.style(true).outcome(outcome)?,
            verdict: ours.then_some(verdict),
            position: outcome.position.as_ref().filter(|_| ours).map(ToString::to_string),
        })
    }
}

#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct MatcherResult<'a> {
    actual: Option<&'a Value>,
    message: &'a str,
    expected: Option<&'a Value>,
    missing_elements: Option<&'a [Value]>,
    found_elements: Option<&'a [Value]>,
    extra_elements: Option<&'a [Value]>,
    transform_chain: Option<&'a [Value]>,
    untransformed_value: Option<&'a Value>,
}

impl<'a> MatcherResult<'a> {
    fn of(found: &'a Match) -> Self {
        let some = |values: &'a [Value]| Some(values).filter(|values| !values.is_empty());
        Self {
            actual: Some(&found.actual),
            message: &found.message,
            expected: Some(&found.expected),
            missing_elements: some(&found.missing),
            found_elements: some(&found.found),
            extra_elements: some(&found.extra),
            transform_chain: some(&found.transforms),
            untransformed_value: found.raw.as_ref(),
        }
    }
}

/// Fields sorted by name: goss makes a map of them, whose keys Go sorts.
struct Sorted<T>(T);

impl Serialize for Sorted<TestResult<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(TestResult {
            successful,
            skipped,
            resource_id,
            resource_type,
            property,
            title,
            meta,
            result,
            err,
            matcher_result,
            start_time,
            end_time,
            duration,
            summary_line,
            summary_line_compact,
            verdict,
            position,
        }) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("duration", duration)?;
        map.serialize_entry("end-time", end_time)?;
        map.serialize_entry("err", err)?;
        map.serialize_entry("matcher-result", &Sorted(matcher_result))?;
        map.serialize_entry("meta", meta)?;
        if let Some(position) = position {
            map.serialize_entry("position", position)?;
        }
        map.serialize_entry("property", property)?;
        map.serialize_entry("resource-id", resource_id)?;
        map.serialize_entry("resource-type", resource_type)?;
        map.serialize_entry("result", result)?;
        map.serialize_entry("skipped", skipped)?;
        map.serialize_entry("start-time", start_time)?;
        map.serialize_entry("successful", successful)?;
        map.serialize_entry("summary-line", summary_line)?;
        map.serialize_entry("summary-line-compact", summary_line_compact)?;
        map.serialize_entry("title", title)?;
        if let Some(verdict) = verdict {
            map.serialize_entry("verdict", verdict)?;
        }
        map.end()
    }
}

impl Serialize for Sorted<&MatcherResult<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(MatcherResult {
            actual,
            message,
            expected,
            missing_elements,
            found_elements,
            extra_elements,
            transform_chain,
            untransformed_value,
        }) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("actual", actual)?;
        map.serialize_entry("expected", expected)?;
        map.serialize_entry("extra-elements", extra_elements)?;
        map.serialize_entry("found-elements", found_elements)?;
        map.serialize_entry("message", message)?;
        map.serialize_entry("missing-elements", missing_elements)?;
        map.serialize_entry("transform-chain", transform_chain)?;
        map.serialize_entry("untransformed-value", untransformed_value)?;
        map.end()
    }
}

/// A list of results, each made when its turn comes: a report is many times as large as the outcomes it is made of.
struct Results<'a, F> {
    run: Run<'a>,
    sort: bool,
    result: F,
}

impl<'a, F, R> Serialize for Results<'a, F>
where
    F: Fn(&'a Outcome) -> io::Result<R>,
    R: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.run.outcomes.len()))?;
        for outcome in self.run.groups(self.sort).into_iter().flatten() {
            list.serialize_element(&(self.result)(outcome).map_err(S::Error::custom)?)?;
        }
        list.end()
    }
}

/// When outcomes were found. Facts are gathered together, so that none has a time of its own.
fn found_at(run: &Run<'_>) -> String {
    run.started.after(run.elapsed).to_string()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes a report and the end of its line, in large pieces.
fn finish(report: &impl Serialize, indent: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, out);
    go::write_json(&mut out, report, true, indent)?;
    out.write_all(b"\n")?;
    out.flush()
}

pub(super) fn json(run: &Run<'_>, options: &Options, out: &mut dyn Write) -> io::Result<u8> {
    #[derive(Serialize)]
    struct Report<R> {
        results: R,
        summary: Summary,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Summary {
        failed_count: usize,
        skipped_count: usize,
        summary_line: String,
        test_count: usize,
        total_duration: u64,
    }
    let (count, at) = (run.count(), found_at(run));
    let result = |outcome| TestResult::of(outcome, &at, options).map(Sorted);
    let summary = Summary {
        failed_count: count.failed,
        skipped_count: count.skipped,
        summary_line: format!("{count}, Duration: {:.3}s", run.elapsed.as_secs_f64()),
        test_count: count.total,
        total_duration: nanoseconds(run.elapsed),
    };
    let report = Report { results: Results { run: *run, sort: options.sort, result }, summary };
    finish(&report, options.pretty.then_some("    "), out)?;
    Ok(count.exit_code())
}

pub(super) fn structured(run: &Run<'_>, options: &Options, out: &mut dyn Write) -> io::Result<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Report<R> {
        results: R,
        summary: Summary,
        summary_line: String,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Summary {
        test_count: usize,
        failed_count: usize,
        total_duration: u64,
    }
    let (goss, count, at) = (options.compat == Compat::Goss, run.count(), found_at(run));
    let result = |outcome| {
        let result = TestResult::of(outcome, &at, options)?;
        // Goss never sets the field.
        Ok(TestResult { successful: result.successful && !goss, ..result })
    };
    let summary =
        Summary { test_count: count.total, failed_count: count.failed, total_duration: nanoseconds(run.elapsed) };
    let seconds = run.elapsed.as_secs_f64();
    let summary_line = format!("Count: {}, Failed: {}, Duration: {seconds:.3}s", count.total, count.failed);
    let report = Report { results: Results { run: *run, sort: options.sort, result }, summary, summary_line };
    finish(&report, options.pretty.then_some("  "), out)?;
    Ok(if goss { 0 } else { count.exit_code() })
}
