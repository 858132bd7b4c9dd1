//! Journals as files in a directory.

use super::{Entry, Journal, JournalStore, check_run_id, parse_lines};
use crate::{Error, ErrorKind, Result, async_trait};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const EXTENSION: &str = "journal";

/// A directory with one file `<run>.journal` per run: JSON lines, each synced to disk before `append` returns.
///
/// The claim is an advisory lock on the file, so it ends when its holder dies, however it dies. Keep the directory on a
/// local file system: not every network file system has such locks. Files are private to their owner (mode 0600 under the
/// usual umask of a directory of mode 0700).
#[derive(Clone, Debug)]
pub struct FileStore {
    directory: PathBuf,
}

impl FileStore {
    /// Opens a directory of journals, and creates it (private to its owner) where it does not exist.
    ///
    /// # Errors
    /// The I/O error of the directory.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self> {
        let directory = directory.into();
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&directory).map_err(|e| Error::io("create the journal directory", &directory, e))?;
        Ok(Self { directory })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, run: &str) -> Result<PathBuf> {
        check_run_id(run)?;
        Ok(self.directory.join(format!("{run}.{EXTENSION}")))
    }
}

#[async_trait]
impl JournalStore for FileStore {
    async fn runs(&self) -> Result<Vec<String>> {
        let directory = self.directory.clone();
        blocking(move || {
            let read = |e| Error::io("list", &directory, e);
            let mut runs = vec![];
            for file in std::fs::read_dir(&directory).map_err(read)? {
                let path = file.map_err(read)?.path();
                let stem = path.file_stem().and_then(|stem| stem.to_str());
                if let (true, Some(run)) = (path.extension().is_some_and(|e| e == EXTENSION), stem) {
                    runs.push(run.to_owned());
                }
            }
            Ok(runs)
        })
        .await
    }

    async fn claim(&self, run: &str) -> Result<Box<dyn Journal>> {
        let (path, directory, run) = (self.path(run)?, self.directory.clone(), run.to_owned());
        blocking(move || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&path).map_err(|e| Error::io("open the journal", &path, e))?;
            lock(&file, &path, &run)?;
            // The name must be as durable as the first entry.
            File::open(&directory)
                .and_then(|dir| dir.sync_all())
                .map_err(|e| Error::io("sync the journal directory", &directory, e))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text).map_err(|e| Error::io("read the journal", &path, e))?;
            let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            let journal = FileJournal { file: Some(file), path, run, whole: whole as u64 };
            journal.truncate()?;
            Ok(Box::new(journal) as Box<dyn Journal>)
        })
        .await
    }

    async fn entries(&self, run: &str) -> Result<Vec<Entry>> {
        let (path, run) = (self.path(run)?, run.to_owned());
        blocking(move || match std::fs::read(&path) {
            Ok(bytes) => parse_bytes(&run, bytes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
            Err(e) => Err(Error::io("read the journal", &path, e)),
        })
        .await
    }
}

/// How long a claim waits for a lock that another process holds.
///
/// A process that dies while it starts another leaves its open files to that child until the child reaches `exec`, so the
/// lock of a dead holder may be seen for some moments more.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "it runs on a thread for blocking calls")]
fn lock(file: &File, path: &Path, run: &str) -> Result<()> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                let message = format!("the journal of run {run} is in use by another process");
                return Err(Error::new(ErrorKind::Conflict, message));
            }
            Err(TryLockError::Error(e)) => return Err(Error::io("lock the journal", path, e)),
        }
    }
}

#[derive(Debug)]
struct FileJournal {
    /// Absent while a write is under way, and for good when one was torn and could not be mended.
    file: Option<File>,
    path: PathBuf,
    run: String,
    /// Length of the file up to the last whole entry.
    whole: u64,
}

impl FileJournal {
    fn file(&self) -> Result<&File> {
        let lost = || Error::new(ErrorKind::Unavailable, format!("the journal {} is broken", self.path.display()));
        self.file.as_ref().ok_or_else(lost)
    }
    /// Cuts off what is not a whole entry.
    fn truncate(&self) -> Result<()> {
        self.file()?.set_len(self.whole).map_err(|e| Error::io("mend the journal", &self.path, e))
    }
    fn write(&mut self, line: &[u8]) -> Result<()> {
        let mut file = self.file()?;
        let written = file
            .seek(SeekFrom::Start(self.whole))
            .and_then(|_| file.write_all(line))
            .and_then(|()| file.sync_data())
            .map_err(|e| Error::io("append to the journal", &self.path, e));
        match written {
            Ok(()) => self.whole += line.len() as u64,
            // What was torn must not stand before a later entry; when it cannot be cut off, nothing may follow.
            Err(_) if self.truncate().is_err() => self.file = None,
            Err(_) => {}
        }
        written
    }
}

#[async_trait]
impl Journal for FileJournal {
    async fn append(&mut self, entry: &Entry) -> Result<()> {
        let line = entry.to_line()? + "\n";
        let file = self.file.take();
        let mut own = Self { file, path: self.path.clone(), run: self.run.clone(), whole: self.whole };
        let (own, written) = blocking(move || {
            let written = own.write(line.as_bytes());
            Ok((own, written))
        })
        .await?;
        (self.file, self.whole) = (own.file, own.whole);
        written
    }

    async fn entries(&self) -> Result<Vec<Entry>> {
        let (path, run) = (self.path.clone(), self.run.clone());
        blocking(move || {
            let bytes = std::fs::read(&path).map_err(|e| Error::io("read the journal", &path, e))?;
            parse_bytes(&run, bytes)
        })
        .await
    }
}

/// Parses what was read; a write may have been torn in the middle of a character.
fn parse_bytes(run: &str, mut bytes: Vec<u8>) -> Result<Vec<Entry>> {
    bytes.truncate(bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1));
    let text = String::from_utf8(bytes)
        .map_err(|e| Error::bug(format!("the journal of run {run} is not UTF-8")).with_source(e))?;
    parse_lines(run, &text)
}

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(f).await?
}

#[cfg(test)]
mod tests {
    use super::super::{FORMAT_VERSION, Record};
    use super::*;
    use crate::Timestamp;

    fn entry(n: u32) -> Entry {
        let record = Record::Started { version: FORMAT_VERSION, pipeline: format!("p{n}") };
        Entry::new(Timestamp::from_millis(n.into()), record)
    }

    #[tokio::test]
    async fn a_claim_is_exclusive_and_ends_with_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path().join("a/b")).unwrap();
        let mut journal = store.claim("r-1").await.unwrap();
        journal.append(&entry(1)).await.unwrap();
        assert_eq!(store.claim("r-1").await.unwrap_err().kind(), ErrorKind::Conflict);
        // Dropped while another claim waits, as when a dead holder's last child reaches `exec`.
        let other = store.clone();
        let waiting = tokio::spawn(async move { other.claim("r-1").await });
        tokio::task::yield_now().await;
        drop(journal);
        drop(waiting.await.unwrap().unwrap());
        let mut journal = store.claim("r-1").await.unwrap();
        journal.append(&entry(2)).await.unwrap();
        assert_eq!(store.entries("r-1").await.unwrap(), [entry(1), entry(2)]);
        assert_eq!(store.runs().await.unwrap(), ["r-1"]);
        assert_eq!(store.entries("never").await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_torn_tail_is_dropped_and_a_broken_middle_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path()).unwrap();
        let (whole, path) = (entry(1).to_line().unwrap() + "\n", dir.path().join("r.journal"));
        std::fs::write(&path, format!("{whole}{{\"at\":7,\"rec")).unwrap();
        assert_eq!(store.entries("r").await.unwrap(), [entry(1)]);
        store.claim("r").await.unwrap().append(&entry(2)).await.unwrap();
        assert_eq!(store.entries("r").await.unwrap(), [entry(1), entry(2)]);
        std::fs::write(&path, format!("{{\"at\":\n{whole}")).unwrap();
        let error = store.claim("r").await.unwrap().entries().await.unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
    }

    #[tokio::test]
    async fn a_write_torn_inside_a_character_is_dropped_too() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path()).unwrap();
        let mut bytes = (entry(1).to_line().unwrap() + "\n{\"at\":7,\"pipeline\":\"ü").into_bytes();
        bytes.pop();
        std::fs::write(dir.path().join("r.journal"), bytes).unwrap();
        assert_eq!(store.entries("r").await.unwrap(), [entry(1)]);
    }

    #[tokio::test]
    async fn a_run_id_cannot_leave_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path()).unwrap();
        for run in ["../r", "", "a/b", ".hidden", "Upper", "-x"] {
            assert_eq!(store.claim(run).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{run}");
        }
    }
}
