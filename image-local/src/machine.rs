//! The two machines of this crate: a sandboxed root file system to build in, and a guest booted from what was built.

mod guest;
mod sandboxed;

pub(crate) use guest::GuestMachine;
pub(crate) use sandboxed::SandboxMachine;

use image_core::{Context, Error, ErrorKind, Result, Upload, UploadSource};
use std::path::{Path, PathBuf};

/// Everything that a command printed goes to the events too, without its secrets.
fn learn(cx: &Context, command: &image_core::Command) {
    command.secrets.values().for_each(|secret| cx.learn_secret(secret));
}

/// A file of the controller that holds what is uploaded; a temporary one for bytes.
fn upload_file(upload: &Upload) -> Result<(PathBuf, Option<tempfile::NamedTempFile>)> {
    match &upload.source {
        UploadSource::File(path) => Ok((path.clone(), None)),
        UploadSource::Bytes(bytes) => {
            let mut file = tempfile::NamedTempFile::new().map_err(|e| Error::io("create", std::env::temp_dir(), e))?;
            std::io::Write::write_all(&mut file, bytes).map_err(|e| Error::io("write", file.path(), e))?;
            Ok((file.path().to_owned(), Some(file)))
        }
        other => Err(Error::new(ErrorKind::Unsupported, format!("cannot upload {other:?}"))),
    }
}

/// A file that is there whole or not at all.
fn beside(destination: &Path) -> Result<tempfile::NamedTempFile> {
    let directory = destination.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    tempfile::NamedTempFile::new_in(directory).map_err(|e| Error::io("create a file in", directory, e))
}
