//! Where copies of an image are wanted, and who may use them there.

use crate::{Place, ec2::settings::check_tags, place};
use image_core::{Error, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Time-based copies are sold in steps of this, up to two days:
/// <https://docs.aws.amazon.com/ebs/latest/userguide/time-based-copies.html>.
const COPY_STEP: Duration = Duration::from_secs(15 * 60);
const LONGEST_COPY: Duration = Duration::from_secs(48 * 3600);
/// `DescribeImages` shows no deprecation further away than ten years:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deprecate.html>.
const LONGEST_DEPRECATION: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// An account and a region that gets the image, and what is done with it there.
///
/// A target in the place of the image itself and without encryption makes no copy: the image is used as it is.
///
/// Nobody outside the account sees anything before the run is committed: permissions, deprecation, protection and
/// pointers are all set when it publishes. Permissions are only ever added; what others gave stays.
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) place: Place,
    pub(crate) encryption: Encryption,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) copy_within: Option<Duration>,
    pub(crate) accounts: BTreeSet<String>,
    pub(crate) organizations: BTreeSet<String>,
    pub(crate) units: BTreeSet<String>,
    pub(crate) public: bool,
    pub(crate) share_snapshots: bool,
    pub(crate) deprecate_after: Option<Duration>,
    pub(crate) protection: Option<Protection>,
    pub(crate) fast_restore: BTreeSet<String>,
    pub(crate) parameters: BTreeSet<String>,
    pub(crate) templates: BTreeSet<String>,
}

/// How the snapshots of a copy are encrypted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Encryption {
    /// As those of the image, or as the account asks for by default.
    #[default]
    AsSource,
    /// With the account's default key for EBS.
    Default,
    /// With a key of one's own.
    Key(String),
}

/// What keeps an image from being deregistered.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protection {
    /// Until it is switched off.
    Immediate,
    /// Until a day after it was switched off.
    WithCooldown,
}

impl Target {
    /// A private copy.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            encryption: Encryption::AsSource,
            tags: BTreeMap::new(),
            copy_within: None,
            accounts: BTreeSet::new(),
            organizations: BTreeSet::new(),
            units: BTreeSet::new(),
            public: false,
            share_snapshots: false,
            deprecate_after: None,
            protection: None,
            fast_restore: BTreeSet::new(),
            parameters: BTreeSet::new(),
            templates: BTreeSet::new(),
        }
    }
    /// Encrypts the copy with a KMS key of this region: an id, an ARN or an alias.
    #[must_use]
    pub fn kms_key(mut self, key: impl Into<String>) -> Self {
        self.encryption = Encryption::Key(key.into());
        self
    }
    /// Encrypts the copy with the account's default key for EBS. Such a copy cannot be shared with other accounts.
    #[must_use]
    pub fn encrypted(mut self) -> Self {
        self.encryption = Encryption::Default;
        self
    }
    /// Adds a tag to the copy and its snapshots.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }
    /// Pays for each snapshot to be copied in this time: 15 minutes to 48 hours, in steps of 15 minutes.
    #[must_use]
    pub fn copy_within(mut self, duration: Duration) -> Self {
        self.copy_within = Some(duration);
        self
    }
    /// Lets an account launch the image.
    #[must_use]
    pub fn share_with_account(mut self, account: impl Into<String>) -> Self {
        self.accounts.insert(account.into());
        self
    }
    /// Lets all accounts of an organization launch the image, by the organization's ARN.
    #[must_use]
    pub fn share_with_organization(mut self, arn: impl Into<String>) -> Self {
        self.organizations.insert(arn.into());
        self
    }
    /// Lets all accounts of an organizational unit launch the image, by the unit's ARN.
    #[must_use]
    pub fn share_with_unit(mut self, arn: impl Into<String>) -> Self {
        self.units.insert(arn.into());
        self
    }
    /// Lets everybody launch the image.
    #[must_use]
    pub fn dangerously_public(mut self) -> Self {
        self.public = true;
        self
    }
    /// Lets the accounts that may launch the image also copy it: they get its snapshots too.
    #[must_use]
    pub fn share_snapshots(mut self) -> Self {
        self.share_snapshots = true;
        self
    }
    /// Deprecates the image this long after it is published first, to the minute; ten years at most. Nobody who knows its
    /// id is kept from using it then.
    #[must_use]
    pub fn deprecate_after(mut self, duration: Duration) -> Self {
        self.deprecate_after = Some(duration);
        self
    }
    /// Protects the image from being deregistered.
    #[must_use]
    pub fn protect(mut self, protection: Protection) -> Self {
        self.protection = Some(protection);
        self
    }
    /// Enables fast snapshot restore in an availability zone, which costs money by the hour until it is disabled.
    #[must_use]
    pub fn fast_restore(mut self, zone: impl Into<String>) -> Self {
        self.fast_restore.insert(zone.into());
        self
    }
    /// Points a parameter of Systems Manager to the copy.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>) -> Self {
        self.parameters.insert(name.into());
        self
    }
    /// Adds a version with the copy to a launch template, by id or name, and makes it the default version.
    #[must_use]
    pub fn launch_template(mut self, template: impl Into<String>) -> Self {
        self.templates.insert(template.into());
        self
    }

    /// Whether anybody outside the account gets to launch it.
    pub(crate) fn is_shared(&self) -> bool {
        !(self.accounts.is_empty() && self.organizations.is_empty() && self.units.is_empty())
    }

    /// Whether the image itself serves as the copy.
    pub(crate) fn is_in_place(&self, source: &Place) -> bool {
        self.place == *source && self.encryption == Encryption::AsSource
    }

    /// Whether it names an image by pointers, which are for one image only.
    pub(crate) fn has_pointers(&self) -> bool {
        !(self.parameters.is_empty() && self.templates.is_empty())
    }

    /// Refuses settings that cannot work, without a call.
    pub(crate) fn check(&self, source: &Place) -> Result<()> {
        let named = |e: Error| e.with_context("target", &self.place);
        self.check_copy(source).and_then(|()| self.check_sharing()).and_then(|()| self.check_rest()).map_err(named)
    }

    fn check_copy(&self, source: &Place) -> Result<()> {
        let (here, there) = (place::partition(&self.place.region), place::partition(&source.region));
        if here != there {
            let accepted = format!("a region of the partition {there}, where the image is");
            return Err(Error::invalid("region", &self.place.region, accepted));
        }
        if let Encryption::Key(key) = &self.encryption {
            check_key(key, &self.place)?;
        }
        if self.is_in_place(source) {
            let why = "none: the image itself is used where it is built";
            if let Some(key) = self.tags.keys().next() {
                return Err(Error::invalid("tag", key, why));
            }
            if let Some(within) = self.copy_within {
                return Err(Error::invalid("copy_within", format!("{within:?}"), why));
            }
        }
        match self.copy_within {
            Some(within) if within.is_zero() || within > LONGEST_COPY || !is_multiple(within, COPY_STEP) => {
                let accepted = "15 minutes to 48 hours, in steps of 15 minutes";
                Err(Error::invalid("copy_within", format!("{within:?}"), accepted))
            }
            _ => check_tags("tag", &self.tags),
        }
    }

    fn check_sharing(&self) -> Result<()> {
        for account in &self.accounts {
            if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Error::invalid("share_with_account", account, "an account id of twelve digits"));
            }
            if *account == self.place.account {
                return Err(Error::invalid("share_with_account", account, "another account than the copy's own"));
            }
        }
        check_arns("share_with_organization", &self.organizations, ":organization/o-")?;
        check_arns("share_with_unit", &self.units, ":ou/o-")?;
        if self.is_shared() && self.encryption == Encryption::Default {
            let accepted = "a KMS key of your own: a copy under the default key cannot be shared with other accounts";
            return Err(Error::invalid("encryption", "the default key", accepted));
        }
        if self.public && self.encryption != Encryption::AsSource {
            return Err(Error::invalid("dangerously_public", "true", "copies that are not encrypted"));
        }
        if self.share_snapshots && self.accounts.is_empty() {
            let accepted = "targets that share with accounts; snapshots cannot be shared with organizations";
            return Err(Error::invalid("share_snapshots", "true", accepted));
        }
        Ok(())
    }

    fn check_rest(&self) -> Result<()> {
        if let Some(after) = self.deprecate_after
            && !(Duration::from_secs(60)..=LONGEST_DEPRECATION).contains(&after)
        {
            return Err(Error::invalid("deprecate_after", format!("{after:?}"), "one minute to ten years"));
        }
        for zone in &self.fast_restore {
            let letter = zone.strip_prefix(&self.place.region).unwrap_or_default();
            if letter.is_empty() || !letter.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
                let accepted = format!("an availability zone of {0}, for example {0}a", self.place.region);
                return Err(Error::invalid("fast_restore", zone, accepted));
            }
        }
        self.parameters.iter().try_for_each(|name| super::parameter::check_name(name))?;
        self.templates.iter().try_for_each(|template| super::template::check_template(template))
    }
}

fn is_multiple(duration: Duration, step: Duration) -> bool {
    duration.subsec_nanos() == 0 && duration.as_secs().is_multiple_of(step.as_secs())
}

/// An id, an alias, or an ARN of the region: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html>.
fn check_key(key: &str, place: &Place) -> Result<()> {
    let good = match key.strip_prefix("arn:") {
        Some(rest) => matches!(rest.splitn(5, ':').collect::<Vec<_>>()[..],
            [_, "kms", region, _, name] if region == place.region && (name.starts_with("key/") || name.starts_with("alias/"))),
        None => {
            let name = key.strip_prefix("alias/").unwrap_or(key);
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b))
        }
    };
    if key == "alias/aws/ebs" {
        return Err(Error::invalid("kms_key", key, "a key of your own; for the default one, ask for `encrypted`"));
    }
    let accepted = || format!("the id, the alias (`alias/..`) or the ARN of a key in {}", place.region);
    if good { Ok(()) } else { Err(Error::invalid("kms_key", key, accepted())) }
}

fn check_arns(field: &str, arns: &BTreeSet<String>, part: &str) -> Result<()> {
    match arns.iter().find(|arn| !arn.starts_with("arn:") || !arn.contains(":organizations::") || !arn.contains(part)) {
        Some(arn) => Err(Error::invalid(field, arn, format!("an ARN of the form arn:aws:organizations::..{part}.."))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(region: &str) -> Place {
        Place::new("111122223333", region).unwrap()
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let new = || Target::new(place("eu-west-1"));
        let minutes = |n: u64| Duration::from_secs(60 * n);
        for (target, field) in [
            (Target::new(place("cn-north-1")), "region"),
            (new().kms_key("arn:aws:kms:us-east-1:111122223333:key/1"), "kms_key"),
            (new().kms_key("alias/aws/ebs"), "kms_key"),
            (new().kms_key(""), "kms_key"),
            (new().copy_within(minutes(20)), "copy_within"),
            (new().copy_within(minutes(0)), "copy_within"),
            (new().copy_within(minutes(49 * 60)), "copy_within"),
            (new().tag("golden-image:state", "kept"), "tag"),
            (new().tag("AWS:x", "y"), "tag"),
            (new().share_with_account("1234"), "share_with_account"),
            (new().share_with_account("111122223333"), "share_with_account"),
            (new().share_with_organization("o-1"), "share_with_organization"),
            (new().share_with_unit("arn:aws:organizations::1:organization/o-1"), "share_with_unit"),
            (new().encrypted().share_with_account("444455556666"), "encryption"),
            (new().kms_key("k").dangerously_public(), "dangerously_public"),
            (new().share_snapshots(), "share_snapshots"),
            (new().deprecate_after(Duration::from_secs(1)), "deprecate_after"),
            (new().fast_restore("us-east-1a"), "fast_restore"),
            (new().parameter("/aws/service/x"), "parameter"),
            (new().launch_template("a b"), "launch_template"),
            (Target::new(place("us-east-1")).tag("a", "b"), "tag"),
        ] {
            let error = target.check(&place("us-east-1")).unwrap_err();
            assert_eq!(error.kind(), image_core::ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with(&format!("{field} is `")), "{field}: {error}");
            assert!(error.to_string().contains("target: 111122223333/"), "{error}");
        }
    }

    #[test]
    fn settings_that_can_work_are_taken() {
        let full = Target::new(place("eu-west-1"))
            .kms_key("arn:aws:kms:eu-west-1:111122223333:key/1234abcd")
            .tag("team", "base")
            .copy_within(Duration::from_secs(15 * 60))
            .share_with_account("444455556666")
            .share_with_organization("arn:aws:organizations::123456789012:organization/o-123example")
            .share_with_unit("arn:aws:organizations::123456789012:ou/o-123example/ou-1234-5example")
            .share_snapshots()
            .deprecate_after(Duration::from_secs(90 * 24 * 3600))
            .protect(Protection::WithCooldown)
            .fast_restore("eu-west-1a")
            .parameter("/golden/web")
            .launch_template("lt-0123456789abcdef0");
        full.check(&place("us-east-1")).unwrap();
        Target::new(place("eu-west-1")).kms_key("alias/own").check(&place("eu-west-1")).unwrap();
        assert!(Target::new(place("eu-west-1")).is_in_place(&place("eu-west-1")));
        assert!(!Target::new(place("eu-west-1")).kms_key("alias/own").is_in_place(&place("eu-west-1")));
    }
}
