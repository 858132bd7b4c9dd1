//! Who may answer for a resource, and what undoing can end in.

use crate::{Context, Error, ErrorKind, Keep, Resource, Result, Scope, State, Timestamp, async_trait};
use std::{collections::BTreeMap, fmt, sync::Arc};
use tokio::time::Instant;

/// The end of an attempt to undo. `Absent` is kept apart from `Gone`: right after a create it proves nothing.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Undone {
    /// Not found; or, for a change, the value is still the one before.
    Absent,
    /// Deleted or restored by us, and seen to be so.
    Gone,
    /// Asked for, but not seen yet.
    NotYetProven {
        /// When to ask again.
        retry_at: Instant,
    },
    /// Somebody else changed the value since; it is theirs now.
    Superseded,
}

/// What to look for.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Query {
    /// Where.
    pub scope: Scope,
    /// Only what carries this token.
    pub token: Option<String>,
    /// Only what expired before this moment.
    pub expired_before: Option<Timestamp>,
}

impl Query {
    /// Everything of ours that has expired.
    pub fn expired(scope: Scope, before: Timestamp) -> Self {
        Self { scope, token: None, expired_before: Some(before) }
    }
    /// What carries a token.
    pub fn token(scope: Scope, token: impl Into<String>) -> Self {
        Self { scope, token: Some(token.into()), expired_before: None }
    }
}

/// Something that carries our tags.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Found {
    /// What it is.
    pub resource: Resource,
    /// Its `state` tag.
    pub state: State,
    /// Its `expires` tag.
    pub expires_at: Option<Timestamp>,
}

impl Found {
    /// A find.
    pub fn new(resource: Resource, state: State, expires_at: Option<Timestamp>) -> Self {
        Self { resource, state, expires_at }
    }
}

/// Undoes what a plugin created or changed, in the run and long after it, from another process.
///
/// **Contract**: an undoer works from the [`Resource`] alone, with nothing of the run in memory. The core compares
/// `identity` with the resource's scope before every call, and decides itself when an absence counts.
///
/// **Idempotency**: every method may be called again after any outcome, also by another process.
///
/// **Cancellation**: undoing runs on a context of its own that the run's cancellation does not reach; it may be dropped
/// at a deadline and tried again.
///
/// **Testing**: `image-conformance` runs all of it against a fake of your backend.
#[async_trait]
pub trait Undo: fmt::Debug + Send + Sync + 'static {
    /// The plugin's stable id, for example `aws.ami`. It stands in journals, so it never changes.
    fn owner(&self) -> &str;
    /// The scopes it is configured for.
    fn scopes(&self) -> Vec<Scope>;
    /// The scope that its credentials really reach, asked of the backend and never of the configuration.
    async fn identity(&self, cx: &Context, configured: &Scope) -> Result<Scope>;
    /// Deletes a created resource. Finds it by its token where there is no id.
    async fn undo(&self, cx: &Context, created: &Resource) -> Result<Undone>;
    /// Restores [`Resource::change`]'s old value if the new one still stands. Must never delete the target.
    async fn restore(&self, cx: &Context, changed: &Resource) -> Result<Undone>;
    /// Writes the `state` and `expires` tags of a resource that stays.
    async fn keep(&self, cx: &Context, created: &Resource, keep: &Keep) -> Result<()>;
    /// Lists what carries our tags.
    async fn find(&self, cx: &Context, query: &Query) -> Result<Vec<Found>>;
}

/// Forwards the plugin traits through smart pointers, so that a shared plugin is a plugin.
macro_rules! forward_undo {
    ($($pointer:ident),*) => {$(
        #[async_trait]
        impl<T: Undo + ?Sized> Undo for $pointer<T> {
            fn owner(&self) -> &str {
                (**self).owner()
            }
            fn scopes(&self) -> Vec<Scope> {
                (**self).scopes()
            }
            async fn identity(&self, cx: &Context, configured: &Scope) -> Result<Scope> {
                (**self).identity(cx, configured).await
            }
            async fn undo(&self, cx: &Context, created: &Resource) -> Result<Undone> {
                (**self).undo(cx, created).await
            }
            async fn restore(&self, cx: &Context, changed: &Resource) -> Result<Undone> {
                (**self).restore(cx, changed).await
            }
            async fn keep(&self, cx: &Context, created: &Resource, keep: &Keep) -> Result<()> {
                (**self).keep(cx, created, keep).await
            }
            async fn find(&self, cx: &Context, query: &Query) -> Result<Vec<Found>> {
                (**self).find(cx, query).await
            }
        }
    )*};
}
forward_undo!(Arc, Box);

/// Who undoes what, keyed by owner and scope. A recovery is given one; a run fills its own.
#[derive(Clone, Debug, Default)]
pub struct Undoers(BTreeMap<(String, Scope), Arc<dyn Undo>>);

impl Undoers {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds an undoer for each of its scopes; the first one of an owner and scope stays.
    #[must_use]
    pub fn with(mut self, undoer: Arc<dyn Undo>) -> Self {
        for scope in undoer.scopes() {
            self.0.entry((undoer.owner().to_owned(), scope)).or_insert_with(|| Arc::clone(&undoer));
        }
        self
    }
    /// Each undoer with its scope.
    pub fn iter(&self) -> impl Iterator<Item = (&Scope, &Arc<dyn Undo>)> {
        self.0.iter().map(|((_, scope), undoer)| (scope, undoer))
    }
    pub(crate) fn get(&self, owner: &str, scope: &Scope) -> Option<&Arc<dyn Undo>> {
        self.0.get(&(owner.to_owned(), scope.clone()))
    }
    /// The undoer of a resource, once it has proved that it reaches the scope that the resource is in.
    pub(crate) async fn proven(&self, cx: &Context, resource: &Resource) -> Result<Arc<dyn Undo>> {
        let Resource { owner, scope, .. } = resource;
        let refuse = |why: String| Err(Error::new(ErrorKind::PermissionDenied, why));
        let Some(undoer) = self.get(owner, scope) else {
            return refuse(format!("no undoer is registered for {owner} in {scope}"));
        };
        let actual = undoer.identity(cx, scope).await?;
        if actual == *scope {
            Ok(Arc::clone(undoer))
        } else {
            refuse(format!("the credentials of {owner} reach {actual}, not {scope}"))
        }
    }
}
