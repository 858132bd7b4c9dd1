//! Files off a machine.

use super::failure::last_words;
use crate::{
    Command, Context, Error, ErrorKind, Fingerprint, Machine, Provisioner, Result, async_trait, quote, sha256_file,
};
use std::path::{Path, PathBuf};

/// Copies a file of the machine to the controller. The file is complete or absent there: its digest is compared with the
/// one on the machine before it takes its place.
///
/// **Fingerprint**: none unless [`only_when_built`](Self::only_when_built) is asked for, so that the layer is built, and
/// the file is there, after every run.
///
/// **Needs** `sha256sum` on the machine, its own or BusyBox's.
#[derive(Clone, Debug)]
pub struct FileDownload {
    name: String,
    source: String,
    destination: PathBuf,
    only_when_built: bool,
}

impl FileDownload {
    /// Copies `source`, an absolute path on the machine, to `destination`, whose directory must exist.
    pub fn new(source: impl Into<String>, destination: impl Into<PathBuf>) -> Self {
        let source = source.into();
        Self { name: format!("download {source}"), source, destination: destination.into(), only_when_built: false }
    }
    /// Sets the name; `download` and the source unless set.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
    /// Lets the layer be reused: the file is written by runs that build it, and others leave what is there.
    #[must_use]
    pub fn only_when_built(mut self) -> Self {
        self.only_when_built = true;
        self
    }

    fn check_settings(&self) -> Result<()> {
        let field = |name: &str| format!("{name} of provisioner {}", self.name);
        if !self.source.starts_with('/') || self.source.contains('\0') {
            return Err(Error::invalid(&field("source"), &self.source, "an absolute path"));
        }
        if self.destination.file_name().is_none() || self.destination.is_dir() {
            return Err(Error::invalid(&field("destination"), self.destination.display(), "the path of a file"));
        }
        Ok(())
    }

    async fn digest(&self, cx: &Context, machine: &dyn Machine) -> Result<String> {
        let file = quote(&self.source);
        let script = format!(
            "set -eu; [ -f {file} ] || exit 66; \
             if command -v sha256sum >/dev/null 2>&1; then sha256sum < {file}; else busybox sha256sum < {file}; fi"
        );
        let output = cx.race(machine.exec(cx, Command::sh(script))).await?;
        let text = output.stdout_text();
        let digest = text.split_whitespace().next().unwrap_or_default();
        match output.exit {
            crate::Exit::Code(0) if digest.len() == 64 => Ok(digest.to_owned()),
            crate::Exit::Code(66) => {
                Err(Error::new(ErrorKind::NotFound, format!("{} is no file on the machine", self.source)))
            }
            _ => {
                let words = last_words(cx, &output);
                let message = format!("provisioner {} cannot hash {}: {words}", self.name, self.source);
                Err(Error::new(ErrorKind::CommandFailed, message))
            }
        }
    }
}

/// A file beside its later place, removed unless it was put there.
struct Partial(PathBuf);

impl Partial {
    fn beside(path: &Path) -> Self {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.partial", uuid::Uuid::new_v4().simple()));
        Self(path.with_file_name(name))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already when it was renamed; nothing more can be done about one that cannot be removed.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[async_trait]
impl Provisioner for FileDownload {
    fn id(&self) -> &str {
        &self.name
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        self.check_settings()?;
        // It does nothing to the machine, whatever it reads.
        self.only_when_built.then(|| Fingerprint::of("file download", "")).transpose()
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        self.check_settings()?;
        let expected = self.digest(cx, machine).await?;
        let partial = Partial::beside(&self.destination);
        cx.race(machine.download(cx, &self.source, &partial.0)).await?;
        if sha256_file(&partial.0).await? != expected {
            let message = format!("provisioner {}: what arrived is not what is at {}", self.name, self.source);
            // The file may have been written to meanwhile; another attempt can find it at rest.
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let to = &self.destination;
        let written = tokio::fs::File::open(&partial.0).await.map_err(|e| Error::io("open", &partial.0, e))?;
        written.sync_all().await.map_err(|e| Error::io("sync", &partial.0, e))?;
        tokio::fs::rename(&partial.0, to).await.map_err(|e| Error::io("write", to, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_machine::{HostMachine, context};

    fn names(dir: &Path) -> Vec<String> {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_file_arrives_and_takes_the_place_of_an_older_one() {
        for machine in HostMachine::all() {
            let (to, (cx, _)) = (tempfile::tempdir().unwrap(), context().await);
            std::fs::write(machine.path("it's"), "content").unwrap();
            std::fs::write(to.path().join("file"), "older").unwrap();
            let download = FileDownload::new(machine.at("it's"), to.path().join("file"));
            download.provision(&cx, &machine).await.unwrap();
            assert_eq!(std::fs::read_to_string(to.path().join("file")).unwrap(), "content");
            assert_eq!(names(to.path()), ["file"]);
        }
    }

    #[tokio::test]
    async fn a_failure_leaves_nothing_and_the_older_file_as_it_was() {
        let (machine, to, (cx, _)) = (HostMachine::new(), tempfile::tempdir().unwrap(), context().await);
        let download = |from: &str| FileDownload::new(machine.at(from), to.path().join("file"));
        assert_eq!(download("none").provision(&cx, &machine).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(names(to.path()).is_empty());

        std::fs::write(machine.path("a"), "content").unwrap();
        std::fs::write(to.path().join("file"), "older").unwrap();
        let lying = HostMachine::new().redirect("sha256sum < ", "echo changed | sha256sum; : < ");
        let error = download("a").provision(&cx, &lying).await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("what arrived is not what is at"), "{error}");
        assert_eq!(names(to.path()), ["file"]);
        assert_eq!(std::fs::read_to_string(to.path().join("file")).unwrap(), "older");
    }

    #[tokio::test]
    async fn a_layer_with_a_download_is_reused_only_where_asked() {
        let (to, (cx, _)) = (tempfile::tempdir().unwrap(), context().await);
        let download = || FileDownload::new("/etc/os-release", to.path().join("file"));
        assert_eq!(download().fingerprint(&cx).await.unwrap(), None);
        assert!(download().only_when_built().fingerprint(&cx).await.unwrap().is_some());
        for bad in [FileDownload::new("relative", "/x"), FileDownload::new("/a", to.path())] {
            assert_eq!(bad.fingerprint(&cx).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
