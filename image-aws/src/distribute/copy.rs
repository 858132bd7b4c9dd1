//! Copies: those that exist are found by their fingerprint, the others are made, all at once, and waited for.

use super::{
    AmiDistributor,
    attribute::{Attribute, with},
    kind::{COPY, OWNER, SOURCE_TAG, kind},
    permission,
    source::AmiWithSnapshots,
    target::{Encryption, Target},
    tasks::{self, Job, Others},
};
use crate::{
    ec2::{
        ami,
        client::{Region, tags},
        create::{again, nameless},
        list::{self, Which},
        request::to_tags,
        state::{LastSeen, is_available},
    },
    tag,
};
use aws_sdk_ec2::types::{Image as Ec2Image, ImageState, ResourceType, TagSpecification};
use image_core::{
    ApprovedImage, Captured, Context, CreateRequest, Created, Error, ErrorKind, Guard, Image, ImageKind, Result, State,
    wait::{self, Poll, WaitPolicy},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// A copy of a target: found, or made by this run.
type Copy = (String, Option<Guard>);

impl AmiDistributor {
    pub(super) async fn copy_to_targets(&self, cx: &Context, approved: &ApprovedImage) -> Result<Vec<Captured>> {
        let source = self.look_at_source(cx, approved).await?;
        let found = self.find_copies(cx, &source).await?;
        let missing = self.targets.iter().zip(&found).filter(|(_, copy)| copy.is_none());
        let others = missing.filter(|(target, _)| target.place.account != self.source.account);
        let others: BTreeSet<String> = others.map(|(target, _)| target.place.account.clone()).collect();
        let shares = self.share_source(cx, &source, &others).await?;

        let copies = self.make_copies(cx, approved, &source, found).await?;
        let images = self.wait_for(cx, &copies).await?;
        // The copies are theirs now.
        for share in shares.into_iter().rev() {
            share.release().await?;
        }
        let mut all = vec![];
        for ((target, (id, guard)), image) in self.targets.iter().zip(copies).zip(images) {
            let copy = Image::new(
                ImageKind::Machine,
                OWNER,
                target.place.scope(),
                &target.place.region,
                id,
                approved.image().platform.clone(),
            );
            // A copy has the bytes of its source, encrypted or not.
            let copy = copy.with_digest(approved.image().digest.clone());
            let copy = ami::snapshots(&image).into_iter().fold(copy, |copy, (device, id)| copy.with_part(device, id));
            all.push(Captured::new(copy, guard.into_iter().collect()));
        }
        Ok(all)
    }

    /// The copies that earlier runs have kept, by target.
    async fn find_copies(&self, cx: &Context, source: &AmiWithSnapshots) -> Result<Vec<Option<String>>> {
        let mut jobs: Vec<Job<Option<String>>> = vec![];
        for target in &self.targets {
            let (region, id) = (self.region(&target.place), source.id.clone());
            if target.is_in_place(&self.source) {
                jobs.push((target.place.clone(), Box::pin(async move { Ok(Some(id)) })));
                continue;
            }
            let fingerprint = self.copy_fingerprint(&source.id, target)?;
            let cx = cx.clone();
            let job = async move { cx.race(find_kept(&region, fingerprint.as_str())).await };
            jobs.push((target.place.clone(), Box::pin(job)));
        }
        let found = tasks::all("looking for copies", self.at_once, Others::Finish, jobs).await?;
        for (target, id) in self.targets.iter().zip(&found) {
            if let Some(id) = id.as_ref().filter(|id| **id != source.id) {
                cx.message(format!("{id} in {} is the copy of {} already", target.place, source.id));
            }
        }
        Ok(found)
    }

    /// Lets accounts that get a copy of their own read the image while it is copied.
    async fn share_source(
        &self,
        cx: &Context,
        source: &AmiWithSnapshots,
        accounts: &BTreeSet<String>,
    ) -> Result<Vec<Guard>> {
        if accounts.is_empty() {
            return Ok(vec![]);
        }
        let region = self.region(&self.source);
        let wanted = |now: &serde_json::Value| with(now, accounts.iter().map(|id| permission::account(id)));
        let mut shares = vec![];
        for snapshot in source.snapshot_ids() {
            shares.extend(Attribute::VolumePermission.change(cx, &region, snapshot, wanted).await?);
        }
        shares.extend(Attribute::LaunchPermission.change(cx, &region, &source.id, wanted).await?);
        Ok(shares)
    }

    /// Makes the copies that are missing. Each one is asked for even where another was refused, so that all that is wrong
    /// is known at once.
    async fn make_copies(
        &self,
        cx: &Context,
        approved: &ApprovedImage,
        source: &AmiWithSnapshots,
        found: Vec<Option<String>>,
    ) -> Result<Vec<Copy>> {
        let mut jobs: Vec<Job<Copy>> = vec![];
        for (target, found) in self.targets.iter().zip(found) {
            let job: Job<Copy> = match found {
                Some(id) => (target.place.clone(), Box::pin(async move { Ok((id, None)) })),
                None => {
                    let call = self.copy_call(approved, source, target)?;
                    let (cx, place) = (cx.clone(), target.place.clone());
                    let job = async move {
                        let guard = call.make(&cx).await?;
                        Ok((guard.id().to_owned(), Some(guard)))
                    };
                    (place, Box::pin(job))
                }
            };
            jobs.push(job);
        }
        tasks::all("copying", self.at_once, Others::Finish, jobs).await
    }

    fn copy_call(&self, approved: &ApprovedImage, source: &AmiWithSnapshots, target: &Target) -> Result<CopyCall> {
        let name = self.copy_name(&approved.record().pipeline, &source.id)?;
        let mut tags = target.tags.clone();
        tags.entry("Name".into()).or_insert_with(|| name.clone());
        tags.insert(SOURCE_TAG.into(), self.copied_from(&source.id));
        tags.insert(tag::FINGERPRINT.into(), self.copy_fingerprint(&source.id, target)?.as_str().to_owned());
        Ok(CopyCall {
            region: self.region(&target.place),
            image: source.id.clone(),
            from: self.source.region.clone(),
            description: format!("copy of {} in {}", source.id, self.source),
            name,
            tags,
            encryption: target.encryption.clone(),
            copy_within: target.copy_within,
        })
    }

    /// Waits until every copy is available. The first one that can never be ends the wait for the others: the run undoes
    /// them all.
    async fn wait_for(&self, cx: &Context, copies: &[Copy]) -> Result<Vec<Arc<Ec2Image>>> {
        let mut jobs: Vec<Job<Arc<Ec2Image>>> = vec![];
        for (target, (id, _)) in self.targets.iter().zip(copies) {
            let (cx, region, id) = (cx.clone(), self.region(&target.place), id.clone());
            let timeout = self.copy_timeout;
            jobs.push((target.place.clone(), Box::pin(async move { available(&cx, &region, &id, timeout).await })));
        }
        // Waiting costs nothing: all at once.
        tasks::all("waiting for copies", jobs.len(), Others::GiveUp, jobs).await
    }
}

/// A `CopyImage` to be.
#[derive(Clone, Debug)]
struct CopyCall {
    region: Arc<Region>,
    image: String,
    from: String,
    name: String,
    description: String,
    tags: BTreeMap<String, String>,
    encryption: Encryption,
    copy_within: Option<Duration>,
}

impl CopyCall {
    async fn make(self, cx: &Context) -> Result<Guard> {
        let region = Arc::clone(&self.region);
        region.mutations.turn(cx).await?;
        let call = move |request: CreateRequest| async move {
            let client = self.region.client_once().await?;
            let mut all = self.tags.clone();
            all.extend(tag::of(&request));
            let tags = to_tags(&all);
            let tagged = |kind| TagSpecification::builder().resource_type(kind).set_tags(Some(tags.clone())).build();
            let minutes = self.copy_within.and_then(|within| i64::try_from(within.as_secs() / 60).ok());
            let (encrypted, key) = match &self.encryption {
                Encryption::AsSource => (None, None),
                Encryption::Default => (Some(true), None),
                Encryption::Key(key) => (Some(true), Some(key.clone())),
            };
            let send = || {
                let call = client.copy_image().source_image_id(&self.image).source_region(&self.from);
                let call = call.name(&self.name).description(&self.description).client_token(&request.token);
                let call = call.copy_image_tags(false).set_snapshot_copy_completion_duration_minutes(minutes);
                let call = call.set_encrypted(encrypted).set_kms_key_id(key.clone());
                let call = call.tag_specifications(tagged(ResourceType::Image));
                call.tag_specifications(tagged(ResourceType::Snapshot)).send()
            };
            let operation = "ec2:CopyImage";
            let made = again(operation, &self.region.place, send).await?;
            made.image_id().map(Created::new).ok_or_else(|| nameless(operation))
        };
        let place = &region.place;
        let made = cx.create(OWNER, &place.scope(), kind(COPY), &place.region, call).await;
        made.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => {
                let message = "another run makes or has left this copy; wait for it, or recover it";
                Error::new(ErrorKind::Conflict, message).with_context("place", place).with_source(e)
            }
            _ => e,
        })
    }
}

/// The oldest available copy with this fingerprint that was kept.
async fn find_kept(region: &Region, fingerprint: &str) -> Result<Option<String>> {
    let found = list::images(region, Which::Fingerprint(fingerprint)).await?;
    let usable = |image: &Ec2Image| {
        let tags = tags(image.tags());
        let kept = tags.get(tag::STATE).is_some_and(|state| state == State::Kept.as_str());
        kept && tags.contains_key(SOURCE_TAG) && image.state() == Some(&ImageState::Available)
    };
    let oldest =
        found.into_iter().filter(usable).min_by_key(|image| (image.creation_date.clone(), image.image_id.clone()));
    Ok(oldest.and_then(|image| image.image_id))
}

/// Waits until an image is available, by the look that all share who wait in its region.
async fn available(cx: &Context, region: &Region, id: &str, timeout: Duration) -> Result<Arc<Ec2Image>> {
    let name = format!("image {id}");
    let what = format!("{name} in {} to be available", region.place);
    let (name, last_seen) = (&name, &LastSeen::new());
    wait::until(cx, WaitPolicy::new(timeout), &what, || async move {
        let seen = cx.race(region.images.look(id)).await?;
        let Some(image) = last_seen.judge(name, seen)? else { return Ok(Poll::Pending("not visible yet".into())) };
        Ok(if is_available(&image)? { Poll::Ready(image) } else { Poll::Pending("pending".into()) })
    })
    .await
}
