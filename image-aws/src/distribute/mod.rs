//! Distribution of an approved AMI: copies in other regions and accounts, who may use them, and the pointers to them.
//!
//! ```no_run
//! use image_aws::{FromEnv, Place, distribute::{AmiDistributor, Target}, ec2::Ec2};
//!
//! # fn main() -> image_core::Result<()> {
//! let home = Place::new("111122223333", "us-east-1")?;
//! let distributor = AmiDistributor::new(&Ec2::new(FromEnv::new()), home.clone())
//!     .target(Target::new(home).parameter("/golden/web"))
//!     .target(
//!         Target::new(Place::new("111122223333", "eu-west-1")?)
//!             .kms_key("alias/golden")
//!             .share_with_account("444455556666")
//!             .parameter("/golden/web"),
//!     );
//! # Ok(())
//! # }
//! ```

mod attribute;
mod check;
mod copy;
mod kind;
mod parameter;
mod permission;
mod policy;
mod publish;
mod source;
mod target;
mod tasks;
mod template;
mod undo;
mod verify;

pub use policy::iam_policy;
pub use target::{Protection, Target};

use crate::{
    Place,
    ec2::{Ec2, client::Region},
};
use image_core::{ApprovedImage, Captured, Context, Distributor, Error, Guard, Image, Result, async_trait};
use std::{sync::Arc, time::Duration};

/// How long copies may take: a TiB between far regions takes hours.
const COPY_TIMEOUT: Duration = Duration::from_secs(4 * 3600);
/// EC2 refills one `CopyImage` a second for an account and a region, and takes 20 copies of snapshots at once:
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>.
const AT_ONCE: usize = 8;

/// Copies an AMI to its targets, proves the copies, and points to them once the run is committed.
///
/// A copy carries what it is a copy of in its tags and in its name, so that a later run finds it and two runs cannot both
/// make it. Until the run is committed nobody but the owner sees it: permissions are given, and pointers moved, when it
/// publishes. An account that gets a copy of its own may read the image and its snapshots while it is copied, no longer.
///
/// Its clients must reach the account of the source and those of all targets.
#[derive(Clone, Debug)]
pub struct AmiDistributor {
    ec2: Ec2,
    source: Place,
    targets: Vec<Target>,
    name_prefix: Option<String>,
    copy_timeout: Duration,
    at_once: usize,
}

impl AmiDistributor {
    /// Distributes images that are built in `source`. Whoever builds them shares its [`Ec2`], and waits together with it.
    pub fn new(ec2: &Ec2, source: Place) -> Self {
        let (targets, name_prefix) = (vec![], None);
        Self { ec2: ec2.clone(), source, targets, name_prefix, copy_timeout: COPY_TIMEOUT, at_once: AT_ONCE }
    }
    /// Adds a target. Each account and region is a target once.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }
    /// Names copies `PREFIX-` and the digits of the image's id. The prefix is the pipeline's name unless set.
    #[must_use]
    pub fn name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.name_prefix = Some(prefix.into());
        self
    }
    /// Sets how long copies may take: four hours unless set.
    #[must_use]
    pub fn copy_timeout(mut self, timeout: Duration) -> Self {
        self.copy_timeout = timeout;
        self
    }
    /// Sets how many targets are worked on at once: eight unless set. Copies are waited for all at once.
    #[must_use]
    pub fn at_once(mut self, targets: usize) -> Self {
        self.at_once = targets.max(1);
        self
    }

    fn region(&self, place: &Place) -> Arc<Region> {
        self.ec2.region(place)
    }

    /// The target that a copy is for.
    fn target_of(&self, copy: &Image) -> Result<&Target> {
        let of = |target: &&Target| target.place.scope() == copy.scope && target.place.region == copy.location;
        let foreign = || Error::bug(format!("{copy} in {} is for no target", copy.scope));
        self.targets.iter().find(of).ok_or_else(foreign)
    }
}

#[async_trait]
impl Distributor for AmiDistributor {
    async fn check(&self, cx: &Context) -> Result<()> {
        self.check_all(cx).await
    }
    async fn distribute(&self, cx: &Context, image: &ApprovedImage) -> Result<Vec<Captured>> {
        self.copy_to_targets(cx, image).await
    }
    async fn verify(&self, cx: &Context, image: &ApprovedImage, copies: &[Image]) -> Result<()> {
        self.verify_copies(cx, image, copies).await
    }
    async fn publish(&self, cx: &Context, copies: &[Image]) -> Result<Vec<Guard>> {
        self.publish_copies(cx, copies).await
    }
}

#[cfg(test)]
mod tests;
