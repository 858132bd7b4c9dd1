//! `RunInstances`.

use std::collections::BTreeMap;

use super::super::action::{Action, Cx, Handler, act};
use super::super::device::{Device, Resolved};
use super::super::image::{self, Image};
use super::super::instance_type::{self, InstanceType};
use super::super::launch_template::{self, TemplateRef};
use super::super::snapshot::Snapshot;
use super::super::volume::{Attachment, Volume};
use super::launch_data::{LaunchData, Metadata};
use super::{Goal, Instance, Phase, SpotRequest, lifecycle};
use crate::clock::after;
use crate::error::ApiError;
use crate::fault::throttled;
use crate::query::Params;
use crate::world::new_id;
use crate::xml::Xml;

pub(super) fn handler(action: &str) -> Option<Handler> {
    (action == "RunInstances").then_some(act::<RunInstances>)
}

struct RunInstances {
    count: u32,
    token: Option<String>,
    template: Option<TemplateRef>,
    data: LaunchData,
}

impl Action for RunInstances {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let count = |name: &str| params.parse::<u32>(name)?.ok_or_else(|| params.missing(name));
        let (least, most) = (count("MinCount")?, count("MaxCount")?);
        if least == 0 || most < least || most > 1000 {
            let message = format!("MinCount {least} and MaxCount {most} must be 1 to 1000, and in this order");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        let data = LaunchData::parse(params)?;
        if !data.interfaces.is_empty() && (data.subnet_id.is_some() || !data.group_ids.is_empty()) {
            let message = "Network interfaces and an instance-level subnet ID or security groups \
                           may not be specified on the same request";
            return Err(ApiError::new("InvalidParameterCombination", message));
        }
        let template = TemplateRef::parse(&params.sub("LaunchTemplate"))?;
        Ok(Self { count: most, token: params.text("ClientToken"), template, data })
    }

    fn run(mut self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        if let Some(ids) = cx.replay(self.token.as_deref())? {
            write(cx, xml, &ids);
            return Ok(());
        }
        if let Some(template) = &self.template {
            let data = launch_template::find(&cx.region().ec2, template)?;
            self.data = self.data.over(data);
        }
        let launch = Launch::check(cx, &self.data)?;
        let limited = cx.cloud.config.throttling;
        let (account, region) = (cx.place.account.clone(), cx.place.region.clone());
        if limited && !cx.cloud.buckets.take_instances(&account, &region, "RunInstances", self.count, cx.now) {
            return Err(throttled(crate::error::Protocol::Ec2Query));
        }
        let reservation = new_id("r");
        let mut ids = Vec::new();
        for index in 0..self.count {
            ids.push(launch.instance(cx, &self.data, self.token.clone(), &reservation, index));
        }
        cx.remember(self.token.as_deref(), ids.clone());
        write(cx, xml, &ids);
        for id in &ids {
            lifecycle::start_body(cx, id);
        }
        Ok(())
    }
}

/// The reservation that these instances are.
fn write(cx: &mut Cx<'_>, xml: &mut Xml, ids: &[String]) {
    let (now, account) = (cx.now, cx.place.account.clone());
    let ec2 = &cx.region().ec2;
    let instances: Vec<_> = ids.iter().filter_map(|id| ec2.instances.get(id)).collect();
    xml.optional("reservationId", instances.first().map(|instance| &instance.reservation));
    xml.text("ownerId", &account);
    xml.element("groupSet", |_| ());
    xml.items("instancesSet", instances, |xml, instance| {
        instance.write(xml, ec2, ec2.tags.of(&instance.id), &account, now);
    });
}

/// A launch that was found possible.
struct Launch {
    image: Image,
    instance_type: InstanceType,
    vpc_id: String,
    subnet_id: String,
    zone: String,
    groups: Vec<(String, String)>,
    public_ip: bool,
    devices: Vec<(Device, Option<Snapshot>, Resolved)>,
}

impl Launch {
    fn check(cx: &mut Cx<'_>, data: &LaunchData) -> Result<Self, ApiError> {
        let missing =
            |name| ApiError::new("MissingParameter", format!("The request must contain the parameter {name}"));
        let image_id = data.image_id.as_ref().ok_or_else(|| missing("ImageId"))?;
        let region = cx.place.region.clone();
        let (owner, image, state) = image::usable(cx, &region, image_id)?;
        if state != "available" {
            let message = format!("The image ID '{image_id}' is not available: {state}");
            return Err(ApiError::new("InvalidAMIID.Unavailable", message));
        }
        let instance_type = data.instance_type.as_ref().ok_or_else(|| missing("InstanceType"))?;
        let instance_type = instance_type::find(instance_type)?;
        fits(&image, &instance_type)?;
        let ec2 = &cx.region().ec2;
        if let Some(name) = data.key_name.as_ref().filter(|name| !ec2.key_pairs.values().any(|key| key.name == **name))
        {
            return Err(ApiError::new("InvalidKeyPair.NotFound", format!("The key pair '{name}' does not exist")));
        }
        let interface = data.interfaces.iter().find(|interface| interface.device_index == 0);
        if !data.interfaces.is_empty() && (interface.is_none() || data.interfaces.len() > 1) {
            return Err(ApiError::unsupported("launches with other than one network interface, at index 0"));
        }
        let subnet_id = interface.and_then(|interface| interface.subnet_id.clone()).or_else(|| data.subnet_id.clone());
        let subnet = ec2.network.subnet(subnet_id.as_deref(), data.zone.as_deref())?;
        let group_ids = interface.map_or(&data.group_ids, |interface| &interface.group_ids);
        let groups = ec2.groups.for_launch(group_ids, &data.group_names, &subnet.vpc_id)?;
        let public_ip = interface.and_then(|interface| interface.public_ip).unwrap_or(subnet.map_public_ip);
        let (vpc_id, subnet_id, zone) = (subnet.vpc_id.clone(), subnet.id.clone(), subnet.zone.clone());
        let no_capacity = &cx.cloud.config.no_capacity;
        if no_capacity.iter().any(|(kind, place)| *kind == instance_type.name && *place == zone) {
            let message = format!(
                "We currently do not have sufficient {} capacity in the Availability Zone you requested ({zone}).",
                instance_type.name
            );
            return Err(ApiError::new("InsufficientInstanceCapacity", message).with_status(500));
        }
        let (encrypt, place) = (cx.region().ec2.encrypt_by_default, cx.place.clone());
        let mut devices = Vec::new();
        for device in Device::overlay(&image.devices, &data.devices) {
            let Some(ebs) = &device.ebs else { continue };
            let snapshot = ebs.snapshot_id.as_ref().map(|id| storage(cx, &image, &owner, id)).transpose()?;
            let mut ebs = ebs.clone();
            // What the image says of encryption describes its snapshot.
            if snapshot.is_some() && data.devices.iter().all(|asked| asked.name != device.name) {
                (ebs.encrypted, ebs.kms_key) = (None, None);
            }
            let resolved = ebs.resolve(snapshot.as_ref(), &place, encrypt)?;
            devices.push((device, snapshot, resolved));
        }
        Ok(Self { image, instance_type, vpc_id, subnet_id, zone, groups, public_ip, devices })
    }

    /// Makes one instance with its volumes, and gives its id.
    fn instance(
        &self,
        cx: &mut Cx<'_>,
        data: &LaunchData,
        token: Option<String>,
        reservation: &str,
        index: u32,
    ) -> String {
        let (now, account) = (cx.now, cx.place.account.clone());
        let at = after(now, cx.cloud.config.timings.instance_start);
        let image = &self.image;
        let imds = Metadata {
            tokens: image.imds.as_ref().map(|_| "required".to_owned()),
            hop_limit: image.imds.as_ref().map(|_| 2),
            ..Metadata::default()
        };
        let metadata = data.metadata.clone().over(imds);
        let ec2 = &mut cx.region().ec2;
        let number = ec2.network.next_address();
        let instance = Instance {
            id: new_id("i"),
            reservation: reservation.to_owned(),
            index,
            image_id: image.id.clone(),
            instance_type: self.instance_type.name.clone(),
            architecture: image.architecture.clone(),
            key_name: data.key_name.clone(),
            vpc_id: self.vpc_id.clone(),
            subnet_id: self.subnet_id.clone(),
            zone: self.zone.clone(),
            interface_id: new_id("eni"),
            private_ip: format!("10.0.{}.{}", (number >> 8) & 0xff, number & 0xff),
            public_ip: self.public_ip.then(|| format!("203.0.113.{}", number & 0xff)),
            groups: self.groups.clone(),
            profile: data.profile.as_ref().map(|name| match name.starts_with("arn:") {
                true => name.clone(),
                false => format!("arn:aws:iam::{account}:instance-profile/{name}"),
            }),
            metadata,
            root_device: image.root_device.clone(),
            ena: image.ena,
            sriov: image.sriov.clone(),
            boot_mode: image.boot_mode.clone(),
            tpm: image.tpm.clone(),
            uefi_data: image.uefi_data.clone(),
            imds: image.imds.clone(),
            user_data: data.user_data.clone(),
            shutdown_terminates: data.shutdown_behavior.as_deref() == Some("terminate"),
            disable_api_termination: data.disable_api_termination.unwrap_or(false),
            ebs_optimized: data.ebs_optimized.unwrap_or(false),
            monitoring: data.monitoring.unwrap_or(false),
            spot: data.spot.as_ref().map(|spot| SpotRequest { id: new_id("sir"), persistent: spot.persistent }),
            token,
            launched: now,
            phase: Phase { goal: Goal::Running, at, working: true, generation: 0 },
            reason: None,
            body: None,
            watch: None,
        };
        let tags = |kind: &str| data.tags.get(kind).cloned().unwrap_or_default();
        let mut made: BTreeMap<_, _> = [(instance.id.clone(), tags("instance"))].into();
        made.insert(instance.interface_id.clone(), tags("network-interface"));
        for (device, snapshot, resolved) in &self.devices {
            let content = snapshot.as_ref().and_then(|snapshot| snapshot.content.clone()).unwrap_or_default();
            let ebs = device.ebs.as_ref();
            let delete = ebs.and_then(|ebs| ebs.delete_on_termination);
            let attachment = Attachment {
                instance_id: instance.id.clone(),
                device: device.name.clone(),
                attached: now,
                delete_on_termination: delete.unwrap_or(device.name == self.image.root_device),
            };
            let volume = Volume {
                snapshot_id: snapshot.as_ref().map(|snapshot| snapshot.id.clone()),
                attachment: Some(attachment),
                ..Volume::new(resolved.clone(), &self.zone, now, content)
            };
            made.insert(volume.id.clone(), tags("volume"));
            ec2.volumes.insert(volume.id.clone(), volume);
        }
        let id = instance.id.clone();
        ec2.instances.insert(id.clone(), instance);
        for (id, tags) in made {
            cx.region().ec2.tags.set(&id, tags);
            cx.created(&id);
        }
        if let Some(image) = cx.region().ec2.images.get_mut(&self.image.id) {
            image.last_launched = Some(now);
        }
        id
    }
}

/// Whether an image boots on an instance type.
fn fits(image: &Image, instance_type: &InstanceType) -> Result<(), ApiError> {
    let InstanceType { name, architecture, .. } = instance_type;
    if image.architecture != *architecture {
        let message = format!(
            "The architecture '{architecture}' of the specified instance type does not match the architecture '{}' of \
             the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again.",
            image.architecture
        );
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    if image.virtualization != "hvm" {
        let message = format!("The instance type '{name}' does not support the virtualization type 'paravirtual'.");
        return Err(ApiError::new("InvalidParameterCombination", message));
    }
    if !image.ena {
        let message = format!(
            "Enhanced networking with the Elastic Network Adapter (ENA) is required for the '{name}' instance type. \
             Ensure that you are using an AMI that is enabled for ENA."
        );
        return Err(ApiError::new("InvalidParameterCombination", message));
    }
    Ok(())
}

/// A snapshot of an image: a launch permission for the image is enough to use it.
fn storage(cx: &Cx<'_>, image: &Image, owner: &str, id: &str) -> Result<Snapshot, ApiError> {
    if !image.snapshots().any(|snapshot| snapshot == id) {
        return super::super::snapshot::complete(cx, &cx.place.region, id);
    }
    let mut places = cx.world.in_region(&cx.place.region).filter(|(place, _)| place.account == owner);
    let snapshot = places.find_map(|(_, region)| region.ec2.snapshots.get(id)).cloned();
    snapshot.ok_or_else(|| ApiError::new("InvalidSnapshot.NotFound", format!("The snapshot '{id}' does not exist.")))
}
