//! A golden AMI, from a private build machine to copies in other regions: `cargo run -p examples --bin golden_ami`.
//!
//! [`image`] says what is built, tested and distributed. With `--simulate` all of it happens in a cloud on this machine
//! ([`simulate`]), where commands really run; without, in the account that the credentials of the environment are for.
//! `docs/guide/aws.md` is the runbook.

mod image;
mod options;
mod simulate;
mod summary;

use examples::{
    program::{Sinks, cancel_on_ctrl_c, recover},
    say,
};
use image::Plugins;
use image_aws::FromEnv;
use image_core::{Context, ErrorKind, FileStore, Pipeline, Result, Revision};
use options::{Action, Options};
use std::{process::ExitCode, sync::Arc, time::Instant};

#[tokio::main]
async fn main() -> ExitCode {
    let mut options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            say(&format!("golden_ami: {message}"));
            return ExitCode::from(2);
        }
    };
    if options.help {
        say(options::USAGE);
        return ExitCode::SUCCESS;
    }
    let ended = if options.simulate { simulated(&mut options).await } else { real(&options).await };
    ended.unwrap_or_else(|e| {
        say(&format!("golden_ami: {}", e.chain()));
        ExitCode::from(if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) { 2 } else { 1 })
    })
}

async fn simulated(options: &mut Options) -> Result<ExitCode> {
    let cloud = simulate::Cloud::start(options).await?;
    let plugins = Plugins::new(options, cloud.provider())?;
    for (name, policy) in plugins.policies() {
        cloud.enforce(name, &policy)?;
    }
    let ended = golden_ami(options, plugins).await;
    summary::simulation(&cloud);
    cloud.end().await?;
    ended
}

async fn real(options: &Options) -> Result<ExitCode> {
    golden_ami(options, Plugins::new(options, FromEnv::new())?).await
}

async fn golden_ami(options: &Options, plugins: Plugins) -> Result<ExitCode> {
    if options.action == Action::Policy {
        return summary::print(&plugins.policies());
    }
    let revision = Revision::of_git(env!("CARGO_MANIFEST_DIR")).await;
    let pipeline = image::pipeline(plugins, revision)?;
    let journals = Arc::new(FileStore::open(options.directory.join("journals"))?);
    let sinks = Sinks::open(&options.directory.join("logs"), options.json)?;

    let clean = recover(&journals, &pipeline, &sinks).await?;
    match options.action {
        Action::Recover => Ok(code(clean)),
        Action::Reap => Ok(code(summary::sweep(&pipeline, &sinks).await?)),
        _ => run(options, &pipeline, &journals, &sinks).await,
    }
}

fn code(clean: bool) -> ExitCode {
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(options: &Options, pipeline: &Pipeline, journals: &Arc<FileStore>, sinks: &Sinks) -> Result<ExitCode> {
    let started = Instant::now();
    let settings = sinks.of(Context::builder_arc(Arc::clone(journals) as _).pipeline(pipeline.name()));
    let cx = settings.open().await?;
    if options.action == Action::Plan {
        say(&pipeline.plan(&cx).await?.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let run = pipeline.start(&cx);
    cancel_on_ctrl_c(run.canceller(), options.again("--recover"));
    let ended = run.wait().await;
    sinks.flush();
    match ended {
        Ok(outcome) => {
            summary::published(&outcome, &options.directory, started.elapsed())?;
            Ok(ExitCode::from(u8::from(!outcome.leftovers.is_empty())))
        }
        Err(error) => {
            let report = summary::write(&error.report, &options.directory);
            examples::summary::failed(&error, report, &options.again("--recover"), &options.directory.join("logs"));
            Ok(ExitCode::from(error.exit_code()))
        }
    }
}
