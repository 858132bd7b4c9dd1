//! The kinds of resources that builds and imports make, and how each is found when the reply to its creation was lost.
//!
//! All of them carry the token of their create as a tag that the creating call itself writes, so that nothing is ever
//! without; look-ups filter by it.
//!
//! | Kind | Made by | Besides the tag it is known by |
//! |---|---|---|
//! | `instance`, with its volumes and network interface | `RunInstances` | its client token, so that a repeated call gives the same instance |
//! | `security-group` | `CreateSecurityGroup` | its name, which holds the token and is unique in a VPC |
//! | `image`, with its snapshots where the call made them | `CreateImage`, `RegisterImage` | its name, which holds the token and is unique in an account and region |
//! | `snapshot` | `StartSnapshot` | its client token |
//!
//! The snapshots of a build and its `volume`s are made by no call alone. Only a look-up finds them, where the image or the
//! instance that they came with has gone without them.

use image_core::{Error, Kind, Resource, Result};
use std::time::Duration;

/// The plugin's id. It stands in journals, so it never changes.
pub(crate) const OWNER: &str = "aws.ami";

/// Reads of EC2 lag behind by seconds; AWS names no bound, and this is far beyond what is seen.
const SETTLE: Duration = Duration::from_secs(120);

/// A kind of resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ec2Kind {
    Image,
    Instance,
    SecurityGroup,
    Snapshot,
    Volume,
}

impl Ec2Kind {
    const ALL: [Self; 5] = [Self::Image, Self::Instance, Self::SecurityGroup, Self::Snapshot, Self::Volume];

    /// Its name in journals. It never changes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Instance => "instance",
            Self::SecurityGroup => "security-group",
            Self::Snapshot => "snapshot",
            Self::Volume => "volume",
        }
    }

    /// As it stands in journals. The deadline leaves room for the repetitions of [`again`](super::create::again).
    pub(crate) fn kind(self) -> Kind {
        Kind::new(self.name(), Duration::from_secs(180), SETTLE)
    }

    pub(crate) fn of(resource: &Resource) -> Result<Self> {
        let name = &resource.kind.name;
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| Error::bug(format!("{} has no kind {name}", resource.owner)))
    }
}
