//! Undoing, keeping and finding what imports made. An import makes what a build makes too, so it is undone alike.

use super::{EbsDirect, OWNER};
use crate::{
    Place,
    client::identity,
    ec2::{
        client::{Region, tags},
        find::Finds,
        kind::Ec2Kind,
        list::{self, Which},
        undo::{keep_image, keep_snapshot, undo_image, undo_snapshot},
    },
    tag,
};
use aws_sdk_ec2::types::Tag;
use image_core::{Context, Error, Found, Keep, Query, Resource, Result, Scope, Undo, Undone, async_trait};
use std::{collections::BTreeSet, sync::Arc};

impl EbsDirect {
    fn region_of(&self, resource: &Resource) -> Result<Arc<Region>> {
        Ok(self.ec2.region(&Place::new(&self.place.account, &resource.location)?))
    }

    /// Images first: a snapshot cannot go before its image.
    async fn find_in(&self, region: &Region, query: &Query) -> Result<Vec<Found>> {
        let which = || query.token.as_deref().map_or(Which::All, Which::Token);
        let (images, snapshots) = tokio::try_join!(list::images(region, which()), list::snapshots(region, which()))?;
        let ours = |list: &[Tag]| tags(list).get(tag::MADE_BY).is_some_and(|made_by| made_by == OWNER);
        let mut finds = Finds::new(OWNER, &region.place, query);
        for image in images.iter().filter(|image| ours(image.tags())) {
            finds.add(Ec2Kind::Image.kind(), image.image_id(), image.tags());
        }
        for snapshot in snapshots.iter().filter(|snapshot| ours(snapshot.tags())) {
            finds.add(Ec2Kind::Snapshot.kind(), snapshot.snapshot_id(), snapshot.tags());
        }
        Ok(finds.found)
    }
}

fn no_kind_of_ours(resource: &Resource) -> Error {
    Error::bug(format!("{resource} is nothing that {OWNER} makes"))
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
        identity(self.ec2.clients().provider(), &self.place).await
    }
    async fn undo(&self, cx: &Context, created: &Resource) -> Result<Undone> {
        let region = self.region_of(created)?;
        match Ec2Kind::of(created)? {
            Ec2Kind::Image => undo_image(cx, &region, created).await,
            Ec2Kind::Snapshot => undo_snapshot(&region, created).await,
            _ => Err(no_kind_of_ours(created)),
        }
    }
    async fn restore(&self, _cx: &Context, changed: &Resource) -> Result<Undone> {
        Err(Error::bug(format!("{OWNER} changes nothing, but is asked to restore {changed}")))
    }
    async fn keep(&self, _cx: &Context, created: &Resource, keep: &Keep) -> Result<()> {
        let region = self.region_of(created)?;
        match Ec2Kind::of(created)? {
            Ec2Kind::Image => keep_image(&region, created, keep).await,
            Ec2Kind::Snapshot => keep_snapshot(&region, created, keep).await,
            _ => Err(no_kind_of_ours(created)),
        }
    }
    async fn find(&self, cx: &Context, query: &Query) -> Result<Vec<Found>> {
        let mut all = vec![];
        if query.scope != self.place.scope() {
            return Ok(all);
        }
        let mut regions = BTreeSet::from([&self.place.region]);
        regions.extend(&self.settings.regions);
        for region in regions {
            let region = self.ec2.region(&Place::new(&self.place.account, region)?);
            all.extend(cx.race(self.find_in(&region, query)).await?);
        }
        Ok(all)
    }
}
