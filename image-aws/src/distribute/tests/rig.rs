//! The contract of a distributor, by the conformance kit: faults, cancels and crashes at every step.

use super::{
    FAR, HOME, OTHER,
    cloud::{Cloud, SOURCE},
    wire::Provider,
};
use crate::{
    distribute::{AmiDistributor, Protection, Target},
    ec2::Ec2,
};
use image_conformance::{
    DistributorRig, Limits, Rig,
    fake::{FakeCloud, FakePlugin, FakeProvisioner, FakeScanner, FakeValidator},
};
use image_core::{
    ApprovedImage, Architecture, BootMode, Captured, ContentDigest, Context, Distributor, Found, Guard, Image,
    ImageKind, Keep, Layer, Pipeline, Platform, Query, Ready, Resource, Result, Scope, Undo, Undoers, Undone,
    async_trait,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// A distributor with every setting but the launch template, over three places and two accounts.
pub(super) fn full(cloud: &Cloud, reaches: Option<&str>) -> AmiDistributor {
    let provider = Provider { cloud: cloud.clone(), reaches: reaches.map(str::to_owned) };
    let month = Duration::from_secs(30 * 24 * 3600);
    AmiDistributor::new(&Ec2::new(provider), HOME.parse().unwrap())
        .target(Target::new(HOME.parse().unwrap()).share_with_account("777788889999").parameter("/golden/new"))
        .target(
            Target::new(FAR.parse().unwrap())
                .kms_key("own")
                .tag("team", "base")
                .copy_within(Duration::from_secs(15 * 60))
                .share_with_account("777788889999")
                .share_with_organization("arn:aws:organizations::123456789012:organization/o-1")
                .share_with_unit("arn:aws:organizations::123456789012:ou/o-1/ou-1")
                .share_snapshots()
                .deprecate_after(month)
                .protect(Protection::WithCooldown)
                .fast_restore("eu-west-1a")
                .parameter("/golden/old"),
        )
        .target(Target::new(OTHER.parse().unwrap()).parameter("/golden/other"))
}

/// The image that is distributed.
pub(super) fn image() -> Image {
    let platform = Platform::linux(Architecture::X86_64, BootMode::Uefi);
    Image::new(ImageKind::Machine, "aws.ami", Scope::new("aws/111122223333"), "us-east-1", SOURCE, platform)
        .with_digest(ContentDigest::Blocks { sha256: "ab".repeat(32) })
}

/// Distributes the image in memory, whichever image the pipeline around it has made.
#[derive(Clone, Debug)]
struct OfImage(AmiDistributor);

impl OfImage {
    fn approved(image: &ApprovedImage) -> ApprovedImage {
        ApprovedImage::dangerous_unreviewed(self::image(), &image.record().pipeline)
    }
}

#[async_trait]
impl Undo for OfImage {
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
impl Distributor for OfImage {
    async fn check(&self, cx: &Context) -> Result<()> {
        self.0.check(cx).await
    }
    async fn distribute(&self, cx: &Context, image: &ApprovedImage) -> Result<Vec<Captured>> {
        self.0.distribute(cx, &Self::approved(image)).await
    }
    async fn verify(&self, cx: &Context, image: &ApprovedImage, copies: &[Image]) -> Result<()> {
        self.0.verify(cx, &Self::approved(image), copies).await
    }
    async fn publish(&self, cx: &Context, copies: &[Image]) -> Result<Vec<Guard>> {
        self.0.publish(cx, copies).await
    }
}

/// The cloud in memory beside the kit's own, which the image is built in.
#[derive(Debug)]
struct AwsRig {
    builds: FakeCloud,
    cloud: Cloud,
    template: bool,
}

impl AwsRig {
    fn new(template: bool) -> Arc<Self> {
        Arc::new(Self { builds: FakeCloud::default(), cloud: Cloud::with_image(false), template })
    }
    fn distributor(&self, reaches: Option<&str>) -> AmiDistributor {
        let full = full(&self.cloud, reaches);
        if !self.template {
            return full;
        }
        let far = Target::new(FAR.parse().unwrap()).launch_template("web").parameter("/golden/old");
        AmiDistributor { targets: vec![far], ..full }
    }
    fn pipeline_with(&self, distributor: AmiDistributor) -> Pipeline<Ready> {
        Pipeline::new("golden")
            .builder(FakePlugin::new(&self.builds))
            .layer(Layer::new("base").provision(FakeProvisioner::new("packages", "apt-get upgrade")))
            .seal(FakeProvisioner::new("seal", "rm -f /etc/machine-id"))
            .validator(FakeValidator::passing())
            .scanner(FakeScanner::covering(9))
            .distributor(OfImage(distributor))
    }
}

impl Rig for AwsRig {
    fn pipeline(&self) -> Pipeline<Ready> {
        self.pipeline_with(self.distributor(None))
    }
    fn foreign(&self) -> Undoers {
        let other = FakePlugin::new(&FakeCloud::new("222")).configured_for(self.builds.account());
        Undoers::new().with(Arc::new(other)).with(Arc::new(self.distributor(Some("999999999999"))))
    }
    /// Images, versions of templates, and snapshots that have lost their image.
    fn live(&self) -> BTreeSet<String> {
        let mut live = self.builds.ids();
        for home in self.cloud.lock().homes.values() {
            live.extend(home.images.keys().cloned());
            let used: BTreeSet<&String> = home.images.values().flat_map(|ami| ami.devices.values()).collect();
            live.extend(home.snapshots.keys().filter(|id| !used.contains(id)).cloned());
            for (id, template) in &home.templates {
                live.extend(template.versions.keys().map(|number| format!("{id}/{number}")));
            }
        }
        live
    }
    fn values(&self) -> BTreeMap<String, Value> {
        let (mut values, state) = (BTreeMap::new(), self.cloud.lock());
        let mut set = |id: String, members: &BTreeSet<String>| {
            if !members.is_empty() {
                values.insert(id, json!(members));
            }
        };
        for home in state.homes.values() {
            for (id, ami) in &home.images {
                set(format!("{id}/launch-permission"), &ami.launch);
            }
            for (id, snap) in &home.snapshots {
                set(format!("{id}/create-volume-permission"), &snap.volume);
                set(format!("{id}/fast-snapshot-restore"), &snap.fast);
            }
        }
        for (place, home) in &state.homes {
            for (id, ami) in &home.images {
                values.extend(ami.deprecation.iter().map(|at| (format!("{id}/deprecation"), json!(at))));
                values.extend(ami.protected.then(|| (format!("{id}/deregistration-protection"), json!(true))));
            }
            // One id is one value for the kit, and names are the same in all regions.
            let here = |name: &str| name != "/golden/old" || place.region == "eu-west-1";
            let parameters = home.parameters.iter().filter(|(name, _)| here(name));
            values.extend(parameters.map(|(name, parameter)| (name.clone(), json!(parameter.value))));
            if place.region == "eu-west-1" {
                let default = |(id, template): (&String, &super::cloud::Template)| {
                    (format!("{id}/default-version"), json!(template.default))
                };
                values.extend(home.templates.iter().map(default));
            }
        }
        values
    }
    fn overwrite(&self, id: &str, value: Value) -> bool {
        let mut state = self.cloud.lock();
        let home = state.home(&FAR.parse().unwrap());
        match (home.parameters.get_mut(id), value.as_str()) {
            (Some(parameter), Some(text)) => {
                text.clone_into(&mut parameter.value);
                home.unvalidated.remove(id);
                true
            }
            // The kit asks first whether it may write what stands there anyway.
            _ => value.as_str() != Some("changed by somebody else"),
        }
    }
    fn limits(&self) -> Limits {
        Limits::sampled(6, Limits::default().settle)
    }
    fn snapshot(&self) -> Option<Arc<dyn Rig>> {
        let (builds, cloud) = (self.builds.copy(), self.cloud.copy());
        Some(Arc::new(Self { builds, cloud, template: self.template }))
    }
    fn refused(&self) -> Vec<Pipeline<Ready>> {
        let full = || self.distributor(None);
        let twice = full().target(Target::new(FAR.parse().unwrap()));
        let unnamed = full().name_prefix("web:");
        let nowhere = AmiDistributor { targets: vec![], ..full() };
        let no_template = Target::new("111122223333/us-west-1".parse().unwrap()).launch_template("lt-none");
        let secret = full().target(Target::new("111122223333/ap-south-1".parse().unwrap()).parameter("/golden/secret"));
        [twice, unnamed, nowhere, full().target(no_template), secret].map(|d| self.pipeline_with(d)).into()
    }
}

impl DistributorRig for AwsRig {
    fn distributor(&self) -> Arc<dyn Distributor> {
        Arc::new(self.distributor(None))
    }
    fn image(&self) -> Image {
        image()
    }
    fn corrupt(&self, copy: &Image) {
        for home in self.cloud.lock().homes.values_mut() {
            if let Some(ami) = home.images.get_mut(&copy.id).filter(|_| copy.id != SOURCE) {
                ami.source = Some(("ami-another".into(), "us-east-1".into()));
            } else if let Some(ami) = home.images.get_mut(&copy.id) {
                ami.launch.insert("all".into());
            }
        }
    }
}

mod contract {
    use super::*;

    fn fresh() -> Arc<dyn DistributorRig> {
        AwsRig::new(false)
    }

    image_conformance::distributor_conformance!(fresh);
}

/// A version of a launch template is created when the run publishes, and has no tags: what the kit asks of copies alone
/// does not hold for it.
mod launch_template {
    use super::*;
    use image_conformance::{lifecycle, paused};

    fn fresh() -> Arc<dyn Rig> {
        AwsRig::new(true)
    }

    macro_rules! cases {
        ($($case:ident)*) => {$(
            #[test]
            fn $case() {
                paused(stringify!($case), async { lifecycle::$case(&fresh).await });
            }
        )*};
    }

    cases! {
        clean_run_leaves_what_it_kept
        every_fault_unwinds
        every_poll_unwinds
        dropped_handle_unwinds
        every_crash_recovers
        foreign_scope_is_refused
        unchanged_rerun_mutates_nothing
    }
}
