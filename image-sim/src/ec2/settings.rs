//! Settings of an account in a region, and of its images and snapshots: default encryption, fast snapshot restore, fast
//! launch.

use std::collections::BTreeSet;

use super::action::{Action, Cx, Handler, act};
use super::describe::{Filters, one};
use super::device::kms_arn;
use super::ids::{IMAGE, SNAPSHOT};
use super::region::zones;
use super::{image, snapshot};
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

pub(crate) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "GetEbsEncryptionByDefault" => act::<GetEncryption>,
        "EnableEbsEncryptionByDefault" => act::<SetEncryption<true>>,
        "DisableEbsEncryptionByDefault" => act::<SetEncryption<false>>,
        "GetEbsDefaultKmsKeyId" => act::<GetKey>,
        "ModifyEbsDefaultKmsKeyId" => act::<ModifyKey>,
        "EnableFastSnapshotRestores" => act::<FastRestore<true>>,
        "DisableFastSnapshotRestores" => act::<FastRestore<false>>,
        "DescribeFastSnapshotRestores" => act::<DescribeFastRestore>,
        "EnableFastLaunch" | "DisableFastLaunch" => act::<FastLaunch>,
        "DescribeFastLaunchImages" => act::<DescribeFastLaunch>,
        _ => return None,
    })
}

struct GetEncryption;

impl Action for GetEncryption {
    fn parse(_params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self)
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        xml.text("ebsEncryptionByDefault", cx.region().ec2.encrypt_by_default);
        xml.text("sseType", "sse-ebs");
        Ok(())
    }
}

struct SetEncryption<const ON: bool>;

impl<const ON: bool> Action for SetEncryption<ON> {
    fn parse(_params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self)
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        cx.region().ec2.encrypt_by_default = ON;
        xml.text("ebsEncryptionByDefault", ON);
        Ok(())
    }
}

struct GetKey;

impl Action for GetKey {
    fn parse(_params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self)
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let key = cx.region().ec2.default_kms_key.clone();
        xml.text("kmsKeyId", key.unwrap_or_else(|| kms_arn(&cx.place, Some("alias/aws/ebs"))));
        Ok(())
    }
}

struct ModifyKey {
    key: String,
}

impl Action for ModifyKey {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self { key: params.required("KmsKeyId")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let arn = kms_arn(&cx.place, Some(&self.key));
        xml.text("kmsKeyId", &arn);
        cx.region().ec2.default_kms_key = Some(arn);
        Ok(())
    }
}

struct FastRestore<const ON: bool> {
    zones: Vec<String>,
    snapshots: Vec<String>,
}

impl<const ON: bool> Action for FastRestore<ON> {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let (zones, snapshots) = (params.texts("AvailabilityZone")?, SNAPSHOT.list(params, "SourceSnapshotId")?);
        match (zones.is_empty(), snapshots.is_empty()) {
            (true, _) => Err(params.missing("AvailabilityZone")),
            (_, true) => Err(params.missing("SourceSnapshotId")),
            _ => Ok(Self { zones, snapshots }),
        }
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (account, region) = (cx.place.account.clone(), cx.place.region.clone());
        let known = zones(&region);
        if let Some(zone) = self.zones.iter().find(|zone| !known.contains(zone)) {
            return Err(ApiError::new("InvalidParameterValue", format!("Invalid availability zone: [{zone}]")));
        }
        let (mut changed, mut failed) = (Vec::new(), Vec::new());
        for id in &self.snapshots {
            let found = snapshot::usable(cx, &region, id);
            let fast = &mut cx.region().ec2.fast_restores;
            for zone in &self.zones {
                let key = (id.clone(), zone.clone());
                match &found {
                    Err(error) => failed.push((key, error.clone())),
                    Ok(_) if ON => {
                        fast.insert(key.clone());
                        changed.push(key);
                    }
                    Ok(_) => {
                        fast.remove(&key);
                        changed.push(key);
                    }
                }
            }
        }
        xml.items("successful", changed, |xml, key| {
            write(xml, &key, &account, if ON { "enabling" } else { "disabling" })
        });
        xml.items("unsuccessful", failed, |xml, ((id, zone), error)| {
            xml.text("snapshotId", id);
            xml.items("fastSnapshotRestoreStateErrorSet", [()], |xml, ()| {
                xml.text("availabilityZone", &zone);
                xml.element("error", |xml| {
                    xml.text("code", &error.code);
                    xml.text("message", &error.message);
                });
            });
        });
        Ok(())
    }
}

/// A snapshot and a zone.
pub(crate) type FastRestores = BTreeSet<(String, String)>;

fn write(xml: &mut Xml, (id, zone): &(String, String), account: &str, state: &str) {
    xml.text("snapshotId", id);
    xml.text("availabilityZone", zone);
    xml.text("state", state);
    xml.text("ownerId", account);
}

struct DescribeFastRestore(Filters);

impl Action for DescribeFastRestore {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Filters::parse(params, &["availability-zone", "owner-id", "snapshot-id", "state"]).map(Self)
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let account = cx.place.account.clone();
        let shown = cx.region().ec2.fast_restores.iter().filter(|(id, zone)| {
            self.0.match_all(&Default::default(), |name| match name {
                "availability-zone" => one(zone),
                "owner-id" => one(&account),
                "snapshot-id" => one(id),
                _ => one("enabled"),
            })
        });
        xml.items("fastSnapshotRestoreSet", shown, |xml, key| write(xml, key, &account, "enabled"));
        Ok(())
    }
}

/// Fast launch is for Windows images, of which the simulator has none: what EC2 answers about any other.
struct FastLaunch {
    id: String,
}

impl Action for FastLaunch {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.text("ResourceType");
        params.bool("Force")?;
        params.parse::<u32>("MaxParallelLaunches")?;
        params.sub("SnapshotConfiguration").parse::<u32>("TargetResourceCount")?;
        let template = params.sub("LaunchTemplate");
        for name in ["LaunchTemplateId", "LaunchTemplateName", "Version"] {
            template.text(name);
        }
        Ok(Self { id: IMAGE.required(params, "ImageId")? })
    }

    fn run(self, cx: &mut Cx<'_>, _xml: &mut Xml) -> Result<(), ApiError> {
        let region = cx.place.region.clone();
        image::usable(cx, &region, &self.id)?;
        let message = format!("Fast launch is only available for Windows images: {}", self.id);
        Err(ApiError::new("InvalidParameterValue", message))
    }
}

struct DescribeFastLaunch;

impl Action for DescribeFastLaunch {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        IMAGE.list(params, "ImageId")?;
        Filters::parse(params, &["resource-type", "owner-id", "state"])?;
        params.parse::<u32>("MaxResults")?;
        params.text("NextToken");
        Ok(Self)
    }

    fn run(self, _cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        xml.element("fastLaunchImageSet", |_| ());
        Ok(())
    }
}
