//! An AMI as `DescribeImages` shows it, reduced to what a build must know.

use super::client::Region;
use crate::error::sdk_error;
use aws_sdk_ec2::types::{
    ArchitectureValues, BootModeValues, DeviceType, Image, ImageState, PlatformValues, TpmSupportValues,
};
use image_core::{Architecture, BootMode, Error, ErrorKind, Platform, Result};
use std::collections::BTreeMap;

/// What an image is made of and needs.
#[derive(Clone, Debug)]
pub(crate) struct Ami {
    pub(crate) id: String,
    pub(crate) platform: Platform,
    pub(crate) root_device: String,
    /// Its EBS volumes by device.
    pub(crate) volumes: BTreeMap<String, AmiVolume>,
    pub(crate) hardware: Hardware,
}

/// A volume that an instance of the image gets.
#[derive(Clone, Debug, Default)]
pub(crate) struct AmiVolume {
    /// Absent where the volume is empty, or EC2 has not made it yet.
    pub(crate) snapshot: Option<String>,
    pub(crate) gib: u32,
}

/// What an image says of the machine it runs on. An image that was taken of an instance has inherited it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Hardware {
    pub(crate) boot_mode: Option<BootModeValues>,
    pub(crate) tpm: Option<TpmSupportValues>,
    pub(crate) ena: bool,
}

impl Ami {
    /// Asks EC2.
    ///
    /// # Errors
    /// `NotFound`; `Unsupported` for an image that cannot be built upon; the call's own.
    pub(crate) async fn describe(region: &Region, id: &str) -> Result<Self> {
        let client = region.client().await?;
        let answer = client.describe_images().image_ids(id).send().await;
        let answer = answer.map_err(|e| sdk_error("ec2:DescribeImages", &region.place, e))?;
        let missing = || {
            let message = format!("there is no image {id} that this account may use");
            Error::new(ErrorKind::NotFound, message).with_context("place", &region.place)
        };
        Self::read(answer.images().first().ok_or_else(missing)?)
    }

    pub(crate) fn read(image: &Image) -> Result<Self> {
        let id = image.image_id().unwrap_or_default().to_owned();
        let unsupported = |why: String| Err(Error::new(ErrorKind::Unsupported, format!("image {id} {why}")));
        if image.state() != Some(&ImageState::Available) {
            let state = image.state().map_or("unknown", ImageState::as_str);
            return Err(Error::new(ErrorKind::Conflict, format!("image {id} is {state}; accepted: available")));
        }
        if image.platform() == Some(&PlatformValues::Windows) {
            return unsupported("is one of Windows; accepted: Linux".into());
        }
        if image.root_device_type() == Some(&DeviceType::InstanceStore) {
            return unsupported("has its root on an instance store; accepted: ebs".into());
        }
        let architecture = match image.architecture() {
            Some(ArchitectureValues::Arm64) => Architecture::Aarch64,
            Some(ArchitectureValues::X8664) => Architecture::X86_64,
            other => {
                let other = other.map_or("unknown", ArchitectureValues::as_str);
                return unsupported(format!("is for {other}; accepted: arm64, x86_64"));
            }
        };
        let Some(root_device) = image.root_device_name() else { return unsupported("has no root device".into()) };
        let boot_mode = image.boot_mode().cloned();
        Ok(Self {
            platform: Platform::linux(architecture, boot(boot_mode.as_ref(), architecture)),
            root_device: root_device.to_owned(),
            volumes: volumes(image),
            hardware: Hardware {
                boot_mode,
                tpm: image.tpm_support().cloned(),
                ena: image.ena_support().unwrap_or_default(),
            },
            id,
        })
    }

    /// The size of all its volumes in GiB.
    pub(crate) fn gib(&self) -> u32 {
        self.volumes.values().map(|volume| volume.gib).fold(0, u32::saturating_add)
    }
}

/// The EBS volumes of an image, by device.
pub(crate) fn volumes(image: &Image) -> BTreeMap<String, AmiVolume> {
    let volume = |mapping: &aws_sdk_ec2::types::BlockDeviceMapping| {
        let ebs = mapping.ebs()?;
        let gib = ebs.volume_size().and_then(|size| u32::try_from(size).ok()).unwrap_or_default();
        let volume = AmiVolume { snapshot: ebs.snapshot_id().map(str::to_owned), gib };
        Some((mapping.device_name()?.to_owned(), volume))
    };
    image.block_device_mappings().iter().filter_map(volume).collect()
}

/// What an image without a boot mode starts by:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-boot.html>.
fn boot(mode: Option<&BootModeValues>, architecture: Architecture) -> BootMode {
    match (mode, architecture) {
        (Some(BootModeValues::Uefi | BootModeValues::UefiPreferred), _) | (None, Architecture::Aarch64) => {
            BootMode::Uefi
        }
        _ => BootMode::LegacyBios,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice};

    /// An image of two volumes, as AWS shows one.
    pub(crate) fn image() -> aws_sdk_ec2::types::builders::ImageBuilder {
        let ebs = |device: &str, snapshot: &str| {
            let ebs = EbsBlockDevice::builder().snapshot_id(snapshot).volume_size(8).delete_on_termination(false);
            BlockDeviceMapping::builder().device_name(device).ebs(ebs.build()).build()
        };
        let ephemeral = BlockDeviceMapping::builder().device_name("/dev/sdb").virtual_name("ephemeral0").build();
        Image::builder()
            .image_id("ami-0123456789abcdef0")
            .name("base")
            .state(ImageState::Available)
            .architecture(ArchitectureValues::X8664)
            .root_device_type(DeviceType::Ebs)
            .root_device_name("/dev/xvda")
            .ena_support(true)
            .block_device_mappings(ebs("/dev/xvda", "snap-0000000000000000a"))
            .block_device_mappings(ephemeral)
            .block_device_mappings(ebs("/dev/sdf", "snap-0000000000000000b"))
    }

    #[test]
    fn what_cannot_be_built_upon_is_refused() {
        for (image, kind, why) in [
            (image().state(ImageState::Pending), ErrorKind::Conflict, "is pending"),
            (image().platform(PlatformValues::Windows), ErrorKind::Unsupported, "Windows"),
            (image().root_device_type(DeviceType::InstanceStore), ErrorKind::Unsupported, "instance store"),
            (image().architecture(ArchitectureValues::I386), ErrorKind::Unsupported, "is for i386"),
            (image().set_architecture(None), ErrorKind::Unsupported, "is for unknown"),
            (image().set_root_device_name(None), ErrorKind::Unsupported, "no root device"),
        ] {
            let error = Ami::read(&image.build()).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn an_image_knows_its_volumes_and_its_firmware() {
        let ami = Ami::read(&image().build()).unwrap();
        assert_eq!((ami.volumes.len(), ami.gib(), ami.platform.boot), (2, 16, BootMode::LegacyBios));
        for (mode, architecture, expected) in [
            (None, ArchitectureValues::Arm64, BootMode::Uefi),
            (Some(BootModeValues::UefiPreferred), ArchitectureValues::X8664, BootMode::Uefi),
            (Some(BootModeValues::LegacyBios), ArchitectureValues::X8664, BootMode::LegacyBios),
        ] {
            let image = image().architecture(architecture).set_boot_mode(mode).build();
            assert_eq!(Ami::read(&image).unwrap().platform.boot, expected);
        }
    }
}
