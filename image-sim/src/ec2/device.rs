//! Block device mappings, and the volumes that they ask for.

use super::snapshot::Snapshot;
use crate::error::ApiError;
use crate::query::Params;
use crate::world::{Place, seeded_id};
use crate::xml::Xml;

/// The types of volume, with the sizes that they come in, in GiB.
/// <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html>
const TYPES: [(&str, u32, u32); 7] = [
    ("gp3", 1, 65_536),
    ("gp2", 1, 16_384),
    ("io1", 4, 16_384),
    ("io2", 4, 65_536),
    ("st1", 125, 16_384),
    ("sc1", 125, 16_384),
    ("standard", 1, 1024),
];

/// `BlockDeviceMapping.N` as it was asked for, or as an image has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) ebs: Option<Ebs>,
    /// Leaves out the device that the image has under this name.
    pub(crate) no_device: bool,
    /// `ephemeral0`
    pub(crate) virtual_name: Option<String>,
}

/// `Ebs` of a block device mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ebs {
    pub(crate) snapshot_id: Option<String>,
    /// GiB
    pub(crate) size: Option<u32>,
    pub(crate) kind: Option<String>,
    pub(crate) iops: Option<u32>,
    /// MiB/s
    pub(crate) throughput: Option<u32>,
    pub(crate) encrypted: Option<bool>,
    pub(crate) kms_key: Option<String>,
    pub(crate) delete_on_termination: Option<bool>,
}

impl Device {
    /// The list `BlockDeviceMapping.N`.
    pub(crate) fn parse_all(params: &Params<'_>) -> Result<Vec<Self>, ApiError> {
        let mut devices: Vec<Self> = Vec::new();
        for params in params.list("BlockDeviceMapping")? {
            let device = Self {
                name: params.required("DeviceName")?,
                no_device: params.maybe_empty("NoDevice").is_some(),
                virtual_name: params.text("VirtualName"),
                ebs: match params.sub("Ebs") {
                    ebs if ebs.is_empty() => None,
                    ebs => Some(Ebs::parse(&ebs)?),
                },
            };
            if devices.iter().any(|other| other.name == device.name) {
                let message = format!("The device '{}' is used in more than one block-device mapping", device.name);
                return Err(ApiError::new("InvalidBlockDeviceMapping", message));
            }
            if device.ebs.is_none() && device.virtual_name.is_none() && !device.no_device {
                let message = format!("The device '{}' has none of Ebs, VirtualName and NoDevice", device.name);
                return Err(ApiError::new("InvalidBlockDeviceMapping", message));
            }
            devices.push(device);
        }
        Ok(devices)
    }

    /// These devices, changed and extended by those that a request asks for.
    pub(crate) fn overlay(base: &[Self], asked: &[Self]) -> Vec<Self> {
        let mut devices: Vec<_> = base.to_vec();
        for change in asked {
            match devices.iter_mut().find(|device| device.name == change.name) {
                Some(device) => match (&mut device.ebs, &change.ebs) {
                    (Some(ebs), Some(new)) => ebs.overlay(new),
                    _ => *device = change.clone(),
                },
                None => devices.push(change.clone()),
            }
        }
        devices.retain(|device| !device.no_device);
        devices
    }

    /// An `<item>`, as images have it.
    pub(crate) fn write(&self, xml: &mut Xml) {
        xml.text("deviceName", &self.name);
        xml.optional("virtualName", self.virtual_name.as_ref());
        if let Some(ebs) = &self.ebs {
            xml.element("ebs", |xml| {
                xml.optional("snapshotId", ebs.snapshot_id.as_ref());
                xml.optional("volumeSize", ebs.size);
                xml.optional("volumeType", ebs.kind.as_ref());
                xml.optional("iops", ebs.iops);
                xml.optional("throughput", ebs.throughput);
                xml.optional("encrypted", ebs.encrypted);
                xml.optional("kmsKeyId", ebs.kms_key.as_ref());
                xml.optional("deleteOnTermination", ebs.delete_on_termination);
            });
        }
    }
}

impl Ebs {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let ebs = Self {
            snapshot_id: super::ids::SNAPSHOT.optional(params, "SnapshotId")?,
            size: params.parse("VolumeSize")?,
            kind: params.text("VolumeType"),
            iops: params.parse("Iops")?,
            throughput: params.parse("Throughput")?,
            encrypted: params.bool("Encrypted")?,
            kms_key: params.text("KmsKeyId"),
            delete_on_termination: params.bool("DeleteOnTermination")?,
        };
        if ebs.kms_key.is_some() && ebs.encrypted != Some(true) {
            let message = "The parameter KmsKeyId requires the parameter Encrypted to be set.";
            return Err(ApiError::new("InvalidParameterDependency", message));
        }
        Ok(ebs)
    }

    fn overlay(&mut self, new: &Self) {
        // Rates belong to a type: a new one does not inherit them.
        if new.kind.is_some() && new.kind != self.kind {
            (self.iops, self.throughput) = (None, None);
        }
        macro_rules! take {
            ($($field:ident)*) => { $(if new.$field.is_some() { self.$field.clone_from(&new.$field); })* };
        }
        take!(snapshot_id size kind iops throughput encrypted kms_key delete_on_termination);
    }

    /// What a volume of this is, by EC2's rules, from `snapshot` where it names one.
    pub(crate) fn resolve(
        &self,
        snapshot: Option<&Snapshot>,
        place: &Place,
        encrypt: bool,
    ) -> Result<Resolved, ApiError> {
        let kind = self.kind.clone().unwrap_or_else(|| "gp2".to_owned());
        let Some((_, least, most)) = TYPES.iter().find(|(name, ..)| *name == kind) else {
            let names: Vec<_> = TYPES.iter().map(|(name, ..)| *name).collect();
            let message = format!("Invalid volume type '{kind}'. Accepted: {}", names.join(", "));
            return Err(ApiError::new("InvalidParameterValue", message));
        };
        let Some(size) = self.size.or_else(|| snapshot.map(|snapshot| snapshot.size)) else {
            return Err(ApiError::new("MissingParameter", "The request must contain the parameter size/snapshot"));
        };
        if let Some(snapshot) = snapshot.filter(|snapshot| size < snapshot.size) {
            let message = format!(
                "Volume of size {size}GB is smaller than snapshot '{}', expect size >= {}GB",
                snapshot.id, snapshot.size
            );
            return Err(ApiError::new("InvalidBlockDeviceMapping", message));
        }
        if !(*least..=*most).contains(&size) {
            let message = format!("Volume size {size} is invalid for {kind}: must be between {least} and {most} GiB");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        let iops = self.iops(&kind, size)?;
        let throughput = match (kind.as_str(), self.throughput) {
            ("gp3", None) => Some(125),
            ("gp3", Some(throughput)) if (125..=2000).contains(&throughput) => Some(throughput),
            (_, None) => None,
            (_, Some(throughput)) => {
                let message = format!("Throughput {throughput} is invalid for {kind}: gp3 takes 125 to 2000 MiB/s");
                return Err(ApiError::new("InvalidParameterCombination", message));
            }
        };
        let from_encrypted = snapshot.is_some_and(|snapshot| snapshot.encrypted);
        if from_encrypted && self.encrypted == Some(false) {
            let message = "Encrypted flag cannot be set to false since the snapshot is encrypted";
            return Err(ApiError::new("InvalidParameter", message));
        }
        let encrypted = encrypt || from_encrypted || self.encrypted == Some(true);
        let inherited = snapshot.and_then(|snapshot| snapshot.kms_key.clone());
        let asked = self.kms_key.as_ref().map(|key| kms_arn(place, Some(key)));
        let kms_key = encrypted.then(|| asked.or(inherited).unwrap_or_else(|| kms_arn(place, None)));
        Ok(Resolved { size, kind, iops, throughput, encrypted, kms_key })
    }

    fn iops(&self, kind: &str, size: u32) -> Result<Option<u32>, ApiError> {
        let accepted = match kind {
            "gp3" => 3000..=80_000,
            "io1" => 100..=64_000,
            "io2" => 100..=256_000,
            _ => 0..=0,
        };
        match (kind, self.iops) {
            ("gp3", None) => Ok(Some(3000)),
            ("gp2", None) => Ok(Some(size.saturating_mul(3).clamp(100, 16_000))),
            ("io1" | "io2", None) => Err(ApiError::new(
                "MissingParameter",
                format!("The parameter iops must be specified for {kind} volumes."),
            )),
            (_, None) => Ok(None),
            (_, Some(iops)) if accepted.contains(&iops) && iops > 0 => Ok(Some(iops)),
            (_, Some(iops)) => {
                let message = format!("The parameter iops {iops} is not supported for {kind} volumes: {accepted:?}");
                Err(ApiError::new("InvalidParameterCombination", message))
            }
        }
    }
}

/// A volume that can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) size: u32,
    pub(crate) kind: String,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
    pub(crate) encrypted: bool,
    pub(crate) kms_key: Option<String>,
}

/// The ARN of a key that was named by id, alias or ARN; of the account's own key for EBS when none was.
pub(crate) fn kms_arn(place: &Place, key: Option<&str>) -> String {
    let Place { account, region } = place;
    match key {
        Some(arn) if arn.starts_with("arn:") => arn.to_owned(),
        Some(alias) if alias.starts_with("alias/") => format!("arn:aws:kms:{region}:{account}:{alias}"),
        Some(id) => format!("arn:aws:kms:{region}:{account}:key/{id}"),
        None => {
            let id = seeded_id("key", &[account, region, "aws/ebs"]).replace("key-", "");
            format!("arn:aws:kms:{region}:{account}:key/00000000-0000-4000-8000-{}", &id[..12])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(ebs: Ebs) -> Result<Resolved, String> {
        ebs.resolve(None, &Place::new("1", "r"), false).map_err(|error| error.code)
    }

    #[test]
    fn volumes_follow_the_rules_of_their_type() {
        let kind = |kind: &str, size| Ebs { kind: Some(kind.to_owned()), size: Some(size), ..Ebs::default() };
        let gp3 = resolve(kind("gp3", 8)).unwrap();
        assert_eq!((gp3.iops, gp3.throughput), (Some(3000), Some(125)));
        assert_eq!(resolve(kind("gp2", 100)).unwrap().iops, Some(300));
        for (ebs, code) in [
            (kind("gp9", 8), "InvalidParameterValue"),
            (kind("st1", 8), "InvalidParameterValue"),
            (kind("io2", 8), "MissingParameter"),
            (Ebs::default(), "MissingParameter"),
            (Ebs { iops: Some(100), ..kind("gp3", 8) }, "InvalidParameterCombination"),
            (Ebs { iops: Some(3000), ..kind("gp2", 8) }, "InvalidParameterCombination"),
            (Ebs { throughput: Some(125), ..kind("gp2", 8) }, "InvalidParameterCombination"),
        ] {
            assert_eq!(resolve(ebs.clone()), Err(code.to_owned()), "{ebs:?}");
        }
    }

    #[test]
    fn keys_have_arns() {
        let place = Place::new("111122223333", "us-east-1");
        assert_eq!(kms_arn(&place, Some("alias/x")), "arn:aws:kms:us-east-1:111122223333:alias/x");
        assert_eq!(kms_arn(&place, Some("arn:aws:kms:a")), "arn:aws:kms:a");
        assert!(kms_arn(&place, None).starts_with("arn:aws:kms:us-east-1:111122223333:key/"));
    }
}
