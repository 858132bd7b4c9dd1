//! Cases of journal stores.

use crate::{CaseResult, Failure, failure::ensure};
use image_core::{
    Context, Entry, ErrorKind, JournalStore, Record, Timestamp, Undoers, async_trait, journal::FORMAT_VERSION, recover,
};
use serde_json::json;
use std::{fmt, sync::Arc};

/// Storage of journals, and a way to the bytes behind the store's back. Every fixture has storage of its own.
#[async_trait]
pub trait JournalFixture: fmt::Debug + Send + Sync {
    /// A new handle on the same storage, as another process would open it.
    fn open(&self) -> Arc<dyn JournalStore>;
    /// The stored bytes of a journal.
    async fn bytes(&self, run: &str) -> Vec<u8>;
    /// Replaces the stored bytes of a journal that nobody has claimed.
    async fn overwrite(&self, run: &str, bytes: Vec<u8>);
    /// Ends the claim on a journal while its holder lives: a lease ran out. `false` where a claim cannot be lost so.
    async fn expire(&self, _run: &str) -> bool {
        false
    }
}

const RUN: &str = "run-1";

fn entry(n: u64) -> Entry {
    let record = if n == 0 {
        Record::Started { version: FORMAT_VERSION, pipeline: "p".into() }
    } else {
        Record::Stage { name: format!("stage {n}"), output: json!({ "n": n, "text": "line\nbreak, ünicode" }) }
    };
    Entry::new(Timestamp::from_millis(n), record)
}

async fn write(store: &dyn JournalStore, entries: std::ops::Range<u64>) -> Result<(), Failure> {
    let mut journal = store.claim(RUN).await.map_err(Failure::at("claim"))?;
    for n in entries {
        journal.append(&entry(n)).await.map_err(Failure::at(format!("append {n}")))?;
        let seen = journal.entries().await.map_err(Failure::at("own entries"))?;
        ensure(seen.last() == Some(&entry(n)), "append", || format!("an acknowledged entry is not there: {seen:?}"))?;
    }
    Ok(())
}

async fn ensure_reads(store: &dyn JournalStore, upto: u64, moment: &str) -> Result<(), Failure> {
    let (want, got) = ((0..upto).map(entry).collect::<Vec<_>>(), store.entries(RUN).await);
    let got = got.map_err(Failure::at(moment))?;
    ensure(got == want, moment, || format!("entries are {got:?}"))
}

/// Entries are there in order after every reopen, and runs are listed.
pub async fn entries_survive_a_reopen(fixture: &dyn JournalFixture) -> CaseResult {
    let none = fixture.open().entries("never").await.map_err(Failure::at("a run that never was"))?;
    ensure(none.is_empty(), "a run that never was", || format!("{none:?}"))?;
    for n in 0..3 {
        write(&*fixture.open(), n * 4..(n + 1) * 4).await?;
        ensure_reads(&*fixture.open(), (n + 1) * 4, "reopened").await?;
    }
    let runs = fixture.open().runs().await.map_err(Failure::at("runs"))?;
    ensure(runs == [RUN], "runs", || format!("{runs:?}"))?;
    Ok(12)
}

/// A journal has one writer at a time; other runs are free.
pub async fn claim_is_exclusive(fixture: &dyn JournalFixture) -> CaseResult {
    let held = fixture.open().claim(RUN).await.map_err(Failure::at("claim"))?;
    let Err(error) = fixture.open().claim(RUN).await else {
        return Err(Failure::new("second claim", "it was granted while the holder lives"));
    };
    let kind = error.kind();
    ensure(kind == ErrorKind::Conflict, "second claim", || format!("kind {kind:?}: {}", error.chain()))?;
    fixture.open().claim("run-2").await.map_err(Failure::at("claim of another run"))?;
    drop(held);
    write(&*fixture.open(), 0..1).await?;
    Ok(3)
}

/// A writer whose claim ran out is refused, and what it tried to write is not there.
pub async fn lost_claim_is_fenced(fixture: &dyn JournalFixture) -> CaseResult {
    let mut old = fixture.open().claim(RUN).await.map_err(Failure::at("claim"))?;
    old.append(&entry(0)).await.map_err(Failure::at("append"))?;
    if !fixture.expire(RUN).await {
        return Ok(0);
    }
    let mut new = fixture.open().claim(RUN).await.map_err(Failure::at("claim after expiry"))?;
    new.append(&entry(1)).await.map_err(Failure::at("append of the new writer"))?;
    ensure(old.append(&entry(2)).await.is_err(), "append of the old writer", || "it was accepted".into())?;
    drop(old);
    let third = fixture.open().claim(RUN).await;
    ensure(third.is_err(), "the old writer ends", || "it ended the claim of the new one".into())?;
    drop(new);
    ensure_reads(&*fixture.open(), 2, "after the fence").await.map(|()| 1)
}

/// An entry that was cut short by a crash is passed over by readers and dropped by the next writer, at every byte.
pub async fn torn_tail_is_dropped(fixture: &dyn JournalFixture) -> CaseResult {
    write(&*fixture.open(), 0..1).await?;
    let whole = fixture.bytes(RUN).await.len();
    write(&*fixture.open(), 1..2).await?;
    let both = fixture.bytes(RUN).await;
    for cut in whole..both.len() {
        let moment = format!("cut at byte {} of {}", cut - whole, both.len() - whole);
        fixture.overwrite(RUN, both[..cut].to_vec()).await;
        ensure_reads(&*fixture.open(), 1, &moment).await?;
        write(&*fixture.open(), 1..3).await?;
        ensure_reads(&*fixture.open(), 3, &format!("{moment}, then written")).await?;
    }
    Ok((both.len() - whole) as u64)
}

/// An entry in the middle that cannot be read is an error: nobody may guess what it was.
pub async fn broken_middle_is_refused(fixture: &dyn JournalFixture) -> CaseResult {
    write(&*fixture.open(), 0..3).await?;
    let mut bytes = fixture.bytes(RUN).await;
    let second = bytes.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
    bytes[second] = b'?';
    fixture.overwrite(RUN, bytes).await;
    let read = fixture.open().entries(RUN).await;
    ensure(read.is_err(), "broken entry 2 of 3", || format!("it was read as {read:?}"))?;
    let recovered = recover(fixture.open(), RUN, Undoers::new()).await;
    ensure(recovered.is_err(), "recovery of it", || format!("{recovered:?}"))?;
    Ok(2)
}

/// A journal of a newer format is refused by recovery, and stays as it is.
pub async fn newer_version_is_refused(fixture: &dyn JournalFixture) -> CaseResult {
    let record = Record::Started { version: FORMAT_VERSION + 1, pipeline: "p".into() };
    let mut journal = fixture.open().claim(RUN).await.map_err(Failure::at("claim"))?;
    journal.append(&Entry::new(Timestamp::from_millis(1), record)).await.map_err(Failure::at("append"))?;
    drop(journal);
    let before = fixture.bytes(RUN).await;
    let Err(error) = recover(fixture.open(), RUN, Undoers::new()).await else {
        return Err(Failure::new("newer version", "it was recovered"));
    };
    let kind = error.kind();
    ensure(kind == ErrorKind::Unsupported, "newer version", || format!("kind {kind:?}: {}", error.chain()))?;
    ensure(fixture.bytes(RUN).await == before, "newer version", || "the journal was changed".into())?;
    Ok(1)
}

/// A run id that could leave the storage's place is refused.
pub async fn bad_run_ids_are_refused(fixture: &dyn JournalFixture) -> CaseResult {
    let bad = ["../run", "", "a/b", ".hidden", "Upper", "-x", "a b"];
    for run in bad {
        let claimed = fixture.open().claim(run).await.err().map(|error| error.kind());
        ensure(claimed == Some(ErrorKind::InvalidInput), format!("run id `{run}`"), || format!("{claimed:?}"))?;
        let opened = Context::builder_arc(fixture.open()).run_id(run).open().await;
        ensure(opened.is_err(), format!("run id `{run}`"), || "a run was opened".into())?;
    }
    Ok(bad.len() as u64)
}
