//! From a completed snapshot to an AMI.

use super::kind::{EbsKind, OWNER, tags_of};
use crate::{
    Place,
    client::Clients,
    ec2::{client::filter, create::again},
    error::sdk_error,
    tag,
};
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, Filter, Image, ImageState,
    ImdsSupportValues, ResourceType, Tag, TagSpecification, TpmSupportValues, VolumeType,
};
use image_core::{
    Architecture, BootMode, Context, CreateError, CreateRequest, Created, Error, ErrorKind, Guard, Platform, Result,
    wait::{self, Poll, WaitPolicy},
};
use std::{collections::BTreeMap, time::Duration};

/// From `RegisterImage` to `available`: seconds, as nothing is copied.
const REGISTERING: Duration = Duration::from_secs(900);

/// What an AMI is to be.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) snapshot: String,
    pub(crate) platform: Platform,
    pub(crate) root_device: String,
    pub(crate) gib: u64,
    pub(crate) tpm: bool,
    pub(crate) imds_v1: bool,
    pub(crate) tags: BTreeMap<String, String>,
}

/// The AMIs of a place.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    pub(crate) clients: Clients,
    pub(crate) place: Place,
}

impl Images {
    /// Registers an AMI and waits until it can be launched.
    pub(crate) async fn register(&self, cx: &Context, registration: Registration) -> Result<Guard> {
        let this = self.clone();
        let create = move |request: CreateRequest| async move { this.register_once(&request, registration).await };
        let guard = cx.create(OWNER, &self.place.scope(), EbsKind::Image.kind(), &self.place.region, create).await?;
        let policy = WaitPolicy::new(REGISTERING).interval(Duration::from_millis(500), Duration::from_secs(5));
        wait::until(cx, policy, &format!("{} to be available", guard.id()), || self.available(guard.id())).await?;
        Ok(guard)
    }

    async fn register_once(&self, request: &CreateRequest, asked: Registration) -> Result<Created, CreateError> {
        let client = self.clients.ec2_once(&self.place).await.map_err(CreateError::Rejected)?;
        let (architecture, boot) = of_platform(&asked.platform).map_err(CreateError::Rejected)?;
        let gib = i32::try_from(asked.gib).map_err(|e| CreateError::Rejected(Error::bug("size").with_source(e)))?;
        let volume = EbsBlockDevice::builder()
            .snapshot_id(asked.snapshot)
            .volume_type(VolumeType::Gp3)
            .volume_size(gib)
            .delete_on_termination(true)
            .build();
        let tags =
            tags_of(request, asked.tags).into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags =
            TagSpecification::builder().resource_type(ResourceType::Image).set_tags(Some(tags.collect())).build();
        let call = client
            .register_image()
            .name(format!("{}-{}", asked.name, request.token))
            .description(asked.name)
            .architecture(architecture)
            .boot_mode(boot)
            .virtualization_type("hvm")
            .ena_support(true)
            .set_imds_support((!asked.imds_v1).then_some(ImdsSupportValues::V20))
            .set_tpm_support(asked.tpm.then_some(TpmSupportValues::V20))
            .root_device_name(&asked.root_device)
            .block_device_mappings(BlockDeviceMapping::builder().device_name(&asked.root_device).ebs(volume).build())
            .tag_specifications(tags);
        match again("ec2:RegisterImage", &self.place, || call.clone().send()).await {
            Ok(registered) => {
                let id = registered.image_id().ok_or_else(|| Error::bug("ec2:RegisterImage names no image"))?;
                Ok(Created::new(id))
            }
            Err(CreateError::Unclear(error)) => match self.with_token(&request.token).await {
                Ok(Some(id)) => Ok(Created::new(id)),
                // It stays unclear, and the reason that is told is the first one.
                Ok(None) | Err(_) => Err(CreateError::Unclear(error)),
            },
            Err(rejected) => Err(rejected),
        }
    }

    /// The AMI that an earlier request with the same token made, where it can be seen.
    pub(crate) async fn with_token(&self, token: &str) -> Result<Option<String>> {
        let found = self.describe(filter(&format!("tag:{}", tag::TOKEN), [token])).await?;
        Ok(found.into_iter().find_map(|image| image.image_id))
    }

    async fn available(&self, id: &str) -> Result<Poll<()>> {
        let Some(image) = self.describe(filter("image-id", [id])).await?.pop() else {
            return Ok(Poll::Pending("not seen yet".into()));
        };
        match image.state() {
            Some(ImageState::Available) => Ok(Poll::Ready(())),
            Some(state @ (ImageState::Error | ImageState::Failed | ImageState::Invalid | ImageState::Deregistered)) => {
                let why = image.state_reason().and_then(|reason| reason.message()).unwrap_or("it gives no reason");
                let message = format!("{id} is {}: {why}", state.as_str());
                Err(Error::new(ErrorKind::Unavailable, message).with_retryable(false))
            }
            state => Ok(Poll::Pending(state.map_or("no state said", ImageState::as_str).to_owned())),
        }
    }

    pub(crate) async fn describe(&self, filter: Filter) -> Result<Vec<Image>> {
        let client = self.clients.ec2(&self.place).await?;
        let call = client.describe_images().owners("self").filters(filter).max_results(1000);
        let mut pages = call.into_paginator().items().send();
        let mut found = vec![];
        while let Some(image) = pages.next().await {
            found.push(image.map_err(|e| sdk_error("ec2:DescribeImages", &self.place, e))?);
        }
        Ok(found)
    }
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
