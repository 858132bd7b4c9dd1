//! How disks become images.

use super::{BlockDigests, EbsDirect};
use crate::{
    ec2::settings::{Encryption, check_device, check_id, check_tags},
    place,
};
use image_core::{Builder, Error, Result};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) encryption: Encryption,
    pub(crate) parent: Option<String>,
    pub(crate) trust_unwritten: bool,
    pub(crate) gib: Option<u32>,
    pub(crate) tpm: bool,
    pub(crate) imds_v1: bool,
    pub(crate) root_device: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) regions: Vec<String>,
    pub(crate) manifests: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            encryption: Encryption::default(),
            parent: None,
            trust_unwritten: false,
            gib: None,
            tpm: false,
            imds_v1: false,
            root_device: "/dev/xvda".into(),
            tags: BTreeMap::new(),
            regions: vec![],
            manifests: None,
        }
    }
}

impl Settings {
    /// What changes the image that comes out.
    pub(crate) fn fingerprint(&self) -> impl serde::Serialize {
        (self.encryption.name().to_owned(), self.gib, self.tpm, self.imds_v1, self.root_device.clone())
    }

    pub(crate) fn check(&self) -> Result<()> {
        if let Some(parent) = &self.parent {
            check_id("parent", parent, "snap")?;
            if self.encryption != Encryption::Account {
                let accepted = "none while encryption is asked for, as EBS takes either; \
                                a child is encrypted as its parent is: say without_encryption";
                return Err(Error::invalid("parent", parent, accepted));
            }
        }
        if let Encryption::Key(arn) = &self.encryption
            && !(arn.starts_with("arn:") && arn.contains(":kms:"))
        {
            return Err(Error::invalid("kms_key", arn, "the ARN of a KMS key: EBS direct takes no id and no alias"));
        }
        if let Some(gib) = self.gib.filter(|gib| !(1..=65_536).contains(gib)) {
            return Err(Error::invalid("volume_gib", gib, "1 to 65536"));
        }
        check_device("root_device", &self.root_device)?;
        check_tags("tags", &self.tags)?;
        self.regions.iter().try_for_each(|region| place::check_region(region))
    }
}

impl EbsDirect {
    /// Boots imported images, to test them, as this builder does: an [`AmiBuilder`](crate::ec2::AmiBuilder) of the same account and
    /// region. Without one an image cannot be booted, and a pipeline that validates what it imported refuses that.
    #[must_use]
    pub fn boots_with(mut self, booter: impl Builder) -> Self {
        self.booter = Some(Arc::new(booter));
        self
    }
    /// Shares what is known of disks with other importers, so that a disk is hashed once for all regions.
    #[must_use]
    pub fn digests(mut self, digests: BlockDigests) -> Self {
        self.digests = digests;
        self
    }
    /// Sends only what differs from a snapshot, usually the one of the image before, and zeros where the disk has become
    /// zeros. What the snapshot holds is read from its manifest, or from the snapshot itself where there is none. A child
    /// is encrypted as its parent is, so this needs [`without_encryption`](Self::without_encryption).
    #[must_use]
    pub fn parent(mut self, snapshot: impl Into<String>) -> Self {
        self.settings.parent = Some(snapshot.into());
        self
    }
    /// Keeps what each imported snapshot holds in a directory, one file each, so that none has to be downloaded to be a
    /// [`parent`](Self::parent).
    #[must_use]
    pub fn manifests_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.manifests = Some(directory.into());
        self
    }
    /// Encrypts snapshots by a KMS key, given by its ARN. Unless it is set, the account's default key for EBS encrypts
    /// them; where that is the one of AWS, the image cannot be shared.
    #[must_use]
    pub fn kms_key(mut self, arn: impl Into<String>) -> Self {
        self.settings.encryption = Encryption::Key(arn.into());
        self
    }
    /// Does not ask for encryption: snapshots are encrypted only where the account's default or the parent says so.
    #[must_use]
    pub fn without_encryption(mut self) -> Self {
        self.settings.encryption = Encryption::Account;
        self
    }
    /// Leaves blocks of zeros out of encrypted snapshots too.
    ///
    /// A block that was never written reads as zeros where the snapshot is not encrypted. Where it is, AWS promises
    /// nothing, so zeros are written unless this is said: right for disks whose file systems never read what they did not
    /// write, and far faster for disks that are mostly empty.
    #[must_use]
    pub fn trust_unwritten_blocks(mut self) -> Self {
        self.settings.trust_unwritten = true;
        self
    }
    /// Sets the size of the volume in GiB, where it is to be larger than the disk. The file system grows on the first
    /// boot, where the image is made so.
    #[must_use]
    pub fn volume_gib(mut self, size: u32) -> Self {
        self.settings.gib = Some(size);
        self
    }
    /// Gives instances a TPM 2.0. Only images that boot by UEFI have one.
    #[must_use]
    pub fn tpm(mut self) -> Self {
        self.settings.tpm = true;
        self
    }
    /// Leaves it to whoever launches the image whether IMDSv1 answers. Unless this is asked for, the image says that it
    /// needs IMDSv2.
    #[must_use]
    pub fn allow_imds_v1(mut self) -> Self {
        self.settings.imds_v1 = true;
        self
    }
    /// Sets the root device's name: `/dev/xvda` unless set.
    #[must_use]
    pub fn root_device(mut self, name: impl Into<String>) -> Self {
        self.settings.root_device = name.into();
        self
    }
    /// Adds a tag to snapshots and images. Labels of the build are tags too.
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
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_by_its_field() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        for (field, message) in [
            ("parent", with(|s| s.parent = Some("snap-0123456789abcdef0".into()))),
            (
                "parent",
                with(|s| (s.parent, s.encryption) = (Some("ami-0123456789abcdef0".into()), Encryption::Account)),
            ),
            ("kms_key", with(|s| s.encryption = Encryption::Key("alias/images".into()))),
            ("volume_gib", with(|s| s.gib = Some(0))),
            ("root_device", with(|s| s.root_device = "xvda".into())),
            ("tags", with(|s| s.tags = BTreeMap::from([("aws:x".into(), String::new())]))),
            ("region", with(|s| s.regions.push("nowhere".into()))),
        ] {
            assert!(message.starts_with(field), "{message}");
        }
        let message = with(|s| s.parent = Some("snap-0123456789abcdef0".into()));
        assert!(message.contains("without_encryption"), "{message}");
        Settings::default().check().unwrap();
    }
}
