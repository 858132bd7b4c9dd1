//! What goes wrong ends in an error that says who must act, leaves nothing behind and publishes nothing.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/site.rs"]
mod site;
mod support;

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use image_core::{
    Context, ErrorKind, Event, EventBody, EventSink, Faults, FileStore, Fingerprint, Layer, Machine, MemoryStore,
    Outcome, Pipeline, Provisioner, Report, Result, RunError, Subject, Validator, async_trait,
    provision::Shell,
    validate::{Command, CommandCheck},
};
use image_local::{LocalBuilder, LocalStore, Source, process, rootfs::store::read_manifest};
use site::{NAME, Site, names, set};

async fn run(site: &Site, id: &str, pipeline: &Pipeline) -> Result<Outcome, RunError> {
    let cx = Context::builder(FileStore::open(site.journals()).unwrap()).run_id(id).open().await.unwrap();
    pipeline.run(&cx).await
}

/// A run that must fail, on a site with something published, and what it must leave there.
async fn fails(site: &Site, id: &str, pipeline: &Pipeline, kind: ErrorKind, code: u8, says: &[&str]) {
    let error = run(site, id, pipeline).await.unwrap_err();
    let text = error.cause.chain();
    assert_eq!((error.cause.kind(), error.exit_code()), (kind, code), "{id}: {text}");
    for word in says {
        assert!(text.contains(word), "{id}: no {word:?} in {text}");
    }
    assert!(error.leftovers.is_empty() && !error.committed, "{id}: {:?}", error.leftovers);
    site.assert_only_kept(id).await;
}

/// A site where one image was published.
async fn published(fixture: &Path) -> (tempfile::TempDir, Site) {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::new(directory.path());
    run(&site, "run-0", &site.pipeline(fixture, "before", false)).await.unwrap();
    assert!(site.kept().latest.is_some());
    (directory, site)
}

/// The pipeline of a site with another builder.
fn built_by(site: &Site, builder: LocalBuilder) -> Pipeline {
    Pipeline::new(NAME)
        .builder(builder)
        .layer(Layer::new("base").provision(Shell::inline("base", "true")).offline())
        .without_boot_validation("the boot is another test's")
        .without_scan("there is no scanner in this test")
        .distributor(site.store())
}

/// A layer more, with this provisioner.
fn with(site: &Site, fixture: &Path, provisioner: impl Provisioner) -> Pipeline {
    site.pipeline(fixture, "after", false).layer(Layer::new("fault").provision(provisioner).offline())
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_cannot_be_used() {
    let Some(fixture) = support::fixture() else { return };
    let (_directory, site) = published(fixture).await;
    let scratch = tempfile::tempdir().unwrap();
    let file = |name: &str| scratch.path().join(name);
    let of = |path: &Path| {
        let builder = LocalBuilder::open(site.root.join("builder"), Source::tar(path)).unwrap();
        built_by(&site, builder.raw_only().without_boot().not_bootable())
    };
    fails(&site, "absent", &of(&file("absent.tar")), ErrorKind::InvalidInput, 2, &["absent.tar"]).await;
    fs::write(file("noise.tar"), "noise ".repeat(10_000)).unwrap();
    fails(&site, "noise", &of(&file("noise.tar")), ErrorKind::InvalidInput, 2, &[]).await;
    let whole = fs::read(fixture.join("rootfs.tar")).unwrap();
    fs::write(file("cut.tar"), &whole[..whole.len() / 2]).unwrap();
    fails(&site, "cut", &of(&file("cut.tar")), ErrorKind::InvalidInput, 2, &[]).await;
    let absolute = file("absolute");
    let absolute = absolute.to_str().unwrap();
    for (id, name) in [("upwards", "../upwards"), ("absolute", absolute)] {
        let tar = file(&format!("{id}.tar"));
        fs::write(&tar, [entry(name, tar::EntryType::Regular), vec![0; 1024]].concat()).unwrap();
        fails(&site, id, &of(&tar), ErrorKind::InvalidInput, 2, &[name]).await;
        assert!(!site.root.join(id).exists() && !scratch.path().join(id).exists());
    }
    for (id, kind) in [("character", tar::EntryType::Char), ("block", tar::EntryType::Block)] {
        let tar = file(&format!("{id}.tar"));
        fs::write(&tar, [entry("etc/node", kind), whole.clone()].concat()).unwrap();
        fails(&site, id, &of(&tar), ErrorKind::InvalidInput, 2, &["etc/node", "device"]).await;
    }
    assert_eq!(devices(&site.root), [] as [PathBuf; 0]);
}

/// The kernel fills `/dev` at boot; what an archive has there is left out.
#[tokio::test(flavor = "multi_thread")]
async fn device_nodes_of_a_source_are_made_nowhere() {
    let Some(fixture) = support::fixture() else { return };
    let directory = tempfile::tempdir().unwrap();
    let site = Site::new(directory.path());
    let tar = site.root.join("nodes.tar");
    let nodes = [entry("dev/node", tar::EntryType::Char), entry("dev/disk", tar::EntryType::Block)];
    fs::write(&tar, [nodes.concat(), fs::read(fixture.join("rootfs.tar")).unwrap()].concat()).unwrap();
    let builder = LocalBuilder::open(site.root.join("builder"), Source::tar(tar)).unwrap();
    let pipeline = built_by(&site, builder.raw_only().without_boot().not_bootable()).layer(
        Layer::new("look").provision(Shell::inline("look", "[ ! -e /dev/node ] && [ ! -e /dev/disk ]")).offline(),
    );
    run(&site, "nodes", &pipeline).await.unwrap();
    site.assert_only_kept("nodes").await;
    assert_eq!(devices(&site.root), [] as [PathBuf; 0]);
    for image in site.kept().images {
        let manifest = read_manifest(site.root.join("builder/images").join(image)).unwrap();
        let below = manifest.entries.keys().map(ToString::to_string).filter(|path| path.starts_with("dev/"));
        assert_eq!(below.collect::<Vec<_>>(), [] as [String; 0]);
    }
}

/// The device nodes in a directory and below it.
fn devices(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for name in names(directory) {
        let path = directory.join(name);
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            found.extend(devices(&path));
        } else if kind.is_char_device() || kind.is_block_device() {
            found.push(path);
        }
    }
    found
}

#[test]
fn unknown_suites_are_refused_by_name() {
    let error = Source::suite("bokworm", image_core::Architecture::X86_64).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains("bokworm") && error.to_string().contains("bookworm"), "{error}");
}

/// One entry of an archive, with a name as it stands, which a well-meant library would refuse to write.
fn entry(name: &str, kind: tar::EntryType) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_device_major(1).unwrap();
    header.set_device_minor(3).unwrap();
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_that_the_content_does_not_fit_in() {
    let Some(fixture) = support::fixture() else { return };
    let (_directory, site) = published(fixture).await;
    let small = built_by(&site, site.builder(fixture).disk_bytes(56 << 20));
    fails(&site, "small", &small, ErrorKind::InvalidInput, 2, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_fail_or_never_end() {
    let Some(fixture) = support::fixture() else { return };
    let (_directory, site) = published(fixture).await;
    let fails = async |id, script: Shell, kind, code, says: &[&str]| {
        fails(&site, id, &with(&site, fixture, script), kind, code, says).await;
    };
    let failing = Shell::inline("failing", "echo out of luck >&2; exit 7");
    fails("failing", failing, ErrorKind::CommandFailed, 1, &["failing", "7", "out of luck"]).await;
    let endless = Shell::inline("endless", "sleep 1000 & sleep 1000").timeout(Duration::from_millis(500));
    fails("endless", endless, ErrorKind::TimedOut, 1, &["endless"]).await;

    let cx =
        Context::builder(FileStore::open(site.journals()).unwrap()).run_id("overdue").timeout(Duration::from_secs(8));
    let cx = cx.open().await.unwrap();
    let error = with(&site, fixture, Shell::inline("overdue", "sleep 1000")).run(&cx).await.unwrap_err();
    assert_eq!((error.cause.kind(), error.exit_code()), (ErrorKind::TimedOut, 1), "{}", error.cause.chain());
    site.assert_only_kept("overdue").await;
}

/// Kills whatever works for the site when a stage begins.
#[derive(Debug)]
struct KillAt(&'static str, tokio::runtime::Handle, String);

impl EventSink for KillAt {
    fn emit(&self, event: &Event) {
        let printed = matches!(&event.body, EventBody::Output { text, .. } if text == "at work");
        if printed && event.stage.starts_with(self.0) {
            let token = self.2.clone();
            self.1.spawn(async move { process::kill_all(&token, Duration::from_secs(10)).await });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_that_die_under_a_command() {
    let Some(fixture) = support::fixture() else { return };
    let (_directory, site) = published(fixture).await;
    let token = site.root.to_str().unwrap().to_owned();
    for (id, stage, boot) in [("sandbox", "layer fault", false), ("guest", "test local", true)] {
        let script = if boot { "true" } else { "echo at work; sleep 1000" };
        let check = CommandCheck::new("alive", "echo at work; sleep 1000").only_on(image_core::ValidationStage::Boot);
        let pipeline = site
            .pipeline(fixture, "after", boot)
            .layer(Layer::new("fault").provision(Shell::inline("work", script)).offline())
            .validator(Command::new("life").with(check).check("always", "true"));
        let kill = KillAt(stage, tokio::runtime::Handle::current(), token.clone());
        // Of a guest, the console is an event too, and the output of a command comes when it is over.
        let kill_guest = KillGuest(tokio::runtime::Handle::current(), token.clone());
        let cx = Context::builder(FileStore::open(site.journals()).unwrap()).run_id(id).sink(kill).sink(kill_guest);
        let error = pipeline.run(&cx.open().await.unwrap()).await.unwrap_err();
        assert_eq!(
            (error.cause.kind(), error.exit_code()),
            (ErrorKind::Unavailable, 1),
            "{id}: {}",
            error.cause.chain()
        );
        assert!(error.leftovers.is_empty(), "{id}: {:?}", error.leftovers);
        site.assert_only_kept(id).await;
    }
}

/// Kills the guest once the validator that never ends looks at it.
#[derive(Debug)]
struct KillGuest(tokio::runtime::Handle, String);

impl EventSink for KillGuest {
    fn emit(&self, event: &Event) {
        if event.stage == "test local/validate/life" && event.body == EventBody::StageStarted {
            let token = self.1.clone();
            self.0.spawn(async move { process::kill_all(&token, Duration::from_secs(10)).await });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_images_are_not_published() {
    let Some(fixture) = support::fixture() else { return };
    let (_directory, site) = published(fixture).await;
    let check = CommandCheck::new("answer", "test 1 = 2").only_on(image_core::ValidationStage::Boot);
    let gate = Command::new("gate").with(check).check("always", "true");
    let pipeline = site.pipeline(fixture, "after", true).validator(gate);
    fails(&site, "refused", &pipeline, ErrorKind::PolicyViolation, 3, &["gate", "answer", "boot"]).await;
}

/// Panics as a provisioner and as a validator.
#[derive(Debug)]
struct Panics;

#[async_trait]
impl Provisioner for Panics {
    fn id(&self) -> &str {
        "panics"
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        Ok(None)
    }
    async fn provision(&self, _cx: &Context, _machine: &dyn Machine) -> Result<()> {
        panic!("a provisioner panicked")
    }
}

#[async_trait]
impl Validator for Panics {
    fn id(&self) -> &str {
        "panics"
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        Ok(None)
    }
    async fn validate(&self, _cx: &Context, _subject: Subject<'_>) -> Result<Report> {
        panic!("a validator panicked")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn panics_in_plugins_leave_nothing() {
    let Some(fixture) = support::fixture() else { return };
    let (_directory, site) = published(fixture).await;
    let says = ["a provisioner panicked"];
    fails(&site, "provisioner", &with(&site, fixture, Panics), ErrorKind::Internal, 1, &says).await;
    let validated = site.pipeline(fixture, "after", false).validator(Panics);
    fails(&site, "validator", &validated, ErrorKind::Internal, 1, &["a validator panicked"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_cannot_be_written() {
    let Some(fixture) = support::fixture() else { return };
    let (_directory, site) = published(fixture).await;
    // Root may write anywhere, but not below a file.
    let store = LocalStore::open(site.root.join("store")).unwrap();
    let pipeline = site.pipeline(fixture, "after", false);
    let (place, aside) = (site.root.join("store"), site.root.join("aside"));
    fs::rename(&place, &aside).unwrap();
    fs::write(&place, "a file").unwrap();
    let error = run(&site, "store", &pipeline).await.unwrap_err();
    fs::remove_file(&place).unwrap();
    fs::rename(&aside, &place).unwrap();
    assert_eq!(error.exit_code(), 1, "{}", error.cause.chain());
    assert!(error.cause.chain().contains(store.root().to_str().unwrap()), "{}", error.cause.chain());
    assert_eq!(error.report.mutations, 0, "it shows before anything is made");
    site.assert_only_kept("store").await;
    let mode = fs::metadata(store.latest(NAME).unwrap().unwrap().join("manifest.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "anyone can read what is published");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_once() {
    let Some(fixture) = support::fixture() else { return };
    let (_directory, site) = published(fixture).await;
    let journals = FileStore::open(site.journals()).unwrap();
    let cx = Context::builder(journals.clone()).run_id("one").open().await.unwrap();
    let same = Context::builder(journals.clone()).run_id("one").open().await.unwrap_err();
    assert_eq!(same.kind(), ErrorKind::Conflict, "{same}");
    // The same image twice, and another one, in one builder directory and into one store.
    let other = Context::builder(journals.clone()).run_id("two").open().await.unwrap();
    let third = Context::builder(journals).run_id("three").open().await.unwrap();
    let (same, different) = (site.pipeline(fixture, "same", false), site.pipeline(fixture, "different", false));
    let (one, two, three) = tokio::join!(same.run(&cx), same.run(&other), different.run(&third));
    let results = [one, two, three];
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(error.cause.kind(), ErrorKind::Conflict, "{}", error.cause.chain());
        assert!(error.leftovers.is_empty(), "{:?}", error.leftovers);
    }
    assert!(results.iter().any(Result::is_ok));
    // Which of them moved `latest` last is for them to say; it must be one of theirs.
    let mut kept = site.kept();
    let latest = fs::read_link(site.root.join("store").join(NAME).join("latest")).unwrap();
    kept.latest = Some(latest.to_str().unwrap().to_owned());
    site.assert_only(&kept, "runs at once").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ages_survive_a_clock_that_is_ahead() {
    let Some(fixture) = support::fixture() else { return };
    let (_directory, site) = published(fixture).await;
    let again = async |id: &str, ahead: Duration| {
        let settings = Context::builder(FileStore::open(site.journals()).unwrap()).run_id(id);
        let cx = settings.faults(Faults::clock_ahead(ahead)).open().await.unwrap();
        site.pipeline(fixture, "before", false).run(&cx).await.unwrap().report
    };
    let day = Duration::from_secs(24 * 3600);
    let soon = again("soon", Duration::ZERO).await;
    assert_eq!((soon.mutations, soon.approved_by_run.as_deref()), (0, Some("run-0")));
    // An approval that is too old is made again, and so is a layer that has expired.
    let late = again("late", 400 * day).await;
    assert_eq!(late.approved_by_run, None);
    // What was approved in the future is no evidence for now, and does no harm.
    let back = again("back", Duration::ZERO).await;
    assert_eq!(back.approved_by_run, None);
    site.assert_only_kept("clocks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_inputs_give_equal_bits() {
    let Some(fixture) = support::fixture() else { return };
    let mut digests = vec![];
    for _ in 0..2 {
        let directory = tempfile::tempdir().unwrap();
        let site = Site::new(directory.path());
        let builder = LocalBuilder::open(site.root.join("builder"), Source::tar(fixture.join("rootfs.tar"))).unwrap();
        let pipeline = Pipeline::new(NAME)
            .builder(builder.without_boot().esp_bytes(48 << 20).disk_bytes(112 << 20))
            .layer(Layer::new("base").provision(Shell::inline("base", "date >/etc/base; rm /etc/base")).offline())
            .layer(
                Layer::new("top")
                    .provision(Shell::inline("top", "echo top >/etc/top; mkdir -p /srv/a /srv/b"))
                    .offline(),
            )
            .layer(Layer::new("online").provision(Shell::inline("online", "echo online >/etc/online")))
            .without_boot_validation("the boot is another test's")
            .without_scan("there is no scanner in this test")
            .distributor(site.store());
        let cx = Context::builder(MemoryStore::default()).open().await.unwrap();
        let record = pipeline.run(&cx).await.unwrap().report.record;
        let latest = site.store().latest(NAME).unwrap().unwrap();
        assert_eq!(names(&latest), set(["disk.qcow2", "disk.raw", "manifest.json", "record.json", "tags.json"]));
        digests.push(
            ["disk.raw", "disk.qcow2"]
                .map(|file| site::json(&latest.join("manifest.json"))["files"][file]["sha256"].clone()),
        );
        let changed = record.layers[2].notes["changed_paths"].to_string();
        assert!(changed.contains("etc/online") && !changed.contains("etc/top"), "{changed}");
    }
    assert!(digests[0].iter().all(serde_json::Value::is_string));
    assert_eq!(digests[0], digests[1]);
}
