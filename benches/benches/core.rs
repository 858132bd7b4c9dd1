//! The parts of a run by themselves: journal, unwind, events.

use benches::{Noop, pipeline};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use image_core::{
    Context, Entry, Event, EventSink, FileStore, Journal, JournalStore, Kind, MemoryStore, Record, Resource, Scope,
    Secret, Timestamp,
};
use std::{hint::black_box, time::Duration};
use tokio::runtime::Runtime;

fn entry(n: usize) -> Entry {
    let kind = Kind::new("instance", Duration::from_secs(60), Duration::from_secs(5));
    let resource = Resource::found("noop", Scope::new("nowhere"), kind, "nowhere", format!("token-{n}"), "id");
    Entry::new(Timestamp::from_millis(n as u64), Record::Intended(resource))
}

fn append(journal: &mut Box<dyn Journal>, runtime: &Runtime, entry: &Entry) {
    runtime.block_on(journal.append(entry)).expect("append");
}

fn journal(c: &mut Criterion) {
    let (runtime, entry_of) = (Runtime::new().expect("runtime"), entry);
    let directory = tempfile::tempdir_in(".").expect("directory");
    let store = FileStore::open(directory.path()).expect("store");
    let mut group = c.benchmark_group("journal");
    let mut journal = runtime.block_on(store.claim("append")).expect("claim");
    let entry = entry_of(0);
    group.bench_function("append, synced", |b| b.iter(|| append(&mut journal, &runtime, &entry)));
    let mut journal = runtime.block_on(MemoryStore::default().claim("append")).expect("claim");
    group.bench_function("append, in memory", |b| b.iter(|| append(&mut journal, &runtime, &entry)));
    for entries in [15, 10_000] {
        let lines: Vec<String> = (0..entries).map(|n| entry_of(n).to_line().expect("line") + "\n").collect();
        std::fs::write(directory.path().join("replay.journal"), lines.concat()).expect("write");
        group.throughput(Throughput::Elements(entries as u64));
        group.bench_function(BenchmarkId::new("read", entries), |b| {
            b.iter(|| runtime.block_on(store.entries("replay")).expect("entries"));
        });
    }
    group.finish();
}

/// A run that creates so many things, fails, and undoes them all; its journal is in memory.
fn unwind(c: &mut Criterion) {
    let runtime = Runtime::new().expect("runtime");
    let mut group = c.benchmark_group("create and unwind");
    group.sample_size(10);
    for creates in [100, 1000, 10_000] {
        group.throughput(Throughput::Elements(creates as u64));
        let pipeline = pipeline("unwind", Noop::new(creates).failing());
        let open = || runtime.block_on(Context::builder(MemoryStore::default()).open()).expect("context");
        group.bench_function(BenchmarkId::from_parameter(creates), |b| {
            b.iter_batched(
                open,
                |cx| {
                    let error = runtime.block_on(pipeline.run(&cx)).expect_err("it fails");
                    assert!(error.leftovers.is_empty());
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

#[derive(Debug)]
struct Sink;

impl EventSink for Sink {
    fn emit(&self, event: &Event) {
        black_box(event);
    }
}

fn events(c: &mut Criterion) {
    let runtime = Runtime::new().expect("runtime");
    let mut group = c.benchmark_group("event");
    for secrets in [0, 10] {
        let cx = runtime.block_on(Context::builder(MemoryStore::default()).sink(Sink).open()).expect("context");
        (0..secrets).for_each(|n| cx.learn_secret(&Secret::new(format!("secret-value-{n}"))));
        group.bench_function(BenchmarkId::new("message, secrets known", secrets), |b| {
            b.iter(|| cx.message("Setting up libssl3:amd64 (3.0.17-1~deb12u2) ..."));
        });
    }
    group.finish();
}

criterion_group!(parts, journal, unwind, events);
criterion_main!(parts);
