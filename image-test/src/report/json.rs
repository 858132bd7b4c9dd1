//! The formats `json` and `structured`: the same results, with other fields around them.

use super::{Options, Run, go};
use crate::{Compat, Outcome, Value, matcher::Match};
use image_core::Verdict;
use serde::Serialize;
use std::{collections::BTreeMap, io, time::Duration};

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
    start_time: String,
    end_time: String,
    duration: u64,
    summary_line: String,
    summary_line_compact: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
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

fn results<'a>(run: &Run<'a>, options: &Options) -> io::Result<Vec<TestResult<'a>>> {
    let plain = Options { color: false, ..*options };
    let result = |outcome: &'a Outcome| {
        let verdict = outcome.verdict();
        let result = match verdict {
            Verdict::Pass => 0,
            Verdict::Skip | Verdict::NotApplicable => 2,
            _ => 1,
        };
        let ours = options.compat != Compat::Goss;
        // Facts are gathered together, so that no outcome has a time of its own.
        let at = run.started.after(run.elapsed).to_string();
        Ok(TestResult {
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
            start_time: at.clone(),
            end_time: at,
            duration: 0,
            summary_line: plain.style(false).outcome(outcome)?,
            summary_line_compact: plain.style(true).outcome(outcome)?,
            verdict: ours.then_some(verdict),
            position: outcome.position.as_ref().filter(|_| ours).map(ToString::to_string),
        })
    };
    run.groups(options.sort).into_iter().flatten().map(result).collect()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn json(run: &Run<'_>, options: &Options, out: &mut dyn io::Write) -> io::Result<u8> {
    let count = run.count();
    let report = serde_json::json!({
        "results": results(run, options)?,
        "summary": {
            "failed-count": count.failed,
            "skipped-count": count.skipped,
            "summary-line": format!("{count}, Duration: {:.3}s", run.elapsed.as_secs_f64()),
            "test-count": count.total,
            "total-duration": nanoseconds(run.elapsed),
        },
    });
    // Ours is sorted by key, as Go's maps are written, whatever features serde_json is built with.
    let report: Value = serde_json::from_value(report)?;
    writeln!(out, "{}", go::json(&report, true, options.pretty.then_some("    "))?)?;
    Ok(count.exit_code())
}

pub(super) fn structured(run: &Run<'_>, options: &Options, out: &mut dyn io::Write) -> io::Result<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Report<'a> {
        results: Vec<TestResult<'a>>,
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
    let (goss, count) = (options.compat == Compat::Goss, run.count());
    let mut results = results(run, options)?;
    if goss {
        // Goss never sets the field.
        results.iter_mut().for_each(|result| result.successful = false);
    }
    let summary =
        Summary { test_count: count.total, failed_count: count.failed, total_duration: nanoseconds(run.elapsed) };
    let seconds = run.elapsed.as_secs_f64();
    let summary_line = format!("Count: {}, Failed: {}, Duration: {seconds:.3}s", count.total, count.failed);
    let report = Report { results, summary, summary_line };
    writeln!(out, "{}", go::json(&report, true, options.pretty.then_some("  "))?)?;
    Ok(if goss { 0 } else { count.exit_code() })
}
