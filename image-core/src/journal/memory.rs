//! Journals in memory, for tests and for runs that nobody must recover.

use super::{Entry, Journal, JournalStore, check_run_id, parse_lines};
use crate::{Error, ErrorKind, Result, async_trait};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Debug, Default)]
struct Log {
    text: String,
    holder: Option<u64>,
    epoch: u64,
}

/// Journals as text in memory, so that truncation and torn tails are those of a file. Clones share the journals.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<String, Log>>>);

impl MemoryStore {
    /// A store with one journal of this text.
    pub fn with_text(run: &str, text: impl Into<String>) -> Self {
        let log = Log { text: text.into(), ..Log::default() };
        Self(Arc::new(Mutex::new(BTreeMap::from([(run.to_owned(), log)]))))
    }
    /// The text of a journal; empty where there is none.
    pub fn text(&self, run: &str) -> String {
        self.locked(|runs| runs.get(run).map(|log| log.text.clone()).unwrap_or_default())
    }
    /// Replaces the text of a journal, as whoever damages a file does.
    pub fn set_text(&self, run: &str, text: impl Into<String>) {
        self.locked(|runs| runs.entry(run.to_owned()).or_default().text = text.into());
    }
    /// Ends the claim on a journal, as the death of its holder does.
    pub fn expire(&self, run: &str) {
        self.locked(|runs| runs.entry(run.to_owned()).or_default().holder = None);
    }
    fn locked<T>(&self, f: impl FnOnce(&mut BTreeMap<String, Log>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl JournalStore for MemoryStore {
    async fn runs(&self) -> Result<Vec<String>> {
        Ok(self.locked(|runs| runs.keys().cloned().collect()))
    }
    async fn claim(&self, run: &str) -> Result<Box<dyn Journal>> {
        check_run_id(run)?;
        self.locked(|runs| {
            let log = runs.entry(run.to_owned()).or_default();
            if log.holder.is_some() {
                return Err(Error::new(ErrorKind::Conflict, format!("the journal of run {run} is claimed")));
            }
            log.text.truncate(log.text.rfind('\n').map_or(0, |at| at + 1));
            log.epoch += 1;
            log.holder = Some(log.epoch);
            Ok(Box::new(MemoryJournal { store: self.clone(), run: run.to_owned(), epoch: log.epoch })
                as Box<dyn Journal>)
        })
    }
    async fn entries(&self, run: &str) -> Result<Vec<Entry>> {
        parse_lines(run, &self.text(run))
    }
}

#[derive(Debug)]
struct MemoryJournal {
    store: MemoryStore,
    run: String,
    epoch: u64,
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&mut self, entry: &Entry) -> Result<()> {
        let line = entry.to_line()?;
        self.store.locked(|runs| match runs.get_mut(&self.run) {
            Some(log) if log.holder == Some(self.epoch) => {
                log.text.push_str(&line);
                log.text.push('\n');
                Ok(())
            }
            _ => Err(Error::new(ErrorKind::Conflict, format!("the claim on the journal of run {} was lost", self.run))),
        })
    }
    async fn entries(&self) -> Result<Vec<Entry>> {
        self.store.entries(&self.run).await
    }
}

impl Drop for MemoryJournal {
    fn drop(&mut self) {
        self.store.locked(|runs| {
            if let Some(log) = runs.get_mut(&self.run).filter(|log| log.holder == Some(self.epoch)) {
                log.holder = None;
            }
        });
    }
}
