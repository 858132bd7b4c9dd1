//! A simulated AWS with an image in it, and what a run does with a distributor.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::{
    config::{Credentials, SharedCredentialsProvider},
    types::RequestLaunchTemplateData,
};
use aws_sdk_ssm::types::ParameterType;
use image_aws::{ClientProvider, Place, distribute::AmiDistributor, ec2::Ec2};
use image_core::{
    ApprovedImage, Architecture, BootMode, Captured, Context, Distributor, Guard, Image, ImageKind, Keep, MemoryStore,
    Platform, Result, Undo, Undoers, async_trait,
};
use image_sim::{SeedImage, Simulator};
use std::sync::Arc;

/// Where the image is.
pub(crate) const HOME: &str = "111122223333/us-east-1";
/// The same account elsewhere.
pub(crate) const FAR: &str = "111122223333/eu-west-1";
/// Another account.
pub(crate) const OTHER: &str = "444455556666/us-west-2";
/// The id of the run whose journal is [`Rig::store`].
pub(crate) const RUN: &str = "run-1";

pub(crate) fn place(text: &str) -> Place {
    text.parse().unwrap()
}

/// Clients of the simulator, with the keys of the account that is asked for.
#[derive(Clone, Debug)]
struct Simulated(String);

#[async_trait]
impl ClientProvider for Simulated {
    async fn config(&self, place: &Place) -> Result<SdkConfig> {
        let key = if *place == Place::new("111122223333", &place.region)? { "test" } else { &place.account };
        Ok(SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(place.region.clone()))
            .endpoint_url(&self.0)
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(key, key, None, None, "test")))
            .build())
    }
}

/// A simulator, and the journal of a run.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    pub(crate) store: MemoryStore,
    image: String,
}

impl Rig {
    /// Two accounts, the first of them with an image.
    pub(crate) async fn new() -> Self {
        let mut seed = SeedImage::new("golden", "111122223333", "x86_64");
        seed.public = false;
        let image = seed.id("us-east-1");
        let builder = Simulator::builder().account("111122223333").account("444455556666").image(seed);
        Self { simulator: builder.start().await.unwrap(), store: MemoryStore::default(), image }
    }

    pub(crate) fn distributor(&self) -> AmiDistributor {
        AmiDistributor::new(&Ec2::new(self.provider()), place(HOME)).name_prefix("golden")
    }

    fn provider(&self) -> Simulated {
        Simulated(self.simulator.endpoint().to_owned())
    }

    pub(crate) async fn ec2(&self, at: &str) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.provider().config(&place(at)).await.unwrap())
    }

    pub(crate) async fn ssm(&self, at: &str) -> aws_sdk_ssm::Client {
        aws_sdk_ssm::Client::new(&self.provider().config(&place(at)).await.unwrap())
    }

    pub(crate) fn image(&self) -> Image {
        let platform = Platform::linux(Architecture::X86_64, BootMode::Uefi);
        Image::new(ImageKind::Machine, "aws.ami", place(HOME).scope(), "us-east-1", &self.image, platform)
    }

    fn approved(&self) -> ApprovedImage {
        ApprovedImage::dangerous_unreviewed(self.image(), "a test")
    }

    /// A run that writes its journal to the store.
    pub(crate) async fn context(&self, run: &str, distributor: &AmiDistributor) -> Context {
        let cx = Context::builder(self.store.clone()).run_id(run).open().await.unwrap();
        cx.register(Undoers::new().with(Arc::new(distributor.clone()))).unwrap();
        cx
    }

    /// All of a run up to its commit.
    pub(crate) async fn distribute(
        &self,
        cx: &Context,
        distributor: &AmiDistributor,
    ) -> Result<(Vec<Image>, Vec<Guard>)> {
        distributor.check(cx).await?;
        let captured = distributor.distribute(cx, &self.approved()).await?;
        let (images, guards): (Vec<_>, Vec<_>) =
            captured.into_iter().map(|Captured { image, guards, .. }| (image, guards)).unzip();
        distributor.verify(cx, &self.approved(), &images).await?;
        Ok((images, guards.into_iter().flatten().collect()))
    }

    /// What a commit does with the copies.
    pub(crate) async fn keep(&self, cx: &Context, distributor: &AmiDistributor, guards: &[Guard]) {
        for guard in guards {
            distributor.keep(cx, guard.resource(), &Keep::FOREVER).await.unwrap();
        }
    }

    /// Points a parameter to the image's namesake in a region, as the run of last week did.
    pub(crate) async fn point_parameter(&self, at: &str, name: &str) -> String {
        let old = SeedImage::new("golden", "111122223333", "x86_64").id(&place(at).region);
        let call = self.ssm(at).await.put_parameter().name(name).value(&old).data_type("aws:ec2:image");
        call.r#type(ParameterType::String).send().await.unwrap();
        old
    }

    pub(crate) async fn parameter(&self, at: &str, name: &str) -> Option<String> {
        let answer = self.ssm(at).await.get_parameter().name(name).send().await.ok()?;
        answer.parameter?.value
    }

    /// A launch template with one version, of an image of last week.
    pub(crate) async fn add_template(&self, at: &str, name: &str) {
        let old = SeedImage::new("golden", "111122223333", "x86_64").id(&place(at).region);
        let data = RequestLaunchTemplateData::builder().image_id(old).build();
        let call = self.ec2(at).await.create_launch_template().launch_template_name(name);
        call.launch_template_data(data).send().await.unwrap();
    }

    /// The default version of a launch template and all of its versions.
    pub(crate) async fn template(&self, at: &str, name: &str) -> (i64, Vec<i64>) {
        let call = self.ec2(at).await.describe_launch_template_versions().launch_template_name(name);
        let answer = call.send().await.unwrap();
        let versions = answer.launch_template_versions();
        let default = versions.iter().find(|version| version.default_version() == Some(true)).unwrap();
        let all = versions.iter().filter_map(|version| version.version_number()).collect();
        (default.version_number().unwrap(), all)
    }

    /// Images and snapshots that were not there from the start, with their regions.
    pub(crate) fn made(&self, kind: &str) -> Vec<(String, String)> {
        let made = self.simulator.state().into_iter().filter(|thing| thing.kind == kind && !thing.seeded);
        made.map(|thing| (thing.region, thing.id)).collect()
    }

    /// Calls that changed something, or would have, after the first so many calls.
    pub(crate) fn mutations(&self, after: usize) -> Vec<String> {
        let reads = |action: &str| ["Describe", "Get"].iter().any(|verb| action.starts_with(verb));
        let calls = self.simulator.calls().into_iter().skip(after);
        let dry = |error: &Option<String>| error.as_deref() == Some("DryRunOperation");
        calls.filter(|call| !reads(&call.action) && !dry(&call.error)).map(|call| call.action).collect()
    }
}
