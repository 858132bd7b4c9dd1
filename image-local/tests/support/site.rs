//! A builder, a store and journals in one directory, and what must be left there: a fold of the journals of its own,
//! which shares no code with the library's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use image_core::{
    Entry, Layer, Pipeline, Record, Resource, journal::parse_lines, provision::Shell, sha256_file, validate::Command,
};
use image_local::{BootVia, LocalBuilder, LocalStore, Source};

/// The image's name.
pub(crate) const NAME: &str = "busybox";

/// One directory with everything of a build.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) root: PathBuf,
}

/// What must be there: by token, and where the pointer stands.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Kept {
    pub(crate) images: BTreeSet<String>,
    pub(crate) published: BTreeSet<String>,
    pub(crate) latest: Option<String>,
}

impl Site {
    pub(crate) fn new(root: &Path) -> Self {
        let site = Self { root: root.canonicalize().unwrap() };
        fs::create_dir_all(site.temporary()).unwrap();
        site
    }
    /// `TMPDIR` of the processes that build here.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }
    pub(crate) fn journals(&self) -> PathBuf {
        self.root.join("journals")
    }
    pub(crate) fn builder(&self, fixture: &Path) -> LocalBuilder {
        let source = Source::tar(fixture.join("rootfs.tar"));
        let builder = LocalBuilder::open(self.root.join("builder"), source).unwrap();
        // As small as it can be: every byte is written, hashed and copied in every one of many runs.
        builder.boot_via(BootVia::Kernel).raw_only().esp_bytes(48 << 20).disk_bytes(112 << 20)
    }
    pub(crate) fn store(&self) -> LocalStore {
        LocalStore::open(self.root.join("store")).unwrap()
    }
    /// Two offline layers that differ with `content`, with or without a boot.
    pub(crate) fn pipeline(&self, fixture: &Path, content: &str, boot: bool) -> Pipeline {
        let write = |file: &str| Shell::inline(file, format!("echo {content} >/etc/{file}"));
        let pipeline = Pipeline::new(NAME)
            .builder(self.builder(fixture))
            .layer(Layer::new("base").provision(write("base")).offline())
            .layer(Layer::new("application").provision(write("application")).offline())
            .validator(Command::new("content").check("application", format!("grep -x {content} /etc/application")))
            .without_scan("there is no scanner in this test")
            .distributor(self.store());
        if boot { pipeline } else { pipeline.without_boot_validation("the boot is another test's") }
    }

    /// What the journals of all runs here say is kept, in the order of their ids.
    pub(crate) fn kept(&self) -> Kept {
        let mut runs: Vec<PathBuf> = names(&self.journals()).iter().map(|name| self.journals().join(name)).collect();
        runs.retain(|path| !path.file_name().unwrap().to_str().unwrap().starts_with("approval-"));
        runs.sort();
        let mut kept = Kept::default();
        for run in runs {
            fold(&mut kept, parse_lines("run", &fs::read_to_string(run).unwrap()).unwrap());
        }
        kept
    }

    /// Takes up what is published for good by its tags alone, for a run that lost its journal: it may have died after its
    /// commit, and the pointer may have moved by then, but only to what stays.
    #[allow(dead_code, reason = "not every test program that has this file needs it")]
    pub(crate) fn adopt_published(&self, kept: &mut Kept) {
        let published = self.root.join("store").join(NAME);
        let latest = fs::read_link(published.join("latest")).ok();
        for version in names(&published).into_iter().filter(|name| name != "latest") {
            let Ok(text) = fs::read(published.join(&version).join("tags.json")) else { continue };
            let tags: serde_json::Value = serde_json::from_slice(&text).unwrap();
            if tags["state"] != "kept" {
                continue;
            }
            kept.published.insert(tags["token"].as_str().unwrap().to_owned());
            if latest.as_ref().is_some_and(|to| to.as_os_str() == version.as_str()) {
                kept.latest = Some(version);
            }
        }
    }

    /// Asserts that what the journals kept is here, whole, and nothing else.
    pub(crate) async fn assert_only_kept(&self, why: &str) {
        let kept = self.kept();
        self.assert_only(&kept, why).await;
    }

    pub(crate) async fn assert_only(&self, kept: &Kept, why: &str) {
        let builder = self.root.join("builder");
        assert_eq!(names(&builder), set(["images", "scope-id", "vms", "work"]), "{why}");
        for place in ["work", "vms"] {
            assert_eq!(names(&builder.join(place)), set([]), "{why}: {place}");
        }
        assert_eq!(names(&builder.join("images")), kept.images, "{why}: images");
        for image in &kept.images {
            assert_image(&builder.join("images").join(image), why).await;
        }
        self.assert_store(kept, why).await;
        assert_eq!(names(&self.temporary()), set([]), "{why}: temporary files");
        self.assert_nothing_runs(why);
    }

    async fn assert_store(&self, kept: &Kept, why: &str) {
        let store = self.root.join("store");
        let expected = if names(&store).contains(".lock") { set([".lock", "scope-id"]) } else { set(["scope-id"]) };
        let mut found = names(&store);
        if !kept.published.is_empty() {
            assert!(found.remove(NAME), "{why}: nothing is published");
        }
        assert_eq!(found, expected, "{why}: store");
        let mut versions = names(&store.join(NAME));
        let latest = fs::read_link(store.join(NAME).join("latest")).ok();
        assert_eq!(latest.is_some(), versions.remove("latest"), "{why}: latest is a link");
        assert_eq!(latest.as_ref().map(|to| to.to_str().unwrap().to_owned()), kept.latest, "{why}: latest");
        assert!(kept.latest.as_ref().is_none_or(|version| versions.contains(version)), "{why}: latest dangles");
        let mut tokens = BTreeSet::new();
        for version in versions {
            let directory = store.join(NAME).join(version);
            let files = ["disk.raw", "manifest.json", "record.json", "tags.json"];
            assert_eq!(names(&directory), set(files), "{why}: {}", directory.display());
            let manifest = json(&directory.join("manifest.json"));
            let digest = sha256_file(&directory.join("disk.raw")).await.unwrap();
            assert_eq!(manifest["files"]["disk.raw"]["sha256"], digest, "{why}: {}", directory.display());
            let tags = json(&directory.join("tags.json"));
            assert_eq!(tags["state"], "kept", "{why}: {}", directory.display());
            tokens.insert(tags["token"].as_str().unwrap().to_owned());
        }
        assert_eq!(tokens, kept.published, "{why}: published");
    }

    /// No process, mount or loop device has to do with this directory. (A token is part of a path in it.)
    pub(crate) fn assert_nothing_runs(&self, why: &str) {
        let root = self.root.to_str().unwrap();
        let about = |text: &[u8]| String::from_utf8_lossy(text).contains(root);
        for process in names(Path::new("/proc")) {
            let command = fs::read(Path::new("/proc").join(&process).join("cmdline")).unwrap_or_default();
            let text = String::from_utf8_lossy(&command).replace('\0', " ");
            assert!(!about(&command), "{why}: process {process} runs: {text}");
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        // What a test mounts in place of a whole directory is its own.
        let own = ["builder", "tiny"].map(|place| format!(" {root}/{place} "));
        let mut mounted = mounts.lines().filter(|line| line.contains(root));
        let mounted = mounted.find(|line| !own.iter().any(|own| line.contains(own)));
        assert_eq!(mounted, None, "{why}: mounts");
        for device in names(Path::new("/sys/block")) {
            let backing = fs::read(Path::new("/sys/block").join(&device).join("loop/backing_file")).unwrap_or_default();
            assert!(!about(&backing), "{why}: {device}");
        }
    }
}

async fn assert_image(directory: &Path, why: &str) {
    let image = json(&directory.join("image.json"));
    let mut expected = set(["image.json", "manifest.json.zst", "rootfs.tar.zst", "tags.json"]);
    // Only a layer above another has changes.
    let found = names(directory);
    expected.extend(found.contains("changes.json").then(|| "changes.json".to_owned()));
    if image["kind"] == "disk" {
        expected.insert("disk.raw".into());
        let digest = sha256_file(&directory.join("disk.raw")).await.unwrap();
        assert!(image["digest"].to_string().contains(&digest), "{why}: {image}");
    }
    assert_eq!(found, expected, "{why}: {}", directory.display());
    let state = json(&directory.join("tags.json"))["state"].clone();
    assert!(state == "kept" || state == "layer", "{why}: {} is {state}", directory.display());
}

/// From a begun commit on, its members stay; a change stays once it is kept.
fn fold(kept: &mut Kept, entries: Vec<Entry>) {
    let mut intended = BTreeMap::<String, Resource>::new();
    for entry in entries {
        let tokens = match entry.record {
            Record::Intended(resource) => {
                intended.insert(resource.token.clone(), resource);
                continue;
            }
            Record::Committing { set, .. } | Record::Kept { set } => set,
            _ => continue,
        };
        for token in tokens {
            let resource = &intended[&token];
            match (&*resource.owner, &resource.change) {
                ("local", None) => drop(kept.images.insert(token)),
                ("local.store", None) => drop(kept.published.insert(token)),
                ("local.store", Some(change)) => kept.latest = change.after.as_str().map(str::to_owned),
                other => panic!("nothing of this kind is ever kept: {other:?}"),
            }
        }
    }
}

/// The names in a directory; none where there is no directory.
pub(crate) fn names(directory: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

pub(crate) fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

pub(crate) fn json(path: &Path) -> serde_json::Value {
    let text = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap()
}
