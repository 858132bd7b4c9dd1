//! What many builds cost the process that runs them: builds that create nothing, four creates each, journaled to disk.
//! Beside it Packer, where it is installed, with builders that do nothing either.
#![expect(clippy::print_stdout, reason = "the table is the result")]

use benches::{Noop, Usage, cpu_of_children, pipeline, pss_of_children};
use image_core::{BuildGraph, Context, FileStore, JournalStore, MemoryStore};
use serde::{Deserialize, Serialize};
use std::{
    error::Error,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One row: what a number of builds took.
#[derive(Debug, Deserialize, Serialize)]
struct Row {
    builds: usize,
    wall: f64,
    cpu: f64,
    peak_kib: u64,
    entries: usize,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, store, builds] = arguments.as_slice()
        && flag == "--row"
    {
        println!("{}", serde_json::to_string(&run(store, builds.parse()?)?)?);
        return Ok(());
    }
    println!(
        "| tool | journal | builds at once | CPU ms/build | wall s | peak MiB | peak KiB/build | journal entries/build |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    for (store, builds) in [("file", 1), ("file", 10), ("file", 100), ("file", 1000), ("memory", 1000)] {
        // A process of its own: a peak never falls.
        let row = Command::new(std::env::current_exe()?).args(["--row", store, &builds.to_string()]).output()?;
        if !row.status.success() {
            return Err(format!("{store} {builds}: {}", String::from_utf8_lossy(&row.stderr)).into());
        }
        print("this library", store, &serde_json::from_slice(&row.stdout)?);
    }
    match Command::new("packer").arg("version").stdout(Stdio::piped()).output() {
        Ok(version) => {
            let version = String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default().to_owned();
            for builds in [1, 10] {
                print(&version, "none", &packer(builds)?);
            }
        }
        Err(e) => println!("\nSKIPPED: the peer `packer` cannot be started: {e}"),
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn print(tool: &str, store: &str, row: &Row) {
    let Row { builds, wall, cpu, peak_kib, entries } = row;
    let (cpu, peak) = (cpu * 1000.0 / *builds as f64, *peak_kib as f64 / 1024.0);
    let (each, entries) = (peak_kib / *builds as u64, entries / builds);
    println!("| {tool} | {store} | {builds} | {cpu:.2} | {wall:.2} | {peak:.1} | {each} | {entries} |");
}

fn run(store: &str, builds: usize) -> Result<Row> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let directory = tempfile::tempdir_in(".")?;
    let store: Arc<dyn JournalStore> = match store {
        "file" => Arc::new(FileStore::open(directory.path())?),
        _ => Arc::new(MemoryStore::default()),
    };
    let builder = Noop::new(3);
    let graph = (0..builds).fold(BuildGraph::new(), |graph, n| {
        graph.node(format!("n{n}"), pipeline(&format!("node-{n}"), builder.clone()))
    });
    let (settings, began) = (Context::builder_arc(Arc::clone(&store)).run_id("bench"), Instant::now());
    let outcome = runtime.block_on(graph.run(settings))?;
    let wall = began.elapsed().as_secs_f64();
    // Before anything else is read: the cost of the look is not the cost of the builds.
    let Usage { cpu, peak_rss_kib, .. } = Usage::of_this_process()?;
    if !outcome.is_success() {
        return Err("a build failed".into());
    }
    let entries = runtime.block_on(async {
        let mut entries = 0;
        for run in store.runs().await? {
            entries += store.entries(&run).await?.len();
        }
        Ok::<_, image_core::Error>(entries)
    })?;
    Ok(Row { builds, wall, cpu, peak_kib: peak_rss_kib, entries })
}

/// `null` builders without a communicator: no cloud, no file, no journal.
fn packer(builds: usize) -> Result<Row> {
    let directory = tempfile::tempdir()?;
    let builder = |n| serde_json::json!({ "type": "null", "name": format!("n{n}"), "communicator": "none" });
    let template = serde_json::json!({ "builders": (0..builds).map(builder).collect::<Vec<_>>() });
    let path = directory.path().join("template.json");
    std::fs::write(&path, template.to_string())?;
    let (cpu, began, mut peak_kib) = (cpu_of_children()?, Instant::now(), 0);
    let mut child = Command::new("packer")
        .args(["build", "-color=false"])
        .arg(&path)
        .envs([("CHECKPOINT_DISABLE", "1"), ("PACKER_CONFIG_DIR", ".")])
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .spawn()?;
    let status = loop {
        peak_kib = peak_kib.max(pss_of_children(child.id()));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    if !status.success() {
        return Err(format!("packer build ended with {status}").into());
    }
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_of_children()? - cpu);
    Ok(Row { builds, wall, cpu, peak_kib, entries: 0 })
}
