//! Committing: one record for a whole set, so that a crash cannot keep half of it.

use super::{Context, Guard};
use crate::{EventBody, Keep, Record, Resource, Result};

impl Context {
    /// Keeps a set of resources. From the first record on no member is ever undone by this run or its recovery.
    ///
    /// # Errors
    /// `Cancelled` and `TimedOut` as for [`check`](Self::check), and then nothing is kept. After that the undoer's or the
    /// journal's own: the commit has begun, and the unwind or a recovery finishes it.
    pub(crate) async fn commit(&self, set: &[Guard], keep: Keep) -> Result<()> {
        if set.is_empty() {
            return Ok(());
        }
        self.check()?;
        self.append(Record::Committing { set: tokens(set), keep }).await?;
        self.finish_commit().await
    }

    /// Retags what a begun commit names, then closes it; safe to repeat.
    pub(crate) async fn finish_commit(&self) -> Result<()> {
        let Some(commit) = self.ledger().committing.clone() else { return Ok(()) };
        let members: Vec<Resource> = {
            let ledger = self.ledger();
            commit.set.iter().filter_map(|token| ledger.open.get(token)).map(|open| open.resource.clone()).collect()
        };
        for member in members.iter().filter(|member| member.change.is_none()) {
            self.undoers().proven(self, member).await?.keep(self, member, &commit.keep).await?;
        }
        self.append(Record::Kept { set: commit.set }).await?;
        self.emit(EventBody::Kept { ids: members.iter().map(|member| member.name().to_owned()).collect() });
        Ok(())
    }

    /// Published pointers stay; they carry no tag.
    ///
    /// A crash before this record rolls back those that moved: the set of pointers is the old one or the new one.
    pub(crate) async fn keep_changes(&self, set: &[Guard]) -> Result<()> {
        if set.is_empty() {
            return Ok(());
        }
        self.append(Record::Kept { set: tokens(set) }).await?;
        self.emit(EventBody::Kept { ids: set.iter().map(|guard| guard.id().to_owned()).collect() });
        Ok(())
    }
}

fn tokens(set: &[Guard]) -> Vec<String> {
    set.iter().map(|guard| guard.resource().token.clone()).collect()
}
