//! Volumes.

use jiff::Timestamp;

use super::action::{Action, Cx, Handler, act, done};
use super::describe::{Query, maybe, one};
use super::device::{Ebs, Resolved};
use super::ids::{INSTANCE, SNAPSHOT, VOLUME};
use super::tags::{self, Tags};
use super::{region, snapshot};
use crate::body::Content;
use crate::clock::{after, iso};
use crate::error::ApiError;
use crate::query::Params;
use crate::world::{Region, new_id};
use crate::xml::Xml;

pub(crate) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "CreateVolume" => act::<CreateVolume>,
        "DescribeVolumes" => act::<DescribeVolumes>,
        "DeleteVolume" => act::<DeleteVolume>,
        "AttachVolume" => act::<AttachVolume>,
        "DetachVolume" => act::<DetachVolume>,
        _ => return None,
    })
}

/// A volume.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) id: String,
    /// GiB
    pub(crate) size: u32,
    pub(crate) kind: String,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
    pub(crate) encrypted: bool,
    pub(crate) kms_key: Option<String>,
    pub(crate) snapshot_id: Option<String>,
    pub(crate) zone: String,
    pub(crate) created: Timestamp,
    pub(crate) ready_at: Timestamp,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) content: Content,
}

/// A volume at an instance.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    pub(crate) instance_id: String,
    pub(crate) device: String,
    pub(crate) attached: Timestamp,
    pub(crate) delete_on_termination: bool,
}

impl Volume {
    pub(crate) fn new(resolved: Resolved, zone: &str, now: Timestamp, content: Content) -> Self {
        let Resolved { size, kind, iops, throughput, encrypted, kms_key } = resolved;
        Self {
            id: new_id("vol"),
            size,
            kind,
            iops,
            throughput,
            encrypted,
            kms_key,
            snapshot_id: None,
            zone: zone.to_owned(),
            created: now,
            ready_at: now,
            attachment: None,
            content,
        }
    }

    /// `creating`, `available` or `in-use`.
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match &self.attachment {
            Some(_) => "in-use",
            None if self.ready_at <= now => "available",
            None => "creating",
        }
    }

    fn field(&self, name: &str, now: Timestamp) -> Vec<String> {
        let attached = self.attachment.as_ref();
        match name {
            "attachment.attach-time" => maybe(attached.map(|at| iso(at.attached))),
            "attachment.delete-on-termination" => maybe(attached.map(|at| at.delete_on_termination)),
            "attachment.device" => maybe(attached.map(|at| &at.device)),
            "attachment.instance-id" => maybe(attached.map(|at| &at.instance_id)),
            "attachment.status" => maybe(attached.map(|_| "attached")),
            "availability-zone" => one(&self.zone),
            "create-time" => one(iso(self.created)),
            "encrypted" => one(self.encrypted),
            "size" => one(self.size),
            "snapshot-id" => maybe(self.snapshot_id.as_ref()),
            "status" => one(self.state(now)),
            "volume-id" => one(&self.id),
            _ => one(&self.kind),
        }
    }

    fn write(&self, xml: &mut Xml, tags: &Tags, now: Timestamp) {
        xml.text("volumeId", &self.id);
        xml.text("size", self.size);
        xml.text("snapshotId", self.snapshot_id.as_deref().unwrap_or_default());
        xml.text("availabilityZone", &self.zone);
        xml.text("status", self.state(now));
        xml.text("createTime", iso(self.created));
        xml.text("volumeType", &self.kind);
        xml.optional("iops", self.iops);
        xml.optional("throughput", self.throughput);
        xml.text("encrypted", self.encrypted);
        xml.optional("kmsKeyId", self.kms_key.as_ref());
        xml.text("multiAttachEnabled", false);
        xml.items("attachmentSet", &self.attachment, |xml, at| at.write(xml, &self.id, "attached"));
        tags::write(xml, tags);
    }
}

impl Attachment {
    fn write(&self, xml: &mut Xml, volume: &str, status: &str) {
        xml.text("volumeId", volume);
        xml.text("instanceId", &self.instance_id);
        xml.text("device", &self.device);
        xml.text("status", status);
        xml.text("attachTime", iso(self.attached));
        xml.text("deleteOnTermination", self.delete_on_termination);
    }
}

struct CreateVolume {
    zone: String,
    ebs: Ebs,
    token: Option<String>,
    tags: Tags,
}

impl Action for CreateVolume {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let ebs = Ebs {
            snapshot_id: SNAPSHOT.optional(params, "SnapshotId")?,
            size: params.parse("Size")?,
            kind: params.text("VolumeType"),
            iops: params.parse("Iops")?,
            throughput: params.parse("Throughput")?,
            encrypted: params.bool("Encrypted")?,
            kms_key: params.text("KmsKeyId"),
            delete_on_termination: None,
        };
        let zone = params.required("AvailabilityZone")?;
        Ok(Self { zone, ebs, token: params.text("ClientToken"), tags: tags::specification(params, &VOLUME)? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let now = cx.now;
        if let Some(id) = cx.replay(self.token.as_deref())?.and_then(|ids| ids.into_iter().next()) {
            let ec2 = &cx.region().ec2;
            let volume = ec2.volumes.get(&id).ok_or_else(|| VOLUME.missing(&id))?;
            volume.write(xml, ec2.tags.of(&id), now);
            return Ok(());
        }
        if !region::zones(&cx.place.region).contains(&self.zone) {
            let message = format!("The zone '{}' does not exist.", self.zone);
            return Err(ApiError::new("InvalidZone.NotFound", message));
        }
        let region = cx.place.region.clone();
        let snapshot = self.ebs.snapshot_id.as_ref().map(|id| snapshot::complete(cx, &region, id)).transpose()?;
        let (place, encrypt) = (cx.place.clone(), cx.region().ec2.encrypt_by_default);
        let resolved = self.ebs.resolve(snapshot.as_ref(), &place, encrypt)?;
        let content = snapshot.and_then(|snapshot| snapshot.content).unwrap_or_default();
        let volume = Volume {
            snapshot_id: self.ebs.snapshot_id,
            ready_at: after(now, cx.cloud.config.timings.volume),
            ..Volume::new(resolved, &self.zone, now, content)
        };
        let id = volume.id.clone();
        let ec2 = &mut cx.region().ec2;
        ec2.tags.set(&id, self.tags);
        volume.write(xml, ec2.tags.of(&id), now);
        ec2.volumes.insert(id.clone(), volume);
        cx.created(&id);
        cx.remember(self.token.as_deref(), vec![id]);
        Ok(())
    }
}

struct DescribeVolumes(Query);

impl Action for DescribeVolumes {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let filters = [
            "attachment.attach-time",
            "attachment.delete-on-termination",
            "attachment.device",
            "attachment.instance-id",
            "attachment.status",
            "availability-zone",
            "create-time",
            "encrypted",
            "size",
            "snapshot-id",
            "status",
            "volume-id",
            "volume-type",
        ];
        Query::parse(params, &VOLUME, "VolumeId", &filters).map(Self)
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let now = cx.now;
        let Region { ec2, unsettled, .. } = cx.region();
        let (shown, next) =
            self.0.select(&ec2.volumes, &ec2.tags, unsettled, now, |volume, name| volume.field(name, now))?;
        xml.items("volumeSet", shown, |xml, volume| volume.write(xml, ec2.tags.of(&volume.id), now));
        xml.optional("nextToken", next);
        Ok(())
    }
}

struct DeleteVolume {
    id: String,
}

impl Action for DeleteVolume {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self { id: VOLUME.required(params, "VolumeId")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let ec2 = &mut cx.region().ec2;
        let volume = ec2.volumes.get(&self.id).ok_or_else(|| VOLUME.missing(&self.id))?;
        if let Some(at) = &volume.attachment {
            let message = format!("Volume {} is currently attached to {}", self.id, at.instance_id);
            return Err(ApiError::new("VolumeInUse", message));
        }
        ec2.forget_volume(&self.id);
        done(xml);
        Ok(())
    }
}

struct AttachVolume {
    volume_id: String,
    instance_id: String,
    device: String,
}

impl Action for AttachVolume {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            volume_id: VOLUME.required(params, "VolumeId")?,
            instance_id: INSTANCE.required(params, "InstanceId")?,
            device: params.required("Device")?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let now = cx.now;
        let ec2 = &mut cx.region().ec2;
        let instance = ec2.instances.get(&self.instance_id).ok_or_else(|| INSTANCE.missing(&self.instance_id))?;
        let state = instance.state(now);
        let zone = instance.zone.clone();
        if !matches!(state, "running" | "stopped") {
            let message = format!("Instance '{}' is not 'running': {state}", self.instance_id);
            return Err(ApiError::new("IncorrectState", message));
        }
        let in_use = ec2.attached_to(&self.instance_id).any(|(device, _)| device == self.device);
        let volume = ec2.volumes.get_mut(&self.volume_id).ok_or_else(|| VOLUME.missing(&self.volume_id))?;
        if volume.state(now) != "available" {
            return Err(ApiError::new("VolumeInUse", format!("{} is not available", self.volume_id)));
        }
        if in_use {
            let message = format!("Invalid value '{}' for unixDevice. Attachment point is in use", self.device);
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        if volume.zone != zone {
            let message = format!("The volume '{}' is not in the same availability zone as the instance", volume.id);
            return Err(ApiError::new("InvalidVolume.ZoneMismatch", message));
        }
        let Self { volume_id, instance_id, device } = self;
        let at = Attachment { instance_id, device, attached: now, delete_on_termination: false };
        at.write(xml, &volume_id, "attaching");
        volume.attachment = Some(at);
        Ok(())
    }
}

struct DetachVolume {
    volume_id: String,
    instance_id: Option<String>,
}

impl Action for DetachVolume {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.bool("Force")?;
        params.text("Device");
        Ok(Self {
            volume_id: VOLUME.required(params, "VolumeId")?,
            instance_id: INSTANCE.optional(params, "InstanceId")?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let now = cx.now;
        let ec2 = &mut cx.region().ec2;
        let volume = ec2.volumes.get(&self.volume_id).ok_or_else(|| VOLUME.missing(&self.volume_id))?;
        let at = volume.attachment.clone();
        let at = at.filter(|at| self.instance_id.as_ref().is_none_or(|id| *id == at.instance_id));
        let Some(at) = at else {
            let message = format!("Volume '{}' is in the 'available' state.", self.volume_id);
            return Err(ApiError::new("IncorrectState", message));
        };
        let instance = ec2.instances.get(&at.instance_id);
        if instance.is_some_and(|instance| instance.root_device == at.device && instance.state(now) != "stopped") {
            let message =
                format!("Unable to detach root volume '{}' from instance '{}'", self.volume_id, at.instance_id);
            return Err(ApiError::new("OperationNotPermitted", message));
        }
        at.write(xml, &self.volume_id, "detaching");
        if let Some(volume) = ec2.volumes.get_mut(&self.volume_id) {
            volume.attachment = None;
        }
        Ok(())
    }
}
