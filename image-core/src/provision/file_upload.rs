//! Files and directory trees onto a machine.

use super::{
    failure::last_words,
    pin::Pins,
    tree::{Node, Tree},
};
use crate::{
    Command, Context, Error, ErrorKind, Exit, Fingerprint, Machine, Provisioner, Result, Upload, async_trait,
    sha256_file,
};
use std::{collections::BTreeSet, path::PathBuf};

/// Makes missing directories and the links; reads `directory`, path and `link`, path, target, one a line.
const PREPARE: &str = include_str!("file_upload/prepare.sh");
/// Compares files with digests on standard input, in the format of `sha256sum`.
const VERIFY: &str = include_str!("file_upload/verify.sh");
/// The exit code of [`VERIFY`] on a machine without a tool for it: `EX_UNAVAILABLE` of sysexits.h.
const NO_TOOL: Exit = Exit::Code(69);

/// Copies a file or a directory tree of the controller to the machine, and proves on the machine that what arrived is
/// what was hashed: a file that changes meanwhile, or is damaged on the way, is an error.
///
/// **Existing files** are replaced, each at once; what else is in a directory stays. Directories that exist keep their mode
/// and owner, so that a tree can be copied over `/`. Symbolic links in the directories of the machine are followed, as
/// in `/lib -> usr/lib`.
///
/// **Symbolic links in a tree** are copied as links, with their text unchanged, and never followed; the source itself may
/// be a link. Devices, pipes and sockets are refused.
///
/// **Needs** `sha256sum` on the machine, its own or BusyBox's.
///
/// **Fingerprint**: destination, owner, modes, names, link targets and the digests of all files.
#[derive(Clone, Debug)]
pub struct FileUpload {
    name: String,
    source: PathBuf,
    destination: String,
    tree: bool,
    mode: Option<u32>,
    directory_mode: u32,
    owner: Option<String>,
    pins: Pins,
}

impl FileUpload {
    /// Copies a file; `destination` is its absolute path on the machine.
    pub fn file(source: impl Into<PathBuf>, destination: impl Into<String>) -> Self {
        Self::new(source.into(), destination.into(), false)
    }
    /// Copies what is in a directory into the directory `destination`, an absolute path on the machine.
    pub fn tree(source: impl Into<PathBuf>, destination: impl Into<String>) -> Self {
        Self::new(source.into(), destination.into(), true)
    }
    fn new(source: PathBuf, destination: String, tree: bool) -> Self {
        let name = format!("upload {destination}");
        Self { name, source, destination, tree, mode: None, directory_mode: 0o755, owner: None, pins: Pins::default() }
    }
    /// Sets the name; `upload` and the destination unless set.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
    /// Sets the permission bits of every file; those of the source unless set.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }
    /// Sets the permission bits of the directories it makes; 0755 unless set.
    #[must_use]
    pub fn directory_mode(mut self, mode: u32) -> Self {
        self.directory_mode = mode;
        self
    }
    /// Sets the owner of the files, links and directories it makes, as `user` or `user:group`; root unless set.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    async fn read(&self) -> Result<Tree> {
        let field = |name: &str| format!("{name} of provisioner {}", self.name);
        let to = &self.destination;
        let clean = to.starts_with('/') && !to.contains(['\n', '\0']) && !to.split('/').any(|part| part == "..");
        if !clean || (!self.tree && to.ends_with('/')) {
            return Err(Error::invalid(&field("destination"), to, "an absolute path without `..`"));
        }
        if let Some(mode) = self.mode.into_iter().chain([self.directory_mode]).find(|mode| *mode > 0o7777) {
            return Err(Error::invalid(&field("mode"), format!("{mode:o}"), "0 to 7777, octal"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        if let Some(owner) = self.owner.as_deref()
            && (owner.is_empty() || owner.starts_with('-') || !owner.chars().all(plain))
        {
            return Err(Error::invalid(&field("owner"), owner, "`user` or `user:group`"));
        }
        let tree = Tree::read(&self.source).await?;
        if tree.is_file() == self.tree {
            let accepted = if self.tree { "a directory" } else { "a file" };
            return Err(Error::invalid(&field("source"), self.source.display(), accepted));
        }
        Ok(tree)
    }

    /// Where a path of the tree goes.
    fn place(&self, path: &str) -> String {
        let to = self.destination.trim_end_matches('/');
        if path.is_empty() { to.to_owned() } else { format!("{to}/{path}") }
    }

    async fn prepare(&self, cx: &Context, machine: &dyn Machine, tree: &Tree) -> Result<()> {
        let mut directories = BTreeSet::new(); // sorted: parents come first
        let mut links = String::new();
        for entry in &tree.0 {
            let place = self.place(&entry.path);
            let parents = place.char_indices().skip(1).filter(|(_, c)| *c == '/').map(|(at, _)| place[..at].to_owned());
            directories.extend(parents);
            match &entry.node {
                Node::Directory if !place.is_empty() => drop(directories.insert(place)),
                Node::Link { target } => links.push_str(&format!("link\n{place}\n{target}\n")),
                _ => {}
            }
        }
        let list: String = directories.iter().map(|path| format!("directory\n{path}\n")).collect();
        let command = Command::sh(PREPARE)
            .env("DIRECTORY_MODE", format!("{:04o}", self.directory_mode))
            .env("OWNER", self.owner.as_deref().unwrap_or_default())
            .stdin(list + &links);
        let output = cx.race(machine.exec(cx, command)).await?;
        if output.success() {
            return Ok(());
        }
        let words = last_words(cx, &output);
        let message = format!("provisioner {} cannot make directories and links: {words}", self.name);
        Err(Error::new(ErrorKind::CommandFailed, message))
    }

    async fn verify(&self, cx: &Context, machine: &dyn Machine, files: &[Sent<'_>]) -> Result<()> {
        let sums: String = files.iter().map(|file| format!("{}  {}\n", file.sha256, file.place)).collect();
        let output = cx.race(machine.exec(cx, Command::sh(VERIFY).stdin(sums))).await?;
        if output.success() {
            return Ok(());
        }
        if output.exit == NO_TOOL {
            let message =
                format!("provisioner {} finds no sha256sum on the machine to prove its files with", self.name);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        for file in files {
            if sha256_file(&file.source).await? != file.sha256 {
                let message = format!("{} has changed while it was sent", file.source.display());
                return Err(Error::new(ErrorKind::Conflict, message));
            }
        }
        let words = last_words(cx, &output);
        let message = format!("provisioner {}: what arrived is not what was sent: {words}", self.name);
        Err(Error::new(ErrorKind::CommandFailed, message))
    }
}

struct Sent<'a> {
    source: PathBuf,
    place: String,
    sha256: &'a str,
}

#[async_trait]
impl Provisioner for FileUpload {
    fn id(&self) -> &str {
        &self.name
    }
    async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
        let digest = self.read().await?.digest()?;
        self.pins.set(cx, &digest);
        let how = (&self.destination, self.mode, self.directory_mode, &self.owner);
        Fingerprint::of("file upload", &(digest, how)).map(Some)
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        let tree = self.read().await?;
        self.pins.check(cx, &self.source.display().to_string(), &tree.digest()?)?;
        self.prepare(cx, machine, &tree).await?;

        let sizes = tree.0.iter().map(|entry| if let Node::File { size, .. } = entry.node { size } else { 0 });
        let (mut done, total) = (0, sizes.sum());
        let mut files = vec![];
        for entry in &tree.0 {
            let Node::File { mode, size, sha256 } = &entry.node else { continue };
            let source = if entry.path.is_empty() { self.source.clone() } else { self.source.join(&entry.path) };
            let place = self.place(&entry.path);
            let mut upload = Upload::file(&source, &place).mode(self.mode.unwrap_or(*mode));
            upload.owner = self.owner.clone();
            cx.race(machine.upload(cx, upload)).await?;
            done += size;
            cx.progress(done, Some(total), format!("bytes sent, now {place}"));
            files.push(Sent { source, place, sha256 });
        }
        if files.is_empty() { Ok(()) } else { self.verify(cx, machine, &files).await }
    }
}

#[cfg(test)]
mod tests;
