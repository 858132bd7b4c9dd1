//! The image that is distributed, as EC2 shows it where it was made.

use super::{
    AmiDistributor,
    kind::SETTLE,
    target::{Encryption, Target},
};
use crate::{
    Place,
    ec2::{
        ami,
        client::Region,
        list::{self, Which},
    },
};
use aws_sdk_ec2::types::{Image as Ec2Image, ImageState, Snapshot};
use image_core::{
    ApprovedImage, Context, Error, ErrorKind, Fingerprint, Image, ImageKind, Result,
    wait::{self, Poll, WaitPolicy},
};
use std::collections::BTreeMap;

/// An image with its snapshots.
#[derive(Clone, Debug)]
pub(crate) struct AmiWithSnapshots {
    pub(crate) id: String,
    pub(crate) image: Ec2Image,
    /// By device.
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
}

impl AmiWithSnapshots {
    /// Asks EC2, again until it shows every snapshot: reads lag behind, and one that is passed over is neither shared nor
    /// found to be encrypted. `None` where there is no such image.
    ///
    /// # Errors
    /// `TimedOut` when a snapshot does not come to be seen; EC2's own.
    pub(crate) async fn describe(cx: &Context, region: &Region, id: &str) -> Result<Option<Self>> {
        let what = format!("image {id} in {} with its snapshots", region.place);
        wait::until(cx, WaitPolicy::new(SETTLE), &what, || async move {
            let image = cx.race(list::images(region, Which::Ids(&[id.to_owned()]))).await?.into_iter().next();
            let Some(image) = image else { return Ok(Poll::Ready(None)) };
            let devices = ami::snapshots(&image);
            let ids: Vec<String> = devices.values().cloned().collect();
            let found = cx.race(list::snapshots(region, Which::Ids(&ids))).await?;
            let by_id: BTreeMap<_, _> = found.into_iter().filter_map(|s| Some((s.snapshot_id.clone()?, s))).collect();
            let snapshot = |(device, id): (String, String)| Some((device, by_id.get(&id)?.clone()));
            Ok(match devices.into_iter().map(snapshot).collect() {
                Some(snapshots) => Poll::Ready(Some(Self { id: id.to_owned(), image, snapshots })),
                None => Poll::Pending(format!("{} of {} snapshots are visible", by_id.len(), ids.len())),
            })
        })
        .await
    }

    /// Whether any of its snapshots is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.snapshots.values().any(|snapshot| snapshot.encrypted() == Some(true))
    }

    pub(crate) fn snapshot_ids(&self) -> impl Iterator<Item = &str> {
        self.snapshots.values().filter_map(Snapshot::snapshot_id)
    }
}

impl AmiDistributor {
    /// Where an image is; it must be one of the source's place.
    pub(crate) fn require_source(&self, image: &Image) -> Result<()> {
        let here = image.scope == self.source.scope() && image.location == self.source.region;
        if image.kind == ImageKind::Machine && here {
            return Ok(());
        }
        let value = format!("{image} in {}", image.scope);
        Err(Error::invalid("image", value, format!("machine images in {}", self.source)))
    }

    /// The image, if it can be brought to all targets.
    pub(crate) async fn look_at_source(&self, cx: &Context, approved: &ApprovedImage) -> Result<AmiWithSnapshots> {
        self.require_source(approved.image())?;
        let (region, id) = (self.region(&self.source), &approved.image().id);
        let missing = || {
            let message = format!("there is no image {id} of this account");
            Error::new(ErrorKind::NotFound, message).with_context("place", &self.source)
        };
        let ami = AmiWithSnapshots::describe(cx, &region, id).await?.ok_or_else(missing)?;
        if ami.image.state() != Some(&ImageState::Available) {
            let state = ami.image.state().map_or("unknown", ImageState::as_str);
            let message = format!("image {id} is {state}; only available images are distributed");
            return Err(Error::new(ErrorKind::Conflict, message).with_context("place", &self.source));
        }
        self.targets.iter().try_for_each(|target| check_encryption(&ami, target))?;
        Ok(ami)
    }

    /// What a copy is found by later: what it is a copy of, and the key that it is encrypted with.
    pub(crate) fn copy_fingerprint(&self, image: &str, target: &Target) -> Result<Fingerprint> {
        let Place { account, region, .. } = &self.source;
        let key = match &target.encryption {
            Encryption::AsSource => "",
            Encryption::Default => "default",
            Encryption::Key(key) => key,
        };
        Fingerprint::of("copy of an AMI", &(account, region, image, key))
    }

    /// What a copy says in its tags that it is a copy of.
    pub(crate) fn copied_from(&self, image: &str) -> String {
        format!("{}/{image}", self.source)
    }

    /// The name of a copy: it says what it is a copy of, so that two runs cannot both make it.
    pub(crate) fn copy_name(&self, pipeline: &str, image: &str) -> Result<String> {
        let prefix = self.name_prefix.as_deref().unwrap_or(pipeline);
        let name = format!("{prefix}-{}", image.strip_prefix("ami-").unwrap_or(image));
        check_image_name(&name)?;
        Ok(name)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html>: the rules are those of `RegisterImage`.
pub(crate) fn check_image_name(name: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"()[] ./-'@_".contains(&b);
    if (3..=128).contains(&name.len()) && name.bytes().all(good) {
        return Ok(());
    }
    Err(Error::invalid("image name", name, "3 to 128 letters, digits, spaces and `()[]./-'@_`"))
}

/// A snapshot under a key that is AWS's own cannot be shared:
/// <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html>.
fn check_encryption(source: &AmiWithSnapshots, target: &Target) -> Result<()> {
    if !source.is_encrypted() {
        return Ok(());
    }
    let refuse = |field, accepted| {
        let error = Error::invalid(field, "an encrypted image", accepted);
        Err(error.with_context("image", &source.id).with_context("target", &target.place))
    };
    if target.public {
        return refuse("dangerously_public", "images that are not encrypted");
    }
    if target.is_shared() && !matches!(target.encryption, Encryption::Key(_)) {
        return refuse("sharing", "encrypted images with a KMS key of your own for the target");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_ec2_takes() {
        for (name, good) in [
            ("web-0123456789abcdef0", true),
            ("a b(c)[d]./-'@_", true),
            ("ab", false),
            ("web:1", false),
            ("wéb", false),
            (&"a".repeat(129), false),
        ] {
            assert_eq!(check_image_name(name).is_ok(), good, "{name}");
        }
    }
}
