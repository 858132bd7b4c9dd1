//! Undoing what a distribution made, from its journal entry or its tags alone.
//!
//! Nothing is deleted that does not carry the token of its create, and nothing that says that it is kept.

use super::{
    AmiDistributor,
    api::{Api, absent_is_done, cause, filter, tagged, tags, to_tags},
    attribute::Attribute,
    kind::{COPY, OWNER, SOURCE_TAG, TEMPLATE_VERSION, kind},
    template,
};
use crate::{Place, tag};
use aws_sdk_ec2::types::{Image, ImageState, Snapshot, Tag};
use image_core::{
    Context, Error, ErrorKind, Found, Keep, Query, Resource, Result, Scope, State, Undo, Undone, async_trait,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// Before looking again at what is on its way out.
const RETRY: Duration = Duration::from_secs(2);

impl AmiDistributor {
    /// The places of a scope.
    fn places_in(&self, scope: &Scope) -> BTreeSet<&Place> {
        let all = self.targets.iter().map(|target| &target.place).chain([&self.source]);
        all.filter(|place| place.scope() == *scope).collect()
    }

    /// The calls of the place that a resource is in. What is in a region that is no target any more is still reached.
    fn api_of(&self, resource: &Resource) -> Result<Api> {
        let Some(place) = self.places_in(&resource.scope).into_iter().next() else {
            return Err(Error::bug(format!("{OWNER} is not configured for {}", resource.scope)));
        };
        let region = resource.location.split('/').next().unwrap_or_default();
        Ok(self.api(&Place::new(&place.account, region)?))
    }
}

#[async_trait]
impl Undo for AmiDistributor {
    fn owner(&self) -> &str {
        OWNER
    }

    fn scopes(&self) -> Vec<Scope> {
        let all = self.targets.iter().map(|target| target.place.scope()).chain([self.source.scope()]);
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    async fn identity(&self, _cx: &Context, configured: &Scope) -> Result<Scope> {
        let place = self.places_in(configured).into_iter().next();
        let unknown = || Error::bug(format!("{OWNER} is not configured for {configured}"));
        crate::identity(self.clients.provider(), place.ok_or_else(unknown)?).await
    }

    async fn undo(&self, _cx: &Context, created: &Resource) -> Result<Undone> {
        let api = self.api_of(created)?;
        match created.kind.name.as_str() {
            COPY => undo_copy(&api, created).await,
            TEMPLATE_VERSION => template::undo(&api, created).await,
            other => Err(Error::bug(format!("{other} is no kind of {OWNER}"))),
        }
    }

    async fn restore(&self, _cx: &Context, changed: &Resource) -> Result<Undone> {
        let api = self.api_of(changed)?;
        let (attribute, thing) = Attribute::of(changed)?;
        let change = changed.change.as_ref().ok_or_else(|| Error::bug(format!("{changed} is no change")))?;
        attribute.restore(&api, thing, change).await
    }

    async fn keep(&self, _cx: &Context, created: &Resource, keep: &Keep) -> Result<()> {
        match created.kind.name.as_str() {
            COPY => keep_copy(&self.api_of(created)?, created, keep).await,
            // A version has no tags, and none of it expires.
            TEMPLATE_VERSION => Ok(()),
            other => Err(Error::bug(format!("{other} is no kind of {OWNER}"))),
        }
    }

    /// Copies, and snapshots whose copy has gone. Versions of launch templates carry no tags: without its journal, one
    /// stays that is not the default.
    async fn find(&self, _cx: &Context, query: &Query) -> Result<Vec<Found>> {
        let mut all = vec![];
        for place in self.places_in(&query.scope) {
            all.extend(find_in(&self.api(place), query).await?);
        }
        Ok(all)
    }
}

/// A copy and its snapshots, as they are now.
struct Parts {
    images: Vec<Image>,
    snapshots: Vec<Snapshot>,
}

impl Parts {
    async fn of(api: &Api, token: &str) -> Result<Self> {
        let carries = || vec![tagged(tag::TOKEN, token)];
        let (images, snapshots) = tokio::try_join!(api.images(carries()), api.snapshots(carries()))?;
        let images = images.into_iter().filter(|image| image.state() != Some(&ImageState::Deregistered)).collect();
        Ok(Self { images, snapshots })
    }
    fn is_empty(&self) -> bool {
        self.images.is_empty() && self.snapshots.is_empty()
    }
    fn tags(&self) -> impl Iterator<Item = &[Tag]> {
        self.images.iter().map(Image::tags).chain(self.snapshots.iter().map(Snapshot::tags))
    }
    fn ids(&self) -> Vec<String> {
        let images = self.images.iter().filter_map(Image::image_id);
        images.chain(self.snapshots.iter().filter_map(Snapshot::snapshot_id)).map(str::to_owned).collect()
    }
}

/// Deregisters a copy and deletes its snapshots. One that EC2 was still making appears later, so that only an absence that
/// lasts counts.
async fn undo_copy(api: &Api, created: &Resource) -> Result<Undone> {
    let parts = Parts::of(api, &created.token).await?;
    if parts.is_empty() {
        return foreign(api, created).await.map(|()| Undone::Absent);
    }
    if parts.tags().any(|list| tags(list).get(tag::STATE).is_some_and(|state| state == State::Kept.as_str())) {
        let message = format!("{created} is tagged {}={}: it is not to be deleted", tag::STATE, State::Kept.as_str());
        return Err(Error::new(ErrorKind::Conflict, message).with_context("place", &api.place));
    }
    let client = api.ec2_once().await.map_err(cause)?;
    for id in parts.images.iter().filter_map(Image::image_id) {
        let call = || client.deregister_image().image_id(id).send();
        absent_is_done(api.repeat("ec2:DeregisterImage", call).await.map(drop))?;
    }
    for id in parts.snapshots.iter().filter_map(Snapshot::snapshot_id) {
        let call = || client.delete_snapshot().snapshot_id(id).send();
        match absent_is_done(api.repeat("ec2:DeleteSnapshot", call).await.map(drop)) {
            // The image is not quite gone yet.
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            other => other?,
        }
    }
    Ok(Undone::NotYetProven { retry_at: Instant::now() + RETRY })
}

/// Refuses to call a copy gone whose image is there and has lost our tag: somebody took it over, or would miss it.
async fn foreign(api: &Api, created: &Resource) -> Result<()> {
    let Some(id) = &created.id else { return Ok(()) };
    match api.image(id).await?.filter(|image| image.state() != Some(&ImageState::Deregistered)) {
        Some(image) if tags(image.tags()).get(tag::TOKEN) != Some(&created.token) => {
            let message = format!("{created} does not carry the tag {}={}: it is not ours", tag::TOKEN, created.token);
            Err(Error::new(ErrorKind::PermissionDenied, message))
        }
        _ => Ok(()),
    }
}

/// Retags a copy and its snapshots. What is kept for good loses its expiry last: a state that says so is what every
/// cleanup looks at first.
async fn keep_copy(api: &Api, created: &Resource, keep: &Keep) -> Result<()> {
    let parts = Parts::of(api, &created.token).await?;
    if parts.images.is_empty() {
        let error = Error::new(ErrorKind::NotFound, format!("{created} is not there to be kept"));
        return Err(error.with_context("place", &api.place));
    }
    let mut kept = BTreeMap::from([(tag::STATE.to_owned(), keep.state.as_str().to_owned())]);
    if let Some(at) = keep.expires_at {
        kept.insert(tag::EXPIRES.to_owned(), at.as_millis().to_string());
    }
    let (client, ids) = (api.ec2_once().await.map_err(cause)?, parts.ids());
    let write = || client.create_tags().set_resources(Some(ids.clone())).set_tags(Some(to_tags(&kept))).send();
    api.repeat("ec2:CreateTags", write).await.map_err(cause)?;
    if keep.expires_at.is_none() {
        let expiry = Tag::builder().key(tag::EXPIRES).build();
        let remove = || client.delete_tags().set_resources(Some(ids.clone())).tags(expiry.clone()).send();
        api.repeat("ec2:DeleteTags", remove).await.map_err(cause)?;
    }
    Ok(())
}

/// One find for each create: its image, or what is left of it.
async fn find_in(api: &Api, query: &Query) -> Result<Vec<Found>> {
    let ours = || {
        let mut filters = vec![filter("tag-key", [SOURCE_TAG])];
        filters.extend(query.token.as_deref().map(|token| tagged(tag::TOKEN, token)));
        filters
    };
    let (images, snapshots) = tokio::try_join!(api.images(ours()), api.snapshots(ours()))?;
    let images = images.iter().filter(|image| image.state() != Some(&ImageState::Deregistered));
    let images = images.filter_map(|image| Some((image.image_id()?, image.tags())));
    let snapshots = snapshots.iter().filter_map(|snapshot| Some((snapshot.snapshot_id()?, snapshot.tags())));
    let (mut seen, mut found) = (BTreeSet::new(), vec![]);
    for (id, list) in images.chain(snapshots) {
        let all = tags(list);
        let (Some(token), Some((state, expires_at))) = (all.get(tag::TOKEN), tag::read(&all)) else { continue };
        if !seen.insert(token.clone()) {
            continue;
        }
        if query.expired_before.is_none_or(|before| expires_at.is_some_and(|at| at < before)) {
            let Place { region, .. } = &api.place;
            let resource = Resource::found(OWNER, query.scope.clone(), kind(COPY), region, token, id);
            found.push(Found::new(resource, state, expires_at));
        }
    }
    Ok(found)
}
