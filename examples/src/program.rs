//! What a program around the library does: it shows what happens, recovers runs that were killed, and turns Ctrl-C into a
//! cancel.

use crate::{Terminal, say, summary};
use image_core::{
    Canceller, Context, ContextBuilder, ErrorKind, EventSink, FileStore, Pipeline, Result, recover_with,
    sink::{JsonLines, LogFiles},
    unfinished,
};
use std::{path::Path, sync::Arc};

/// What shows and records events.
#[derive(Debug)]
pub struct Sinks {
    terminal: Arc<Terminal>,
    all: Vec<Arc<dyn EventSink>>,
}

impl Sinks {
    /// The terminal, a log for each run in a directory, and JSON lines on standard output where they are wanted.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(logs: &Path, json: bool) -> Result<Self> {
        let terminal = Arc::new(Terminal::new());
        let mut all: Vec<Arc<dyn EventSink>> = vec![Arc::new(LogFiles::new(logs)?)];
        all.push(Arc::clone(&terminal) as Arc<dyn EventSink>);
        if json {
            all.push(Arc::new(JsonLines::new(std::io::stdout())?));
        }
        Ok(Self { terminal, all })
    }
    /// Gives all events of a run to them.
    pub fn of(&self, settings: ContextBuilder) -> ContextBuilder {
        self.all.iter().fold(settings, |settings, sink| settings.sink_arc(Arc::clone(sink)))
    }
    /// Waits until everything so far is shown.
    pub fn flush(&self) {
        self.terminal.flush();
    }
}

/// Finishes or undoes what earlier runs of a pipeline left when they were killed. Whether nothing is left to do.
///
/// # Errors
/// When the journals cannot be read, or a run cannot be recovered at all.
pub async fn recover(journals: &Arc<FileStore>, pipeline: &Pipeline, sinks: &Sinks) -> Result<bool> {
    let mut clean = true;
    for run in unfinished(&**journals).await? {
        let settings = sinks.of(Context::builder_arc(Arc::clone(journals) as _));
        match recover_with(settings, Arc::clone(journals) as _, &run, pipeline.undoers()).await {
            Ok(recovered) => {
                sinks.flush();
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

/// The first Ctrl-C undoes everything; the second one leaves at once, and the journal knows what is left, which `again`
/// cleans up.
pub fn cancel_on_ctrl_c(canceller: Canceller, again: String) {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        say("cancelling: what this run made is undone; Ctrl-C again leaves at once");
        canceller.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            say(&format!("left; clean up with: {again}"));
            std::process::exit(130);
        }
    });
}
