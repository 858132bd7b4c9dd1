//! What an account has of EC2 in a region.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::catalogue::{self, SeedImage};
use super::group::Groups;
use super::ids::{GROUP, IMAGE, INSTANCE, KEY_PAIR, Kind, SNAPSHOT, TEMPLATE, VOLUME};
use super::image::Image;
use super::instance::{Goal, Instance};
use super::key_pair::KeyPair;
use super::launch_template::Template;
use super::network::Network;
use super::settings::FastRestores;
use super::snapshot::Snapshot;
use super::tags::TagMap;
use super::volume::Volume;
use crate::clock::after;
use crate::world::{Place, ResourceState};

/// What an account has in a region.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) images: BTreeMap<String, Image>,
    /// Images that were deregistered: EC2 remembers their ids.
    pub(crate) gone_images: BTreeSet<String>,
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    pub(crate) key_pairs: BTreeMap<String, KeyPair>,
    pub(crate) groups: Groups,
    pub(crate) network: Network,
    pub(crate) templates: BTreeMap<String, Template>,
    pub(crate) fast_restores: FastRestores,
    pub(crate) encrypt_by_default: bool,
    pub(crate) default_kms_key: Option<String>,
    pub(crate) tags: TagMap,
    /// What was there from the start, besides images and snapshots.
    seeded: BTreeSet<String>,
}

impl State {
    /// What a new account finds, and the images that it is given.
    pub(crate) fn seeded(place: &Place, now: Timestamp, images: &[SeedImage]) -> Self {
        let (network, tags) = Network::seeded(place, now);
        let mut state = Self { network, ..Self::default() };
        state.groups = state.network.main_vpc().map(|vpc| Groups::seeded(place, vpc)).unwrap_or_default();
        for (id, tags) in tags {
            state.tags.set(&id, tags);
        }
        state.seeded.extend(state.network.all().map(|(_, id)| id.clone()));
        state.seeded.extend(state.groups.0.keys().cloned());
        catalogue::add(&mut state, place, now, images);
        state
    }

    /// The volumes at an instance, by their devices.
    pub(crate) fn attached_to<'a>(&'a self, instance: &str) -> impl Iterator<Item = (&'a str, &'a Volume)> {
        let mut attached: Vec<_> = self
            .volumes
            .values()
            .filter_map(|volume| Some((volume.attachment.as_ref()?, volume)))
            .filter(|(at, _)| at.instance_id == instance)
            .map(|(at, volume)| (at.device.as_str(), volume))
            .collect();
        attached.sort_by_key(|(device, _)| *device);
        attached.into_iter()
    }

    /// Whether every account sees this image or snapshot.
    pub(crate) fn is_public(&self, id: &str) -> bool {
        self.images.get(id).is_some_and(|image| image.permission.all)
            || self.snapshots.get(id).is_some_and(|snapshot| snapshot.sharing.all)
    }

    /// Whether there is anything with this id.
    pub(crate) fn exists(&self, id: &str) -> bool {
        self.all().any(|(_, known)| known == id)
            || self.network.has(id)
            || self.instances.values().any(|instance| instance.interface_id == id)
    }

    /// Kind and id of everything but the network.
    fn all(&self) -> impl Iterator<Item = (&'static Kind, &String)> {
        let instances = self.instances.keys().map(|id| (&INSTANCE, id));
        instances
            .chain(self.volumes.keys().map(|id| (&VOLUME, id)))
            .chain(self.images.keys().map(|id| (&IMAGE, id)))
            .chain(self.snapshots.keys().map(|id| (&SNAPSHOT, id)))
            .chain(self.key_pairs.keys().map(|id| (&KEY_PAIR, id)))
            .chain(self.groups.0.keys().map(|id| (&GROUP, id)))
            .chain(self.templates.keys().map(|id| (&TEMPLATE, id)))
    }

    /// Removes a snapshot and what hangs on it.
    pub(crate) fn forget_snapshot(&mut self, id: &str) {
        self.snapshots.remove(id);
        self.tags.forget(id);
        self.fast_restores.retain(|(snapshot, _)| snapshot != id);
    }

    /// Removes a volume.
    pub(crate) fn forget_volume(&mut self, id: &str) {
        self.volumes.remove(id);
        self.tags.forget(id);
    }

    /// Does what is due: the volumes and interfaces of instances that are terminated by now are gone, and instances that
    /// have been for long are forgotten.
    pub(crate) fn settle(&mut self, now: Timestamp, linger: Duration) {
        let ended = self.instances.values().filter(|instance| instance.state(now) == "terminated");
        let ended: Vec<_> =
            ended.map(|instance| (instance.id.clone(), instance.interface_id.clone(), instance.phase.at)).collect();
        for (id, interface, at) in ended {
            self.tags.forget(&interface);
            let attached: Vec<_> = self.attached_to(&id).map(|(_, volume)| volume.id.clone()).collect();
            for volume_id in attached {
                let attachment = self.volumes.get_mut(&volume_id).and_then(|volume| volume.attachment.take());
                if attachment.is_some_and(|at| at.delete_on_termination) {
                    self.forget_volume(&volume_id);
                }
            }
            if after(at, linger) <= now {
                self.instances.remove(&id);
                self.tags.forget(&id);
            }
        }
    }

    /// Everything, for leak tests.
    pub(crate) fn resources(&self, place: &Place, now: Timestamp) -> Vec<ResourceState> {
        let state = |id: &str| -> String {
            let text = self.instances.get(id).map(|instance| instance.state(now));
            let text = text.or_else(|| self.volumes.get(id).map(|volume| volume.state(now)));
            let text = text.or_else(|| self.images.get(id).map(|image| image.state(self, now)));
            text.or_else(|| self.snapshots.get(id).map(|snapshot| snapshot.state(now))).unwrap_or_default().to_owned()
        };
        let seeded = |id: &String| {
            self.seeded.contains(id)
                || self.images.get(id).is_some_and(|image| image.seeded)
                || self.snapshots.get(id).is_some_and(|snapshot| snapshot.seeded)
        };
        let live = self.instances.values().filter(|instance| instance.phase.goal != Goal::Terminated);
        let interfaces = live.map(|instance| ("network-interface", &instance.interface_id));
        self.all()
            .map(|(kind, id)| (kind.name, id))
            .chain(self.network.all())
            .chain(interfaces)
            .map(|(kind, id)| ResourceState {
                account: place.account.clone(),
                region: place.region.clone(),
                service: "ec2".to_owned(),
                kind: kind.to_owned(),
                id: id.clone(),
                state: state(id),
                seeded: seeded(id),
                tags: self.tags.of(id).clone(),
            })
            .collect()
    }
}
