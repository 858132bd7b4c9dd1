//! `CreateImage`: an image of an instance.

use super::super::action::{Action, Cx, Handler, act};
use super::super::device::{Device, Ebs};
use super::super::ids::INSTANCE;
use super::super::snapshot::{self, Snapshot};
use super::super::tags::{self, Tags};
use super::{Image, TAGGED, add, name, unused};
use crate::clock::after;
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

pub(super) fn handler(action: &str) -> Option<Handler> {
    (action == "CreateImage").then_some(act::<CreateImage>)
}

struct CreateImage {
    instance_id: String,
    name: String,
    description: String,
    no_reboot: bool,
    devices: Vec<Device>,
    image_tags: Tags,
    snapshot_tags: Tags,
}

impl Action for CreateImage {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.one_of("SnapshotLocation", &["regional"])?;
        let mut tags = tags::specifications(params, &TAGGED)?;
        Ok(Self {
            instance_id: INSTANCE.required(params, "InstanceId")?,
            name: name(params)?,
            description: params.text("Description").unwrap_or_default(),
            no_reboot: params.bool("NoReboot")?.unwrap_or(false),
            devices: Device::parse_all(params)?,
            image_tags: tags.remove("image").unwrap_or_default(),
            snapshot_tags: tags.remove("snapshot").unwrap_or_default(),
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (now, place) = (cx.now, cx.place.clone());
        let instance = cx.region().ec2.instances.get(&self.instance_id).cloned();
        let instance = instance.ok_or_else(|| INSTANCE.missing(&self.instance_id))?;
        let state = instance.state(now);
        if !matches!(state, "running" | "stopped") {
            let message = format!("The instance '{}' is not in state 'running' or 'stopped': {state}", instance.id);
            return Err(ApiError::new("IncorrectState", message));
        }
        unused(cx, &self.name)?;
        let timings = &cx.cloud.config.timings;
        let (image_ready, snapshot_ready) = (after(now, timings.image), after(now, timings.snapshot));
        let mut image = Image {
            description: self.description,
            architecture: instance.architecture.clone(),
            root_device: instance.root_device.clone(),
            ena: instance.ena,
            sriov: instance.sriov.clone(),
            boot_mode: instance.boot_mode.clone(),
            tpm: instance.tpm.clone(),
            uefi_data: instance.uefi_data.clone(),
            imds: instance.imds.clone(),
            source_instance: Some(instance.id.clone()),
            ..Image::new(self.name, now, image_ready)
        };
        let ec2 = &mut cx.region().ec2;
        let attached: Vec<_> =
            ec2.attached_to(&instance.id).map(|(device, volume)| (device.to_owned(), volume.clone())).collect();
        let base: Vec<_> = attached.iter().map(|(device, volume)| mapping(device, volume)).collect();
        for asked in &self.devices {
            let existing = base.iter().any(|device| device.name == asked.name);
            if existing && asked.ebs.as_ref().is_some_and(|ebs| ebs.encrypted.is_some() || ebs.snapshot_id.is_some()) {
                let message = format!(
                    "the encrypted flag and the snapshot cannot be specified since device {} has a volume attached.",
                    asked.name
                );
                return Err(ApiError::new("InvalidBlockDeviceMapping", message));
            }
            if asked.no_device && asked.name == instance.root_device {
                let message = format!("The root device '{}' cannot be left out", asked.name);
                return Err(ApiError::new("InvalidBlockDeviceMapping", message));
            }
        }
        let (mut pairs, mut new) = (Vec::new(), Vec::new());
        for mut device in Device::overlay(&base, &self.devices) {
            let volume = attached.iter().find(|(name, _)| *name == device.name).map(|(_, volume)| volume);
            if let (Some(ebs), Some(volume)) = (&mut device.ebs, volume) {
                if ebs.size.is_some_and(|size| size < volume.size) {
                    let message = format!("Volume of {} GiB does not fit into a smaller snapshot", volume.size);
                    return Err(ApiError::new("InvalidBlockDeviceMapping", message));
                }
                let snapshot = Snapshot {
                    volume_id: volume.id.clone(),
                    encrypted: volume.encrypted,
                    kms_key: volume.kms_key.clone(),
                    description: format!("Created by CreateImage({}) for {}", instance.id, image.id),
                    ..Snapshot::new(volume.size, now, snapshot_ready)
                };
                ebs.snapshot_id = Some(snapshot.id.clone());
                ebs.resolve(Some(&snapshot), &place, false)?;
                pairs.push((snapshot.id.clone(), volume.id.clone()));
                new.push(snapshot);
            } else if let Some(ebs) = &mut device.ebs {
                let snapshot = match &ebs.snapshot_id {
                    Some(id) => Some(snapshot::complete(cx, &place.region, id)?),
                    None => None,
                };
                let resolved = ebs.resolve(snapshot.as_ref(), &place, false)?;
                (ebs.size, ebs.kind, ebs.encrypted) =
                    (Some(resolved.size), Some(resolved.kind), Some(resolved.encrypted));
                ebs.delete_on_termination.get_or_insert(true);
            }
            image.devices.push(device);
        }
        xml.text("imageId", &image.id);
        let ids: Vec<_> = new.iter().map(|snapshot| snapshot.id.clone()).collect();
        cx.region().ec2.snapshots.extend(new.into_iter().map(|snapshot| (snapshot.id.clone(), snapshot)));
        add(cx, image, self.image_tags, &self.snapshot_tags, &ids);
        snapshot::capture(cx, pairs);
        if let Some(body) = instance.body.filter(|_| !self.no_reboot) {
            // It is captured live, and then rebooted: EC2 shuts it down first, which leaves the same content.
            cx.later(async move { drop(body.reboot().await) });
        }
        Ok(())
    }
}

fn mapping(device: &str, volume: &super::super::volume::Volume) -> Device {
    let ebs = Ebs {
        snapshot_id: None,
        size: Some(volume.size),
        kind: Some(volume.kind.clone()),
        iops: volume.iops.filter(|_| volume.kind != "gp2"),
        throughput: volume.throughput,
        encrypted: Some(volume.encrypted),
        kms_key: None,
        delete_on_termination: volume.attachment.as_ref().map(|at| at.delete_on_termination),
    };
    Device { name: device.to_owned(), ebs: Some(ebs), no_device: false, virtual_name: None }
}
