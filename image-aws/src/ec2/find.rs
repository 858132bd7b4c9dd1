//! Finding what carries our tags: by a token where a reply was lost, and everything that has expired for a reap.

use super::{
    AmiBuilder,
    client::{Region, tags},
    kind::{Ec2Kind, OWNER},
    list::{self, Which},
    state::state,
};
use crate::{Place, tag};
use aws_sdk_ec2::types::{InstanceStateName, Tag, VolumeState};
use image_core::{Found, Kind, Query, Resource, Result};
use std::{collections::BTreeSet, sync::Arc};

impl AmiBuilder {
    /// The region that a resource is in, of the builder's account.
    pub(super) fn region_of(&self, resource: &Resource) -> Result<Arc<Region>> {
        Ok(self.ec2.region(&Place::new(&self.place.account, &resource.location)?))
    }

    pub(super) async fn find_tagged(&self, query: &Query) -> Result<Vec<Found>> {
        let mut regions = BTreeSet::from([self.place.region.clone()]);
        regions.extend(self.settings.regions.iter().cloned());
        let mut all = vec![];
        for region in regions {
            let region = self.ec2.region(&Place::new(&self.place.account, region)?);
            all.extend(self.find_in(&region, query).await?);
        }
        Ok(all)
    }

    async fn find_in(&self, region: &Region, query: &Query) -> Result<Vec<Found>> {
        let which = || query.token.as_deref().map_or(Which::All, Which::Token);
        let (instances, groups, images, snapshots, volumes) = tokio::try_join!(
            list::instances(region, which()),
            list::security_groups(region, which()),
            list::images(region, which()),
            list::snapshots(region, which()),
            list::volumes(region, which()),
        )?;
        let mut finds = Finds::new(OWNER, &region.place, query);
        for instance in instances.iter().filter(|instance| state(instance) != InstanceStateName::Terminated) {
            finds.add(Ec2Kind::Instance.kind(), instance.instance_id(), instance.tags());
        }
        groups.iter().for_each(|group| finds.add(Ec2Kind::SecurityGroup.kind(), group.group_id(), group.tags()));
        images.iter().for_each(|image| finds.add(Ec2Kind::Image.kind(), image.image_id(), image.tags()));
        let whole = finds.tokens();
        for snapshot in snapshots.iter().filter(|snapshot| is_alone(&whole, snapshot.tags())) {
            finds.add(Ec2Kind::Snapshot.kind(), snapshot.snapshot_id(), snapshot.tags());
        }
        let free = |state: Option<&VolumeState>| state == Some(&VolumeState::Available);
        for volume in volumes.iter().filter(|volume| free(volume.state()) && is_alone(&whole, volume.tags())) {
            finds.add(Ec2Kind::Volume.kind(), volume.volume_id(), volume.tags());
        }
        Ok(finds.found)
    }
}

/// Collects what a query wants of a place.
pub(crate) struct Finds<'a> {
    owner: &'a str,
    place: &'a Place,
    query: &'a Query,
    pub(crate) found: Vec<Found>,
}

impl<'a> Finds<'a> {
    pub(crate) fn new(owner: &'a str, place: &'a Place, query: &'a Query) -> Self {
        Self { owner, place, query, found: vec![] }
    }

    /// Adds a thing, where its tags are ours, say no other owner, and the query wants it.
    pub(crate) fn add(&mut self, kind: Kind, id: Option<&str>, list: &[Tag]) {
        let all = tags(list);
        let (Some(id), Some(token), Some((state, expires_at))) = (id, all.get(tag::TOKEN), tag::read(&all)) else {
            return;
        };
        let foreign = all.get(tag::MADE_BY).is_some_and(|owner| owner != self.owner);
        if !foreign && self.query.expired_before.is_none_or(|before| expires_at.is_some_and(|at| at < before)) {
            let Place { region, .. } = self.place;
            let resource = Resource::found(self.owner, self.place.scope(), kind, region, token, id);
            self.found.push(Found::new(resource, state, expires_at));
        }
    }

    /// The creates that something was found of.
    pub(crate) fn tokens(&self) -> BTreeSet<String> {
        self.found.iter().map(|found| found.resource.token.clone()).collect()
    }
}

/// Whether something of ours has lost what it came with. What comes with an image or an instance is undone with it.
pub(crate) fn is_alone(whole: &BTreeSet<String>, list: &[Tag]) -> bool {
    tags(list).get(tag::TOKEN).is_some_and(|token| !whole.contains(token))
}
