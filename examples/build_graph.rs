//! A base that two images build on, built once: `cargo run --release -p examples --example build_graph`.
//!
//! The nodes are ordinary pipelines. A node that builds on another starts from its committed image; a failure stops only
//! what builds on it. The images have no kernel, so that this takes a minute and no QEMU.

use image_core::{
    Architecture, BuildGraph, Context, FileStore, Layer, NodeOutcome, Pipeline,
    provision::Shell,
    validate::{Command, CommandCheck},
};
use image_local::{LocalBuilder, LocalStore, Source};
use std::{error::Error, path::Path};

/// A pipeline with one layer that installs packages, and the check that they are there.
fn image(name: &str, packages: &str, builder: &LocalBuilder, store: &LocalStore) -> Pipeline {
    let install = "apt-get update -q && apt-get install -qy --no-install-recommends $PACKAGES";
    let installed = packages.split(' ').fold(Command::new("packages"), |checks, package| {
        let script = format!("dpkg-query -W -f='${{db:Status-Status}}' {package}");
        checks.with(CommandCheck::new(format!("{package}: installed"), script).stdout_equals("installed"))
    });
    Pipeline::new(name)
        .builder(builder.clone())
        .layer(Layer::new("packages").provision(Shell::inline("install", install).env("PACKAGES", packages)))
        .validator(installed)
        .without_boot_validation("a root file system without a kernel")
        .without_scan("an example")
        .distributor(store.clone())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = Path::new("target/build-graph");
    let architecture = Architecture::host().ok_or("the processor of this machine is not known")?;
    let source = Source::suite_of("bookworm", architecture, ["ca-certificates"])?;
    let builder = LocalBuilder::open(directory.join("builder"), source)?.not_bootable().raw_only();
    let store = LocalStore::open(directory.join("store"))?;

    let graph = BuildGraph::new()
        .node("base", image("base", "tzdata", &builder, &store))
        .node_from("web", "base", image("web", "busybox", &builder, &store))
        .node_from("tools", "base", image("tools", "bc file", &builder, &store))
        .limit(2);
    let journals = FileStore::open(directory.join("journals"))?;
    let outcome = graph.run(Context::builder(journals).sink(examples::Terminal::new())).await?;
    for (name, node) in &outcome.nodes {
        match node {
            NodeOutcome::Passed(passed) => examples::say(&format!("{name}: {}", passed.images[0])),
            NodeOutcome::Failed(error) => examples::say(&format!("{name}: failed: {error}")),
            other => examples::say(&format!("{name}: {other:?}")),
        }
    }
    Ok(())
}
