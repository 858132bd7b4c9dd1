//! `RegisterImage`: an image of snapshots that exist.

use super::super::action::{Action, Cx, Handler, act};
use super::super::device::Device;
use super::super::ids::IMAGE;
use super::super::snapshot;
use super::super::tags::{self, Tags};
use super::{Image, add, name, unused};
use crate::clock::after;
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

pub(super) fn handler(action: &str) -> Option<Handler> {
    (action == "RegisterImage").then_some(act::<RegisterImage>)
}

/// The most that UEFI variables may take, in the base64 form.
const UEFI_DATA: usize = 64 << 10;

struct RegisterImage {
    name: String,
    description: String,
    architecture: Option<String>,
    virtualization: Option<String>,
    root_device: Option<String>,
    devices: Vec<Device>,
    ena: bool,
    sriov: Option<String>,
    boot_mode: Option<String>,
    tpm: Option<String>,
    uefi_data: Option<String>,
    imds: Option<String>,
    kernel: Option<String>,
    ramdisk: Option<String>,
    tags: Tags,
}

impl Action for RegisterImage {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let this = Self {
            name: name(params)?,
            description: params.text("Description").unwrap_or_default(),
            architecture: params.one_of("Architecture", &["i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac"])?,
            virtualization: params.one_of("VirtualizationType", &["hvm", "paravirtual"])?,
            root_device: params.text("RootDeviceName"),
            devices: Device::parse_all(params)?,
            ena: params.bool("EnaSupport")?.unwrap_or(false),
            sriov: params.one_of("SriovNetSupport", &["simple"])?,
            boot_mode: params.one_of("BootMode", &["legacy-bios", "uefi", "uefi-preferred"])?,
            tpm: params.one_of("TpmSupport", &["v2.0"])?,
            uefi_data: params.text("UefiData"),
            imds: params.one_of("ImdsSupport", &["v2.0"])?,
            kernel: params.text("KernelId"),
            ramdisk: params.text("RamdiskId"),
            tags: tags::specification(params, &IMAGE)?,
        };
        this.check().map(|()| this)
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        unused(cx, &self.name)?;
        let root = self.root_device.unwrap_or_else(|| "/dev/sda1".to_owned());
        let mut devices = self.devices;
        if !devices.iter().any(|device| device.name == root && device.ebs.is_some()) {
            let message = format!("The root device '{root}' has no Ebs block device mapping with a snapshot");
            return Err(ApiError::new("InvalidBlockDeviceMapping", message));
        }
        let (region, place) = (cx.place.region.clone(), cx.place.clone());
        for device in &mut devices {
            let Some(ebs) = &mut device.ebs else { continue };
            if ebs.encrypted.is_some() && ebs.snapshot_id.is_some() {
                let message = format!(
                    "the encrypted flag cannot be specified since device {} has a snapshot specified.",
                    device.name
                );
                return Err(ApiError::new("InvalidBlockDeviceMapping", message));
            }
            let snapshot = ebs.snapshot_id.as_ref().map(|id| snapshot::complete(cx, &region, id)).transpose()?;
            if device.name == root && snapshot.is_none() {
                return Err(ApiError::new(
                    "InvalidBlockDeviceMapping",
                    format!("The root device '{root}' has no snapshot"),
                ));
            }
            let resolved = ebs.resolve(snapshot.as_ref(), &place, false)?;
            ebs.encrypted = Some(resolved.encrypted);
            ebs.size = Some(resolved.size);
            ebs.kind = Some(resolved.kind);
            ebs.iops = resolved.iops;
            ebs.throughput = resolved.throughput;
            ebs.delete_on_termination.get_or_insert(true);
        }
        let ready = after(cx.now, cx.cloud.config.timings.image);
        let image = Image {
            description: self.description,
            // EC2's own defaults, which few expect.
            architecture: self.architecture.unwrap_or_else(|| "i386".to_owned()),
            virtualization: self.virtualization.unwrap_or_else(|| "paravirtual".to_owned()),
            root_device: root,
            devices,
            ena: self.ena,
            sriov: self.sriov,
            boot_mode: self.boot_mode,
            tpm: self.tpm,
            uefi_data: self.uefi_data,
            imds: self.imds,
            kernel: self.kernel,
            ramdisk: self.ramdisk,
            ..Image::new(self.name, cx.now, ready)
        };
        xml.text("imageId", &image.id);
        add(cx, image, self.tags, &Tags::new(), &[]);
        Ok(())
    }
}

impl RegisterImage {
    /// What does not go together.
    fn check(&self) -> Result<(), ApiError> {
        let uefi = self.boot_mode.as_deref() == Some("uefi");
        let refuse = |message: &str| Err(ApiError::new("InvalidParameterCombination", message));
        if self.tpm.is_some() && !uefi {
            return refuse("TpmSupport 'v2.0' requires BootMode 'uefi'");
        }
        if self.architecture.as_deref() == Some("arm64") && self.boot_mode.is_some() && !uefi {
            return refuse("The architecture 'arm64' requires BootMode 'uefi'");
        }
        if self.uefi_data.is_some() && self.boot_mode.as_deref() == Some("legacy-bios") {
            return refuse("UefiData requires BootMode 'uefi' or 'uefi-preferred'");
        }
        if self.ena && self.virtualization.as_deref() != Some("hvm") {
            return refuse("EnaSupport requires VirtualizationType 'hvm'");
        }
        if self.uefi_data.as_ref().is_some_and(|data| data.len() > UEFI_DATA) {
            return Err(ApiError::new("InvalidParameterValue", "UefiData is longer than 64 KiB"));
        }
        Ok(())
    }
}
