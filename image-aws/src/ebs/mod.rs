//! A raw disk becomes an AMI over the EBS direct APIs, without an instance.
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
mod kind;
mod pace;
mod parent;
mod pool;
mod reader;
mod register;
mod settings;
mod snapshot;
mod undo;
mod upload;

pub use digests::BlockDigests;

use crate::{
    ClientProvider, Place,
    client::{Clients, identity},
    ec2::settings::check_tags,
};
use image_core::{
    Architecture, BootMode, BuildSpec, Builder, Capabilities, Captured, Checked, Context, Error, ErrorKind,
    Fingerprint, Handle, Image, Importer, Launched, Platform, Result, Source, Undo, async_trait,
};
use kind::OWNER;
use settings::Settings;
use std::{collections::BTreeMap, sync::Arc};

/// Imports raw disks as AMIs of one account and region, without an instance.
///
/// Snapshots are encrypted by the account's default key unless something else is said. Zeros are written to an encrypted
/// snapshot, and left out of one that is not; see [`trust_unwritten_blocks`](Self::trust_unwritten_blocks).
///
/// It imports the file that the part `raw` of a disk image names.
#[derive(Clone, Debug)]
pub struct EbsDirect {
    clients: Clients,
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
    /// An importer for a place, by the clients of a provider.
    pub fn new(provider: impl ClientProvider, place: Place) -> Self {
        Self {
            clients: Clients::new(Arc::new(provider)),
            place,
            settings: Settings::default(),
            digests: BlockDigests::new(),
            booter: None,
        }
    }

    fn snapshots(&self, place: &Place) -> snapshot::Snapshots {
        snapshot::Snapshots { clients: self.clients.clone(), place: place.clone() }
    }
    fn images(&self, place: &Place) -> register::Images {
        register::Images { clients: self.clients.clone(), place: place.clone() }
    }
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
        let reached = cx.race(identity(self.clients.provider(), &self.place)).await?;
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
        Ok(Checked::new(source, platform, Some(fingerprint), self.place.region.clone(), plan))
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
