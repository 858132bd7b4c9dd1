//! A simulated AWS without a socket, and a pipeline in it.

use crate::wire::{Clients, Wire};
use image_aws::{
    Place,
    ec2::{AmiBuilder, AmiSource, Connect, Ec2, Volume},
    tag,
};
use image_conformance::{
    Answer, ScriptedMachine,
    fake::{FakeProvisioner, FakeScanner, FakeValidator},
};
use image_core::{
    Capabilities, Context, Layer, Machine, MachineInfo, Pipeline, Platform, Ready, Result, Secret, async_trait,
};
use image_sim::{DEFAULT_ACCOUNT, EventualConsistency, ResourceState, SeedImage, Simulator, Timings};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

pub(crate) const SECRET: &str = "correct-horse-battery";
pub(crate) const REGION: &str = "us-west-2";
/// An account that exists, and is not the one that builds.
pub(crate) const OTHER: &str = "444455556666";

/// Reaches every instance at once, by a machine that does nothing.
#[derive(Clone, Copy, Debug)]
struct Scripted;

#[async_trait]
impl Connect for Scripted {
    fn capabilities(&self) -> Capabilities {
        let mut all = Capabilities::default();
        (all.reboot, all.secrets, all.live_output, all.kills_group) = (true, true, true, true);
        all
    }
    async fn connect(
        &self,
        _cx: &Context,
        _place: &Place,
        instance: &str,
        platform: &Platform,
    ) -> Result<Arc<dyn Machine>> {
        let info = MachineInfo::new(instance, platform.clone(), true);
        Ok(Arc::new(ScriptedMachine::new(Answer::Succeeds).with_info(info)))
    }
}

#[derive(Debug)]
pub(crate) struct Cloud(pub(crate) Wire);

impl Cloud {
    pub(crate) fn new() -> Self {
        // A crash is a run in real time, so that nothing takes long.
        let mut timings = Timings::instant();
        let short = Duration::from_millis(300);
        (timings.image, timings.image_copy, timings.instance_stop) = (short, short, short);
        let builder = Simulator::builder()
            .account(DEFAULT_ACCOUNT)
            .account(OTHER)
            .timings(timings)
            .consistency(EventualConsistency::reads(1))
            .image(seed());
        Self(Wire::new(builder))
    }

    /// An image of the account that no run made.
    pub(crate) fn seeded(&self) -> String {
        seed().id(REGION)
    }

    pub(crate) fn ec2(&self, key: &str) -> Ec2 {
        let clients: Clients = self.0.clients(key);
        Ec2::new(clients)
    }

    pub(crate) fn builder(&self, ec2: &Ec2) -> AmiBuilder {
        let subnets = self.0.simulator().private_subnets(DEFAULT_ACCOUNT, REGION);
        AmiBuilder::new(ec2, place(REGION), AmiSource::newest(["amazon"]).filter("architecture", ["x86_64"]), Scripted)
            .candidates(["m7i.large", "m6i.large"], &subnets[..2])
            .instance_profile("image-builder")
            .root_volume(Volume::new().gib(16))
            .data_volume("/dev/sdf", Volume::new().gib(2))
            .tag("team", "platform")
            .without_encryption()
    }

    /// What was not there from the start. What belongs to an instance ends with it, and a snapshot with its image.
    pub(crate) fn made(&self) -> Vec<ResourceState> {
        let part = |kind: &str, state: &str| kind == "network-interface" || (kind == "volume" && state == "in-use");
        let all = self.0.simulator().state().into_iter().filter(|resource| !resource.seeded);
        all.filter(|resource| resource.state != "terminated" && !part(&resource.kind, &resource.state)).collect()
    }

    pub(crate) fn live(&self) -> BTreeSet<String> {
        let made = self.made();
        let token = |resource: &ResourceState| resource.tags.get(tag::TOKEN).cloned();
        let images: Vec<_> = made.iter().filter(|resource| resource.kind == "image").filter_map(token).collect();
        let of_image = |r: &ResourceState| r.kind == "snapshot" && token(r).is_some_and(|t| images.contains(&t));
        let alone = made.into_iter().filter(|resource| resource.kind != "parameter" && !of_image(resource));
        alone.map(|resource| resource.id).collect()
    }
}

fn seed() -> SeedImage {
    let mut seed = SeedImage::new("golden", DEFAULT_ACCOUNT, "x86_64");
    seed.public = false;
    seed
}

pub(crate) fn place(region: &str) -> Place {
    Place::new(DEFAULT_ACCOUNT, region).unwrap()
}

pub(crate) fn pipeline(builder: AmiBuilder) -> Pipeline<Ready> {
    let secret = Secret::new(SECRET);
    Pipeline::new("web")
        .builder(builder)
        .layer(Layer::new("base").provision(FakeProvisioner::new("packages", "install").secret(secret)))
        .seal(FakeProvisioner::new("seal", "rm -f /etc/machine-id"))
        .validator(FakeValidator::passing())
        .scanner(FakeScanner::covering(9))
}
