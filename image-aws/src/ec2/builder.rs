//! The builder: its settings in one place, and the contract's methods.

use super::{
    ami::Ami,
    check::Plan,
    client::{Ec2, Region},
    connect::Connect,
    launch::Build,
    request::Purpose,
    settings::Settings,
    source::AmiSource,
};
use crate::Place;
use image_core::{
    BuildSpec, Builder, Cached, Capabilities, Capture, Captured, Checked, Context, Error, ErrorKind, Fingerprint,
    Handle, Image, ImageKind, Launch, Launched, Result, async_trait,
};
use std::sync::Arc;

/// Builds AMIs on instances that have no public address and no inbound rule, and that end themselves when nobody does.
///
/// An instance is launched from a source image, provisioned by whatever reaches it ([`Connect`]), stopped, and an image is
/// taken of it. Each image is booted on an instance of its own to be tested. Nothing is reachable from outside, IMDSv1
/// does not answer, and volumes are encrypted, unless less is asked for by name.
///
/// One builder is for one region of one account. Builders that share an [`Ec2`] wait together.
///
/// ```
/// # use image_aws::{FromEnv, Place, ec2::{AmiBuilder, AmiSource, Connect, Ec2, Volume}};
/// # fn example(connect: impl Connect) -> image_core::Result<AmiBuilder> {
/// let ec2 = Ec2::new(FromEnv::new());
/// let source = AmiSource::newest(["amazon"]).filter("name", ["al2023-ami-2023.*-x86_64"]);
/// let builder = AmiBuilder::new(&ec2, Place::new("111122223333", "us-west-2")?, source, connect)
///     .candidates(["m7i.large", "m6i.large"], ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"])
///     .instance_profile("image-builder")
///     .root_volume(Volume::new().gib(16).iops(6000).throughput(500));
/// # Ok(builder)
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AmiBuilder {
    pub(crate) ec2: Ec2,
    pub(crate) place: Place,
    pub(crate) source: AmiSource,
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) settings: Settings,
}

impl AmiBuilder {
    /// A builder of images in a region of an account. It needs at least one [`candidate`](Self::candidate).
    pub fn new(ec2: &Ec2, place: Place, source: AmiSource, connect: impl Connect) -> Self {
        Self { ec2: ec2.clone(), place, source, connect: Arc::new(connect), settings: Settings::new() }
    }

    pub(crate) fn region(&self) -> Arc<Region> {
        self.ec2.region(&self.place)
    }

    /// Refuses an image that this builder's credentials cannot launch here.
    pub(crate) fn check_image(&self, image: &Image) -> Result<()> {
        let here = image.scope == self.place.scope() && image.location == self.place.region;
        if image.kind == ImageKind::Machine && here {
            return Ok(());
        }
        let message = format!("{image} of {} is not an AMI in {}", image.scope, self.place);
        Err(Error::new(ErrorKind::Unsupported, message))
    }
}

#[async_trait]
impl Builder for AmiBuilder {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.connect.capabilities();
        (capabilities.boot, capabilities.offline) = (true, false);
        capabilities
    }
    async fn check(&self, cx: &Context, spec: &BuildSpec) -> Result<Checked> {
        self.check_build(cx, spec).await
    }
    async fn lookup(&self, cx: &Context, checked: &Checked, fingerprint: &Fingerprint) -> Result<Option<Cached>> {
        cx.race(self.find_committed(cx, checked, fingerprint)).await
    }
    async fn launch(&self, cx: &Context, launch: Launch<'_>) -> Result<Launched> {
        let plan = launch.checked.plan.get::<Plan>()?;
        let ami = match launch.parent {
            None => plan.ami.clone(),
            Some(parent) => {
                self.check_image(parent)?;
                cx.race(Ami::describe(&self.region(), &parent.id)).await?
            }
        };
        self.start(cx, &ami, &plan.vpc, Purpose::Build).await
    }
    async fn capture(&self, cx: &Context, handle: Handle, capture: Capture<'_>) -> Result<Captured> {
        self.capture_instance(cx, handle.get::<Build>()?, capture).await
    }
    async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched> {
        self.check_image(image)?;
        let region = self.region();
        let ami = cx.race(Ami::describe(&region, &image.id)).await?;
        let vpc = cx.race(self.vpc(&region)).await?;
        self.start(cx, &ami, &vpc, Purpose::Test).await
    }
}
