//! The text format of Prometheus.

use super::{Options, Run};
use image_core::Verdict;
use std::{collections::BTreeMap, io};

pub(super) fn prometheus(run: &Run<'_>, options: &Options, out: &mut dyn io::Write) -> io::Result<u8> {
    // By the values of the labels, in the order of their names: outcome, resource_id, type.
    let mut outcomes: BTreeMap<(&str, &str, String), usize> = BTreeMap::new();
    for outcome in run.outcomes {
        let id = if options.verbose { outcome.id.as_str() } else { "" };
        *outcomes.entry((name(outcome.verdict()), id, outcome.kind.name().to_lowercase())).or_default() += 1;
    }
    let labelled = |(outcome, id, kind): &(&str, &str, String)| match options.verbose {
        true => format!(r#"outcome="{outcome}",resource_id="{}",type="{kind}""#, escape(id)),
        false => format!(r#"outcome="{outcome}",type="{kind}""#),
    };

    let mut family = |name: &str, help: &str, samples: Vec<(String, u128)>| -> io::Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        writeln!(out, "# HELP goss_tests_{name} {help}\n# TYPE goss_tests_{name} counter")?;
        samples.into_iter().try_for_each(|(labels, value)| writeln!(out, "goss_tests_{name}{{{labels}}} {value}"))
    };
    family(
        "outcomes_duration_milliseconds",
        "How long checks took; those of a suite are made together.",
        outcomes.keys().map(|labels| (labelled(labels), 0)).collect(),
    )?;
    let counts = outcomes.iter().map(|(labels, count)| (labelled(labels), *count as u128)).collect();
    family("outcomes_total", "Outcomes of checks.", counts)?;
    let overall = run.outcomes.iter().map(crate::Outcome::verdict).max_by_key(|verdict| weight(*verdict));
    let overall = format!(r#"outcome="{}""#, overall.map_or("unknown", name));
    let help = "How long the run took.";
    family("run_duration_milliseconds", help, vec![(overall.clone(), run.elapsed.as_millis())])?;
    family("run_outcomes_total", "What the run as a whole came to.", vec![(overall, 1)])?;
    Ok(run.count().exit_code())
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Skip => "skip",
        Verdict::NotApplicable => "not_applicable",
        _ => "unknown",
    }
}

/// What a run as a whole came to is what weighs most in it.
fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::NotApplicable => 0,
        Verdict::Skip => 1,
        Verdict::Pass => 2,
        Verdict::Fail => 4,
        _ => 3,
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}
