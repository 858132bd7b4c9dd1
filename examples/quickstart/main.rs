//! From packages to a published image that was tested after a boot: `cargo xtask quickstart`.
//!
//! [`image`] says what is built and checked. The rest of this file is what a program around the library does: it recovers
//! runs that were killed, turns Ctrl-C into a cancel, shows what happens, and ends with an exit code.

mod image;
mod options;
mod summary;

use examples::{Terminal, say};
use image_core::{
    Canceller, Context, ErrorKind, EventSink, FileStore, Pipeline, Result, Revision, recover_with,
    sink::{JsonLines, LogFiles},
    unfinished,
};
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

/// What shows and records events.
struct Sinks {
    terminal: Arc<Terminal>,
    all: Vec<Arc<dyn EventSink>>,
}

impl Sinks {
    fn open(options: &Options) -> Result<Self> {
        let terminal = Arc::new(Terminal::new());
        let mut all: Vec<Arc<dyn EventSink>> = vec![Arc::new(LogFiles::new(options.directory.join("logs"))?)];
        all.push(Arc::clone(&terminal) as Arc<dyn EventSink>);
        if options.json {
            all.push(Arc::new(JsonLines::new(std::io::stdout())?));
        }
        Ok(Self { terminal, all })
    }
    fn of(&self, settings: image_core::ContextBuilder) -> image_core::ContextBuilder {
        self.all.iter().fold(settings, |settings, sink| settings.sink_arc(Arc::clone(sink)))
    }
}

async fn quickstart(options: &Options) -> Result<ExitCode> {
    let started = Instant::now();
    let store = LocalStore::open(options.directory.join("store"))?;
    let revision = Revision::of_git(env!("CARGO_MANIFEST_DIR")).await;
    let pipeline = image::pipeline(options, revision, store.clone())?;
    let journals = Arc::new(FileStore::open(options.directory.join("journals"))?);
    let sinks = Sinks::open(options)?;

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
    cancel_on_ctrl_c(run.canceller(), options);
    if options.on_error == OnError::Pause {
        resume_on_enter(run.canceller());
    }
    let ended = run.wait().await;
    sinks.terminal.flush();
    match ended {
        Ok(outcome) => {
            let report = store.write_report(&outcome.report)?;
            summary::published(&outcome, &report, started.elapsed());
            Ok(ExitCode::from(u8::from(!outcome.leftovers.is_empty())))
        }
        Err(error) => {
            summary::failed(&error, store.write_report(&error.report), &options.directory);
            Ok(ExitCode::from(error.exit_code()))
        }
    }
}

/// Finishes or undoes what earlier runs left when they were killed. Whether nothing is left to do.
async fn recover(journals: &Arc<FileStore>, pipeline: &Pipeline, sinks: &Sinks) -> Result<bool> {
    let mut clean = true;
    for run in unfinished(&**journals).await? {
        let settings = sinks.of(Context::builder_arc(Arc::clone(journals) as _));
        match recover_with(settings, Arc::clone(journals) as _, &run, pipeline.undoers()).await {
            Ok(recovered) => {
                sinks.terminal.flush();
                summary::recovered(&recovered);
                clean &= recovered.leftovers.is_empty();
            }
            // Not dead: somebody works on it in another process.
            Err(e) if e.kind() == ErrorKind::Conflict => {
                say(&format!("run {run} is still under way, or another process recovers it"))
            }
            Err(e) => return Err(e),
        }
    }
    Ok(clean)
}

/// The first Ctrl-C undoes everything; the second one leaves at once, and the journal knows what is left.
fn cancel_on_ctrl_c(canceller: Canceller, options: &Options) {
    let directory = options.directory.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        say("cancelling: what this run made is undone; Ctrl-C again leaves at once");
        canceller.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            say(&format!("left; clean up with: cargo xtask quickstart --recover --dir {}", directory.display()));
            std::process::exit(130);
        }
    });
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
