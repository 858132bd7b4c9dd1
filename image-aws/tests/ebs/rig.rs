//! The importer under test on the simulator, as the kit wants it: disks of a builder of the kit become AMIs, and instances
//! of them are tested.

use crate::{
    site::{disk, place},
    wire::{Clients, Wire},
};
use image_aws::{
    Place,
    ebs::EbsDirect,
    ec2::{AmiBuilder, AmiSource, Connect, Ec2},
};
use image_conformance::{
    Answer, Limits, Rig, ScriptedMachine,
    fake::{FakeCloud, FakePlugin, FakeProvisioner, FakeScanner, FakeValidator},
};
use image_core::{
    BuildSpec, Builder, Cached, Capabilities, Capture, Captured, Checked, Context, Fingerprint, Found, Handle, Image,
    ImageKind, Keep, Launch, Launched, Layer, Machine, MachineInfo, Pipeline, Platform, Query, Ready, Resource, Result,
    Scope, Secret, Undo, Undoers, Undone, async_trait,
};
use image_sim::{DEFAULT_ACCOUNT, EventualConsistency, Simulator, Timings};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tempfile::NamedTempFile;

const SECRET: &str = "correct-horse-battery";
const REGION: &str = "us-west-2";
/// The private subnet of the first zone. What the simulator starts with has the same ids each time.
const SUBNET: &str = "subnet-f9bbdd86592a746ce";
/// An account that exists, and is not the one of the importer.
const OTHER: &str = "444455556666";

/// The builder of the kit, whose images are disks.
#[derive(Clone, Debug)]
struct Disks(FakePlugin, Arc<NamedTempFile>);

impl Disks {
    fn disk(&self, mut image: Image) -> Image {
        image.kind = ImageKind::Disk;
        image.with_part("raw", self.1.path().display().to_string())
    }
}

#[async_trait]
impl Undo for Disks {
    fn owner(&self) -> &str {
        self.0.owner()
    }
    fn scopes(&self) -> Vec<Scope> {
        self.0.scopes()
    }
    async fn identity(&self, cx: &Context, configured: &Scope) -> Result<Scope> {
        self.0.identity(cx, configured).await
    }
    async fn undo(&self, cx: &Context, created: &Resource) -> Result<Undone> {
        self.0.undo(cx, created).await
    }
    async fn restore(&self, cx: &Context, changed: &Resource) -> Result<Undone> {
        self.0.restore(cx, changed).await
    }
    async fn keep(&self, cx: &Context, created: &Resource, keep: &Keep) -> Result<()> {
        self.0.keep(cx, created, keep).await
    }
    async fn find(&self, cx: &Context, query: &Query) -> Result<Vec<Found>> {
        self.0.find(cx, query).await
    }
}

#[async_trait]
impl Builder for Disks {
    fn capabilities(&self) -> Capabilities {
        Builder::capabilities(&self.0)
    }
    async fn check(&self, cx: &Context, spec: &BuildSpec) -> Result<Checked> {
        Builder::check(&self.0, cx, spec).await
    }
    async fn lookup(&self, cx: &Context, checked: &Checked, fingerprint: &Fingerprint) -> Result<Option<Cached>> {
        let cached = self.0.lookup(cx, checked, fingerprint).await?;
        Ok(cached.map(|cached| Cached::new(self.disk(cached.image), cached.role)))
    }
    async fn launch(&self, cx: &Context, launch: Launch<'_>) -> Result<Launched> {
        self.0.launch(cx, launch).await
    }
    async fn capture(&self, cx: &Context, handle: Handle, capture: Capture<'_>) -> Result<Captured> {
        let mut captured = self.0.capture(cx, handle, capture).await?;
        captured.image = self.disk(captured.image);
        Ok(captured)
    }
    async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched> {
        Builder::boot(&self.0, cx, image).await
    }
}

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

/// Boots what was imported on an instance.
fn booter(ec2: &Ec2) -> AmiBuilder {
    AmiBuilder::new(ec2, place(REGION), AmiSource::newest(["amazon"]), Scripted).candidate("m7i.large", SUBNET)
}

/// A fresh simulator, for the kit.
pub(crate) fn fresh() -> Arc<dyn Rig> {
    Arc::new(EbsRig::new())
}

#[derive(Debug)]
pub(crate) struct EbsRig {
    disks: FakeCloud,
    disk: Arc<NamedTempFile>,
    pub(crate) wire: Wire,
}

impl EbsRig {
    pub(crate) fn new() -> Self {
        // A crash is a run in real time, so that nothing takes long.
        let mut timings = Timings::instant();
        (timings.image, timings.snapshot) = (Duration::from_millis(300), Duration::from_millis(300));
        let builder = Simulator::builder()
            .account(DEFAULT_ACCOUNT)
            .account(OTHER)
            .timings(timings)
            .consistency(EventualConsistency::reads(1));
        let disk = Arc::new(disk(8, &[(1, b'a'), (2, b'b'), (9, b'c')]));
        Self { disks: FakeCloud::default().prompt(), disk, wire: Wire::new(builder) }
    }

    fn importer(&self, clients: Clients) -> EbsDirect {
        let ec2 = Ec2::new(clients);
        EbsDirect::new(&ec2, place(REGION)).without_encryption().boots_with(booter(&ec2))
    }

    /// What is in the simulator and was not from the start. What belongs to an instance ends with it.
    pub(crate) fn left(&self) -> BTreeSet<String> {
        let part = |kind: &str, state: &str| kind == "network-interface" || (kind == "volume" && state == "in-use");
        let all = self.wire.simulator().state().into_iter().filter(|resource| !resource.seeded);
        let left = all.filter(|resource| resource.state != "terminated" && !part(&resource.kind, &resource.state));
        left.map(|resource| resource.id).collect()
    }

    fn with(&self, importer: EbsDirect) -> Pipeline<Ready> {
        let secret = Secret::new(SECRET);
        Pipeline::new("golden")
            .builder(Disks(FakePlugin::new(&self.disks), Arc::clone(&self.disk)))
            .layer(Layer::new("base").provision(FakeProvisioner::new("packages", "install").secret(secret)))
            .seal(FakeProvisioner::new("seal", "rm -f /etc/machine-id"))
            .validator(FakeValidator::passing())
            .scanner(FakeScanner::covering(9))
            .importer(importer)
    }
}

impl Rig for EbsRig {
    fn pipeline(&self) -> Pipeline<Ready> {
        self.with(self.importer(self.wire.clients("test")))
    }
    fn foreign(&self) -> Undoers {
        let clients = self.wire.clients(OTHER);
        let booter = booter(&Ec2::new(clients.clone()));
        let disks = FakePlugin::new(&FakeCloud::new("222")).configured_for(self.disks.account());
        Undoers::new().with(Arc::new(self.importer(clients))).with(Arc::new(booter)).with(Arc::new(disks))
    }
    fn live(&self) -> BTreeSet<String> {
        self.left().union(&self.disks.ids()).cloned().collect()
    }
    fn refused(&self) -> Vec<Pipeline<Ready>> {
        let importer = || self.importer(self.wire.clients("test"));
        vec![
            self.with(importer().volume_gib(0)),
            self.with(importer().parent("ami-0123456789abcdef0")),
            self.with(importer().kms_key("alias/images")),
            self.with(importer().root_device("xvda")),
            self.with(importer().tag("golden-image:state", "kept")),
        ]
    }
    fn secrets(&self) -> Vec<String> {
        vec![SECRET.into()]
    }
    fn limits(&self) -> Limits {
        Limits::sampled(5, Duration::from_secs(300))
    }
}
