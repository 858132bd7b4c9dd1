//! AMIs of raw disks, over the EBS direct APIs and without an instance.
//!
//! ```text
//! disk --SEEK_DATA--> blocks with data --SHA-256--> those that differ from the parent --PutSnapshotBlock--> snapshot
//!      --CompleteSnapshot, with number and digests--> completed --ListSnapshotBlocks, compared--> RegisterImage --> AMI
//! ```
//!
//! Holes are never read, each block is hashed once, for all regions, and what is held in memory does not grow with the
//! disk but by the digests. A block is repeated until it is there; EBS compares each with its digest, and the whole with
//! all digests.

mod blocks;
mod digests;
mod import;
mod pace;
mod parent;
mod policy;
mod pool;
mod reader;
mod register;
mod settings;
mod snapshot;
mod undo;
mod upload;

pub use digests::BlockDigests;
pub use policy::iam_policy;

use crate::{
    Place,
    client::identity,
    ec2::{Ec2, client::Region, settings::check_tags},
    tag,
};
use image_core::{
    Architecture, BootMode, BuildSpec, Builder, Capabilities, Captured, Checked, Context, CreateRequest, Error,
    ErrorKind, Fingerprint, Handle, Image, Importer, Launched, Platform, Result, Source, Undo, async_trait,
};
use settings::Settings;
use std::{collections::BTreeMap, sync::Arc};

/// The plugin's id. It stands in journals and tags, so it never changes.
const OWNER: &str = "aws.ebs";

/// Imports raw disks as AMIs of one account and region, without an instance.
///
/// Snapshots are encrypted by the account's default key unless something else is said. Zeros are written to an encrypted
/// snapshot, and left out of one that is not; see [`trust_unwritten_blocks`](Self::trust_unwritten_blocks).
///
/// It imports the file that the part `raw` of a disk image names. While it does, acknowledged blocks are never sent
/// again, and no outage of less than ten minutes ends an import. A process that dies starts over: what it left is undone.
///
/// ```
/// # use image_aws::{FromEnv, Place, ebs::{BlockDigests, EbsDirect}, ec2::{AmiBuilder, Ec2}};
/// # fn example(booter: AmiBuilder) -> image_core::Result<[EbsDirect; 2]> {
/// let ec2 = Ec2::new(FromEnv::new());
/// let digests = BlockDigests::new();
/// let west = EbsDirect::new(&ec2, Place::new("111122223333", "us-west-2")?).digests(digests.clone()).boots_with(booter);
/// let east = EbsDirect::new(&ec2, Place::new("111122223333", "us-east-1")?).digests(digests);
/// # Ok([west, east])
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EbsDirect {
    ec2: Ec2,
    place: Place,
    settings: Settings,
    digests: BlockDigests,
    booter: Option<Arc<dyn Builder>>,
}

/// What `check` was asked for.
#[derive(Debug)]
struct Plan {
    name: String,
    architecture: Option<Architecture>,
    labels: BTreeMap<String, String>,
}

impl EbsDirect {
    /// An importer for a region of an account.
    pub fn new(ec2: &Ec2, place: Place) -> Self {
        let (settings, digests) = (Settings::default(), BlockDigests::new());
        Self { ec2: ec2.clone(), place, settings, digests, booter: None }
    }

    fn region(&self) -> Arc<Region> {
        self.ec2.region(&self.place)
    }
}

/// The tags of a create: the user's, and over them ours.
fn tags_of(request: &CreateRequest, mut tags: BTreeMap<String, String>) -> BTreeMap<String, String> {
    tags.extend(tag::of(request));
    tags.insert(tag::MADE_BY.into(), OWNER.into());
    tags
}

#[async_trait]
impl Importer for EbsDirect {
    /// Those of the builder that boots what was imported; nothing without one.
    fn capabilities(&self) -> Capabilities {
        self.booter.as_ref().map(|booter| booter.capabilities()).unwrap_or_default()
    }

    fn helpers(&self) -> Vec<Arc<dyn Undo>> {
        self.booter.iter().map(|booter| Arc::clone(booter) as Arc<dyn Undo>).collect()
    }

    async fn check(&self, cx: &Context, spec: &BuildSpec) -> Result<Checked> {
        self.settings.check()?;
        let mut labels = self.settings.tags.clone();
        labels.extend(spec.labels.clone());
        labels.entry("Name".into()).or_insert_with(|| spec.name.clone());
        check_tags("labels", &labels)?;
        let reached = cx.race(identity(self.ec2.clients().provider(), &self.place)).await?;
        if reached != self.place.scope() {
            let message = format!("the credentials for {} reach {reached}", self.place);
            return Err(Error::new(ErrorKind::PermissionDenied, message));
        }
        // The disk says what it really is; this is for the plan.
        let architecture = spec.architecture.or_else(Architecture::host).unwrap_or(Architecture::X86_64);
        let platform = Platform::linux(architecture, BootMode::Uefi);
        let fingerprint = Fingerprint::of(OWNER, &(self.settings.fingerprint(), &labels))?;
        let plan = Handle::new(Plan { name: spec.name.clone(), architecture: spec.architecture, labels });
        let source = Source::new("raw disk", "the disk that the pipeline builds");
        Ok(Checked::new(source, platform, Some(fingerprint), self.place.to_string(), plan))
    }

    async fn import(&self, cx: &Context, checked: &Checked, disk: &Image) -> Result<Captured> {
        self.import_disk(cx, checked.plan.get::<Plan>()?, disk).await
    }

    async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched> {
        match &self.booter {
            Some(booter) => booter.boot(cx, image).await,
            None => {
                let message = format!("nothing boots {image}: give the importer a builder with `boots_with`");
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }
}
