//! Directories that carry tags: what a cloud's resource tags are for a cloud's resources.
//!
//! A directory appears under its final name only with its tags in it, so a crash at any moment leaves either nothing, or
//! a directory that its token finds. Its name is its token.

use image_core::{Error, ErrorKind, Keep, Result, State, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

const TAGS: &str = "tags.json";
/// Prefix of a directory that has no tags yet, and of a file that is not whole yet.
const NEW: &str = ".new-";
/// Prefix of a directory that is being removed.
const OLD: &str = ".old-";
/// When a directory that never got its tags may be reaped.
const UNTAGGED_FOR: Duration = Duration::from_secs(24 * 3600);

/// The tags of a directory: those of the run, and the owner's own.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Tags(BTreeMap<String, String>);

impl Tags {
    pub(crate) fn new(tags: BTreeMap<String, String>) -> Self {
        Self(tags)
    }
    pub(crate) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }
    /// These tags with those of the run, which win.
    pub(crate) fn over(mut self, run: BTreeMap<String, String>) -> Self {
        self.0.extend(run);
        self
    }
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
    pub(crate) fn token(&self) -> &str {
        self.get("token").unwrap_or_default()
    }
    /// A tag that cannot be read is the state that no cleanup touches.
    pub(crate) fn state(&self) -> State {
        self.get("state").and_then(State::parse).unwrap_or(State::Kept)
    }
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.get("expires").and_then(|text| text.parse().ok()).map(Timestamp::from_millis)
    }
    fn keep(&mut self, keep: &Keep) {
        self.0.insert("state".into(), keep.state.as_str().into());
        match keep.expires_at {
            Some(at) => self.0.insert("expires".into(), at.as_millis().to_string()),
            None => self.0.remove("expires"),
        };
    }
}

/// A directory of ours.
#[derive(Clone, Debug)]
pub(crate) struct Tagged {
    pub(crate) path: PathBuf,
    pub(crate) tags: Tags,
}

/// Makes `<parent>/<token>` with its tags in it.
pub(crate) fn create(parent: &Path, token: &str, tags: &Tags) -> Result<PathBuf> {
    let (new, path) = (parent.join(format!("{NEW}{token}")), parent.join(token));
    make_private(&new)?;
    retag(&new, tags)?;
    fs::rename(&new, &path).map_err(|e| Error::io("create", &path, e))?;
    sync(parent)?;
    Ok(path)
}

/// The tags of a directory; `None` when it or they do not exist.
pub(crate) fn read(path: &Path) -> Result<Option<Tags>> {
    let file = path.join(TAGS);
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", &file, e)),
    };
    let broken =
        |e| Error::new(ErrorKind::Conflict, format!("the tags in {} cannot be read", file.display())).with_source(e);
    serde_json::from_slice(&text).map(Some).map_err(broken)
}

/// Replaces the tags of a directory.
pub(crate) fn retag(path: &Path, tags: &Tags) -> Result<()> {
    write_atomically(&path.join(TAGS), &to_json(tags)?)
}

/// Marks a directory as one that stays.
pub(crate) fn keep(path: &Path, keep: &Keep) -> Result<()> {
    let Some(mut tags) = read(path)? else {
        return Err(Error::new(ErrorKind::NotFound, format!("{} is not there to be kept", path.display())));
    };
    tags.keep(keep);
    retag(path, &tags)
}

/// All directories of ours under `parent`, those without tags among them.
pub(crate) fn list(parent: &Path) -> Result<Vec<Tagged>> {
    let mut found = vec![];
    let read_dir = match fs::read_dir(parent) {
        Ok(read_dir) => read_dir,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(e) => return Err(Error::io("list", parent, e)),
    };
    for entry in read_dir {
        let entry = entry.map_err(|e| Error::io("list", parent, e))?;
        // A link to a directory of ours is not that directory.
        if !entry.file_type().map_err(|e| Error::io("list", parent, e))?.is_dir() {
            continue;
        }
        let path = entry.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let unfinished = name.strip_prefix(NEW).or_else(|| name.strip_prefix(OLD));
        match (read(&path)?, unfinished) {
            (Some(tags), None) => found.push(Tagged { path, tags }),
            (_, Some(token)) => found.push(Tagged { tags: untagged(&path, token)?, path }),
            (None, None) => {}
        }
    }
    Ok(found)
}

/// What a directory is taken for whose creation or removal was cut short.
fn untagged(path: &Path, token: &str) -> Result<Tags> {
    let modified =
        fs::symlink_metadata(path).and_then(|meta| meta.modified()).map_err(|e| Error::io("read", path, e))?;
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let made = Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    let tags = Tags::default().with("token", token).with("state", State::Temporary.as_str());
    Ok(tags.with("expires", made.after(UNTAGGED_FOR).as_millis().to_string()))
}

/// The names under which a directory of this token may lie, whether its creation and removal came to an end or not.
pub(crate) fn names(parent: &Path, token: &str) -> Vec<PathBuf> {
    let all = [token.to_owned(), format!("{NEW}{token}"), format!("{OLD}{token}")];
    all.into_iter().map(|name| parent.join(name)).filter(|path| path.symlink_metadata().is_ok()).collect()
}

/// Takes a directory out of sight at once, into `parent`; the caller then removes what is returned.
pub(crate) fn retire(path: &Path, parent: &Path, token: &str) -> Result<PathBuf> {
    let old = parent.join(format!("{OLD}{token}"));
    if path == old {
        return Ok(old);
    }
    match fs::rename(path, &old) {
        Ok(()) => Ok(old),
        Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(path.to_owned()),
        Err(e) => Err(Error::io("retire", path, e)),
    }
}

/// A directory that only its owner can look into.
pub(crate) fn make_private(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|e| Error::io("create", path, e))
}

/// Writes a file so that it is there whole or not at all, durable, and readable for whoever may look into its directory.
///
/// What is not finished has a name of its own: a crash leaves one such file at most, and the next write replaces it.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e| Error::io("write", path, e);
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::bug(format!("{} is no file", path.display())));
    };
    let new = directory.join(format!("{NEW}{}", name.to_string_lossy()));
    let mut file = fs::File::create(&new).map_err(failed)?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path))
        .map_err(failed)?;
    sync(directory)
}

/// Makes sure that files can be written in a directory, without a name that a crash could leave there.
pub(crate) fn probe(directory: &Path) -> Result<()> {
    tempfile::tempfile_in(directory).map(drop).map_err(|e| Error::io("write to", directory, e))
}

/// Makes the names in a directory durable.
pub(crate) fn sync(directory: &Path) -> Result<()> {
    let synced = fs::File::open(directory).and_then(|file| file.sync_all());
    synced.map_err(|e| Error::io("sync", directory, e))
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let json = serde_json::to_vec_pretty(value);
    json.map_err(|e| Error::bug("a document without a JSON form").with_source(e))
}

/// The id of a directory that serves as a scope: written once, so that a moved or foreign directory is told apart.
///
/// It is written under another name, and that file is locked by whoever writes it. A crash leaves one such file at most,
/// and the next call takes it over.
pub(crate) fn scope_id(root: &Path, kind: &str) -> Result<String> {
    let (file, new) = (root.join("scope-id"), root.join(format!("{NEW}scope-id")));
    let known = || match fs::read_to_string(&file) {
        Ok(id) if id.trim().starts_with(kind) => Ok(Some(id.trim().to_owned())),
        Ok(id) => {
            let message = format!("{} is `{}`; this is not a {kind} directory", file.display(), id.trim());
            Err(Error::new(ErrorKind::Conflict, message))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", &file, e)),
    };
    // Once there is an id there is one for good, and nobody needs the other file any more.
    let clean = || match fs::remove_file(&new) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &new, e)),
        _ => Ok(()),
    };
    if let Some(id) = known()? {
        if new.symlink_metadata().is_ok() {
            clean()?;
        }
        return Ok(id);
    }
    let failed = |e| Error::io("write", &file, e);
    let open = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&new);
    let mut writer = open.map_err(failed)?;
    writer.lock().map_err(failed)?;
    // Whoever had the lock before may have given this very file its name.
    if let Some(id) = known()? {
        return clean().map(|()| id);
    }
    let id = format!("{kind}:{}", uuid::Uuid::new_v4());
    writer
        .set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .and_then(|()| writer.set_len(0))
        .and_then(|()| writer.write_all(id.as_bytes()))
        .and_then(|()| writer.sync_all())
        .and_then(|()| fs::rename(&new, &file))
        .map_err(failed)?;
    sync(root)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(token: &str) -> Tags {
        Tags::default().with("token", token).with("state", "temporary").with("expires", "5")
    }

    fn names_in(directory: &Path) -> Vec<std::ffi::OsString> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_directory_is_found_by_its_token_at_every_moment_of_its_life() {
        let dir = tempfile::tempdir().unwrap();
        make_private(&dir.path().join(".new-t0")).unwrap();
        let path = create(dir.path(), "t1", &tags("t1")).unwrap();
        let mut found: Vec<_> =
            list(dir.path()).unwrap().into_iter().map(|t| (t.tags.token().to_owned(), t.tags.state())).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, [("t0".to_owned(), State::Temporary), ("t1".to_owned(), State::Temporary)]);
        let old = retire(&path, dir.path(), "t1").unwrap();
        assert_eq!((names(dir.path(), "t1"), names(dir.path(), "t0").len()), (vec![old], 1));
    }

    #[test]
    fn what_is_kept_has_no_expiry_and_what_cannot_be_read_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = create(dir.path(), "t1", &tags("t1")).unwrap();
        keep(&path, &Keep::FOREVER).unwrap();
        let kept = read(&path).unwrap().unwrap();
        assert_eq!((kept.state(), kept.expires_at()), (State::Kept, None));
        assert_eq!(Tags::default().with("state", "??").state(), State::Kept);
        assert_eq!(keep(&dir.path().join("none"), &Keep::FOREVER).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_write_that_was_cut_short_leaves_nothing_behind_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = create(dir.path(), "t1", &tags("t1")).unwrap();
        fs::write(path.join(".new-tags.json"), "{ torn, and longer than what is written over it }".repeat(9)).unwrap();
        keep(&path, &Keep::FOREVER).unwrap();
        assert_eq!(names_in(&path), ["tags.json"]);
        assert_eq!(read(&path).unwrap().unwrap().state(), State::Kept);
    }

    #[test]
    fn a_scope_id_that_was_cut_short_leaves_nothing_behind_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let leave = || fs::write(dir.path().join(".new-scope-id"), "local:torn, and longer than an id is".repeat(9));
        leave().unwrap();
        let id = scope_id(dir.path(), "local").unwrap();
        assert!(!id.contains("torn"), "{id}");
        assert_eq!(names_in(dir.path()), ["scope-id"]);
        // It was killed as it found that another one was first.
        leave().unwrap();
        assert_eq!(scope_id(dir.path(), "local").unwrap(), id);
        assert_eq!(names_in(dir.path()), ["scope-id"]);
    }

    #[test]
    fn a_scope_id_is_written_once_and_tells_directories_apart() {
        let dir = tempfile::tempdir().unwrap();
        let ids = std::sync::Mutex::new(vec![]);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| ids.lock().unwrap().push(scope_id(dir.path(), "local").unwrap()));
            }
        });
        let ids = ids.into_inner().unwrap();
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
        assert_eq!(names_in(dir.path()), ["scope-id"]);
        assert_eq!(scope_id(dir.path(), "store").unwrap_err().kind(), ErrorKind::Conflict);
    }
}
