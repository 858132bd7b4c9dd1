//! Everything that exists, by account and region, behind one lock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::consistency::Unsettled;
use crate::ebs;
use crate::ec2::{self, SeedImage};
use crate::ssm;
use crate::tokens::Tokens;

/// An account in a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) account: String,
    pub(crate) region: String,
}

impl Place {
    pub(crate) fn new(account: impl Into<String>, region: impl Into<String>) -> Self {
        Self { account: account.into(), region: region.into() }
    }
}

/// What an account has in a region. Each regional service has a field.
#[derive(Debug, Default)]
pub(crate) struct Region {
    pub(crate) ebs: ebs::State,
    pub(crate) ec2: ec2::State,
    pub(crate) ssm: ssm::State,
    pub(crate) tokens: Tokens,
    pub(crate) unsettled: Unsettled,
}

/// Everything that exists. Services that are not regional have a field here.
#[derive(Debug, Default)]
pub(crate) struct World {
    regions: BTreeMap<Place, Region>,
    images: Vec<SeedImage>,
}

impl World {
    /// A world in which these images are in every region.
    pub(crate) fn new(images: Vec<SeedImage>) -> Self {
        Self { regions: BTreeMap::new(), images }
    }

    /// Puts the images of the world into a region.
    pub(crate) fn open(&mut self, region: &str, now: Timestamp) {
        let owners: std::collections::BTreeSet<_> = self.images.iter().map(|image| image.owner.clone()).collect();
        for owner in owners {
            self.region(&Place::new(owner, region), now);
        }
    }

    /// The tags that an account gave something.
    pub(crate) fn tags(&self, place: &Place, id: &str) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.regions.get(place).map_or(&NONE, |region| region.ec2.tags.of(id))
    }

    /// What the account has in the region, where it was used.
    pub(crate) fn place(&self, place: &Place) -> Option<&Region> {
        self.regions.get(place)
    }

    /// What the account has in the region; on first use, what a new account finds there.
    pub(crate) fn region(&mut self, place: &Place, now: Timestamp) -> &mut Region {
        self.regions
            .entry(place.clone())
            .or_insert_with(|| Region { ec2: ec2::State::seeded(place, now, &self.images), ..Region::default() })
    }

    /// Every account's part of a region, for what is shared between accounts.
    pub(crate) fn in_region<'a>(&'a self, region: &'a str) -> impl Iterator<Item = (&'a Place, &'a Region)> {
        self.regions.iter().filter(move |(place, _)| place.region == region)
    }

    /// Whether there is an available image that an account may use.
    pub(crate) fn image_visible(&self, place: &Place, id: &str, now: Timestamp) -> bool {
        self.in_region(&place.region).any(|(owner, region)| {
            let image = region.ec2.images.get(id).filter(|image| image.state(&region.ec2, now) == "available");
            image.is_some_and(|image| owner.account == place.account || image.permission.allows(&place.account))
        })
    }

    /// Every place that was used.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&Place, &Region)> {
        self.regions.iter()
    }

    /// Every place that was used.
    pub(crate) fn places_mut(&mut self) -> impl Iterator<Item = (&Place, &mut Region)> {
        self.regions.iter_mut()
    }
}

/// Something that exists, as `GET /_sim/state` lists it: what leak tests compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResourceState {
    /// Who owns it.
    pub account: String,
    /// Where it is.
    pub region: String,
    /// As in the credential scope: `ec2`.
    pub service: String,
    /// As in tag specifications: `instance`, `image`, `snapshot`, `volume`, `security-group`.
    pub kind: String,
    /// As the API names it.
    pub id: String,
    /// The API's word, such as `running`; empty for what has no states.
    pub state: String,
    /// Whether the simulator had it before the first call.
    pub seeded: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// An id that nothing else has: `prefix` and 17 hexadecimal digits.
pub(crate) fn new_id(prefix: &str) -> String {
    let hex = Uuid::new_v4().simple().to_string();
    format!("{prefix}-{}", &hex[..17])
}

/// The id of something that is there from the start: the same in every run.
pub(crate) fn seeded_id(prefix: &str, parts: &[&str]) -> String {
    use sha2::{Digest, Sha256};
    let hex = crate::signature::hex(&Sha256::digest(parts.join("/").as_bytes()));
    format!("{prefix}-{}", &hex[..17])
}
