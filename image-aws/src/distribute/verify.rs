//! Proves that copies are the image: every difference that EC2 shows is named.

use super::{
    AmiDistributor,
    kind::SOURCE_TAG,
    permission,
    source::AmiWithSnapshots,
    target::{Encryption, Target},
    tasks::{self, Job, Others},
};
use crate::{ec2::client::tags, tag};
use aws_sdk_ec2::types::{EbsBlockDevice, Image as Ec2Image, ImageState, Snapshot, SnapshotState};
use image_core::{ApprovedImage, Context, Error, ErrorKind, Image, Result, State};
use std::{collections::BTreeMap, fmt};

impl AmiDistributor {
    pub(super) async fn verify_copies(&self, cx: &Context, approved: &ApprovedImage, copies: &[Image]) -> Result<()> {
        let source = self.look_at_source(cx, approved).await?;
        if copies.len() != self.targets.len() {
            return Err(Error::bug(format!("{} copies for {} targets", copies.len(), self.targets.len())));
        }
        let mut jobs: Vec<Job<Vec<String>>> = vec![];
        for copy in copies {
            let target = self.target_of(copy)?.clone();
            let place = target.place.clone();
            let expected = Expected {
                name: self.copy_name(&approved.record().pipeline, &source.id)?,
                copied_from: self.copied_from(&source.id),
                fingerprint: self.copy_fingerprint(&source.id, &target)?.as_str().to_owned(),
                in_place: target.is_in_place(&self.source),
                source: source.clone(),
                region: self.source.region.clone(),
                target,
            };
            let (this, cx, id) = (self.clone(), cx.clone(), copy.id.clone());
            let job = async move { cx.race(expected.mismatches(&cx, &this, &id)).await };
            jobs.push((place, Box::pin(job)));
        }
        let found = tasks::all("verifying", self.at_once, Others::Finish, jobs).await?;
        let wrong: Vec<String> = found.into_iter().flatten().collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let message = format!("copies of {} are not what they must be: {}", source.id, wrong.join("; "));
        Err(Error::new(ErrorKind::PolicyViolation, message))
    }
}

/// What a copy must be.
struct Expected {
    source: AmiWithSnapshots,
    region: String,
    target: Target,
    in_place: bool,
    name: String,
    copied_from: String,
    fingerprint: String,
}

impl Expected {
    /// Every difference, each with the place and the copy.
    async fn mismatches(&self, cx: &Context, distributor: &AmiDistributor, id: &str) -> Result<Vec<String>> {
        let region = distributor.region(&self.target.place);
        let Some(copy) = AmiWithSnapshots::describe(cx, &region, id).await? else {
            return Ok(vec![format!("{} {id}: it is not there", self.target.place)]);
        };
        let public = permission::of_image(&region, id).await?.is_some_and(|set| set.contains(permission::ALL));
        let mut found = Found(vec![]);
        found.same("state", Some(ImageState::Available.as_str()), copy.image.state().map(ImageState::as_str));
        self.hardware(&mut found, &copy.image);
        if public && !self.target.public {
            found.0.push("it is public".into());
        }
        if !self.in_place {
            self.identity(&mut found, &copy);
            self.volumes(&mut found, &copy);
        }
        Ok(found.0.into_iter().map(|what| format!("{} {id}: {what}", self.target.place)).collect())
    }

    /// What decides where and how an image boots.
    fn hardware(&self, found: &mut Found, copy: &Ec2Image) {
        let source = &self.source.image;
        found.same("architecture", source.architecture(), copy.architecture());
        found.same("boot mode", source.boot_mode(), copy.boot_mode());
        found.same("ENA support", source.ena_support().or(Some(false)), copy.ena_support().or(Some(false)));
        found.same("IMDS support", source.imds_support(), copy.imds_support());
        found.same("platform", source.platform(), copy.platform());
        found.same("root device", source.root_device_name(), copy.root_device_name());
        found.same("SR-IOV support", source.sriov_net_support(), copy.sriov_net_support());
        found.same("TPM support", source.tpm_support(), copy.tpm_support());
        found.same("virtualization", source.virtualization_type(), copy.virtualization_type());
    }

    /// Whether it is the copy that we asked for.
    fn identity(&self, found: &mut Found, copy: &AmiWithSnapshots) {
        let all = tags(copy.image.tags());
        let tag = |key: &str| all.get(key).map(String::as_str);
        found.same(&format!("tag {SOURCE_TAG}"), Some(self.copied_from.as_str()), tag(SOURCE_TAG));
        found.same(&format!("tag {}", tag::FINGERPRINT), Some(self.fingerprint.as_str()), tag(tag::FINGERPRINT));
        // EC2 tells what a copy was made of; where it does, it must be our image.
        if let Some(of) = copy.image.source_image_id() {
            found.same("source image", Some(self.source.id.as_str()), Some(of));
        }
        if let Some(region) = copy.image.source_image_region() {
            found.same("source region", Some(self.region.as_str()), Some(region));
        }
        // What an earlier run has kept is its owner's, who may have other names and tags for it by now.
        if tag(tag::STATE) == Some(State::Kept.as_str()) {
            return;
        }
        found.same("name", Some(self.name.as_str()), copy.image.name());
        for (key, value) in &self.target.tags {
            found.same(&format!("tag {key}"), Some(value.as_str()), tag(key));
        }
        // By this tag the snapshots are kept, or undone.
        for (device, snapshot) in &copy.snapshots {
            let all = tags(snapshot.tags());
            let token = all.get(tag::TOKEN).map(String::as_str);
            found.same(&format!("{device} tag {}", tag::TOKEN), tag(tag::TOKEN), token);
        }
    }

    fn volumes(&self, found: &mut Found, copy: &AmiWithSnapshots) {
        let devices = |snapshots: &BTreeMap<String, Snapshot>| snapshots.keys().cloned().collect::<Vec<_>>().join(", ");
        found.same("devices", Some(devices(&self.source.snapshots)), Some(devices(&copy.snapshots)));
        for (device, source) in &self.source.snapshots {
            let Some(made) = copy.snapshots.get(device) else { continue };
            let what = |of: &str| format!("{device} {of}");
            let state = made.state().map(SnapshotState::as_str);
            found.same(&what("state"), Some(SnapshotState::Completed.as_str()), state);
            found.same(&what("size in GiB"), source.volume_size(), made.volume_size());
            let (wanted, is) = (ebs(&self.source.image, device), ebs(&copy.image, device));
            found.same(
                &what("volume type"),
                wanted.and_then(|ebs| ebs.volume_type()),
                is.and_then(|ebs| ebs.volume_type()),
            );
            let deleted = |ebs: &EbsBlockDevice| ebs.delete_on_termination();
            found.same(&what("delete on termination"), wanted.and_then(deleted), is.and_then(deleted));
            let encrypted = made.encrypted() == Some(true);
            if !encrypted && (self.target.encryption != Encryption::AsSource || source.encrypted() == Some(true)) {
                found.0.push(what("is not encrypted"));
            }
            if encrypted
                && let Encryption::Key(key) = &self.target.encryption
                && let Some(used) = made.kms_key_id().filter(|used| !is_key(key, used))
            {
                found.0.push(what(&format!("is encrypted with {used} and not with {key}")));
            }
        }
    }
}

fn ebs<'a>(image: &'a Ec2Image, device: &str) -> Option<&'a EbsBlockDevice> {
    image.block_device_mappings().iter().find(|mapping| mapping.device_name() == Some(device))?.ebs()
}

/// Whether a key that was asked for may be the one that EC2 names by its ARN. An alias tells nothing.
fn is_key(wanted: &str, used: &str) -> bool {
    let alias = wanted.starts_with("alias/") || wanted.contains(":alias/");
    let arn = wanted.starts_with("arn:");
    alias || used == wanted || (!arn && used.ends_with(&format!(":key/{wanted}")))
}

/// The differences of a copy.
struct Found(Vec<String>);

impl Found {
    fn same<T: PartialEq + fmt::Display>(&mut self, what: &str, wanted: Option<T>, is: Option<T>) {
        if wanted != is {
            let show = |value: Option<T>| value.map_or_else(|| "not set".into(), |value| value.to_string());
            self.0.push(format!("{what} is {} and must be {}", show(is), show(wanted)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_where_they_can_be() {
        let used = "arn:aws:kms:us-east-1:111122223333:key/1234";
        for (wanted, same) in [
            (used, true),
            ("1234", true),
            ("234", false),
            ("alias/own", true),
            ("arn:aws:kms:us-east-1:1:key/9", false),
        ] {
            assert_eq!(is_key(wanted, used), same, "{wanted}");
        }
    }
}
