//! A whole pipeline on real parts: a busybox root file system, a sandbox, a disk, QEMU, a store.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use image_core::{
    Check, Command, Context, ErrorKind, Fingerprint, Layer, Machine, MachineExt, MemoryStore, Pipeline, Provisioner,
    Report, Result, RunReport, Subject, ValidationStage, Validator, async_trait,
};
use image_local::{BootVia, LocalBuilder, LocalStore, Source};
use std::{fs, path::Path};

/// Writes a file.
#[derive(Debug)]
struct Write(&'static str, String);

#[async_trait]
impl Provisioner for Write {
    fn id(&self) -> &str {
        "write"
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        Fingerprint::of("write", &(self.0, &self.1)).map(Some)
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        machine.exec(cx, Command::sh(format!("cat >{}", self.0)).stdin(self.1.clone())).await?;
        Ok(())
    }
}

/// Expects a file to have a text.
#[derive(Debug)]
struct Has(&'static str, String);

#[async_trait]
impl Validator for Has {
    fn id(&self) -> &str {
        "has"
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        Fingerprint::of("has", &(self.0, &self.1)).map(Some)
    }
    async fn validate(&self, cx: &Context, subject: Subject<'_>) -> Result<Report> {
        let (machine, stage) = match subject {
            Subject::BuildMachine(machine) => (machine, ValidationStage::Build),
            Subject::Booted(machine) => (machine, ValidationStage::Boot),
            _ => unreachable!("the pipeline has machines only"),
        };
        let found = machine.run(cx, &format!("cat {}", self.0)).await?;
        let check = if found == self.1 { Check::pass(self.0) } else { Check::fail(self.0, format!("found {found:?}")) };
        Ok(Report::new(self.id(), stage, vec![check]))
    }
}

fn pipeline(root: &Path, fixture: &Path, application: &str) -> (Pipeline, LocalStore) {
    let builder = LocalBuilder::open(root.join("builder"), Source::tar(fixture.join("rootfs.tar")))
        .unwrap()
        .boot_via(BootVia::Kernel);
    let store = LocalStore::open(root.join("store")).unwrap();
    let pipeline = Pipeline::new("busybox")
        .builder(builder)
        .layer(Layer::new("base").provision(Write("/etc/base", "base".into())).offline())
        .layer(Layer::new("application").provision(Write("/etc/application", application.into())).offline())
        .validator(Has("/etc/application", application.into()))
        .without_scan("there is no scanner in this test")
        .distributor(store.clone());
    (pipeline, store)
}

async fn context(journals: &MemoryStore) -> Context {
    Context::builder(journals.clone()).open().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_boots_publishes_and_reuses() {
    let Some(fixture) = support::fixture() else { return };
    let dir = tempfile::tempdir().unwrap();
    let journals = MemoryStore::default();
    let (first, store) = pipeline(dir.path(), fixture, "one");
    let outcome = first.run(&context(&journals).await).await.unwrap();
    assert!(outcome.leftovers.is_empty(), "{:?}", outcome.leftovers);
    let published = store.latest("busybox").unwrap().unwrap();
    assert!(published.join("disk.raw").is_file() && published.join("disk.qcow2").is_file());
    assert_eq!(outcome.report.record.images[0].booted[0].stage, ValidationStage::Boot);

    // Nothing changed: nothing is created.
    let again = first.run(&context(&journals).await).await.unwrap();
    let built_by = &outcome.report.run;
    assert_eq!((again.report.mutations, again.report.approved_by_run.as_ref()), (0, Some(built_by)));
    assert_eq!((&again.report.record.run, again.report.run == *built_by), (built_by, false));

    // Both report, each under its own name.
    let reports = [&outcome.report, &again.report].map(|report| (store.write_report(report).unwrap(), report));
    for (path, report) in reports {
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), report.run);
        let written: RunReport = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(written, *report);
    }
    assert_eq!(store.write_report(&RunReport::default()).unwrap_err().kind(), ErrorKind::InvalidInput);

    // A change in the second layer builds the second layer only.
    let (second, _) = pipeline(dir.path(), fixture, "two");
    let changed = second.run(&context(&journals).await).await.unwrap();
    let reused: Vec<bool> = changed.report.record.layers.iter().map(|layer| layer.reused).collect();
    assert_eq!(reused, [true, false]);
    assert_ne!(store.latest("busybox").unwrap().unwrap(), published);

    for place in ["work", "vms"] {
        assert_eq!(fs::read_dir(dir.path().join("builder").join(place)).unwrap().count(), 0, "{place}");
    }
}
