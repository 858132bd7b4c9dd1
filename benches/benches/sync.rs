//! Whether runs should share their syncs: a journal file for each run, each append synced by itself, beside one shared
//! file that one thread appends to and syncs once for all that is waiting. The second is the least that any group commit
//! must do; it keeps no claims, merges nothing and recovers nothing.
#![expect(clippy::print_stdout, reason = "the table is the result")]

use benches::Usage;
use image_core::{Entry, FileStore, JournalStore, Record, Timestamp, journal::FORMAT_VERSION};
use std::{error::Error, fs::File, io::Write, path::Path, process::Command, sync::Arc, time::Instant};
use tokio::sync::{mpsc, oneshot};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const RUNS: usize = 1000;
const APPENDS: usize = 15;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, how, writers] = arguments.as_slice()
        && flag == "--row"
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (directory, writers) = (tempfile::tempdir_in(".")?, writers.parse()?);
        let began = Instant::now();
        if how == "shared" {
            runtime.block_on(shared(directory.path(), writers))?;
        } else {
            runtime.block_on(apart(directory.path(), writers))?;
        }
        let wall = began.elapsed().as_secs_f64();
        let Usage { cpu, peak_rss_kib, .. } = Usage::of_this_process()?;
        println!("| {how} | {writers} | {wall:.2} | {cpu:.2} | {:.1} |", peak_rss_kib / 1024);
        return Ok(());
    }
    println!("{RUNS} runs, {APPENDS} appends each\n");
    println!("| journal | runs at once | wall s | CPU s | peak MiB |");
    println!("|---|--:|--:|--:|--:|");
    for writers in [1, 16, 256, RUNS] {
        for how in ["file", "shared"] {
            let row = Command::new(std::env::current_exe()?).args(["--row", how, &writers.to_string()]).output()?;
            print!("{}{}", String::from_utf8_lossy(&row.stdout), String::from_utf8_lossy(&row.stderr));
        }
    }
    Ok(())
}

fn entry() -> Entry {
    let record = Record::Started { version: FORMAT_VERSION, pipeline: "x".repeat(350) };
    Entry::new(Timestamp::from_millis(0), record)
}

async fn apart(directory: &Path, writers: usize) -> Result<()> {
    let store = FileStore::open(directory)?;
    let each = |writer: usize| {
        let store = store.clone();
        async move {
            for run in (writer..RUNS).step_by(writers) {
                let mut journal = store.claim(&format!("run-{run}")).await?;
                for _ in 0..APPENDS {
                    journal.append(&entry()).await?;
                }
            }
            Ok::<_, image_core::Error>(())
        }
    };
    let tasks: Vec<_> = (0..writers).map(|writer| tokio::spawn(each(writer))).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn shared(directory: &Path, writers: usize) -> Result<()> {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(String, oneshot::Sender<bool>)>();
    let mut file = File::create(directory.join("segment"))?;
    let writer = std::thread::spawn(move || {
        let mut batch = vec![];
        while let Some(first) = receiver.blocking_recv() {
            batch.push(first);
            while let Ok(next) = receiver.try_recv() {
                batch.push(next);
            }
            let text: String = batch.iter().map(|(line, _)| line.as_str()).collect();
            let done = file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).is_ok();
            for (_, answer) in batch.drain(..) {
                let _ = answer.send(done); // whoever is gone needs no answer
            }
        }
    });
    let sender = Arc::new(sender);
    let each = |writer: usize| {
        let sender = Arc::clone(&sender);
        async move {
            for _ in (writer..RUNS).step_by(writers) {
                for _ in 0..APPENDS {
                    let (answer, answered) = oneshot::channel();
                    let line = entry().to_line()? + "\n";
                    let closed = |_| image_core::Error::bug("the writer ended");
                    sender.send((line, answer)).map_err(|_| image_core::Error::bug("the writer ended"))?;
                    if !answered.await.map_err(closed)? {
                        return Err(image_core::Error::bug("not written"));
                    }
                }
            }
            Ok::<_, image_core::Error>(())
        }
    };
    let tasks: Vec<_> = (0..writers).map(|writer| tokio::spawn(each(writer))).collect();
    for task in tasks {
        task.await??;
    }
    drop(sender);
    writer.join().map_err(|_| "the writer panicked")?;
    Ok(())
}
