//! The kinds of resources that a distributor makes, and how each is found when the reply to its creation was lost.
//!
//! | Kind | Made by | Known by |
//! |---|---|---|
//! | `image-copy`, with its snapshots | `CopyImage` | the token, as client token and as a tag of the image and of each snapshot |
//! | `launch-template-version` | `CreateLaunchTemplateVersion` | the token in its description: versions have no tags. Its location is `REGION/TEMPLATE` |
//!
//! The values that it changes are those of [`Attribute`](super::attribute::Attribute).

use image_core::Kind;
use std::time::Duration;

/// The plugin's id. It stands in journals, so it never changes.
pub(crate) const OWNER: &str = "aws.ami-distributor";
/// A copy of an image.
pub(crate) const COPY: &str = "image-copy";
/// A version of a launch template.
pub(crate) const TEMPLATE_VERSION: &str = "launch-template-version";
/// The tag of a copy that says what it is a copy of: `ACCOUNT/REGION/IMAGE`.
pub(crate) const SOURCE_TAG: &str = "golden-image:source";

/// Reads of EC2 lag behind by seconds; AWS names no bound, and this is far beyond what is seen.
pub(crate) const SETTLE: Duration = Duration::from_secs(120);
/// Room for a call with its repetitions, and for a value to be read back.
const DEADLINE: Duration = Duration::from_secs(300);

/// A kind of resource, or of value.
pub(crate) fn kind(name: &str) -> Kind {
    Kind::new(name, DEADLINE, SETTLE)
}
