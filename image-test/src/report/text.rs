//! The formats for people, and those of lines.

use super::{
    Options, Run,
    line::{Color, header},
};
use image_core::Verdict;
use std::io;

pub(super) fn rspecish(run: &Run<'_>, options: &Options, out: &mut dyn io::Write) -> io::Result<u8> {
    let style = options.style(false);
    for outcome in run.groups(options.sort).into_iter().flatten() {
        let (color, letter) = match outcome.verdict() {
            Verdict::Pass => (Color::Green, "."),
            Verdict::Skip => (Color::Yellow, "S"),
            Verdict::NotApplicable => (Color::Yellow, "N"),
            Verdict::Unknown => (Color::Red, "U"),
            _ => (Color::Red, "F"),
        };
        write!(out, "{}", style.paint(color, letter))?;
    }
    summary(run, options, out)
}

pub(super) fn documentation(run: &Run<'_>, options: &Options, out: &mut dyn io::Write) -> io::Result<u8> {
    let style = options.style(false);
    for group in run.groups(options.sort) {
        write!(out, "{}", group.first().map(header).unwrap_or_default())?;
        for outcome in group {
            writeln!(out, "{}", style.outcome(outcome)?)?;
        }
    }
    summary(run, options, out)
}

fn summary(run: &Run<'_>, options: &Options, out: &mut dyn io::Write) -> io::Result<u8> {
    let (style, count) = (options.style(false), run.count());
    write!(out, "\n\n{}", style.failures(run)?)?;
    writeln!(out, "Total Duration: {:.3}s", run.elapsed.as_secs_f64())?;
    let color = if count.failed > 0 { Color::Red } else { Color::Green };
    write!(out, "{}", style.paint(color, &format!("{count}\n")))?;
    Ok(count.exit_code())
}

pub(super) fn tap(run: &Run<'_>, options: &Options, out: &mut dyn io::Write) -> io::Result<u8> {
    let style = options.style(true);
    writeln!(out, "1..{}", run.outcomes.len())?;
    for (outcome, number) in run.groups(options.sort).into_iter().flatten().zip(1..) {
        let (ok, skip) = match outcome.verdict() {
            Verdict::Pass => ("ok", ""),
            Verdict::Skip | Verdict::NotApplicable => ("ok", "# SKIP "),
            _ => ("not ok", ""),
        };
        writeln!(out, "{ok} {number} - {skip}{}", style.outcome(outcome)?)?;
    }
    Ok(run.count().exit_code())
}

pub(super) fn nagios(run: &Run<'_>, options: &Options, out: &mut dyn io::Write) -> io::Result<u8> {
    let (style, count, seconds) = (options.style(true), run.count(), run.elapsed.as_secs_f64());
    let state = if count.failed > 0 { "CRITICAL" } else { "OK" };
    write!(out, "GOSS {state} - {count}, Duration: {seconds:.3}s")?;
    if options.perfdata {
        let (total, failed, skipped) = (count.total, count.failed, count.skipped);
        write!(out, "|total={total} failed={failed} skipped={skipped} duration={seconds:.3}s")?;
    }
    writeln!(out)?;
    if options.verbose {
        let failed = |verdict| matches!(verdict, Verdict::Fail | Verdict::Unknown);
        let failures = run.groups(options.sort).into_iter().flatten().filter(|outcome| failed(outcome.verdict()));
        for (outcome, number) in failures.zip(1..) {
            writeln!(out, "Fail {number} - {}", style.outcome(outcome)?)?;
        }
    }
    Ok(if count.failed > 0 { 2 } else { 0 })
}
