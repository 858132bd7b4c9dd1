//! What runs out: room for images and for journals, memory for output, tools. Each is tried in a process of its own, and
//! ends in an error that says who must act, or does not matter at all.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests, and a skipped test says so")]

#[path = "support/memory.rs"]
mod memory;
#[path = "support/site.rs"]
mod site;
mod support;

use std::{ffi::OsStr, fs, path::Path, sync::Arc};

use image_core::{
    Context, ErrorKind, FileStore, JournalStore as _, Layer, RunError, provision::Shell, recover, sink::LogFiles,
    unfinished,
};
use site::{Site, names};

/// The environment variable that says what [`elsewhere`] is to do.
const ORDER: &str = "GOLDEN_IMAGE_TEST_FAULT";
/// Size of the file system for journals that are to find no room, in KiB.
const TINY: usize = 128;
/// What a file there takes at least, in KiB.
const PAGE: usize = 4;

/// Runs [`elsewhere`] in a process of its own, in a mount namespace with a file system of this size at `small`. False
/// where this machine does not let us.
async fn with_small(site: &Site, fixture: &Path, fault: &str, small: &str, size: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root mounts a small file system");
        return false;
    }
    let (at, size) = (site.root.join(small), format!("size={size},mode=0700"));
    fs::create_dir(&at).unwrap();
    let mut command = tokio::process::Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "/bin/sh", "-c"]);
    command.args([r#"mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@""#, "sh", &size]);
    command.arg(at).arg(std::env::current_exe().unwrap());
    in_a_process(command, site, fixture, fault).await;
    true
}

async fn in_a_process(mut command: tokio::process::Command, site: &Site, fixture: &Path, fault: &str) {
    command.args(["elsewhere", "--exact", "--ignored", "--nocapture"]);
    let orders = [fault.as_ref(), site.root.as_os_str(), fixture.as_os_str()];
    let output = command.env(ORDER, orders.join(OsStr::new("|"))).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{fault}: {text}");
    // What was measured, for whoever looks.
    text.lines().filter(|line| line.starts_with("MEASURED")).for_each(|line| eprintln!("{line}"));
}

fn this() -> tokio::process::Command {
    tokio::process::Command::new(std::env::current_exe().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the other tests run it in a process of its own"]
async fn elsewhere() {
    let Some(order) = std::env::var_os(ORDER) else { return };
    let order = order.into_string().unwrap();
    let [fault, root, fixture] = order.split('|').collect::<Vec<_>>()[..] else { panic!("{order}") };
    let (site, fixture) = (Site::new(Path::new(root)), Path::new(fixture));
    match fault {
        "missing-tool" => fails(&site, fixture, fault, true, ErrorKind::Unsupported, 2).await,
        "full-builder" | "full-late" => fails(&site, fixture, fault, false, ErrorKind::StorageFull, 1).await,
        "full-journal" => fill_the_journal(&site, fixture).await,
        "flood" => print_a_gibibyte(&site, fixture).await,
        other => panic!("{other}"),
    }
}

async fn fails(site: &Site, fixture: &Path, fault: &str, boot: bool, kind: ErrorKind, code: u8) {
    let cx = Context::builder(FileStore::open(site.journals()).unwrap()).run_id(fault).open().await.unwrap();
    let error = site.pipeline(fixture, "elsewhere", boot).run(&cx).await.unwrap_err();
    assert_eq!((error.cause.kind(), error.exit_code()), (kind, code), "{}", error.cause.chain());
    assert!(error.leftovers.is_empty() && !error.committed, "{:?}", error.leftovers);
    site.assert_only_kept(fault).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_space_is_left_for_images() {
    let Some(fixture) = support::fixture() else { return };
    for (fault, size) in [("full-builder", "30m"), ("full-late", "64m")] {
        let directory = tempfile::tempdir().unwrap();
        let site = Site::new(directory.path());
        if !with_small(&site, fixture, fault, "builder", size).await {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_is_missing() {
    let Some(fixture) = support::fixture() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut command = this();
    command.env("PATH", "/nonexistent");
    in_a_process(command, &Site::new(directory.path()), fixture, "missing-tool").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_space_is_left_for_the_journal() {
    let Some(fixture) = support::fixture() else { return };
    let directory = tempfile::tempdir().unwrap();
    with_small(&Site::new(directory.path()), fixture, "full-journal", "tiny", &format!("{TINY}k")).await;
}

/// Runs with ever more room for the journal until one has enough. Each that has not ends in an error that says so, and
/// its journal, brought to where there is room, is good for a recovery.
async fn fill_the_journal(site: &Site, fixture: &Path) {
    let tiny = site.root.join("tiny");
    let (cramped, roomy) = (FileStore::open(&tiny).unwrap(), FileStore::open(site.journals()).unwrap());
    for room in 0..TINY / PAGE {
        let run = format!("room-{room:02}");
        let pipeline = site.pipeline(fixture, &run, false);
        fs::write(tiny.join("ballast"), vec![0; TINY * 1024 - room * PAGE * 1024]).unwrap();
        let ended = match Context::builder(cramped.clone()).run_id(&run).open().await {
            Ok(cx) => pipeline.run(&cx).await.map(drop).map_err(|error| {
                let RunError { cause, leftovers, .. } = error;
                assert!(!leftovers.journal_errors.is_empty(), "{run}: a journal that failed must be reported");
                (cause, leftovers.stuck.is_empty())
            }),
            Err(error) => Err((error, true)),
        };
        for name in names(&tiny) {
            // An approval is only a shortcut; one that found no room is no loss.
            if name.starts_with(&run) {
                fs::copy(tiny.join(&name), site.journals().join(&name)).unwrap();
            }
            fs::remove_file(tiny.join(&name)).unwrap();
        }
        let Err((cause, clean)) = ended else {
            assert!(room > 2, "{run}: the journal of a run is not that small");
            eprintln!("MEASURED {room} runs ended for want of room in their journals");
            return site.assert_only_kept(&run).await;
        };
        let text = cause.chain();
        assert_eq!(cause.kind(), ErrorKind::StorageFull, "{run}: {text}");
        assert!(text.contains("journal") && text.contains(tiny.to_str().unwrap()), "{run}: {text}");
        if clean {
            site.assert_only_kept(&run).await;
        }
        // Where there was no room for the run's name, there is nothing to recover.
        if roomy.runs().await.unwrap().contains(&run) {
            let recovered = recover(Arc::new(roomy.clone()), &run, pipeline.undoers()).await.unwrap();
            assert!(recovered.leftovers.is_empty(), "{run}: {:?}", recovered.leftovers);
        }
        site.assert_only_kept(&format!("{run}, recovered")).await;
        assert_eq!(unfinished(&roomy).await.unwrap(), [] as [String; 0], "{run}");
    }
    panic!("no run had room enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_costs_no_memory() {
    let Some(fixture) = support::fixture() else { return };
    if memory::peak().is_none() {
        eprintln!("SKIPPED: the kernel does not report peak memory");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    in_a_process(this(), &Site::new(directory.path()), fixture, "flood").await;
}

/// Half of it in lines of a kilobyte, half of it in one line; all of it captured and logged.
async fn print_a_gibibyte(site: &Site, fixture: &Path) {
    let script = "yes \"$(head -c 1023 /dev/zero | tr '\\0' y)\" | head -c 536870912\n\
                  head -c 536870912 /dev/zero | tr '\\0' x";
    let logs = Arc::new(LogFiles::new(site.root.join("logs")).unwrap());
    let cx = Context::builder(FileStore::open(site.journals()).unwrap()).run_id("flood").sink(Arc::clone(&logs));
    let flood = Layer::new("flood").provision(Shell::inline("flood", script)).offline();
    let outcome = site.pipeline(fixture, "flood", false).layer(flood).run(&cx.open().await.unwrap()).await.unwrap();
    drop(outcome);
    let dropped = Arc::try_unwrap(logs).map(|logs| logs.finish().unwrap());
    let peak = memory::peak().unwrap();
    eprintln!("MEASURED peak {peak} KiB, events not logged {dropped:?}");
    assert!(peak < 200 << 10, "the peak is {peak} KiB");
    site.assert_only_kept("flood").await;
}
