//! A program that takes goss's command line and gossfiles: `cargo run --example goss-check -- validate`.
//!
//! It also looks at root file systems that do not run (`--root`), keeps what it saw (`snapshot`), checks that later
//! (`--facts`), and says what differs between two looks (`diff`).

mod args;
mod includes;
mod record;
mod suite;
#[cfg(test)]
mod tests;

use args::{Args, Command, Target, Validate};
use image_core::{Result as CoreResult, Timestamp};
use image_test::{
    Facts, LiveGatherer, RootfsGatherer, Suite, Wanted, drift,
    gather::Options,
    report::{self, EXIT_CONFIG, EXIT_RETRY_TIMED_OUT, Run},
    retry::{Attempt, Gather, RetryPolicy, until_passes},
};
use std::{
    ffi::OsString,
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::Path,
    process::ExitCode,
    time::Duration,
};

/// Why the program ends early, and how it exits then.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// What was asked for cannot be done.
    fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }
    /// The gossfile, its variables or what it is checked against cannot be used.
    fn config(error: impl ToString) -> Self {
        Self { code: EXIT_CONFIG, message: error.to_string() }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// The standard streams.
struct Streams<'a> {
    input: &'a mut (dyn Read + Send),
    out: &'a mut (dyn Write + Send),
    err: &'a mut (dyn Write + Send),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let env = |name: &str| std::env::var_os(name)?.into_string().ok();
    // Not locked: what holds a lock may not wait for facts.
    let (mut input, mut out, mut err) = (io::stdin(), io::stdout(), io::stderr());
    let streams = Streams { input: &mut input, out: &mut out, err: &mut err };
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    ExitCode::from(goss_check(words, env, streams).await)
}

/// The whole program: does what the words say, and gives the exit code.
async fn goss_check(
    words: impl IntoIterator<Item = impl Into<OsString>> + Send,
    env: impl Fn(&str) -> Option<String> + Send,
    mut streams: Streams<'_>,
) -> u8 {
    let outcome = match args::parse(words, env) {
        Ok(args) => run(args, &mut streams).await,
        Err(message) => Err(Failure::new(message)),
    };
    outcome.unwrap_or_else(|failure| {
        // Nowhere is left to complain to when standard error is gone.
        let _ = writeln!(streams.err, "Error: {}", failure.message);
        failure.code
    })
}

async fn run(args: Args, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    match &args.command {
        Command::Help => streams.out.write_all(args::HELP.as_bytes())?,
        Command::Version => writeln!(streams.out, "goss-check {}", env!("CARGO_PKG_VERSION"))?,
        Command::Validate(options) => return validate(&args, options, streams).await,
        Command::Render { debug } => suite::render(&args, *debug, streams)?,
        Command::Add { kind, keys, .. } if kind == "goss" => record::include(&args, keys, streams)?,
        Command::Add { kind, keys, settings } => record::add(&args, kind, keys, settings, streams).await?,
        Command::AutoAdd { keys } => record::autoadd(&args, keys, streams).await?,
        Command::Snapshot => {
            let suite = suite::load(&args, streams)?;
            gather(&args, &suite).await?.save(&mut *streams.out)?;
        }
        Command::Diff { before, after } => {
            let drifts = drift::diff(&snapshot(before)?, &snapshot(after)?);
            drifts.iter().try_for_each(|drift| writeln!(streams.out, "{drift}"))?;
            return Ok(u8::from(!drifts.is_empty()));
        }
    }
    Ok(0)
}

fn snapshot(path: &Path) -> Result<Facts, Failure> {
    let name = |e: &dyn std::error::Error| Failure::config(format!("{}: {e}", path.display()));
    Facts::load(File::open(path).map_err(|e| name(&e))?).map_err(|e| name(&e))
}

/// What finds facts out, by what is looked at.
fn gatherer(args: &Args) -> Result<Box<dyn Gather>, Failure> {
    let mut options = Options::default();
    options.package_manager = args.package_manager();
    if let Command::Validate(Validate { max_concurrent: Some(most), .. }) = &args.command {
        options.max_concurrent = *most;
    }
    Ok(match &args.target {
        Target::Here => Box::new(LiveGatherer::new(options)),
        Target::Root(root) => Box::new(RootfsGatherer::new(root, options)),
        Target::Facts(path) => Box::new(snapshot(path)?),
    })
}

async fn gather(args: &Args, suite: &Suite) -> Result<Facts, Failure> {
    Ok(gatherer(args)?.gather(&Wanted::of(suite)).await?)
}

async fn validate(args: &Args, validate: &Validate, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let suite = suite::load(args, streams)?;
    if suite.is_empty() {
        return Err(Failure::config(format!("found 0 tests, source: {}", args.gossfile)));
    }
    let gatherer = gatherer(args)?;
    let mut options = validate.options;
    options.compat = args.compat;
    options.color = validate.color.unwrap_or_else(terminal_takes_color);
    let mut code = 0;
    let show = |attempt: &Attempt| -> CoreResult<()> {
        let shown = show(attempt, validate, &options, streams.out);
        code = shown.map_err(|e| image_core::Error::io("write", "standard output", e))?;
        Ok(())
    };
    let policy = RetryPolicy::within(validate.retry_timeout).sleep(validate.sleep);
    let last = until_passes(&suite, gatherer.as_ref(), args.compat, policy, show).await?;
    if !last.passed && !validate.retry_timeout.is_zero() {
        let message = format!("the tests did not pass within {:?}", validate.retry_timeout);
        return Err(Failure { code: EXIT_RETRY_TIMED_OUT, message });
    }
    Ok(code)
}

fn show(attempt: &Attempt, validate: &Validate, options: &report::Options, out: &mut dyn Write) -> io::Result<u8> {
    if attempt.number > 1 {
        writeln!(out, "Attempt #{}:", attempt.number)?;
    }
    let started =
        Timestamp::from_millis(Timestamp::from_system_clock().as_millis().saturating_sub(millis(attempt.took)));
    let code = report::write(validate.format, &Run::new(&attempt.outcomes, started, attempt.took), options, out)?;
    if !attempt.last {
        let (seconds, timeout) = (attempt.elapsed.as_secs_f64(), validate.retry_timeout);
        writeln!(out, "Retrying in {:?} (elapsed/timeout time: {seconds:.3}s/{timeout:?})\n\n", validate.sleep)?;
    }
    out.flush()?;
    Ok(code)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn terminal_takes_color() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    io::stdout().is_terminal() && !dumb && std::env::var_os("NO_COLOR").is_none()
}
