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
use image_core::{Found, Query, Resource, Result, Scope};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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
        let mut finds = Finds { builder: self, region, query, found: vec![] };
        for instance in instances.iter().filter(|instance| state(instance) != InstanceStateName::Terminated) {
            finds.add(Ec2Kind::Instance, instance.instance_id(), instance.tags());
        }
        groups.iter().for_each(|group| finds.add(Ec2Kind::SecurityGroup, group.group_id(), group.tags()));
        images.iter().for_each(|image| finds.add(Ec2Kind::Image, image.image_id(), image.tags()));
        // What comes with an image or an instance is undone with it.
        let whole: BTreeSet<String> = finds.found.iter().map(|found| found.resource.token.clone()).collect();
        let alone = |list: &[Tag]| tags(list).get(tag::TOKEN).is_some_and(|token| !whole.contains(token));
        for snapshot in snapshots.iter().filter(|snapshot| alone(snapshot.tags())) {
            finds.add(Ec2Kind::Snapshot, snapshot.snapshot_id(), snapshot.tags());
        }
        let free = |state: Option<&VolumeState>| state == Some(&VolumeState::Available);
        for volume in volumes.iter().filter(|volume| free(volume.state()) && alone(volume.tags())) {
            finds.add(Ec2Kind::Volume, volume.volume_id(), volume.tags());
        }
        Ok(finds.found)
    }
}

struct Finds<'a> {
    builder: &'a AmiBuilder,
    region: &'a Region,
    query: &'a Query,
    found: Vec<Found>,
}

impl Finds<'_> {
    fn add(&mut self, kind: Ec2Kind, id: Option<&str>, list: &[Tag]) {
        let all = tags(list);
        // An importer answers for its own.
        if !all.contains_key(tag::MADE_BY) {
            let kind = (OWNER, self.builder.place.scope(), kind);
            self.found.extend(found(kind, &self.region.place.region, self.query, id, &all));
        }
    }
}

/// A thing, where its tags are ours and the query wants it.
pub(crate) fn found(
    (owner, scope, kind): (&str, Scope, Ec2Kind),
    region: &str,
    query: &Query,
    id: Option<&str>,
    tags: &BTreeMap<String, String>,
) -> Option<Found> {
    let (id, token, (state, expires_at)) = (id?, tags.get(tag::TOKEN)?, tag::read(tags)?);
    let expired = query.expired_before.is_none_or(|before| expires_at.is_some_and(|at| at < before));
    let resource = || Resource::found(owner, scope, kind.kind(), region, token, id);
    expired.then(|| Found::new(resource(), state, expires_at))
}
