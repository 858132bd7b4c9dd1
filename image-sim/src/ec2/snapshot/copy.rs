//! Copies of snapshots, within a region and across regions.

use super::super::action::{Action, Cx, Handler, act};
use super::super::device::kms_arn;
use super::super::ids::SNAPSHOT;
use super::super::tags::{self, Tags};
use super::{Snapshot, complete};
use crate::clock::after;
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

pub(super) fn handler(action: &str) -> Option<Handler> {
    (action == "CopySnapshot").then_some(act::<CopySnapshot>)
}

struct CopySnapshot {
    source_region: String,
    source: String,
    destination: Option<String>,
    description: String,
    encrypted: Option<bool>,
    kms_key: Option<String>,
    tags: Tags,
}

impl Action for CopySnapshot {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        // SDKs send a presigned URL for the other region; whoever signed this request signed that too.
        params.text("PresignedUrl");
        Ok(Self {
            source_region: params.required("SourceRegion")?,
            source: SNAPSHOT.required(params, "SourceSnapshotId")?,
            destination: params.text("DestinationRegion"),
            description: params.text("Description").unwrap_or_default(),
            encrypted: params.bool("Encrypted")?,
            kms_key: params.text("KmsKeyId"),
            tags: tags::specification(params, &SNAPSHOT)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let here = cx.place.region.clone();
        if let Some(destination) = self.destination.filter(|destination| *destination != here) {
            let message = format!("Value ({destination}) for parameter DestinationRegion is invalid: called in {here}");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        let source = complete(cx, &self.source_region, &self.source)?;
        let encryption = Encryption { encrypted: self.encrypted, kms_key: self.kms_key };
        let ready_at = after(cx.now, cx.cloud.config.timings.snapshot);
        let copy = Snapshot { description: self.description, ready_at, ..encryption.copy(cx, &source)? };
        let id = copy.id.clone();
        xml.text("snapshotId", &id);
        tags::write(xml, &self.tags);
        let ec2 = &mut cx.region().ec2;
        ec2.tags.set(&id, self.tags);
        ec2.snapshots.insert(id.clone(), copy);
        cx.created(&id);
        Ok(())
    }
}

/// What a copy is asked to be encrypted with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encryption {
    pub(crate) encrypted: Option<bool>,
    pub(crate) kms_key: Option<String>,
}

impl Encryption {
    /// A copy of `source` where the action was called, with a new id. Encryption is never taken away.
    pub(crate) fn copy(&self, cx: &mut Cx<'_>, source: &Snapshot) -> Result<Snapshot, ApiError> {
        if self.kms_key.is_some() && self.encrypted != Some(true) && !source.encrypted {
            let message = "The parameter KmsKeyId requires the parameter Encrypted to be set.";
            return Err(ApiError::new("InvalidParameterDependency", message));
        }
        if source.encrypted && self.encrypted == Some(false) {
            let message = "Encrypted flag cannot be set to false since the snapshot is encrypted";
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        let encrypted = source.encrypted || self.encrypted == Some(true) || cx.region().ec2.encrypt_by_default;
        let key = self.kms_key.clone();
        let default_key = cx.region().ec2.default_kms_key.clone();
        let key = encrypted.then(|| kms_arn(&cx.place, key.or(default_key).as_deref()));
        Ok(Snapshot {
            encrypted,
            kms_key: key,
            description: source.description.clone(),
            content: source.content.clone(),
            ..Snapshot::new(source.size, cx.now, cx.now)
        })
    }
}
