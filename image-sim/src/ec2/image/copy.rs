//! `CopyImage`: called where the copy shall be.

use super::super::action::{Action, Cx, Handler, act};
use super::super::ids::IMAGE;
use super::super::snapshot::Snapshot;
use super::super::snapshot::copy::Encryption;
use super::super::tags::{self, Tags};
use super::{Image, TAGGED, add, gone, name, unused, usable};
use crate::clock::after;
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

pub(super) fn handler(action: &str) -> Option<Handler> {
    (action == "CopyImage").then_some(act::<CopyImage>)
}

struct CopyImage {
    source_region: String,
    source: String,
    name: String,
    description: String,
    encryption: Encryption,
    copy_tags: bool,
    token: Option<String>,
    image_tags: Tags,
    snapshot_tags: Tags,
}

impl Action for CopyImage {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let mut tags = tags::specifications(params, &TAGGED)?;
        let encryption = Encryption { encrypted: params.bool("Encrypted")?, kms_key: params.text("KmsKeyId") };
        if encryption.kms_key.is_some() && encryption.encrypted != Some(true) {
            let message = "The parameter KmsKeyId requires the parameter Encrypted to be set.";
            return Err(ApiError::new("InvalidParameterDependency", message));
        }
        Ok(Self {
            source_region: params.required("SourceRegion")?,
            source: IMAGE.required(params, "SourceImageId")?,
            name: name(params)?,
            description: params.text("Description").unwrap_or_default(),
            encryption,
            copy_tags: params.bool("CopyImageTags")?.unwrap_or(false),
            token: params.text("ClientToken"),
            image_tags: tags.remove("image").unwrap_or_default(),
            snapshot_tags: tags.remove("snapshot").unwrap_or_default(),
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        if let Some(id) = cx.replay(self.token.as_deref())?.and_then(|ids| ids.into_iter().next()) {
            xml.text("imageId", id);
            return Ok(());
        }
        if !cx.cloud.config.regions.contains(&self.source_region) {
            let message = format!("Invalid region name: {}", self.source_region);
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        let (owner, source, state) = usable(cx, &self.source_region, &self.source)?;
        if state != "available" {
            return Err(if state == "disabled" { gone(&self.source) } else { not_available(&self.source, state) });
        }
        unused(cx, &self.name)?;
        let timings = &cx.cloud.config.timings;
        let ready = after(cx.now, timings.image_copy);
        let mut copy = Image {
            description: self.description,
            source_image: Some((source.id.clone(), self.source_region.clone())),
            permission: Default::default(),
            deprecation: None,
            protection: super::Protection::Off,
            last_launched: None,
            source_instance: None,
            owner_alias: None,
            seeded: false,
            created: cx.now,
            ready_at: ready,
            id: crate::world::new_id("ami"),
            name: self.name,
            ..source.clone()
        };
        let mut new = Vec::new();
        for ebs in copy.devices.iter_mut().filter_map(|device| device.ebs.as_mut()) {
            let Some(id) = &ebs.snapshot_id else { continue };
            let original = storage(cx, &self.source_region, &owner, id)?;
            let snapshot = Snapshot {
                description: format!(
                    "Copied for DestinationAmi {} from SourceAmi {} for SourceSnapshot {id}.",
                    copy.id, source.id
                ),
                ready_at: ready,
                ..self.encryption.copy(cx, &original)?
            };
            ebs.snapshot_id = Some(snapshot.id.clone());
            ebs.encrypted = Some(snapshot.encrypted);
            new.push(snapshot);
        }
        let mut image_tags = Tags::new();
        if self.copy_tags {
            let from = crate::world::Place::new(&cx.place.account, &self.source_region);
            let now = cx.now;
            image_tags.clone_from(cx.world.region(&from, now).ec2.tags.of(&source.id));
        }
        image_tags.extend(self.image_tags);
        let ids: Vec<_> = new.iter().map(|snapshot| snapshot.id.clone()).collect();
        let id = copy.id.clone();
        cx.region().ec2.snapshots.extend(new.into_iter().map(|snapshot| (snapshot.id.clone(), snapshot)));
        add(cx, copy, image_tags, &self.snapshot_tags, &ids);
        xml.text("imageId", &id);
        cx.remember(self.token.as_deref(), vec![id]);
        Ok(())
    }
}

fn not_available(id: &str, state: &str) -> ApiError {
    ApiError::new("InvalidRequest", format!("Image {id} is not available for copy: {state}"))
}

/// A snapshot of an image, if the caller may read it: a launch permission alone does not allow a copy.
fn storage(cx: &Cx<'_>, region: &str, owner: &str, id: &str) -> Result<Snapshot, ApiError> {
    let caller = &cx.place.account;
    let mut snapshots = cx.world.in_region(region).filter(|(place, _)| place.account == *owner);
    let snapshot = snapshots.find_map(|(_, region)| region.ec2.snapshots.get(id));
    snapshot
        .filter(|snapshot| owner == caller || snapshot.sharing.allows(caller))
        .cloned()
        .ok_or_else(|| ApiError::new("InvalidRequest", "You do not have permission to access the storage of this ami"))
}
