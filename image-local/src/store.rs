//! A directory of immutable, published images.
//!
//! ```text
//! <store>/<name>/<version>/   disk.raw disk.qcow2 manifest.json record.json tags.json
//! <store>/<name>/latest       -> <version>
//! <store>/<token>/            a version that is not finished
//! ```

use crate::{
    builder::digest,
    tagged::{self, Tags},
};
use image_core::{
    ApprovedImage, Captured, Change, ContentDigest, Context, CreateError, Created, Distributor, Error, ErrorKind,
    Found, Guard, Image, ImageKind, Keep, Kind, Query, Resource, Result, RunReport, Scope, State, Target, Undo, Undone,
    async_trait, journal::check_run_id,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

const OWNER: &str = "local.store";
const LATEST: &str = "latest";
/// A `latest` that has not taken its place yet.
const NEW_LATEST: &str = ".latest.new";
const MANIFEST: &str = "manifest.json";
/// The tag of a version that came with the directory of its image, which goes with it where nothing else is in there.
const MADE: &str = "made-directory";
/// The files of an image that are published, by the role of the part.
const PARTS: [&str; 2] = ["raw", "qcow2"];

/// Publishes images into a directory that anything can read: each version in a directory of its own that never changes,
/// with its digests, its build record, and a `latest` link that moves last.
///
/// A version is named after its content, so publishing the same image again changes nothing.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: PathBuf,
    scope: Scope,
}

/// What a published image is: the content of `manifest.json`.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Manifest {
    /// Version of this document.
    pub format: u32,
    /// The image's name.
    pub name: String,
    /// Its version: the first digits of its digest.
    pub version: String,
    /// The digest of its content.
    pub digest: ContentDigest,
    /// The run that built it.
    pub run: String,
    /// Its files, by name.
    pub files: BTreeMap<String, PublishedFile>,
}

/// One file of a published image.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PublishedFile {
    /// SHA-256 in hexadecimal, over all bytes: what `sha256sum` says.
    pub sha256: String,
    /// Length in bytes, holes included.
    pub bytes: u64,
    /// When it was written last, in nanoseconds since 1970.
    pub modified_ns: i128,
}

impl PublishedFile {
    fn read(path: &Path, sha256: String) -> Result<Self> {
        let (bytes, modified_ns) = Self::stat(path)?;
        Ok(Self { sha256, bytes, modified_ns })
    }
    fn stat(path: &Path) -> Result<(u64, i128)> {
        let meta = fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        let (seconds, nanos) = (meta.mtime(), meta.mtime_nsec());
        Ok((meta.len(), i128::from(seconds) * 1_000_000_000 + i128::from(nanos)))
    }
    /// Whether the file was not written since.
    fn is_untouched(&self, path: &Path) -> Result<bool> {
        Ok(Self::stat(path)? == (self.bytes, self.modified_ns))
    }
}

impl LocalStore {
    /// Opens a store, and creates its directory where it does not exist.
    ///
    /// # Errors
    /// The I/O error of the directory; `Conflict` when it is a directory of another kind.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|e| Error::io("create the store", &root, e))?;
        let root = root.canonicalize().map_err(|e| Error::io("open the store", &root, e))?;
        let scope = Scope::new(tagged::scope_id(&root, "store")?);
        Ok(Self { root, scope })
    }
    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The directory of the published version of an image; `None` before the first.
    ///
    /// # Errors
    /// The I/O error of the link.
    pub fn latest(&self, name: &str) -> Result<Option<PathBuf>> {
        Ok(self.pointer(name)?.map(|version| self.root.join(name).join(version)))
    }
    /// Writes a run's report to `<store>/<name>/reports/<run>.json`, after the run that reports, whichever run built the
    /// image. The images themselves never change.
    ///
    /// # Errors
    /// `InvalidInput` when the run or its pipeline has no name that a file could have, as in the report of a run that
    /// never began; the I/O error of the file.
    pub fn write_report(&self, report: &RunReport) -> Result<PathBuf> {
        check_run_id(&report.run)?;
        check_name(&report.record.pipeline)?;
        let directory = self.root.join(&report.record.pipeline).join("reports");
        fs::create_dir_all(&directory).map_err(|e| Error::io("create", &directory, e))?;
        let path = directory.join(format!("{}.json", report.run));
        tagged::write_atomically(&path, &tagged::to_json(report)?)?;
        Ok(path)
    }

    fn pointer(&self, name: &str) -> Result<Option<String>> {
        let link = self.root.join(name).join(LATEST);
        match fs::read_link(&link) {
            Ok(version) => Ok(Some(version.to_string_lossy().into_owned())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", &link, e)),
        }
    }

    /// Moves a pointer from one value to another; `Conflict` when it is not at the first by now.
    fn repoint(&self, name: &str, change: &Change) -> Result<()> {
        let _lock = self.lock()?;
        let now = json!(self.pointer(name)?);
        if now != change.before {
            let message = format!("{name}/{LATEST} is {now} and not {} any more", change.before);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let link = self.root.join(name).join(LATEST);
        let new = self.clear_new_pointer(name)?;
        let moved = match change.after.as_str() {
            None => fs::remove_file(&link),
            Some(version) => std::os::unix::fs::symlink(version, &new).and_then(|()| fs::rename(&new, &link)),
        };
        moved.map_err(|e| Error::io("move", &link, e))?;
        tagged::sync(&self.root.join(name))
    }

    /// Where a pointer is made before it takes its place. What a crash left there is removed; needs the lock.
    fn clear_new_pointer(&self, name: &str) -> Result<PathBuf> {
        let new = self.root.join(name).join(NEW_LATEST);
        match fs::remove_file(&new) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &new, e)),
            _ => Ok(new),
        }
    }

    /// Keeps two processes from moving pointers at once. The lock ends with its holder.
    fn lock(&self) -> Result<fs::File> {
        let path = self.root.join(".lock");
        let open = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(|e| Error::io("open", &path, e))?;
        file.lock().map_err(|e| Error::io("lock", &path, e))?;
        Ok(file)
    }

    fn kind(name: &str) -> Kind {
        // A file system shows at once what was done to it.
        Kind::new(name, Duration::from_secs(600), Duration::ZERO).ends_with_process()
    }

    /// Every version, finished or not.
    fn directories(&self) -> Result<Vec<tagged::Tagged>> {
        let mut all = tagged::list(&self.root)?;
        for entry in fs::read_dir(&self.root).map_err(|e| Error::io("list", &self.root, e))? {
            let entry = entry.map_err(|e| Error::io("list", &self.root, e))?;
            let of_image = entry.file_name().to_str().is_some_and(is_name);
            if of_image && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                all.extend(tagged::list(&entry.path())?);
            }
        }
        Ok(all)
    }

    /// Where the published copy of an image is, if it is there and whole.
    fn existing(&self, name: &str, version: &str) -> Result<Option<Manifest>> {
        let path = self.root.join(name).join(version);
        let kept = tagged::read(&path)?.is_some_and(|tags| tags.state() == State::Kept);
        let file = path.join(MANIFEST);
        match fs::read(&file) {
            Ok(text) if kept => {
                let broken =
                    |e| Error::new(ErrorKind::Conflict, format!("{} cannot be read", file.display())).with_source(e);
                serde_json::from_slice(&text).map(Some).map_err(broken)
            }
            Ok(_) => Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", &file, e)),
        }
    }

    fn image(&self, approved: &ApprovedImage, name: &str, version: &str) -> Image {
        let (source, path) = (approved.image(), self.root.join(name).join(version));
        let id = format!("{name}/{version}");
        let location = self.root.display().to_string();
        let image = Image::new(ImageKind::Disk, OWNER, self.scope.clone(), location, id, source.platform.clone());
        let parts = PARTS.into_iter().filter(|role| source.parts.contains_key(*role));
        parts.fold(image.with_digest(source.digest.clone()), |image, role| {
            image.with_part(role, path.join(format!("disk.{role}")).display().to_string())
        })
    }

    /// Copies the files into a directory that nobody looks at yet, and gives it its name last.
    fn copy(&self, approved: &ApprovedImage, name: &str, version: &str, token: &str, tags: &Tags) -> Result<()> {
        let new = tagged::create(&self.root, token, tags)?;
        let mut files = BTreeMap::new();
        for role in PARTS {
            let Some(source) = approved.image().parts.get(role) else { continue };
            let file = format!("disk.{role}");
            let path = new.join(&file);
            let digest = copy_file(approved, role, Path::new(source), &path)?;
            files.insert(file, PublishedFile::read(&path, digest)?);
        }
        if files.is_empty() {
            let message = format!("{} has neither a raw nor a qcow2 file", approved.image());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let manifest = Manifest {
            format: 1,
            name: name.to_owned(),
            version: version.to_owned(),
            digest: approved.image().digest.clone(),
            run: approved.record().run.clone(),
            files,
        };
        tagged::write_atomically(&new.join("record.json"), &tagged::to_json(approved.record())?)?;
        if !approved.attestations().is_empty() {
            tagged::write_atomically(&new.join("attestations.json"), &tagged::to_json(&approved.attestations())?)?;
        }
        tagged::write_atomically(&new.join(MANIFEST), &tagged::to_json(&manifest)?)?;
        self.put_in_place(&new, name, version, tags)
    }

    /// Gives a finished version its name. The first one of an image makes the directory for all of them, and says so in
    /// its tags before it does.
    fn put_in_place(&self, new: &Path, name: &str, version: &str, tags: &Tags) -> Result<()> {
        let parent = self.root.join(name);
        let place = parent.join(version);
        let _lock = self.lock()?;
        if !parent.try_exists().map_err(|e| Error::io("read", &parent, e))? {
            tagged::retag(new, &tags.clone().with(MADE, name))?;
            fs::create_dir(&parent).map_err(|e| Error::io("create", &parent, e))?;
            tagged::sync(&self.root)?;
        }
        let placed = fs::set_permissions(new, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .and_then(|()| fs::rename(new, &place));
        match placed {
            Ok(()) => tagged::sync(&parent),
            Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                let message = format!("another run is publishing {name}/{version}; run again when it is over");
                Err(Error::new(ErrorKind::Conflict, message))
            }
            Err(e) => Err(Error::io("put in place", &place, e)),
        }
    }

    /// Removes the directory of an image where nothing is in it.
    fn remove_empty(&self, name: &str) -> Result<()> {
        let directory = self.root.join(name);
        let _lock = self.lock()?;
        match fs::remove_dir(&directory) {
            Ok(()) => tagged::sync(&self.root),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::NotFound) => {
                Ok(())
            }
            Err(e) => Err(Error::io("remove", &directory, e)),
        }
    }
}

/// Whether this can be the name of an image here.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn check_name(name: &str) -> Result<()> {
    if is_name(name) { Ok(()) } else { Err(Error::invalid("image name", name, "letters, digits, `-` and `_`")) }
}

/// A name and the version after the content.
fn name_of(approved: &ApprovedImage) -> Result<(String, String)> {
    let digest = match &approved.image().digest {
        ContentDigest::Raw { sha256 } | ContentDigest::Blocks { sha256 } => sha256,
        other => {
            let message = format!("a store names images after their content; the digest of this one is {other}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    };
    let version = digest.get(..16).ok_or_else(|| Error::invalid("digest", digest, "a SHA-256 in hexadecimal"))?;
    let name = &approved.record().pipeline;
    check_name(name)?;
    Ok((name.clone(), version.to_owned()))
}

/// Copies a file read-only and durably, holes kept, and returns the SHA-256 that the copy must have; `verify` proves it.
fn copy_file(approved: &ApprovedImage, role: &str, from: &Path, to: &Path) -> Result<String> {
    crate::disk::sparse::copy(from, to).map_err(|e| Error::io("copy to", to, e))?;
    let sealed = fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o444));
    let synced = sealed.and_then(|()| fs::File::open(to)).and_then(|file| file.sync_all());
    synced.map_err(|e| Error::io("write", to, e))?;
    match &approved.image().digest {
        // What was approved is what the copy is held against.
        ContentDigest::Raw { sha256 } if role == "raw" => Ok(sha256.clone()),
        _ => digest(from),
    }
}

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(f).await?
}

#[async_trait]
impl Undo for LocalStore {
    fn owner(&self) -> &str {
        OWNER
    }
    fn scopes(&self) -> Vec<Scope> {
        vec![self.scope.clone()]
    }
    async fn identity(&self, _cx: &Context, _configured: &Scope) -> Result<Scope> {
        Ok(Scope::new(tagged::scope_id(&self.root, "store")?))
    }
    async fn undo(&self, _cx: &Context, created: &Resource) -> Result<Undone> {
        let (this, token) = (self.clone(), created.token.clone());
        blocking(move || {
            let mut gone = Undone::Absent;
            for found in this.directories()?.into_iter().filter(|found| found.tags.token() == token) {
                let old = tagged::retire(&found.path, &this.root, &token)?;
                // What says that the directory is ours goes last.
                let tags = tagged::read(&old)?.unwrap_or_default();
                if let Some(name) = tags.get(MADE).filter(|name| is_name(name)) {
                    this.remove_empty(name)?;
                }
                fs::remove_dir_all(&old).map_err(|e| Error::io("remove", &old, e))?;
                gone = Undone::Gone;
            }
            Ok(gone)
        })
        .await
    }
    async fn restore(&self, _cx: &Context, changed: &Resource) -> Result<Undone> {
        let (Some(id), Some(change)) = (&changed.id, &changed.change) else {
            return Err(Error::bug("a change without its target"));
        };
        let name = id.strip_suffix("/latest").ok_or_else(|| Error::bug(format!("{id} is not a pointer")))?.to_owned();
        let (this, change) = (self.clone(), change.clone());
        blocking(move || {
            {
                let _lock = this.lock()?;
                this.clear_new_pointer(&name)?;
            }
            let now = json!(this.pointer(&name)?);
            if now == change.before {
                return Ok(Undone::Absent);
            }
            if now != change.after {
                return Ok(Undone::Superseded);
            }
            this.repoint(&name, &Change::new(change.after, change.before))?;
            Ok(Undone::Gone)
        })
        .await
    }
    async fn keep(&self, _cx: &Context, created: &Resource, keep: &Keep) -> Result<()> {
        let (this, token, keep) = (self.clone(), created.token.clone(), *keep);
        blocking(move || {
            let found = this.directories()?.into_iter().find(|found| found.tags.token() == token);
            let missing =
                || Error::new(ErrorKind::NotFound, format!("no image with token {token} is there to be kept"));
            tagged::keep(&found.ok_or_else(missing)?.path, &keep)
        })
        .await
    }
    async fn find(&self, _cx: &Context, query: &Query) -> Result<Vec<Found>> {
        let (this, query) = (self.clone(), query.clone());
        blocking(move || {
            let found = this.directories()?.into_iter().filter(|found| {
                query.token.as_deref().is_none_or(|token| token == found.tags.token())
                    && query.expired_before.is_none_or(|at| found.tags.expires_at().is_some_and(|expires| expires < at))
            });
            let resource = |found: &tagged::Tagged| {
                let id = found.path.strip_prefix(&this.root).unwrap_or(&found.path).display().to_string();
                let location = this.root.display().to_string();
                Resource::found(OWNER, this.scope.clone(), Self::kind("image"), location, found.tags.token(), id)
            };
            Ok(found.map(|f| Found::new(resource(&f), f.tags.state(), f.tags.expires_at())).collect())
        })
        .await
    }
}

#[async_trait]
impl Distributor for LocalStore {
    async fn check(&self, _cx: &Context) -> Result<()> {
        tagged::probe(&self.root)
    }

    async fn distribute(&self, cx: &Context, image: &ApprovedImage) -> Result<Vec<Captured>> {
        let (name, version) = name_of(image)?;
        let copy = self.image(image, &name, &version);
        if self.existing(&name, &version)?.is_some() {
            cx.message(format!("{name}/{version} is in the store already"));
            return Ok(vec![Captured::new(copy, vec![])]);
        }
        let (this, approved, id) = (self.clone(), image.clone(), copy.id.clone());
        let location = self.root.display().to_string();
        let guard = cx
            .create(OWNER, &self.scope, Self::kind("image"), &location, |request| async move {
                let tags = Tags::new(request.tags);
                blocking(move || this.copy(&approved, &name, &version, &request.token, &tags)).await?;
                Ok(Created::new(id))
            })
            .await?;
        Ok(vec![Captured::new(copy, vec![guard])])
    }

    async fn verify(&self, _cx: &Context, image: &ApprovedImage, copies: &[Image]) -> Result<()> {
        let (this, (name, version)) = (self.clone(), name_of(image)?);
        if copies.len() != 1 {
            return Err(Error::bug(format!("{} copies in one store", copies.len())));
        }
        blocking(move || {
            let path = this.root.join(&name).join(&version);
            let file = path.join(MANIFEST);
            let text = fs::read(&file).map_err(|e| Error::io("read", &file, e))?;
            let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| {
                Error::new(ErrorKind::Conflict, format!("{} cannot be read", file.display())).with_source(e)
            })?;
            // A file that was proved before it was kept, and not written since, is what it was.
            let proved = tagged::read(&path)?.is_some_and(|tags| tags.state() == State::Kept);
            for (file, expected) in &manifest.files {
                let file = path.join(file);
                if proved && expected.is_untouched(&file)? {
                    continue;
                }
                let actual = digest(&file)?;
                if actual != expected.sha256 {
                    let message = format!("{} is {actual} and not {}", file.display(), expected.sha256);
                    return Err(Error::new(ErrorKind::PolicyViolation, message));
                }
            }
            Ok(())
        })
        .await
    }

    async fn publish(&self, cx: &Context, copies: &[Image]) -> Result<Vec<Guard>> {
        let mut moved = vec![];
        for copy in copies {
            let Some((name, version)) = copy.id.split_once('/') else {
                return Err(Error::bug(format!("{} is no image of a store", copy.id)));
            };
            let (before, after) = (json!(self.pointer(name)?), Value::from(version));
            if before == after {
                continue;
            }
            let (this, name) = (self.clone(), name.to_owned());
            let location = self.root.display().to_string();
            let target =
                Target::new(OWNER, self.scope.clone(), Self::kind("pointer"), location, format!("{name}/{LATEST}"));
            let apply = |change: Change| async move {
                blocking(move || this.repoint(&name, &change)).await.map_err(|e| match e.kind() {
                    ErrorKind::Conflict => CreateError::Rejected(e),
                    _ => CreateError::Unclear(e),
                })
            };
            moved.push(cx.change(target, before, after, apply).await?);
        }
        Ok(moved)
    }
}
