//! Attributes of images: launch permissions, description, IMDS.

use super::super::action::{Action, Cx, Handler, act, done};
use super::super::ids::IMAGE;
use super::super::sharing::{Change, Sharing};
use super::{gone, own};
use crate::clock::iso;
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

pub(super) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "ModifyImageAttribute" => act::<Modify>,
        "DescribeImageAttribute" => act::<Describe>,
        "ResetImageAttribute" => act::<Reset>,
        _ => return None,
    })
}

struct Modify {
    id: String,
    permission: Change,
    description: Option<String>,
    imds: Option<String>,
}

impl Action for Modify {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let attribute = params.one_of("Attribute", &["launchPermission", "description", "imdsSupport"])?;
        let mut this = Self {
            id: IMAGE.required(params, "ImageId")?,
            permission: Change::parse(params, "LaunchPermission")?,
            description: params.sub("Description").maybe_empty("Value"),
            imds: params.sub("ImdsSupport").one_of("Value", &["v2.0"])?,
        };
        match (attribute.as_deref(), params.text("Value")) {
            (Some("description"), Some(value)) => this.description = Some(value),
            (Some("imdsSupport"), Some(value)) if value == "v2.0" => this.imds = Some(value),
            (_, Some(value)) => return Err(params.invalid("Value", value)),
            (_, None) => {}
        }
        let changes = [!this.permission.is_empty(), this.description.is_some(), this.imds.is_some()]
            .iter()
            .filter(|on| **on)
            .count();
        match changes {
            1 => Ok(this),
            0 => Err(ApiError::new("InvalidParameterCombination", "No attributes specified.")),
            _ => Err(ApiError::new("InvalidParameterCombination", "Fields for multiple attribute types specified")),
        }
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        own(cx, &self.id)?;
        let now = cx.now;
        let ec2 = &cx.region().ec2;
        if ec2.images.get(&self.id).is_none_or(|image| image.state(ec2, now) != "available") {
            return Err(gone(&self.id));
        }
        let image = own(cx, &self.id)?;
        self.permission.apply(&mut image.permission);
        if let Some(description) = self.description {
            image.description = description;
        }
        image.imds = self.imds.or_else(|| image.imds.take());
        done(xml);
        Ok(())
    }
}

const ATTRIBUTES: [&str; 12] = [
    "launchPermission",
    "description",
    "kernel",
    "ramdisk",
    "productCodes",
    "blockDeviceMapping",
    "sriovNetSupport",
    "bootMode",
    "tpmSupport",
    "uefiData",
    "imdsSupport",
    "deregistrationProtection",
];

struct Describe {
    id: String,
    attribute: String,
}

impl Action for Describe {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let mut accepted = ATTRIBUTES.to_vec();
        accepted.push("lastLaunchedTime");
        let attribute = params.one_of("Attribute", &accepted)?.ok_or_else(|| params.missing("Attribute"))?;
        Ok(Self { id: IMAGE.required(params, "ImageId")?, attribute })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let now = cx.now;
        let image = own(cx, &self.id)?;
        xml.text("imageId", &self.id);
        let name = self.attribute.as_str();
        let value = match name {
            "launchPermission" => {
                image.permission.write(xml, name);
                return Ok(());
            }
            "blockDeviceMapping" => {
                xml.items(name, &image.devices, |xml, device| device.write(xml));
                return Ok(());
            }
            "productCodes" => {
                xml.element(name, |_| ());
                return Ok(());
            }
            "description" => Some(image.description.clone()),
            "kernel" => image.kernel.clone(),
            "ramdisk" => image.ramdisk.clone(),
            "sriovNetSupport" => image.sriov.clone(),
            "bootMode" => image.boot_mode.clone(),
            "tpmSupport" => image.tpm.clone(),
            "uefiData" => image.uefi_data.clone(),
            "imdsSupport" => image.imds.clone(),
            "lastLaunchedTime" => image.last_launched.map(iso),
            _ => Some(image.protection.text(now)),
        };
        xml.element(name, |xml| xml.optional("value", value));
        Ok(())
    }
}

struct Reset {
    id: String,
}

impl Action for Reset {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.one_of("Attribute", &["launchPermission"])?.ok_or_else(|| params.missing("Attribute"))?;
        Ok(Self { id: IMAGE.required(params, "ImageId")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        own(cx, &self.id)?.permission = Sharing::default();
        done(xml);
        Ok(())
    }
}
