//! The kinds of resources that an import makes, and how each is found when the reply to its creation was lost.
//!
//! Both carry the token of their create as a tag that the creating call itself writes; look-ups filter by it.
//!
//! | Kind | Made by | Besides the tag it is known by |
//! |---|---|---|
//! | `snapshot` | `StartSnapshot` | its client token, so that a repeated call gives the same snapshot |
//! | `image` | `RegisterImage` | its name, which holds the token and is unique in an account and region |

use crate::tag;
use image_core::{CreateRequest, Error, Kind, Resource, Result};
use std::{collections::BTreeMap, time::Duration};

/// The plugin's id. It stands in journals, so it never changes.
pub(crate) const OWNER: &str = "aws.ebs";
/// The tag that keeps what this plugin made apart from what others of this library made.
pub(crate) const MADE_BY: &str = "golden-image:made-by";
/// Reads of EC2 lag behind by seconds; AWS names no bound, and this is far beyond what is seen.
const SETTLE: Duration = Duration::from_secs(120);

/// A kind of resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EbsKind {
    Image,
    Snapshot,
}

impl EbsKind {
    /// Its name in journals. It never changes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Snapshot => "snapshot",
        }
    }
    /// As it stands in journals. The deadline leaves room for the repetitions of [`again`](crate::ec2::create::again).
    pub(crate) fn kind(self) -> Kind {
        Kind::new(self.name(), Duration::from_secs(180), SETTLE)
    }
    pub(crate) fn of(resource: &Resource) -> Result<Self> {
        match resource.kind.name.as_str() {
            "image" => Ok(Self::Image),
            "snapshot" => Ok(Self::Snapshot),
            other => Err(Error::bug(format!("{other} is no kind of {OWNER}"))),
        }
    }
}

/// The tags of a create: the user's, and over them ours.
pub(crate) fn tags_of(request: &CreateRequest, mut tags: BTreeMap<String, String>) -> BTreeMap<String, String> {
    tags.extend(tag::of(request));
    tags.insert(MADE_BY.into(), OWNER.into());
    tags
}
