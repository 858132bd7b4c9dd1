//! Undoing what a distribution made, from its journal entry or its tags alone.
//!
//! Nothing is deleted that does not carry the token of its create, and nothing that says that it is kept.

use super::{
    AmiDistributor,
    attribute::Attribute,
    kind::{COPY, OWNER, SOURCE_TAG, TEMPLATE_VERSION, kind},
    template,
};
use crate::{
    Place,
    ec2::{
        client::{Region, tags},
        find::{Finds, is_alone},
        list::{self, Which},
        undo::{keep_image, look_again, undo_image},
    },
};
use aws_sdk_ec2::types::Tag;
use image_core::{Context, Error, Found, Keep, Query, Resource, Result, Scope, Undo, Undone, async_trait};
use std::{collections::BTreeSet, sync::Arc};

impl AmiDistributor {
    /// The places of a scope.
    fn places_in(&self, scope: &Scope) -> BTreeSet<&Place> {
        let all = self.targets.iter().map(|target| &target.place).chain([&self.source]);
        all.filter(|place| place.scope() == *scope).collect()
    }

    /// The region that a resource is in. One that is no target any more is still reached.
    fn region_of(&self, resource: &Resource) -> Result<Arc<Region>> {
        let Some(place) = self.places_in(&resource.scope).into_iter().next() else {
            return Err(Error::bug(format!("{OWNER} is not configured for {}", resource.scope)));
        };
        let region = resource.location.split('/').next().unwrap_or_default();
        Ok(self.region(&Place::new(&place.account, region)?))
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
        crate::identity(self.ec2.clients().provider(), place.ok_or_else(unknown)?).await
    }

    async fn undo(&self, cx: &Context, created: &Resource) -> Result<Undone> {
        let region = self.region_of(created)?;
        match created.kind.name.as_str() {
            // A snapshot that EC2 was still making appears later, so that only an absence that lasts counts.
            COPY => Ok(match undo_image(cx, &region, created).await? {
                Undone::Gone => look_again(),
                other => other,
            }),
            TEMPLATE_VERSION => template::undo(&region, created).await,
            other => Err(Error::bug(format!("{other} is no kind of {OWNER}"))),
        }
    }

    async fn restore(&self, _cx: &Context, changed: &Resource) -> Result<Undone> {
        let region = self.region_of(changed)?;
        let (attribute, thing) = Attribute::of(changed)?;
        let change = changed.change.as_ref().ok_or_else(|| Error::bug(format!("{changed} is no change")))?;
        attribute.restore(&region, thing, change).await
    }

    async fn keep(&self, _cx: &Context, created: &Resource, keep: &Keep) -> Result<()> {
        match created.kind.name.as_str() {
            COPY => keep_image(&*self.region_of(created)?, created, keep).await,
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
            all.extend(find_in(&self.region(place), query).await?);
        }
        Ok(all)
    }
}

/// Copies, and what is left of those whose image has gone.
async fn find_in(region: &Region, query: &Query) -> Result<Vec<Found>> {
    let which = || query.token.as_deref().map_or(Which::All, Which::Token);
    let (images, snapshots) = tokio::try_join!(list::images(region, which()), list::snapshots(region, which()))?;
    // What has no source was built, and is found by its builder.
    let is_copy = |list: &[Tag]| tags(list).contains_key(SOURCE_TAG);
    let mut finds = Finds::new(OWNER, &region.place, query);
    for image in images.iter().filter(|image| is_copy(image.tags())) {
        finds.add(kind(COPY), image.image_id(), image.tags());
    }
    let whole = finds.tokens();
    for snapshot in snapshots.iter().filter(|snapshot| is_copy(snapshot.tags()) && is_alone(&whole, snapshot.tags())) {
        finds.add(kind(COPY), snapshot.snapshot_id(), snapshot.tags());
    }
    Ok(finds.found)
}
