//! What can be chosen about an AMI and the instances that it is built and tested on.

use super::{AmiBuilder, volume::Volume};
use crate::{place, tag};
use image_core::{Error, Result};
use std::collections::BTreeMap;

/// Longest user data before encoding: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html>. What our own
/// part and its frame take is left out.
const USER_DATA_BYTES: usize = 15 * 1024;
/// Tags that a resource holds, less those that we write:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html>.
const TAGS: usize = 40;

/// An instance type in a subnet, and so in a zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) instance_type: String,
    pub(crate) subnet: String,
}

/// How instances are paid.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Market {
    #[default]
    OnDemand,
    Spot {
        max_price: Option<String>,
    },
}

/// How volumes are encrypted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Encryption {
    /// Whatever the account's default, the source or the parent says.
    Account,
    Key(String),
    /// The account's default key for EBS.
    #[default]
    DefaultKey,
}

impl Encryption {
    /// As it stands in fingerprints.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Account => "account",
            Self::Key(key) => key,
            Self::DefaultKey => "default key",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) market: Market,
    pub(crate) public_ip: bool,
    pub(crate) security_groups: Vec<String>,
    pub(crate) instance_profile: Option<String>,
    pub(crate) instance_role: Option<String>,
    pub(crate) root: Volume,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) encryption: Encryption,
    pub(crate) imds_v1: bool,
    pub(crate) user_data: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) regions: Vec<String>,
}

impl Settings {
    pub(crate) fn new() -> Self {
        Self {
            candidates: vec![],
            market: Market::OnDemand,
            public_ip: false,
            security_groups: vec![],
            instance_profile: None,
            instance_role: None,
            root: Volume::default(),
            volumes: BTreeMap::new(),
            encryption: Encryption::DefaultKey,
            imds_v1: false,
            user_data: None,
            tags: BTreeMap::new(),
            regions: vec![],
        }
    }

    /// Everything that changes what an image is. Where and on what it was built does not.
    pub(crate) fn fingerprint(&self) -> impl serde::Serialize {
        let sizes: Vec<(String, Option<u32>)> =
            self.volumes.iter().map(|(device, volume)| (device.clone(), volume.size())).collect();
        (self.root.size(), sizes, self.encryption.name().to_owned(), self.imds_v1, self.user_data.clone())
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.candidates.is_empty() {
            return Err(Error::invalid("candidates", "", "at least one instance type in a subnet"));
        }
        for Candidate { instance_type, subnet } in &self.candidates {
            check_instance_type(instance_type)?;
            check_id("subnet", subnet, "subnet")?;
        }
        for group in &self.security_groups {
            check_id("security_group", group, "sg")?;
        }
        self.check_market()?;
        self.check_identity()?;
        self.check_volumes()?;
        self.check_user_data()?;
        check_tags("tags", &self.tags)?;
        self.regions.iter().try_for_each(|region| place::check_region(region))
    }

    fn check_market(&self) -> Result<()> {
        let Market::Spot { max_price: Some(price) } = &self.market else { return Ok(()) };
        if price.parse::<f64>().is_ok_and(|price| price.is_finite() && price > 0.0) {
            return Ok(());
        }
        Err(Error::invalid("spot_max_price", price, "US dollars an hour, for example 0.05"))
    }

    fn check_identity(&self) -> Result<()> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@-_".contains(&b);
        for (field, name) in [("instance_profile", &self.instance_profile), ("instance_role", &self.instance_role)] {
            let Some(name) = name else { continue };
            if !(1..=128).contains(&name.len()) || !name.bytes().all(allowed) {
                return Err(Error::invalid(
                    field,
                    name,
                    "a name of 1 to 128 of A-Z, a-z, 0-9 and +=,.@-_, without a path",
                ));
            }
        }
        Ok(())
    }

    fn check_volumes(&self) -> Result<()> {
        self.root.check("root_volume")?;
        for (device, volume) in &self.volumes {
            check_device("data_volume", device)?;
            if volume.size().is_none() {
                return Err(Error::invalid("data_volume", device, "a volume with a size in GiB"));
            }
            volume.check(&format!("data_volume {device}"))?;
        }
        let Encryption::Key(key) = &self.encryption else { return Ok(()) };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b":/_-".contains(&b);
        if key.is_empty() || key.len() > 2048 || !key.bytes().all(plain) {
            return Err(Error::invalid("kms_key", key, "the id, ARN or alias/NAME of a KMS key"));
        }
        Ok(())
    }

    fn check_user_data(&self) -> Result<()> {
        let Some(text) = &self.user_data else { return Ok(()) };
        if text.len() > USER_DATA_BYTES {
            let size = format!("{} bytes", text.len());
            return Err(Error::invalid("user_data", size, format!("up to {USER_DATA_BYTES} bytes")));
        }
        let first = text.lines().next().unwrap_or_default();
        if ["#!", "#cloud-", "#include", "## template:"].iter().any(|known| first.starts_with(known)) {
            return Ok(());
        }
        let accepted = "one text that cloud-init knows by its first line: #!, #cloud-config, #cloud-boothook, #include";
        Err(Error::invalid("user_data", format!("{first}…"), accepted))
    }
}

/// What EC2 takes as tags, without the keys that are ours.
pub(crate) fn check_tags(field: &str, tags: &BTreeMap<String, String>) -> Result<()> {
    if tags.len() > TAGS {
        return Err(Error::invalid(field, format!("{} tags", tags.len()), format!("up to {TAGS}")));
    }
    for (key, value) in tags {
        let reserved = ["aws:", tag::PREFIX].iter().any(|prefix| key.to_lowercase().starts_with(prefix));
        if key.is_empty() || key.chars().count() > 128 || reserved {
            let accepted = format!("keys of 1 to 128 characters that begin neither with aws: nor with {}", tag::PREFIX);
            return Err(Error::invalid(field, key, accepted));
        }
        if value.chars().count() > 256 {
            return Err(Error::invalid(field, format!("{key}={value}"), "values of up to 256 characters"));
        }
    }
    Ok(())
}

/// Names of devices: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html>.
pub(crate) fn check_device(field: &str, device: &str) -> Result<()> {
    let name = device.strip_prefix("/dev/").unwrap_or_default();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Err(Error::invalid(field, device, "a device, for example /dev/sdf"));
    }
    Ok(())
}

/// Ids are a prefix, a hyphen and 8 or 17 hexadecimal digits.
pub(crate) fn check_id(field: &str, id: &str, prefix: &str) -> Result<()> {
    let digits = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
    let hex = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if matches!(digits.len(), 8 | 17) && hex {
        return Ok(());
    }
    Err(Error::invalid(field, id, format!("{prefix}- and 8 or 17 hexadecimal digits")))
}

fn check_instance_type(text: &str) -> Result<()> {
    let allowed = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match text.split_once('.') {
        Some((family, size)) if allowed(family) && allowed(size) => Ok(()),
        _ => Err(Error::invalid("instance_type", text, "an instance type, for example m7i.large")),
    }
}

impl AmiBuilder {
    /// Adds an instance type in a subnet. They are tried in this order where one has no capacity, each by a launch of its
    /// own; all subnets must be of one VPC. At least one is needed.
    #[must_use]
    pub fn candidate(mut self, instance_type: impl Into<String>, subnet: impl Into<String>) -> Self {
        let candidate = Candidate { instance_type: instance_type.into(), subnet: subnet.into() };
        self.settings.candidates.push(candidate);
        self
    }
    /// Adds each instance type in each subnet: the first type in all subnets, then the next type.
    #[must_use]
    pub fn candidates<T: Into<String>, S: AsRef<str>>(
        mut self,
        instance_types: impl IntoIterator<Item = T>,
        subnets: impl IntoIterator<Item = S>,
    ) -> Self {
        let subnets: Vec<S> = subnets.into_iter().collect();
        for instance_type in instance_types {
            let instance_type = instance_type.into();
            for subnet in &subnets {
                self = self.candidate(instance_type.clone(), subnet.as_ref());
            }
        }
        self
    }
    /// Builds and boots on spot instances, for no more than the on-demand price unless a price in US dollars an hour is
    /// given. EC2 cannot stop these, so that it restarts the instance while it takes the image.
    #[must_use]
    pub fn spot(mut self, max_price: Option<&str>) -> Self {
        self.settings.market = Market::Spot { max_price: max_price.map(str::to_owned) };
        self
    }
    /// Gives instances a public IPv4 address. Unless this is asked for they have none, whatever the subnet does.
    #[must_use]
    pub fn public_ip(mut self) -> Self {
        self.settings.public_ip = true;
        self
    }
    /// Puts instances into a security group that exists. Unless there is one, each launch has a group of its own, without
    /// an inbound rule, for as long as its instance lives.
    #[must_use]
    pub fn security_group(mut self, id: impl Into<String>) -> Self {
        self.settings.security_groups.push(id.into());
        self
    }
    /// Gives instances the role of an instance profile that exists, by the profile's name. Systems Manager needs one that
    /// allows what `AmazonSSMManagedInstanceCore` does, unless the account has a default host configuration. No temporary
    /// role is ever made.
    #[must_use]
    pub fn instance_profile(mut self, name: impl Into<String>) -> Self {
        self.settings.instance_profile = Some(name.into());
        self
    }
    /// Names the role of the instance profile where its name is another, for [`iam_policy`](super::iam_policy).
    #[must_use]
    pub fn instance_role(mut self, name: impl Into<String>) -> Self {
        self.settings.instance_role = Some(name.into());
        self
    }
    /// Sets the root volume. Unless it is set it is a gp3 volume of the source image's size.
    #[must_use]
    pub fn root_volume(mut self, volume: Volume) -> Self {
        self.settings.root = volume;
        self
    }
    /// Adds an empty volume, which becomes part of the image. Where the image that is built upon has the device, its
    /// content stays, and the volume is of this size.
    #[must_use]
    pub fn data_volume(mut self, device: impl Into<String>, volume: Volume) -> Self {
        self.settings.volumes.insert(device.into(), volume);
        self
    }
    /// Encrypts all volumes, and so the image, by a KMS key: its id, its ARN or `alias/NAME`. Unless it is set, the
    /// account's default key for EBS encrypts them; where that is the one of AWS, the image cannot be shared.
    #[must_use]
    pub fn kms_key(mut self, key: impl Into<String>) -> Self {
        self.settings.encryption = Encryption::Key(key.into());
        self
    }
    /// Does not ask for encryption: volumes are encrypted only where the source image or the account's default says so.
    #[must_use]
    pub fn without_encryption(mut self) -> Self {
        self.settings.encryption = Encryption::Account;
        self
    }
    /// Leaves it to whoever launches the image whether IMDSv1 answers. Unless this is asked for, the image says that it
    /// needs IMDSv2.
    #[must_use]
    pub fn allow_imds_v1(mut self) -> Self {
        self.settings.imds_v1 = true;
        self
    }
    /// Sets user data of the build instance, for cloud-init: one text whose first line says what it is, for example
    /// `#cloud-config`. It is no place for secrets: EC2 shows it to whoever may describe instances.
    #[must_use]
    pub fn user_data(mut self, text: impl Into<String>) -> Self {
        self.settings.user_data = Some(text.into());
        self
    }
    /// Adds a tag to all that is created: instances, volumes, network interfaces, security groups, images and snapshots.
    /// Labels of the build are tags of the image.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.tags.insert(key.into(), value.into());
        self
    }
    /// Adds a region in which [`find`](image_core::Undo::find), and so a reap, looks for leftovers of the account.
    #[must_use]
    pub fn find_in_region(mut self, region: impl Into<String>) -> Self {
        self.settings.regions.push(region.into());
        self
    }
}

#[cfg(test)]
mod tests;
