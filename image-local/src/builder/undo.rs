//! Undoing what a local build made, from its journal entry or its tags alone.

use super::{LocalBuilder, OWNER, Place};
use crate::{process, sandbox, tagged};
use image_core::{Context, Error, ErrorKind, Found, Keep, Query, Resource, Result, Scope, Undo, Undone, async_trait};
use std::time::Duration;

/// A killed process is gone in milliseconds, unless the kernel is busy writing for it.
const KILL_WITHIN: Duration = Duration::from_secs(30);

#[async_trait]
impl Undo for LocalBuilder {
    fn owner(&self) -> &str {
        OWNER
    }
    fn scopes(&self) -> Vec<Scope> {
        vec![self.scope.clone()]
    }
    async fn identity(&self, _cx: &Context, _configured: &Scope) -> Result<Scope> {
        Ok(Scope::new(tagged::scope_id(&self.root, OWNER)?))
    }
    async fn undo(&self, _cx: &Context, created: &Resource) -> Result<Undone> {
        let kind = &created.kind.name;
        let place = Place::of(kind).ok_or_else(|| Error::bug(format!("{kind} is no kind of {OWNER}")))?;
        // Whatever still works in it carries its path, and so its token, on the command line.
        let mut gone = if place == Place::Images {
            0
        } else {
            let killed = process::kill_all(&created.token, KILL_WITHIN).await;
            killed.map_err(|e| Error::io("end the processes of", &created.token, e))?
        };
        let privilege = sandbox::Privilege::probe().await?;
        let parent = self.place(place);
        for path in tagged::names(&parent, &created.token) {
            let old = tagged::retire(&path, &parent, &created.token)?;
            sandbox::remove_tree(privilege, &old).await?;
            gone += 1;
        }
        Ok(if gone == 0 { Undone::Absent } else { Undone::Gone })
    }
    async fn restore(&self, _cx: &Context, changed: &Resource) -> Result<Undone> {
        Err(Error::bug(format!("a local builder changes nothing, but is asked to restore {changed}")))
    }
    async fn keep(&self, _cx: &Context, created: &Resource, keep: &Keep) -> Result<()> {
        let kind = &created.kind.name;
        if Place::of(kind) != Some(Place::Images) {
            return Err(Error::new(ErrorKind::Internal, format!("{kind} is nothing to keep")));
        }
        tagged::keep(&self.place(Place::Images).join(&created.token), keep)
    }
    async fn find(&self, _cx: &Context, query: &Query) -> Result<Vec<Found>> {
        let mut all = vec![];
        for place in Place::ALL {
            for found in tagged::list(&self.place(place))? {
                let (token, expires_at) = (found.tags.token().to_owned(), found.tags.expires_at());
                let wanted = query.token.as_ref().is_none_or(|wanted| *wanted == token)
                    && query.expired_before.is_none_or(|before| expires_at.is_some_and(|at| at < before));
                if wanted {
                    let (scope, location) = (self.scope.clone(), self.location());
                    let resource = Resource::found(OWNER, scope, place.kind(), location, token.clone(), token);
                    all.push(Found::new(resource, found.tags.state(), expires_at));
                }
            }
        }
        Ok(all)
    }
}
