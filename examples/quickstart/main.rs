//! From packages to a published image that was tested after a boot: `cargo xtask quickstart`.
//!
//! [`image`] says what is built and checked. The rest of this file is what a program around the library does: it recovers
//! runs that were killed, turns Ctrl-C into a cancel, shows what happens, and ends with an exit code.

mod image;
mod options;
mod summary;

use examples::{
    program::{Sinks, cancel_on_ctrl_c, recover},
    say,
};
use image_core::{Canceller, Context, ErrorKind, FileStore, Result, Revision};
use image_local::LocalStore;
use options::{OnError, Options};
use std::{process::ExitCode, sync::Arc, time::Instant};

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            say(&format!("quickstart: {message}"));
            return ExitCode::from(2);
        }
    };
    if options.help {
        say(options::USAGE);
        return ExitCode::SUCCESS;
    }
    quickstart(&options).await.unwrap_or_else(|e| {
        say(&format!("quickstart: {}", e.chain()));
        ExitCode::from(if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) { 2 } else { 1 })
    })
}

async fn quickstart(options: &Options) -> Result<ExitCode> {
    let started = Instant::now();
    let store = LocalStore::open(options.directory.join("store"))?;
    let revision = Revision::of_git(env!("CARGO_MANIFEST_DIR")).await;
    let pipeline = image::pipeline(options, revision, store.clone())?;
    let journals = Arc::new(FileStore::open(options.directory.join("journals"))?);
    let logs = options.directory.join("logs");
    let sinks = Sinks::open(&logs, options.json)?;
    let again = format!("cargo xtask quickstart --recover --dir {}", options.directory.display());

    let clean = recover(&journals, &pipeline, &sinks).await?;
    if options.recover {
        return Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let settings = sinks.of(Context::builder_arc(Arc::clone(&journals) as _).pipeline(pipeline.name()));
    let cx = settings.open().await?;
    if options.plan {
        say(&pipeline.plan(&cx).await?.to_string());
        return Ok(ExitCode::SUCCESS);
    }

    let run = pipeline.start(&cx);
    cancel_on_ctrl_c(run.canceller(), again.clone());
    if options.on_error == OnError::Pause {
        resume_on_enter(run.canceller());
    }
    let ended = run.wait().await;
    sinks.flush();
    match ended {
        Ok(outcome) => {
            let report = store.write_report(&outcome.report)?;
            summary::published(&outcome, &report, started.elapsed());
            Ok(ExitCode::from(u8::from(!outcome.leftovers.is_empty())))
        }
        Err(error) => {
            examples::summary::failed(&error, store.write_report(&error.report), &again, &logs);
            Ok(ExitCode::from(error.exit_code()))
        }
    }
}

/// A thread of its own: reading standard input cannot be cancelled, and must not hold up the end.
fn resume_on_enter(canceller: Canceller) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if line.is_err() {
                return;
            }
            canceller.resume();
        }
    });
}
