//! From a completed snapshot to an AMI.

use super::{OWNER, tags_of};
use crate::ec2::{
    ami::Hardware,
    available::{available, check_hardware},
    client::Region,
    create::{adopt, again, nameless},
    kind::Ec2Kind,
    list,
    request::{image_name, tag_specification},
};
use aws_sdk_ec2::{
    operation::register_image::builders::RegisterImageInputBuilder,
    types::{
        ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, ImdsSupportValues, ResourceType,
        TpmSupportValues, VolumeType,
    },
};
use image_core::{
    Architecture, BootMode, Context, CreateError, CreateRequest, Created, Error, ErrorKind, Guard, Platform, Result,
};
use std::{collections::BTreeMap, sync::Arc};

/// What an AMI is to be.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) snapshot: String,
    pub(crate) platform: Platform,
    pub(crate) root_device: String,
    pub(crate) gib: u32,
    pub(crate) tpm: bool,
    pub(crate) imds_v1: bool,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Registration {
    fn hardware(&self, boot_mode: BootModeValues) -> Hardware {
        Hardware { boot_mode: Some(boot_mode), tpm: self.tpm.then_some(TpmSupportValues::V20), ena: true }
    }

    /// Everything but the name and the tags.
    fn request(&self, architecture: ArchitectureValues, hardware: &Hardware) -> Result<RegisterImageInputBuilder> {
        let gib = i32::try_from(self.gib).map_err(|e| Error::bug("size of a volume").with_source(e))?;
        let volume = EbsBlockDevice::builder()
            .snapshot_id(&self.snapshot)
            .volume_type(VolumeType::Gp3)
            .volume_size(gib)
            .delete_on_termination(true);
        let root = BlockDeviceMapping::builder().device_name(&self.root_device).ebs(volume.build());
        let description: String = self.name.chars().filter(char::is_ascii).take(255).collect();
        Ok(RegisterImageInputBuilder::default()
            .description(description)
            .architecture(architecture)
            .set_boot_mode(hardware.boot_mode.clone())
            .set_tpm_support(hardware.tpm.clone())
            .ena_support(hardware.ena)
            .virtualization_type("hvm")
            .set_imds_support((!self.imds_v1).then_some(ImdsSupportValues::V20))
            .root_device_name(&self.root_device)
            .block_device_mappings(root.build()))
    }
}

/// Registers an AMI, waits until it can be launched, and looks whether it is what was asked for.
///
/// # Errors
/// `Unsupported` for a platform that EC2 has not; EC2's refusal; `Conflict` when it is something else.
pub(crate) async fn register(cx: &Context, region: &Arc<Region>, asked: Registration) -> Result<Guard> {
    let (architecture, boot_mode) = of_platform(&asked.platform)?;
    let hardware = asked.hardware(boot_mode);
    let (input, at) = (asked.request(architecture, &hardware)?, Arc::clone(region));
    let Registration { name, gib, imds_v1, tags, .. } = asked;
    region.mutations.turn(cx).await?;
    let create = move |request: CreateRequest| async move {
        const OPERATION: &str = "ec2:RegisterImage";
        let client = at.client_once().await?;
        let input = input
            .name(image_name(&name, None, &request.token))
            .tag_specifications(tag_specification(ResourceType::Image, &tags_of(&request, tags)));
        match again(OPERATION, &at.place, || input.clone().send_with(&client)).await {
            Ok(made) => made.image_id().map(Created::new).ok_or_else(|| nameless(OPERATION)),
            Err(CreateError::Unclear(e)) if e.kind() == ErrorKind::AlreadyExists => {
                adopt(e, || list::image_of_token(&at, &request.token)).await
            }
            Err(e) => Err(e),
        }
    };
    let place = &region.place;
    let guard = cx.create(OWNER, &place.scope(), Ec2Kind::Image.kind(), &place.region, create).await?;
    let image = available(cx, region, guard.id(), gib).await?;
    check_hardware(&image, &hardware, "its registration")?;
    if !imds_v1 && image.imds_support() != Some(&ImdsSupportValues::V20) {
        let message = format!("image {} was registered to need IMDSv2, and does not say so", guard.id());
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    Ok(guard)
}

/// What EC2 calls a platform.
///
/// # Errors
/// `Unsupported` for one that EC2 has not.
pub(crate) fn of_platform(platform: &Platform) -> Result<(ArchitectureValues, BootModeValues)> {
    let refuse = |what: String| Err(Error::new(ErrorKind::Unsupported, format!("EC2 has no {what}")));
    let architecture = match platform.architecture {
        Architecture::Aarch64 => ArchitectureValues::Arm64,
        Architecture::X86_64 => ArchitectureValues::X8664,
        other => return refuse(format!("instances of architecture {other}")),
    };
    match platform.boot {
        BootMode::Uefi => Ok((architecture, BootModeValues::Uefi)),
        BootMode::LegacyBios if architecture == ArchitectureValues::X8664 => {
            Ok((architecture, BootModeValues::LegacyBios))
        }
        BootMode::LegacyBios => refuse("arm64 instances that boot by a boot sector".into()),
        _ => refuse("instances of a disk that no firmware starts".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_those_of_ec2() {
        use BootModeValues::{LegacyBios, Uefi};
        let of = |architecture, boot| of_platform(&Platform::linux(architecture, boot));
        assert_eq!(of(Architecture::X86_64, BootMode::Uefi).unwrap(), (ArchitectureValues::X8664, Uefi));
        assert_eq!(of(Architecture::Aarch64, BootMode::Uefi).unwrap(), (ArchitectureValues::Arm64, Uefi));
        assert_eq!(of(Architecture::X86_64, BootMode::LegacyBios).unwrap(), (ArchitectureValues::X8664, LegacyBios));
        for (architecture, boot) in
            [(Architecture::Aarch64, BootMode::LegacyBios), (Architecture::X86_64, BootMode::None)]
        {
            assert_eq!(of(architecture, boot).unwrap_err().kind(), ErrorKind::Unsupported);
        }
    }
}
