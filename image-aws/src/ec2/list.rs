//! Listing what carries our tags, all pages of it.

use super::client::{Region, filter};
use crate::{error::sdk_error, tag};
use aws_sdk_ec2::types::{Filter, Image, Instance, SecurityGroup, Snapshot, Volume};
use image_core::Result;

/// What a listing is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Which<'a> {
    /// All that carries our token tag.
    All,
    /// What carries a fingerprint.
    Fingerprint(&'a str),
    /// What was made by one create.
    Token(&'a str),
    /// Things by their ids. One that is missing is no error.
    Ids(&'a [String]),
}

impl Which<'_> {
    fn filter(&self, id: &str) -> Filter {
        match self {
            Self::All => filter("tag-key", [tag::TOKEN]),
            Self::Fingerprint(fingerprint) => filter(&format!("tag:{}", tag::FINGERPRINT), [fingerprint]),
            Self::Token(token) => filter(&format!("tag:{}", tag::TOKEN), [token]),
            Self::Ids(ids) => filter(id, ids.iter()),
        }
    }
}

macro_rules! list {
    ($(#[$doc:meta])* $name:ident, $item:ty, $id:literal, $operation:literal,
     |$client:ident| $call:expr, |$page:ident| $items:expr) => {
        $(#[$doc])*
        pub(crate) async fn $name(region: &Region, which: Which<'_>) -> Result<Vec<$item>> {
            let $client = region.client().await?;
            let mut found = vec![];
            let mut pages = $call.filters(which.filter($id)).max_results(1000).into_paginator().send();
            while let Some($page) = pages.next().await {
                let $page = $page.map_err(|e| sdk_error($operation, &region.place, e))?;
                found.extend($items);
            }
            Ok(found)
        }
    };
}

list!(
    /// Instances of all states.
    instances, Instance, "instance-id", "ec2:DescribeInstances",
    |client| client.describe_instances(),
    |page| page.reservations.unwrap_or_default().into_iter().flat_map(|r| r.instances.unwrap_or_default())
);
list!(
    /// Security groups.
    security_groups, SecurityGroup, "group-id", "ec2:DescribeSecurityGroups",
    |client| client.describe_security_groups(),
    |page| page.security_groups.unwrap_or_default()
);
list!(
    /// Images of our own account in all states.
    images, Image, "image-id", "ec2:DescribeImages",
    |client| client.describe_images().owners("self").include_deprecated(true).include_disabled(true),
    |page| page.images.unwrap_or_default()
);
list!(
    /// Snapshots of our own account.
    snapshots, Snapshot, "snapshot-id", "ec2:DescribeSnapshots",
    |client| client.describe_snapshots().owner_ids("self"),
    |page| page.snapshots.unwrap_or_default()
);
list!(
    /// Volumes.
    volumes, Volume, "volume-id", "ec2:DescribeVolumes",
    |client| client.describe_volumes(),
    |page| page.volumes.unwrap_or_default()
);

/// The image that the create of a token made, where it can be seen: reads lag behind.
pub(crate) async fn image_of_token(region: &Region, token: &str) -> Result<Option<String>> {
    let found = images(region, Which::Token(token)).await?;
    Ok(found.into_iter().next().and_then(|image| image.image_id))
}
