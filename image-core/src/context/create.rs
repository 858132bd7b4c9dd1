//! Creating and changing, each journaled before it happens.

use super::{Context, FaultSide, Guard};
use crate::{Change, Error, ErrorKind, EventBody, Kind, Record, Resource, Result, Scope, State};
use serde_json::Value;
use std::{collections::BTreeMap, sync::atomic::Ordering::SeqCst, time::Duration};
use tokio::time::sleep;

/// What a creating call must send along.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// Idempotency token: the same for byte-identical retries of this call, and never for another one.
    pub token: String,
    /// Tags to put on the thing in the call that creates it: `run`, `token`, `state`, `expires` (milliseconds since 1970).
    pub tags: BTreeMap<String, String>,
}

/// What a creating call gave.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Created {
    /// The id.
    pub id: String,
    /// For the owner's undo, without secrets.
    pub undo_data: Value,
}

impl Created {
    /// An id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), undo_data: Value::Null }
    }
    /// Adds what undo wants to know.
    #[must_use]
    pub fn with_undo_data(mut self, data: Value) -> Self {
        self.undo_data = data;
        self
    }
}

/// How a creating call failed. `?` on an ordinary error gives `Unclear`, the safe reading; a refusal has to be named.
#[non_exhaustive]
#[derive(Debug)]
pub enum CreateError {
    /// Definitely refused: nothing exists.
    Rejected(Error),
    /// It may exist.
    Unclear(Error),
}

impl From<Error> for CreateError {
    fn from(e: Error) -> Self {
        Self::Unclear(e)
    }
}

/// What a change is made on.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Target {
    /// Who restores it: the text of [`Undo::owner`](crate::Undo::owner).
    pub owner: String,
    /// Where the id means something.
    pub scope: Scope,
    /// What it is.
    pub kind: Kind,
    /// Region, zone or directory.
    pub location: String,
    /// Its id.
    pub id: String,
}

impl Target {
    /// A target.
    pub fn new(
        owner: impl Into<String>,
        scope: Scope,
        kind: Kind,
        location: impl Into<String>,
        id: impl Into<String>,
    ) -> Self {
        Self { owner: owner.into(), scope, kind, location: location.into(), id: id.into() }
    }
}

impl Context {
    /// Writes the intent, calls `create`, writes the outcome.
    ///
    /// The closure runs on a task of its own, which neither a cancel nor a dropped caller stops; it ends by itself or at
    /// the kind's deadline. It must make exactly one thing, carry the request's token and tags into the call that makes
    /// it, and say [`CreateError::Rejected`] only when nothing can exist. Retry inside it only the byte-identical call.
    ///
    /// # Errors
    /// The closure's own; `Cancelled` and `TimedOut` as for [`check`](Self::check); `Internal` when nobody is registered
    /// who could undo it; the journal's own, and then nothing was created.
    pub async fn create<F, Fut>(
        &self,
        owner: &str,
        scope: &Scope,
        kind: Kind,
        location: &str,
        create: F,
    ) -> Result<Guard>
    where
        F: FnOnce(CreateRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Created, CreateError>> + Send + 'static,
    {
        let token = uuid::Uuid::new_v4().to_string();
        let tag = |key: &str, value: String| (key.to_owned(), value);
        let tags = BTreeMap::from([
            tag("run", self.run_id().to_owned()),
            tag("token", token.clone()),
            tag("state", State::Temporary.as_str().to_owned()),
            tag("expires", self.temporary_until().as_millis().to_string()),
        ]);
        let request = CreateRequest { token: token.clone(), tags };
        let (owner, scope, location) = (owner.to_owned(), scope.clone(), location.to_owned());
        let resource = Resource { owner, scope, kind, location, token, id: None, undo_data: Value::Null, change: None };
        self.perform(resource, async move { create(request).await }).await
    }

    /// Writes the intent, calls `apply`, writes the outcome, for a value of something that exists anyway. Undo restores
    /// `before`, but only where `after` still stands.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn change<F, Fut>(&self, target: Target, before: Value, after: Value, apply: F) -> Result<Guard>
    where
        F: FnOnce(Change) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), CreateError>> + Send + 'static,
    {
        let Target { owner, scope, kind, location, id } = target;
        let token = uuid::Uuid::new_v4().to_string();
        let change = Change::new(before, after);
        let (undo_data, intended) = (Value::Null, Some(change.clone()));
        let resource =
            Resource { owner, scope, kind, location, token, id: Some(id.clone()), undo_data, change: intended };
        self.perform(resource, async move { apply(change).await.map(|()| Created::new(id)) }).await
    }

    async fn perform<Fut>(&self, resource: Resource, effect: Fut) -> Result<Guard>
    where
        Fut: Future<Output = Result<Created, CreateError>> + Send + 'static,
    {
        self.check()?;
        let under_way = self.run.tracker.token(); // taken before the flag is read: close() waits for us or we see it
        if self.run.closing.load(SeqCst) {
            return Err(Error::new(ErrorKind::Cancelled, "the run is unwinding"));
        }
        if self.undoers().get(&resource.owner, &resource.scope).is_none() {
            let Resource { owner, scope, .. } = &resource;
            return Err(Error::bug(format!("nothing created: no undoer is registered for {owner} in {scope}")));
        }
        let n = self.run.creates.fetch_add(1, SeqCst) + 1;
        let fault = self.run.faults.at_create.filter(|(at, _)| *at == n).map(|(_, side)| side);
        let task = self.run.tracker.spawn(self.clone().journaled(resource, effect, fault));
        drop(under_way);
        let resource = task.await??;
        assert!(fault != Some(FaultSide::Panic), "injected panic");
        self.emit(EventBody::Created { kind: resource.kind.name.clone(), id: resource.name().to_owned() });
        Ok(Guard::new(self.clone(), resource))
    }

    /// Runs on a tracked task: from the intent to the outcome, whatever becomes of the caller.
    async fn journaled<Fut>(self, mut resource: Resource, effect: Fut, fault: Option<FaultSide>) -> Result<Resource>
    where
        Fut: Future<Output = Result<Created, CreateError>> + Send + 'static,
    {
        self.append(Record::Intended(resource.clone())).await?; // fails closed
        let token = resource.token.clone();
        let answer = match fault {
            Some(FaultSide::Before) => Err(CreateError::Unclear(Error::bug("injected before the call"))),
            _ => bounded(resource.kind.deadline, effect).await,
        };
        match answer {
            Ok(_) if fault == Some(FaultSide::After) => {
                self.append(Record::Unclear { token, message: "injected".into() }).await?;
                Err(Error::bug("injected after the call"))
            }
            Ok(Created { id, undo_data }) => {
                (resource.id, resource.undo_data) = (Some(id.clone()), undo_data.clone());
                self.append(Record::Created { token, id, undo_data }).await?;
                Ok(resource)
            }
            Err(CreateError::Rejected(e)) => {
                let message = self.redact(e.chain());
                self.append(Record::Rejected { token, message }).await.and(Err(e))
            }
            Err(CreateError::Unclear(e)) => {
                let message = self.redact(e.chain());
                self.append(Record::Unclear { token, message }).await.and(Err(e))
            }
        }
    }
}

/// A panic or a passed deadline is an unclear end: the call may have been made.
async fn bounded<T: Send + 'static>(
    deadline: Duration,
    effect: impl Future<Output = Result<T, CreateError>> + Send + 'static,
) -> Result<T, CreateError> {
    let mut task = tokio::spawn(effect);
    tokio::select! {
        done = &mut task => done.unwrap_or_else(|e| Err(CreateError::Unclear(e.into()))),
        () = sleep(deadline) => {
            task.abort();
            let message = format!("no answer to a create within {} s", deadline.as_secs());
            Err(CreateError::Unclear(Error::new(ErrorKind::TimedOut, message)))
        }
    }
}
