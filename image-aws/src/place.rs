//! Partitions, accounts and regions: where an AWS id means something.

use image_core::{Error, Result, Scope};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An account and a region of it. AWS ids of images, snapshots and instances are unique in a region only.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    /// For example `ap-northeast-1`.
    pub region: String,
}

impl Place {
    /// An account and a region.
    ///
    /// # Errors
    /// `InvalidInput` when the account is not twelve digits, or the region has no form of a region's name.
    pub fn new(account: impl Into<String>, region: impl Into<String>) -> Result<Self> {
        let place = Self { account: account.into(), region: region.into() };
        if place.account.len() != 12 || !place.account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::invalid("account", &place.account, "an account id of twelve digits"));
        }
        check_region(&place.region)?;
        Ok(place)
    }

    /// Whose ids these are: partition and account. All regions of an account are one scope; a resource's location says
    /// which.
    pub fn scope(&self) -> Scope {
        scope(partition(&self.region), &self.account)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

impl FromStr for Place {
    type Err = Error;

    /// Reads `111122223333/us-west-2`.
    fn from_str(text: &str) -> Result<Self> {
        let (account, region) = text.split_once('/').ok_or_else(|| Error::invalid("place", text, "ACCOUNT/REGION"))?;
        Self::new(account, region)
    }
}

/// The scope of an account.
pub(crate) fn scope(partition: &str, account: &str) -> Scope {
    Scope::new(format!("{partition}/{account}"))
}

/// The partition that a region is in, by its name. See <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>.
pub fn partition(region: &str) -> &'static str {
    const BY_PREFIX: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("eusc-", "aws-eusc"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
    ];
    BY_PREFIX.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

/// Region names are small letters, digits and hyphens, and end in a number: `us-gov-west-1`.
pub(crate) fn check_region(region: &str) -> Result<()> {
    let parts: Vec<_> = region.split('-').collect();
    let number = parts.last().is_some_and(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()));
    let words =
        parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    if parts.len() >= 3 && number && words {
        Ok(())
    } else {
        Err(Error::invalid("region", region, "a region's name, for example us-west-2"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place: Place = "111122223333/us-gov-west-1".parse().unwrap();
        assert_eq!(place.to_string(), "111122223333/us-gov-west-1");
        assert_eq!(place.scope().as_str(), "aws-us-gov/111122223333");
    }

    #[test]
    fn what_is_no_place_is_refused_by_its_field() {
        for (text, field) in [
            ("1111/us-west-2", "account"),
            ("11112222333x/us-west-2", "account"),
            ("111122223333/us-west", "region"),
            ("111122223333/us-west-2a", "region"),
            ("111122223333/US-west-2", "region"),
            ("111122223333/us--2", "region"),
            ("us-west-2", "place"),
        ] {
            let error = text.parse::<Place>().unwrap_err();
            assert_eq!(error.kind(), image_core::ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with(field), "{text}: {error}");
        }
    }

    #[test]
    fn regions_know_their_partition() {
        for (region, expected) in [
            ("ap-northeast-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-east-1", "aws-us-gov"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            assert_eq!(partition(region), expected);
        }
    }
}
