//! Images (AMIs).

mod attribute;
mod capture;
mod copy;
mod describe;
mod lifecycle;
mod register;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::State;
use super::action::{Cx, Handler};
use super::device::Device;
use super::ids::{IMAGE, Kind, SNAPSHOT};
use super::sharing::Sharing;
use super::tags::{self, Tags};
use crate::clock::iso;
use crate::error::ApiError;
use crate::query::Params;
use crate::world::new_id;
use crate::xml::Xml;

pub(crate) fn handler(action: &str) -> Option<Handler> {
    [register::handler, capture::handler, copy::handler, describe::handler, attribute::handler, lifecycle::handler]
        .iter()
        .find_map(|family| family(action))
}

/// What an action that makes an image can tag.
const TAGGED: [&Kind; 2] = [&IMAGE, &SNAPSHOT];

/// An image.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    /// As registered: `x86_64`, `arm64`, `i386`.
    pub(crate) architecture: String,
    pub(crate) virtualization: String,
    pub(crate) root_device: String,
    pub(crate) devices: Vec<Device>,
    pub(crate) ena: bool,
    pub(crate) sriov: Option<String>,
    pub(crate) boot_mode: Option<String>,
    pub(crate) tpm: Option<String>,
    pub(crate) uefi_data: Option<String>,
    pub(crate) imds: Option<String>,
    pub(crate) kernel: Option<String>,
    pub(crate) ramdisk: Option<String>,
    pub(crate) created: Timestamp,
    /// When it is available, provided that its snapshots are complete.
    pub(crate) ready_at: Timestamp,
    pub(crate) permission: Sharing,
    pub(crate) deprecation: Option<Timestamp>,
    pub(crate) protection: Protection,
    pub(crate) disabled: bool,
    pub(crate) source_instance: Option<String>,
    /// Image and region that it was copied from.
    pub(crate) source_image: Option<(String, String)>,
    pub(crate) last_launched: Option<Timestamp>,
    /// `amazon`, for what Amazon publishes.
    pub(crate) owner_alias: Option<&'static str>,
    pub(crate) seeded: bool,
}

/// Protection against deregistration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    Off,
    On {
        /// Whether it lasts for 24 hours after it is turned off.
        cooldown: bool,
    },
    /// Turned off; it still lasts until then.
    Until(Timestamp),
}

impl Protection {
    pub(crate) fn holds(self, now: Timestamp) -> bool {
        match self {
            Self::Off => false,
            Self::On { .. } => true,
            Self::Until(end) => now < end,
        }
    }

    pub(crate) fn text(self, now: Timestamp) -> String {
        match self {
            Self::On { cooldown: true } => "enabled-with-cooldown".to_owned(),
            Self::On { cooldown: false } => "enabled-without-cooldown".to_owned(),
            Self::Until(end) if now < end => format!("disabling: cooldown until {}", iso(end)),
            Self::Off | Self::Until(_) => "disabled".to_owned(),
        }
    }
}

impl Image {
    /// An image with this name that begins now.
    pub(crate) fn new(name: String, now: Timestamp, ready_at: Timestamp) -> Self {
        Self {
            id: new_id("ami"),
            name,
            description: String::new(),
            architecture: "x86_64".to_owned(),
            virtualization: "hvm".to_owned(),
            root_device: "/dev/xvda".to_owned(),
            devices: Vec::new(),
            ena: true,
            sriov: None,
            boot_mode: None,
            tpm: None,
            uefi_data: None,
            imds: None,
            kernel: None,
            ramdisk: None,
            created: now,
            ready_at,
            permission: Sharing::default(),
            deprecation: None,
            protection: Protection::Off,
            disabled: false,
            source_instance: None,
            source_image: None,
            last_launched: None,
            owner_alias: None,
            seeded: false,
        }
    }

    /// The snapshots that it is made of.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().filter_map(|device| device.ebs.as_ref()?.snapshot_id.as_deref())
    }

    /// The state, of an image that is in `ec2`.
    pub(crate) fn state(&self, ec2: &State, now: Timestamp) -> &'static str {
        let states: BTreeSet<_> = self
            .snapshots()
            .map(|id| match ec2.snapshots.get(id) {
                Some(snapshot) if snapshot.failed.is_some() => "failed",
                // The image is done when its snapshots have their content, by its own time.
                Some(snapshot) if snapshot.content.is_none() => "pending",
                _ => "available",
            })
            .collect();
        if states.contains("failed") {
            "failed"
        } else if states.contains("pending") || now < self.ready_at {
            "pending"
        } else if self.disabled {
            "disabled"
        } else {
            "available"
        }
    }

    pub(crate) fn deprecated(&self, now: Timestamp) -> bool {
        self.deprecation.is_some_and(|at| at <= now)
    }

    fn write(&self, xml: &mut Xml, owner: &str, ec2: &State, tags: &Tags, now: Timestamp) {
        let state = self.state(ec2, now);
        xml.text("imageId", &self.id);
        xml.text("imageLocation", format_args!("{owner}/{}", self.name));
        xml.text("imageState", state);
        xml.text("imageOwnerId", owner);
        xml.optional("imageOwnerAlias", self.owner_alias);
        xml.text("creationDate", iso(self.created));
        xml.text("isPublic", self.permission.all);
        xml.text("architecture", &self.architecture);
        xml.text("imageType", "machine");
        xml.optional("kernelId", self.kernel.as_ref());
        xml.optional("ramdiskId", self.ramdisk.as_ref());
        xml.text("platformDetails", "Linux/UNIX");
        xml.text("usageOperation", "RunInstances");
        xml.text("name", &self.name);
        if !self.description.is_empty() {
            xml.text("description", &self.description);
        }
        xml.text("rootDeviceType", "ebs");
        xml.text("rootDeviceName", &self.root_device);
        xml.items("blockDeviceMapping", &self.devices, |xml, device| device.write(xml));
        xml.text("virtualizationType", &self.virtualization);
        xml.text("hypervisor", "xen");
        xml.text("enaSupport", self.ena);
        xml.optional("sriovNetSupport", self.sriov.as_ref());
        xml.optional("bootMode", self.boot_mode.as_ref());
        xml.optional("tpmSupport", self.tpm.as_ref());
        xml.optional("imdsSupport", self.imds.as_ref());
        xml.optional("deprecationTime", self.deprecation.map(iso));
        xml.text("deregistrationProtection", self.protection.text(now));
        xml.optional("lastLaunchedTime", self.last_launched.map(iso));
        xml.optional("sourceInstanceId", self.source_instance.as_ref());
        if let Some((id, region)) = &self.source_image {
            xml.text("sourceImageId", id);
            xml.text("sourceImageRegion", region);
        }
        if state == "failed" {
            xml.element("stateReason", |xml| {
                xml.text("code", "Client.InternalError");
                let reasons = self.snapshots().filter_map(|id| ec2.snapshots.get(id)?.failed.clone());
                xml.text("message", reasons.collect::<Vec<_>>().join("; "));
            });
        }
        tags::write(xml, tags);
    }
}

/// The name of a new image, by EC2's rules.
fn name(params: &Params<'_>) -> Result<String, ApiError> {
    let name = params.required("Name")?;
    let length = (3..=128).contains(&name.chars().count());
    if length && name.chars().all(|c| c.is_ascii_alphanumeric() || " ()[]./-'@_".contains(c)) {
        return Ok(name);
    }
    Err(ApiError::new(
        "InvalidAMIName.Malformed",
        "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, \
         '(', ')', '.', '-', '/', '_', '[', ']', '@', ''' and spaces",
    ))
}

/// Refuses a name that an image of the account has in the region already.
fn unused(cx: &mut Cx<'_>, name: &str) -> Result<(), ApiError> {
    let taken = cx.region().ec2.images.values().find(|image| image.name == name).map(|image| image.id.clone());
    taken.map_or(Ok(()), |id| {
        let message = format!("AMI name {name} is already in use by AMI {id}");
        Err(ApiError::new("InvalidAMIName.Duplicate", message))
    })
}

/// Adds an image and its new snapshots, with their tags.
fn add(cx: &mut Cx<'_>, image: Image, image_tags: Tags, snapshot_tags: &Tags, snapshots: &[String]) {
    let id = image.id.clone();
    let tags = &mut cx.region().ec2.tags;
    tags.set(&id, image_tags);
    for snapshot in snapshots {
        tags.set(snapshot, snapshot_tags.clone());
    }
    cx.region().ec2.images.insert(id.clone(), image);
    for id in snapshots.iter().chain([&id]) {
        cx.created(id);
    }
}

/// An image in a region that the caller may use, and who owns it.
pub(crate) fn usable(cx: &mut Cx<'_>, region: &str, id: &str) -> Result<(String, Image, &'static str), ApiError> {
    cx.open(region);
    let (caller, now) = (&cx.place.account, cx.now);
    for (place, other) in cx.world.in_region(region) {
        if other.ec2.gone_images.contains(id) {
            return Err(gone(id));
        }
        if let Some(image) = other.ec2.images.get(id) {
            if place.account == *caller || image.permission.allows(caller) {
                return Ok((place.account.clone(), image.clone(), image.state(&other.ec2, now)));
            }
            return Err(ApiError::new("AuthFailure", format!("Not authorized for images: [{id}]")).with_status(403));
        }
    }
    Err(missing(id))
}

/// An image that the caller owns.
fn own<'a>(cx: &'a mut Cx<'_>, id: &str) -> Result<&'a mut Image, ApiError> {
    let (region, caller) = (cx.place.region.clone(), cx.place.account.clone());
    let (owner, ..) = usable(cx, &region, id)?;
    if owner != caller {
        return Err(ApiError::new("AuthFailure", format!("Not authorized for image:{id}")).with_status(403));
    }
    cx.region().ec2.images.get_mut(id).ok_or_else(|| missing(id))
}

fn missing(id: &str) -> ApiError {
    ApiError::new("InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist"))
}

fn gone(id: &str) -> ApiError {
    ApiError::new("InvalidAMIID.Unavailable", format!("The image ID '{id}' is no longer available"))
}
