//! What an instance is launched with: the parameters of `RunInstances`, which launch templates hold too.

use std::collections::BTreeMap;

use super::super::device::Device;
use super::super::ids::{GROUP, IMAGE, INSTANCE, INTERFACE, Kind, SUBNET, VOLUME};
use super::super::tags::{self, Tags};
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

/// What launches can tag.
const TAGGED: [&Kind; 4] =
    [&INSTANCE, &VOLUME, &INTERFACE, &Kind::new("spot-instances-request", "sir", "InvalidSpotInstanceRequestID")];

/// Parameters of a launch. What is absent is decided by the template, the image or a default.
#[derive(Debug, Clone, Default)]
pub(crate) struct LaunchData {
    pub(crate) image_id: Option<String>,
    pub(crate) instance_type: Option<String>,
    pub(crate) key_name: Option<String>,
    pub(crate) subnet_id: Option<String>,
    pub(crate) group_ids: Vec<String>,
    pub(crate) group_names: Vec<String>,
    /// A name or an ARN.
    pub(crate) profile: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) devices: Vec<Device>,
    pub(crate) user_data: Option<String>,
    pub(crate) shutdown_behavior: Option<String>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) zone: Option<String>,
    pub(crate) spot: Option<Spot>,
    pub(crate) tags: BTreeMap<String, Tags>,
    pub(crate) ebs_optimized: Option<bool>,
    pub(crate) monitoring: Option<bool>,
    pub(crate) disable_api_termination: Option<bool>,
}

/// `MetadataOptions`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) tokens: Option<String>,
    pub(crate) hop_limit: Option<u8>,
    pub(crate) endpoint: Option<String>,
    pub(crate) ipv6: Option<String>,
    pub(crate) tags: Option<String>,
}

/// `NetworkInterface.N`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) device_index: u32,
    pub(crate) subnet_id: Option<String>,
    pub(crate) group_ids: Vec<String>,
    pub(crate) public_ip: Option<bool>,
    pub(crate) description: Option<String>,
}

/// `InstanceMarketOptions`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) persistent: bool,
    pub(crate) max_price: Option<String>,
}

impl LaunchData {
    pub(crate) fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let profile = params.sub("IamInstanceProfile");
        let placement = params.sub("Placement");
        placement.one_of("Tenancy", &["default"])?;
        params.sub("CreditSpecification").one_of("CpuCredits", &["standard", "unlimited"])?;
        Ok(Self {
            image_id: IMAGE.optional(params, "ImageId")?,
            instance_type: params.text("InstanceType"),
            key_name: params.text("KeyName"),
            subnet_id: SUBNET.optional(params, "SubnetId")?,
            group_ids: GROUP.list(params, "SecurityGroupId")?,
            group_names: params.texts("SecurityGroup")?,
            profile: profile.text("Arn").or_else(|| profile.text("Name")),
            metadata: Metadata::parse(&params.sub("MetadataOptions"))?,
            devices: Device::parse_all(params)?,
            user_data: user_data(params)?,
            shutdown_behavior: params.one_of("InstanceInitiatedShutdownBehavior", &["stop", "terminate"])?,
            interfaces: params.list("NetworkInterface")?.iter().map(Interface::parse).collect::<Result<_, _>>()?,
            zone: placement.text("AvailabilityZone"),
            spot: Spot::parse(&params.sub("InstanceMarketOptions"))?,
            tags: tags::specifications(params, &TAGGED)?,
            ebs_optimized: params.bool("EbsOptimized")?,
            monitoring: params.sub("Monitoring").bool("Enabled")?,
            disable_api_termination: params.bool("DisableApiTermination")?,
        })
    }

    /// This, with what is absent from a template.
    pub(crate) fn over(mut self, template: Self) -> Self {
        macro_rules! fill {
            ($($field:ident)*) => { $(self.$field = self.$field.or(template.$field);)* };
        }
        macro_rules! fill_list {
            ($($field:ident)*) => { $(if self.$field.is_empty() { self.$field = template.$field; })* };
        }
        // An instance-level subnet or group in the request takes the place of the template's interfaces.
        if self.subnet_id.is_none() && self.group_ids.is_empty() {
            fill_list!(interfaces);
        }
        if self.interfaces.is_empty() {
            fill!(subnet_id);
            fill_list!(group_ids group_names);
        }
        fill!(image_id instance_type key_name profile user_data shutdown_behavior zone spot ebs_optimized monitoring
            disable_api_termination);
        self.metadata = self.metadata.over(template.metadata);
        self.devices = Device::overlay(&template.devices, &self.devices);
        for (kind, tags) in template.tags {
            self.tags.entry(kind).or_insert(tags);
        }
        self
    }
}

fn user_data(params: &Params<'_>) -> Result<Option<String>, ApiError> {
    use base64::Engine;
    let Some(text) = params.text("UserData") else { return Ok(None) };
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text.trim())
        .map_err(|_| ApiError::new("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."))?;
    if bytes.len() > 16 << 10 {
        return Err(ApiError::new("InvalidParameterValue", "User data is limited to 16384 bytes"));
    }
    Ok(Some(text))
}

impl Metadata {
    pub(crate) fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let hop_limit: Option<u8> = params.parse("HttpPutResponseHopLimit")?;
        if let Some(limit) = hop_limit.filter(|limit| !(1..=64).contains(limit)) {
            return Err(params.invalid("HttpPutResponseHopLimit", limit));
        }
        Ok(Self {
            tokens: params.one_of("HttpTokens", &["optional", "required"])?,
            hop_limit,
            endpoint: params.one_of("HttpEndpoint", &["enabled", "disabled"])?,
            ipv6: params.one_of("HttpProtocolIpv6", &["enabled", "disabled"])?,
            tags: params.one_of("InstanceMetadataTags", &["enabled", "disabled"])?,
        })
    }

    /// This, with what is absent from another.
    pub(crate) fn over(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.or(other.tokens),
            hop_limit: self.hop_limit.or(other.hop_limit),
            endpoint: self.endpoint.or(other.endpoint),
            ipv6: self.ipv6.or(other.ipv6),
            tags: self.tags.or(other.tags),
        }
    }

    pub(crate) fn write(&self, xml: &mut Xml, state: &str) {
        let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
        xml.text("state", state);
        xml.text("httpTokens", or(&self.tokens, "optional"));
        xml.text("httpPutResponseHopLimit", self.hop_limit.unwrap_or(1));
        xml.text("httpEndpoint", or(&self.endpoint, "enabled"));
        xml.text("httpProtocolIpv6", or(&self.ipv6, "disabled"));
        xml.text("instanceMetadataTags", or(&self.tags, "disabled"));
    }
}

impl Interface {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        if params.bool("DeleteOnTermination")? == Some(false) {
            return Err(ApiError::unsupported("network interfaces that outlive their instance"));
        }
        Ok(Self {
            device_index: params.parse("DeviceIndex")?.ok_or_else(|| params.missing("DeviceIndex"))?,
            subnet_id: SUBNET.optional(params, "SubnetId")?,
            group_ids: GROUP.list(params, "SecurityGroupId")?,
            public_ip: params.bool("AssociatePublicIpAddress")?,
            description: params.text("Description"),
        })
    }
}

impl Spot {
    fn parse(params: &Params<'_>) -> Result<Option<Self>, ApiError> {
        let market = params.one_of("MarketType", &["spot"])?;
        let options = params.sub("SpotOptions");
        let kind = options.one_of("SpotInstanceType", &["one-time", "persistent"])?;
        let interruption =
            options.one_of("InstanceInterruptionBehavior", &["terminate", "stop", "hibernate"])?.unwrap_or_default();
        let persistent = kind.as_deref() == Some("persistent");
        if matches!(interruption.as_str(), "stop" | "hibernate") && !persistent {
            let message = "One-time Spot instances are terminated when they are interrupted, not stopped or hibernated";
            return Err(ApiError::new("InvalidParameterCombination", message));
        }
        let max_price = options.text("MaxPrice");
        Ok(market.map(|_| Self { persistent, max_price }))
    }
}

impl LaunchData {
    /// What a template holds, as `launchTemplateData`.
    pub(crate) fn write(&self, xml: &mut Xml) {
        xml.optional("imageId", self.image_id.as_ref());
        xml.optional("instanceType", self.instance_type.as_ref());
        xml.optional("keyName", self.key_name.as_ref());
        xml.optional("userData", self.user_data.as_ref());
        xml.optional("ebsOptimized", self.ebs_optimized);
        xml.optional("disableApiTermination", self.disable_api_termination);
        xml.optional("instanceInitiatedShutdownBehavior", self.shutdown_behavior.as_ref());
        if let Some(profile) = &self.profile {
            let name = if profile.starts_with("arn:") { "arn" } else { "name" };
            xml.element("iamInstanceProfile", |xml| xml.text(name, profile));
        }
        xml.items("blockDeviceMappingSet", &self.devices, |xml, device| device.write(xml));
        xml.items("networkInterfaceSet", &self.interfaces, |xml, interface| {
            xml.text("deviceIndex", interface.device_index);
            xml.optional("subnetId", interface.subnet_id.as_ref());
            xml.optional("associatePublicIpAddress", interface.public_ip);
            xml.optional("description", interface.description.as_ref());
            xml.element("groupSet", |xml| interface.group_ids.iter().for_each(|id| xml.text("groupId", id)));
        });
        xml.texts("securityGroupIdSet", &self.group_ids);
        if let Some(on) = self.monitoring {
            xml.element("monitoring", |xml| xml.text("enabled", on));
        }
        if let Some(zone) = &self.zone {
            xml.element("placement", |xml| xml.text("availabilityZone", zone));
        }
        if self.metadata != Metadata::default() {
            xml.element("metadataOptions", |xml| self.metadata.write(xml, "applied"));
        }
        if let Some(spot) = &self.spot {
            xml.element("instanceMarketOptions", |xml| {
                xml.text("marketType", "spot");
                xml.element("spotOptions", |xml| {
                    xml.text("spotInstanceType", if spot.persistent { "persistent" } else { "one-time" });
                    xml.optional("maxPrice", spot.max_price.as_ref());
                });
            });
        }
        xml.items("tagSpecificationSet", &self.tags, |xml, (kind, tags)| {
            xml.text("resourceType", kind);
            tags::write(xml, tags);
        });
    }
}
