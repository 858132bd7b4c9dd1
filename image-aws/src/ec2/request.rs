//! The requests that create something, as values: the same settings and tags give the same bytes.

use super::{
    ami::Ami,
    settings::{Candidate, Encryption, Market, Settings},
};
use aws_sdk_ec2::{
    operation::{
        create_image::builders::CreateImageInputBuilder,
        create_security_group::builders::CreateSecurityGroupInputBuilder,
        run_instances::builders::RunInstancesInputBuilder,
    },
    types::{
        BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification,
        InstanceInterruptionBehavior, InstanceMarketOptionsRequest, InstanceMetadataEndpointState,
        InstanceMetadataOptionsRequest, InstanceNetworkInterfaceSpecification, InstanceType, MarketType, ResourceType,
        ShutdownBehavior, SpotInstanceType, SpotMarketOptions, Tag, TagSpecification, builders::EbsBlockDeviceBuilder,
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::collections::{BTreeMap, BTreeSet};

/// What an instance is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// An image is taken of it.
    Build,
    /// An image is tested on it; it is thrown away.
    Test,
}

/// An instance to launch.
#[derive(Debug)]
pub(crate) struct InstanceRequest<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) ami: &'a Ami,
    pub(crate) candidate: &'a Candidate,
    pub(crate) purpose: Purpose,
    pub(crate) security_groups: &'a [String],
    pub(crate) user_data: &'a str,
}

impl InstanceRequest<'_> {
    /// Everything but the token and the tags.
    pub(crate) fn build(&self) -> RunInstancesInputBuilder {
        let Self { settings, ami, candidate, .. } = self;
        let interface = InstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .subnet_id(&candidate.subnet)
            .associate_public_ip_address(settings.public_ip)
            .delete_on_termination(true)
            .set_groups((!self.security_groups.is_empty()).then(|| self.security_groups.to_vec()));
        let metadata = InstanceMetadataOptionsRequest::builder()
            .http_endpoint(InstanceMetadataEndpointState::Enabled)
            .http_tokens(HttpTokensState::Required)
            .http_put_response_hop_limit(1);
        let profile = settings.instance_profile.as_ref();
        RunInstancesInputBuilder::default()
            .image_id(&ami.id)
            .instance_type(InstanceType::from(candidate.instance_type.as_str()))
            .min_count(1)
            .max_count(1)
            .network_interfaces(interface.build())
            .metadata_options(metadata.build())
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .set_iam_instance_profile(profile.map(|name| IamInstanceProfileSpecification::builder().name(name).build()))
            .set_instance_market_options(market(&settings.market))
            .set_block_device_mappings(Some(self.volumes()))
            .set_user_data((!self.user_data.is_empty()).then(|| BASE64_STANDARD.encode(self.user_data)))
    }

    /// Every volume is named, because one that is not is what the image says of it, and may outlive the instance.
    fn volumes(&self) -> Vec<BlockDeviceMapping> {
        let Self { settings, ami, purpose, .. } = self;
        let build = *purpose == Purpose::Build;
        let added = settings.volumes.keys().filter(|_| build);
        let devices: BTreeSet<&String> = ami.volumes.keys().chain(added).collect();
        let mapping = |device: &String| {
            let snapshot = ami.volumes.get(device).and_then(|volume| volume.snapshot.clone());
            let mut ebs = EbsBlockDevice::builder().delete_on_termination(true).set_snapshot_id(snapshot);
            if build {
                let root = (*device == ami.root_device).then_some(&settings.root);
                ebs = encrypted(ebs, &settings.encryption);
                let volume = settings.volumes.get(device).or(root);
                if let Some(volume) = volume {
                    ebs = volume.apply(ebs);
                }
            }
            BlockDeviceMapping::builder().device_name(device).ebs(ebs.build()).build()
        };
        devices.into_iter().map(mapping).collect()
    }
}

fn encrypted(ebs: EbsBlockDeviceBuilder, encryption: &Encryption) -> EbsBlockDeviceBuilder {
    match encryption {
        Encryption::Account => ebs,
        Encryption::DefaultKey => ebs.encrypted(true),
        Encryption::Key(key) => ebs.encrypted(true).kms_key_id(key),
    }
}

fn market(market: &Market) -> Option<InstanceMarketOptionsRequest> {
    let Market::Spot { max_price } = market else { return None };
    let spot = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
        .set_max_price(max_price.clone());
    Some(InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(spot.build()).build())
}

/// What an instance and all that comes with it is tagged with by the call that makes it.
pub(crate) fn instance_tags(market: &Market, tags: &BTreeMap<String, String>) -> Vec<TagSpecification> {
    let mut kinds = vec![ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
    if matches!(market, Market::Spot { .. }) {
        kinds.push(ResourceType::SpotInstancesRequest);
    }
    kinds.into_iter().map(|kind| tag_specification(kind, tags)).collect()
}

/// A group without an inbound rule. AWS adds the outbound rule that allows everything.
pub(crate) fn security_group(
    vpc: &str,
    token: &str,
    tags: &BTreeMap<String, String>,
) -> CreateSecurityGroupInputBuilder {
    CreateSecurityGroupInputBuilder::default()
        .group_name(format!("golden-image-{token}"))
        .description("A build of a golden image: no inbound rule, removed with its instance")
        .vpc_id(vpc)
        .tag_specifications(tag_specification(ResourceType::SecurityGroup, tags))
}

/// An image of an instance. Without a restart only where the instance is stopped.
pub(crate) fn image(
    instance: &str,
    name: &str,
    description: &str,
    stopped: bool,
    tags: &BTreeMap<String, String>,
) -> CreateImageInputBuilder {
    CreateImageInputBuilder::default()
        .instance_id(instance)
        .name(name)
        .description(description)
        .no_reboot(stopped)
        .tag_specifications(tag_specification(ResourceType::Image, tags))
        .tag_specifications(tag_specification(ResourceType::Snapshot, tags))
}

/// A name that no other image of the account and region has, because the token is in it, of what EC2 takes in names: up to
/// 128 of letters, digits and some punctuation.
pub(crate) fn image_name(name: &str, layer: Option<&str>, token: &str) -> String {
    let clean = |text: &str, longest: usize| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        text.chars().map(plain).take(longest).collect()
    };
    match layer {
        Some(layer) => format!("{}-{}-{token}", clean(name, 60), clean(layer, 30)),
        None => format!("{}-{token}", clean(name, 90)),
    }
}

pub(crate) fn tag_specification(kind: ResourceType, tags: &BTreeMap<String, String>) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(to_tags(tags))).build()
}

pub(crate) fn to_tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
