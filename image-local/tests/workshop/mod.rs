//! A builder and a store in a directory of their own, as a backend for the conformance kit.

use image_conformance::{DistributorRig, Limits, Rig};
use image_core::{
    Architecture, BootMode, ContentDigest, Distributor, Image, ImageKind, Layer, Pipeline, Platform, Ready, Scope,
    Secret, Undoers, provision::Shell, sha256, validate,
};
use image_local::{LocalBuilder, LocalStore, Source, qemu::agent::find_busybox};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tempfile::TempDir;

const SECRET: &str = "correct-horse-battery";
/// What pipelines of these tests are called, and what the core calls an image without one.
const NAMES: [&str; 2] = ["workshop", "unreviewed"];
const LATEST: &str = "latest";

/// Everything below one temporary directory.
#[derive(Debug)]
pub(crate) struct Workshop {
    directory: TempDir,
    /// Whether crashes are taken from copies of the directory, or by a death of their own.
    copied: bool,
}

impl Workshop {
    pub(crate) fn new(copied: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("rootfs.tar"), rootfs()).unwrap();
        fs::write(directory.path().join("disk.raw"), disk()).unwrap();
        Self { directory, copied }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
    fn builder(&self) -> LocalBuilder {
        let builder = LocalBuilder::open(self.path("builder"), Source::tar(self.path("rootfs.tar"))).unwrap();
        builder.not_bootable().raw_only().disk_bytes(16 << 20)
    }
    fn store(&self) -> LocalStore {
        LocalStore::open(self.path("store")).unwrap()
    }
    fn pipeline_with(&self, builder: LocalBuilder) -> Pipeline<Ready> {
        let token = Shell::inline("application", "printf %s \"$TOKEN\" | wc -c >/etc/application");
        Pipeline::new(NAMES[0])
            .builder(builder)
            .layer(Layer::new("base").provision(Shell::inline("base", "echo base >/etc/base")).offline())
            .layer(Layer::new("application").provision(token.secret("TOKEN", Secret::new(SECRET))).offline())
            .validator(
                validate::Command::new("files").check("application", "[ -s /etc/base ] && [ -s /etc/application ]"),
            )
            .without_boot_validation("there is no kernel in it")
            .without_scan("there is no scanner in this test")
            .distributor(self.store())
    }
    /// Another directory that was configured as this one and is another.
    fn other(&self, name: &str) -> PathBuf {
        let other = self.path(&format!("other-{name}"));
        fs::create_dir_all(&other).unwrap();
        fs::copy(self.path(name).join("scope-id"), other.join("scope-id")).unwrap();
        other
    }
    fn pointer(&self, name: &str) -> PathBuf {
        self.path("store").join(name).join(LATEST)
    }
}

impl Rig for Workshop {
    fn pipeline(&self) -> Pipeline<Ready> {
        self.pipeline_with(self.builder())
    }
    fn foreign(&self) -> Undoers {
        // Both of ours have said who they are before the ground changes under theirs.
        let _ = (self.builder(), self.store());
        let (builder, store) = (self.other("builder"), self.other("store"));
        let foreign = Undoers::new()
            .with(Arc::new(LocalBuilder::open(&builder, Source::tar(self.path("rootfs.tar"))).unwrap()))
            .with(Arc::new(LocalStore::open(&store).unwrap()));
        fs::write(builder.join("scope-id"), "local:another").unwrap();
        fs::write(store.join("scope-id"), "store:another").unwrap();
        foreign
    }
    fn live(&self) -> BTreeSet<String> {
        let mut live = BTreeSet::new();
        for place in ["images", "vms", "work"] {
            live.extend(directories(&self.path("builder").join(place)));
        }
        for name in directories(&self.path("store")) {
            // Anything else is a version under way.
            if !NAMES.contains(&&*name) {
                live.insert(name);
                continue;
            }
            let images = directories(&self.path("store").join(&name));
            if fs::read_dir(self.path("store").join(&name)).unwrap().next().is_none() {
                live.insert(format!("{name}, empty"));
            }
            live.extend(images.into_iter().map(|image| format!("{name}/{image}")));
        }
        live
    }
    fn values(&self) -> BTreeMap<String, Value> {
        let value = |name: &str| json!(fs::read_link(self.pointer(name)).ok());
        NAMES.into_iter().map(|name| (format!("{name}/{LATEST}"), value(name))).collect()
    }
    fn overwrite(&self, id: &str, value: Value) -> bool {
        let link = self.path("store").join(id);
        fs::remove_file(&link).unwrap();
        symlink(value.as_str().unwrap(), &link).unwrap();
        true
    }
    fn snapshot(&self) -> Option<Arc<dyn Rig>> {
        if !self.copied {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let from = self.directory.path().join(".");
        let copied = Command::new("cp").args(["-a", "--sparse=always"]).arg(from).arg(directory.path()).status();
        assert!(copied.unwrap().success(), "the workshop cannot be copied");
        Some(Arc::new(Self { directory, copied: true }))
    }
    fn refused(&self) -> Vec<Pipeline<Ready>> {
        let missing = LocalBuilder::open(self.path("builder"), Source::tar(self.path("missing.tar"))).unwrap();
        let odd = [self.builder().disk_bytes(1), self.builder().memory(1), self.builder().cpus(0), missing];
        odd.into_iter().map(|builder| self.pipeline_with(builder)).collect()
    }
    fn secrets(&self) -> Vec<String> {
        vec![SECRET.into()]
    }
    fn limits(&self) -> Limits {
        Limits::sampled(4, Duration::from_millis(50))
    }
}

impl DistributorRig for Workshop {
    fn distributor(&self) -> Arc<dyn Distributor> {
        Arc::new(self.store())
    }
    fn image(&self) -> Image {
        let platform = Platform::linux(Architecture::X86_64, BootMode::None);
        let image = Image::new(ImageKind::Disk, "local", Scope::new("local:elsewhere"), "here", "image", platform);
        let digest = ContentDigest::Raw { sha256: sha256(disk()) };
        image.with_digest(digest).with_part("raw", self.path("disk.raw").display().to_string())
    }
    fn corrupt(&self, copy: &Image) {
        let disk = Path::new(&copy.parts["raw"]);
        let mut content = fs::read(disk).unwrap();
        content[4096] ^= 1;
        fs::set_permissions(disk, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(disk, content).unwrap();
    }
}

/// Names of the directories in a directory, without what says that they are not finished.
fn directories(path: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(path) else { return BTreeSet::new() };
    let directories = entries.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().unwrap().is_dir());
    let name = |name: String| name.trim_start_matches(".new-").trim_start_matches(".old-").to_owned();
    directories.map(|entry| name(entry.file_name().into_string().unwrap())).collect()
}

fn disk() -> Vec<u8> {
    (0..64 * 1024_u32).flat_map(|n| n.to_le_bytes()).collect()
}

/// A root file system that has a shell and little else.
fn rootfs() -> &'static [u8] {
    static ROOTFS: OnceLock<Vec<u8>> = OnceLock::new();
    ROOTFS.get_or_init(|| {
        let busybox = find_busybox().unwrap_or_else(|e| panic!("these tests need a static busybox: {e}"));
        let mut archive = tar::Builder::new(vec![]);
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        for directory in ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"] {
            header.set_entry_type(tar::EntryType::Directory);
            archive.append_data(&mut header, directory, [].as_slice()).unwrap();
        }
        let content = fs::read(busybox).unwrap();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, "bin/busybox", content.as_slice()).unwrap();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        for applet in ["cat", "chmod", "chown", "mkdir", "mv", "rm", "sh", "wc"] {
            archive.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
        }
        archive.into_inner().unwrap()
    })
}
