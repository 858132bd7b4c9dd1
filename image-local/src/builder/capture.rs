//! From a provisioned root file system to a layer, and from a layer to a disk.

use super::{Build, IMAGE, LocalBuilder, Place, disk_architecture, new_image};
use crate::{
    disk::{self, DiskSpec},
    rootfs::{
        Exclude, Manifest, NormalizeOptions, PathChange, RootfsPath, normalize,
        store::{LayerReader, LayerWriter, read_manifest},
    },
    sandbox,
    tagged::{self, Tags},
};
use image_core::{Capture, Captured, ContentDigest, Context, Error, Image, ImageKind, Result, Role};
use serde_json::json;
use std::{fs::File, path::Path};

/// Changed paths that a build record lists; all of them are in `changes.json` of the layer.
const LISTED_CHANGES: usize = 2000;
/// What a disk has over its content, unless a size is set: logs, updates, a first boot.
const ROOM: u64 = 512 << 20;
/// Sizes are rounded up to this.
const SIZE_STEP: u64 = 256 << 20;

impl LocalBuilder {
    pub(super) async fn capture_build(&self, cx: &Context, build: &Build, capture: Capture<'_>) -> Result<Captured> {
        let mut tags = Tags::default().with("name", capture.name).with("layer", capture.layer);
        if let Some(fingerprint) = capture.fingerprint {
            tags = tags.with("fingerprint", fingerprint.as_str());
        }
        for (key, value) in capture.labels {
            tags = tags.with(&format!("label.{key}"), value);
        }
        let (guard, directory) = self.make(cx, Place::Images, tags).await?;
        cx.progress(0, None, "storing the root file system");
        let manifest = cx.race(self.store(build, &directory)).await?;
        let changes = self.changes(&manifest, &directory, capture.parent)?;

        let image = if capture.role == Role::Image {
            cx.progress(0, None, "assembling the disk");
            let image = new_image(self, ImageKind::Disk, guard.id());
            let (this, directory) = (self.clone(), directory.clone());
            cx.race(async { tokio::task::spawn_blocking(move || this.assemble(image, &directory)).await? }).await?
        } else {
            let digest = ContentDigest::Raw { sha256: manifest.digest.to_hex() };
            new_image(self, ImageKind::Layer, guard.id()).with_digest(digest)
        };
        tagged::write_atomically(&directory.join(IMAGE), &tagged::to_json(&image)?)?;
        let mut captured = Captured::new(image, vec![guard]);
        if let Some(changes) = changes {
            captured = captured
                .with_note("changed_paths", json!(changes.iter().take(LISTED_CHANGES).collect::<Vec<_>>()))
                .with_note("changed_paths_count", json!(changes.len()));
        }
        Ok(captured)
    }

    /// Packs the root file system into its canonical form.
    async fn store(&self, build: &Build, directory: &Path) -> Result<Manifest> {
        let archive = sandbox::pack(build.privilege, &build.rootfs).await?;
        let reader = archive.reader().map_err(|e| Error::io("read", "tar", e))?;
        let options = self.normalize_options()?;
        let directory = directory.to_owned();
        let write = move || -> Result<Manifest> {
            let mut writer = LayerWriter::create(&directory)?;
            let manifest = normalize(reader, &mut writer, &options)?;
            writer.commit(&manifest)?;
            Ok(manifest)
        };
        let written = tokio::task::spawn_blocking(write).await?;
        match (written, archive.finish().await) {
            // A tar that ends without a word could not write any more: our end broke first, and knows why.
            (Err(error), Err(sandbox::SandboxError::Archive { message, .. })) if message.is_empty() => Err(error),
            // What tar itself has to say explains a stream that ended early.
            (_, Err(error)) => Err(error.into()),
            (written, Ok(())) => written,
        }
    }

    fn normalize_options(&self) -> Result<NormalizeOptions> {
        let mut options = NormalizeOptions::with_max_mtime(i64::try_from(self.settings.epoch).unwrap_or(i64::MAX));
        // What the kernel and the boot fill; a build has only its own there.
        for path in ["dev", "proc", "run", "sys", "tmp"] {
            let path = RootfsPath::parse(path).map_err(|e| Error::bug("a fixed path").with_source(e))?;
            options.exclude.push(Exclude::Below(path));
        }
        Ok(options)
    }

    /// What a layer changed. Only a layer that reached the network can come out otherwise the next time; these paths are
    /// all that can differ then.
    fn changes(
        &self,
        manifest: &Manifest,
        directory: &Path,
        parent: Option<&Image>,
    ) -> Result<Option<Vec<PathChange>>> {
        let Some(parent) = parent else { return Ok(None) };
        let below = read_manifest(self.directory_of(parent))?;
        let changes: Vec<PathChange> =
            Manifest::diff(&below, manifest).into_iter().filter(|change| !change.is_mtime_only()).collect();
        tagged::write_atomically(&directory.join("changes.json"), &tagged::to_json(&changes)?)?;
        Ok(Some(changes))
    }

    /// Makes `disk.raw` and `disk.qcow2` of the stored root file system.
    fn assemble(&self, image: Image, directory: &Path) -> Result<Image> {
        let layer = LayerReader::open(directory)?;
        let seed = layer.manifest().digest.to_hex();
        let architecture = disk_architecture(self.settings.architecture)?;
        let boot = if self.settings.bootable { disk::Boot::Uefi } else { disk::Boot::None };
        let mut spec = DiskSpec::new(architecture, 0, seed).with_boot(boot).with_timestamp(self.settings.epoch);
        if let Some(options) = &self.settings.kernel_options {
            spec = spec.with_kernel_options(options);
        }
        if let Some(bytes) = self.settings.esp_bytes {
            spec = spec.with_esp_bytes(bytes);
        }
        spec.size_bytes = match self.settings.disk_bytes {
            Some(bytes) => bytes,
            None => fitting(directory, &spec)?,
        };
        let (raw, qcow2) = (directory.join("disk.raw"), directory.join("disk.qcow2"));
        let file = File::create_new(&raw).map_err(|e| Error::io("create", &raw, e))?;
        disk::assemble(layer, &spec, &file)?;
        seal(&file, &raw)?;
        let digest = ContentDigest::Raw { sha256: digest(&raw)? };
        let mut image = image.with_digest(digest).with_part("raw", raw.display().to_string());
        if self.settings.qcow2 {
            disk::qcow2::convert(&raw, &qcow2, disk::qcow2::Encoding::Plain)?;
            let file = File::open(&qcow2).map_err(|e| Error::io("open", &qcow2, e))?;
            seal(&file, &qcow2)?;
            image = image.with_part("qcow2", qcow2.display().to_string());
        }
        Ok(image)
    }
}

/// SHA-256 of a disk, in hexadecimal: what `sha256sum` says of the file.
pub(crate) fn digest(disk: &Path) -> Result<String> {
    let digest = disk::sparse::digest(disk).map_err(|e| Error::io("read", disk, e))?;
    Ok(crate::rootfs::Digest::from(digest).to_hex())
}

/// A size that the content fits in with room to boot.
fn fitting(directory: &Path, spec: &DiskSpec) -> Result<u64> {
    let content = disk::ext4::measure(LayerReader::open(directory)?)?;
    let minimum = disk::minimum_size(&content, spec)?;
    Ok((minimum + minimum / 8 + ROOM).next_multiple_of(SIZE_STEP))
}

/// An image never changes: read-only, and durable before anything names it.
fn seal(file: &File, path: &Path) -> Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o444))
        .and_then(|()| file.sync_all())
        .map_err(|e| Error::io("write", path, e))
}
