//! What is left of a run that was killed, and what cleans it up: `cargo run --release -p examples --example recover_and_reap`.
//!
//! The example starts itself as a child that builds an image, kills it with SIGKILL in the middle, and shows what is left,
//! what the journal says of it, and that it is gone after `recover`.

use image_core::{
    Architecture, Context, FileStore, Layer, MemoryStore, Pipeline, Undo, provision::Shell, reap, recover, unfinished,
    validate::Command,
};
use image_local::{LocalBuilder, Source};
use std::{error::Error, path::Path, process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process,
};

const DIRECTORY: &str = "target/recover-and-reap";
/// What the child's provisioner prints when it is in the middle.
const IN_THE_MIDDLE: &str = "in the middle";

fn builder() -> image_core::Result<LocalBuilder> {
    let architecture = Architecture::host().unwrap_or(Architecture::X86_64);
    let source = Source::suite_of("bookworm", architecture, [] as [&str; 0])?;
    Ok(LocalBuilder::open(Path::new(DIRECTORY).join("builder"), source)?.not_bootable())
}

fn pipeline(builder: LocalBuilder) -> Pipeline {
    let script = format!("echo '{IN_THE_MIDDLE}'; sleep 600");
    Pipeline::new("doomed")
        .builder(builder)
        .layer(Layer::new("base").provision(Shell::inline("wait", script)))
        .validator(Command::new("nothing").check("true", "true"))
        .without_boot_validation("it does not come that far")
        .without_scan("it does not come that far")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let journals = Arc::new(FileStore::open(Path::new(DIRECTORY).join("journals"))?);
    let builder = builder()?;
    if std::env::args().any(|arg| arg == "--child") {
        let lines = image_core::sink::JsonLines::new(std::io::stdout())?;
        let cx = Context::builder_arc(journals).sink(lines).open().await?;
        pipeline(builder).run(&cx).await?;
        return Ok(());
    }

    let mut child = process::Command::new(std::env::current_exe()?)
        .arg("--child")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut events = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
    while let Some(event) = events.next_line().await? {
        if event.contains("\"output\"") && event.contains(IN_THE_MIDDLE) {
            break;
        }
    }
    child.kill().await?;
    say(&builder, "after SIGKILL").await?;

    let pipeline = pipeline(builder.clone());
    for run in unfinished(&*journals).await? {
        let recovered = recover(Arc::clone(&journals) as _, &run, pipeline.undoers()).await?;
        examples::say(&format!("recovered {run}: {} resources are stuck", recovered.leftovers.stuck.len()));
    }
    say(&builder, "after recover").await?;

    // The second net, as if the journal were lost: what has expired. Nothing has, so the plan is empty.
    let cx = Context::builder(MemoryStore::default()).timeout(Duration::from_secs(60)).open().await?;
    for scope in builder.scopes() {
        let planned = reap(&cx, &builder, &scope, false).await?;
        examples::say(&format!("reap would delete {} resources", planned.len()));
    }
    Ok(())
}

/// Everything of ours that is there, by its tags.
async fn say(builder: &LocalBuilder, when: &str) -> image_core::Result<()> {
    let cx = Context::builder(MemoryStore::default()).open().await?;
    for scope in builder.scopes() {
        let mut query = image_core::Query::token(scope, "");
        query.token = None;
        let found = builder.find(&cx, &query).await?;
        let names: Vec<String> =
            found.iter().map(|found| format!("{} {}", found.resource.kind.name, found.resource.name())).collect();
        examples::say(&format!(
            "{when}: {} left{}{}",
            names.len(),
            if names.is_empty() { "" } else { ": " },
            names.join(", ")
        ));
    }
    Ok(())
}
