//! Undoing, keeping and finding what imports made.

use super::{
    EbsDirect,
    kind::{EbsKind, MADE_BY, OWNER},
};
use crate::{
    Place,
    client::identity,
    ec2::client::{filter, tags},
    error::sdk_error,
    tag,
};
use aws_sdk_ec2::{Client, types::Tag};
use image_core::{
    Context, Error, ErrorKind, Found, Keep, Query, Resource, Result, Scope, State, Undo, Undone, async_trait,
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// Between asking for an end and looking whether it came.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How often a snapshot is tried that an image still uses: deregistering takes a while to be known.
const TRIES_IN_USE: u32 = 5;

/// Something with our tags.
struct Tagged {
    kind: EbsKind,
    id: String,
    tags: BTreeMap<String, String>,
}

impl EbsDirect {
    fn place_of(&self, resource: &Resource) -> Result<Place> {
        Place::new(&self.place.account, &resource.location)
    }

    /// What a filter finds of a kind.
    async fn look(&self, place: &Place, kind: EbsKind, name: &str, value: &str) -> Result<Vec<Tagged>> {
        let filter = filter(name, [value]);
        Ok(match kind {
            EbsKind::Image => {
                let images = self.images(place).describe(filter).await?.into_iter();
                let tagged = |image: aws_sdk_ec2::types::Image| {
                    Some(Tagged { kind, tags: tags(image.tags()), id: image.image_id? })
                };
                images.filter_map(tagged).collect()
            }
            EbsKind::Snapshot => {
                let snapshots = self.snapshots(place).describe(filter).await?.into_iter();
                let tagged = |snapshot: aws_sdk_ec2::types::Snapshot| {
                    Some(Tagged { kind, tags: tags(snapshot.tags()), id: snapshot.snapshot_id? })
                };
                snapshots.filter_map(tagged).collect()
            }
        })
    }

    /// A resource: what its journal's id leads to, or what carries its token.
    ///
    /// # Errors
    /// The API's; `PermissionDenied` when the id leads to something without the token.
    async fn find_one(&self, place: &Place, kind: EbsKind, resource: &Resource) -> Result<Option<Tagged>> {
        let found = match (&resource.id, kind) {
            (Some(id), EbsKind::Image) => self.look(place, kind, "image-id", id).await?,
            (Some(id), EbsKind::Snapshot) => self.look(place, kind, "snapshot-id", id).await?,
            (None, _) => self.look(place, kind, &format!("tag:{}", tag::TOKEN), &resource.token).await?,
        };
        let Some(found) = found.into_iter().next() else { return Ok(None) };
        if found.tags.get(tag::TOKEN) != Some(&resource.token) {
            let message =
                format!("{resource} does not carry the tag {}={}: it is not ours", tag::TOKEN, resource.token);
            return Err(Error::new(ErrorKind::PermissionDenied, message));
        }
        Ok(Some(found))
    }

    /// Asks for the end of a thing; whether it was there.
    async fn delete(&self, cx: &Context, client: &Client, place: &Place, kind: EbsKind, id: &str) -> Result<bool> {
        let mut tries = 0;
        loop {
            tries += 1;
            let asked = match kind {
                EbsKind::Image => {
                    let asked = client.deregister_image().image_id(id).send().await;
                    asked.map(drop).map_err(|e| sdk_error("ec2:DeregisterImage", place, e))
                }
                EbsKind::Snapshot => {
                    let asked = client.delete_snapshot().snapshot_id(id).send().await;
                    asked.map(drop).map_err(|e| sdk_error("ec2:DeleteSnapshot", place, e))
                }
            };
            match asked {
                Ok(()) => return Ok(true),
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Conflict && tries < TRIES_IN_USE => cx.sleep(LOOK_AGAIN).await?,
                Err(e) => return Err(e),
            }
        }
    }
}

#[async_trait]
impl Undo for EbsDirect {
    fn owner(&self) -> &str {
        OWNER
    }
    fn scopes(&self) -> Vec<Scope> {
        vec![self.place.scope()]
    }
    async fn identity(&self, _cx: &Context, _configured: &Scope) -> Result<Scope> {
        identity(self.clients.provider(), &self.place).await
    }

    async fn undo(&self, cx: &Context, created: &Resource) -> Result<Undone> {
        let (place, kind) = (self.place_of(created)?, EbsKind::of(created)?);
        let Some(found) = self.find_one(&place, kind, created).await? else { return Ok(Undone::Absent) };
        if found.tags.get(tag::STATE).map(String::as_str) == Some(State::Kept.as_str()) {
            let message =
                format!("{created} is tagged {}={}: it is not to be deleted", tag::STATE, State::Kept.as_str());
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let client = self.clients.ec2(&place).await?;
        if !self.delete(cx, &client, &place, kind, &found.id).await? {
            return Ok(Undone::Absent);
        }
        match self.find_one(&place, kind, created).await? {
            None => Ok(Undone::Gone),
            Some(_) => Ok(Undone::NotYetProven { retry_at: Instant::now() + LOOK_AGAIN }),
        }
    }

    async fn restore(&self, _cx: &Context, changed: &Resource) -> Result<Undone> {
        Err(Error::bug(format!("{OWNER} changes nothing, and so not {changed}")))
    }

    async fn keep(&self, _cx: &Context, created: &Resource, keep: &Keep) -> Result<()> {
        let (place, kind) = (self.place_of(created)?, EbsKind::of(created)?);
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no {created} to be kept"));
        let id = self.find_one(&place, kind, created).await?.ok_or_else(missing)?.id;
        let client = self.clients.ec2(&place).await?;
        let tag = |key: &str, value: String| Tag::builder().key(key).value(value).build();
        let mut call = client.create_tags().resources(&id).tags(tag(tag::STATE, keep.state.as_str().to_owned()));
        if let Some(at) = keep.expires_at {
            call = call.tags(tag(tag::EXPIRES, at.as_millis().to_string()));
        }
        call.send().await.map_err(|e| sdk_error("ec2:CreateTags", &place, e))?;
        if keep.expires_at.is_none() {
            // After the state: a kept image with an expiry is safe, a temporary one without would stay for good.
            let call = client.delete_tags().resources(&id).tags(Tag::builder().key(tag::EXPIRES).build());
            call.send().await.map_err(|e| sdk_error("ec2:DeleteTags", &place, e))?;
        }
        Ok(())
    }

    async fn find(&self, cx: &Context, query: &Query) -> Result<Vec<Found>> {
        let mut all = vec![];
        if query.scope != self.place.scope() {
            return Ok(all);
        }
        let mut regions = self.settings.regions.clone();
        regions.push(self.place.region.clone());
        regions.sort_unstable();
        regions.dedup();
        for region in regions {
            let place = Place::new(&self.place.account, region)?;
            // Images first: a snapshot cannot go before its image.
            for kind in [EbsKind::Image, EbsKind::Snapshot] {
                let (name, value) = match &query.token {
                    Some(token) => (tag::TOKEN, token.as_str()),
                    None => (MADE_BY, OWNER),
                };
                let found = cx.race(self.look(&place, kind, &format!("tag:{name}"), value)).await?;
                all.extend(found.into_iter().filter_map(|tagged| found_of(&place, tagged)));
            }
        }
        let expired = |found: &Found| {
            query.expired_before.is_none_or(|before| found.expires_at.is_some_and(|expires| expires < before))
        };
        all.retain(expired);
        Ok(all)
    }
}

fn found_of(place: &Place, Tagged { kind, id, tags }: Tagged) -> Option<Found> {
    if tags.get(MADE_BY).map(String::as_str) != Some(OWNER) {
        return None;
    }
    let (state, expires) = tag::read(&tags)?;
    let token = tags.get(tag::TOKEN)?;
    Some(Found::new(Resource::found(OWNER, place.scope(), kind.kind(), &place.region, token, id), state, expires))
}
