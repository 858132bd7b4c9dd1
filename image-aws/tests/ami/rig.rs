//! The builder under test on the cloud in memory, as the kit wants it.

use crate::{
    cloud::{ACCOUNT, Cloud, REGION, SUBNETS},
    wire::InMemory,
};
use image_aws::{
    Place,
    ec2::{AmiBuilder, AmiSource, Connect, Ec2, Volume},
};
use image_conformance::{
    Answer, Limits, Rig, ScriptedMachine,
    fake::{FakeProvisioner, FakeScanner, FakeValidator},
};
use image_core::{
    Capabilities, Context, Layer, Machine, MachineInfo, Pipeline, Platform, Ready, Result, Secret, Undoers, async_trait,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

const SECRET: &str = "correct-horse-battery";

/// Reaches every instance at once, by a machine that does nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scripted(pub(crate) Answer);

#[async_trait]
impl Connect for Scripted {
    fn capabilities(&self) -> Capabilities {
        let mut all = Capabilities::default();
        (all.reboot, all.secrets, all.live_output, all.kills_group) = (true, true, true, true);
        all
    }
    async fn connect(
        &self,
        cx: &Context,
        _place: &Place,
        instance: &str,
        platform: &Platform,
    ) -> Result<Arc<dyn Machine>> {
        cx.sleep(Duration::from_secs(20)).await?;
        let info = MachineInfo::new(instance, platform.clone(), true);
        Ok(Arc::new(ScriptedMachine::new(self.0).with_info(info)))
    }
}

pub(crate) fn place() -> Place {
    Place::new(ACCOUNT, REGION).unwrap()
}

pub(crate) fn source() -> AmiSource {
    AmiSource::newest(["amazon"]).filter("name", ["base"])
}

pub(crate) fn builder(cloud: &Cloud) -> AmiBuilder {
    let ec2 = Ec2::new(InMemory(cloud.clone()));
    AmiBuilder::new(&ec2, place(), source(), Scripted(Answer::Succeeds))
        .candidates(["m7i.large", "m6i.large"], SUBNETS)
        .instance_profile("image-builder")
        .root_volume(Volume::new().gib(16).iops(4000).throughput(500))
        .data_volume("/dev/sdf", Volume::new().gib(2))
        .kms_key("alias/images")
        .user_data("#cloud-config\npackages: [jq]\n")
        .tag("team", "platform")
}

pub(crate) fn pipeline(builder: AmiBuilder) -> Pipeline<Ready> {
    Pipeline::new("web")
        .builder(builder)
        .layer(Layer::new("base").provision(FakeProvisioner::new("packages", "apt-get upgrade")))
        .layer(Layer::new("app").provision(FakeProvisioner::new("app", "install app").secret(Secret::new(SECRET))))
        .seal(FakeProvisioner::new("seal", "rm -f /etc/machine-id"))
        .validator(FakeValidator::passing())
        .scanner(FakeScanner::covering(9))
}

/// A fresh cloud, for the kit.
pub(crate) fn fresh() -> Arc<dyn Rig> {
    Arc::new(AmiRig(Cloud::new(ACCOUNT)))
}

#[derive(Debug)]
struct AmiRig(Cloud);

impl Rig for AmiRig {
    fn pipeline(&self) -> Pipeline<Ready> {
        pipeline(builder(&self.0))
    }
    fn foreign(&self) -> Undoers {
        Undoers::new().with(Arc::new(builder(&Cloud::new("444455556666"))))
    }
    fn live(&self) -> BTreeSet<String> {
        self.0.live()
    }
    fn snapshot(&self) -> Option<Arc<dyn Rig>> {
        Some(Arc::new(Self(self.0.copy())))
    }
    fn refused(&self) -> Vec<Pipeline<Ready>> {
        let refused = |change: fn(AmiBuilder) -> AmiBuilder| pipeline(change(builder(&self.0)));
        vec![
            refused(|builder| builder.candidate("m7i.large", "subnet-1")),
            refused(|builder| builder.candidate("m7g.large", SUBNETS[0])),
            refused(|builder| builder.security_group("default")),
            refused(|builder| builder.root_volume(Volume::new().gib(4))),
            refused(|builder| builder.tag("golden-image:state", "kept")),
        ]
    }
    fn secrets(&self) -> Vec<String> {
        vec![SECRET.into()]
    }
    fn limits(&self) -> Limits {
        Limits::sampled(6, Duration::from_secs(300))
    }
}
