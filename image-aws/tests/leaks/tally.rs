//! Many runs of one case, side by side, and the row of a table about them.

use std::{
    fmt::Debug,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};
use tokio::runtime::Runtime;

/// What was found after a run and its recovery.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Whether the run kept its images.
    pub(crate) committed: bool,
    /// What is there and was not kept.
    pub(crate) beyond: Vec<String>,
    /// What was kept and is not there.
    pub(crate) missing: Vec<String>,
    /// What else is wrong.
    pub(crate) wrong: Vec<String>,
}

/// A runtime whose clock stands still.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Of the moments of a case all, where the environment says `LEAKS=all`, or every n-th.
pub(crate) fn sampled<M>(moments: impl IntoIterator<Item = M>, every: usize) -> Vec<M> {
    let all = std::env::var_os("LEAKS").is_some_and(|which| which == "all");
    moments.into_iter().step_by(if all { 1 } else { every }).collect()
}

/// Tries every moment, prints a row of the table, and fails where anything is not as it must be.
pub(crate) fn tally<M: Debug + Sync>(case: &str, moments: &[M], run: impl AsyncFn(&M) -> Found + Sync) {
    assert!(!moments.is_empty(), "{case}: there is nothing to try");
    let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![]));
    let work = || {
        while let Some(moment) = moments.get(next.fetch_add(1, SeqCst)) {
            let one = runtime().block_on(run(moment));
            found.lock().unwrap().push((moment, one));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    let found = found.into_inner().unwrap();
    let sum = |count: fn(&Found) -> usize| found.iter().map(|(_, one)| count(one)).sum::<usize>();
    let committed = sum(|one| usize::from(one.committed));
    let (beyond, missing, wrong) =
        (sum(|one| one.beyond.len()), sum(|one| one.missing.len()), sum(|one| one.wrong.len()));
    println!("| {case} | {} | {committed} | {} | {beyond} | {missing} |", found.len(), found.len() - committed);
    if beyond + missing + wrong > 0 {
        let bad = found.iter().filter(|(_, one)| one.beyond.len() + one.missing.len() + one.wrong.len() > 0);
        panic!("{case}: {:#?}", bad.collect::<Vec<_>>());
    }
}
