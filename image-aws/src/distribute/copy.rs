//! Copies: those that exist are found by their fingerprint, the others are made, all at once, and waited for.

use super::{
    AmiDistributor,
    api::{Api, devices, tagged, tags, to_tags},
    attribute::{Attribute, with},
    kind::{COPY, OWNER, SETTLE, SOURCE_TAG, kind},
    permission,
    source::Ami,
    target::{Encryption, Target},
    tasks::{self, Job, Others},
};
use crate::tag;
use aws_sdk_ec2::types::{Image as Ec2Image, ImageState, ResourceType, TagSpecification};
use image_core::{
    ApprovedImage, Captured, Context, CreateRequest, Created, Error, ErrorKind, Guard, Image, ImageKind, Result, State,
    wait::{self, Poll, WaitPolicy},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

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
            let copy = devices(&image).into_iter().fold(copy, |copy, (device, id)| copy.with_part(device, id));
            all.push(Captured::new(copy, guard.into_iter().collect()));
        }
        Ok(all)
    }

    /// The copies that earlier runs have kept, by target.
    async fn find_copies(&self, cx: &Context, source: &Ami) -> Result<Vec<Option<String>>> {
        let mut jobs: Vec<Job<Option<String>>> = vec![];
        for target in &self.targets {
            let (api, id) = (self.api(&target.place), source.id.clone());
            if target.is_in_place(&self.source) {
                jobs.push((target.place.clone(), Box::pin(async move { Ok(Some(id)) })));
                continue;
            }
            let fingerprint = self.copy_fingerprint(&source.id, target)?;
            let cx = cx.clone();
            let job = async move { cx.race(find_kept(&api, fingerprint.as_str())).await };
            jobs.push((target.place.clone(), Box::pin(job)));
        }
        let found = tasks::all("looking for copies", self.at_once, Others::Finish, jobs).await?;
        for (target, id) in self.targets.iter().zip(&found) {
            if let Some(id) = id {
                cx.message(format!("{id} in {} is the copy of {} already", target.place, source.id));
            }
        }
        Ok(found)
    }

    /// Lets accounts that get a copy of their own read the image while it is copied.
    async fn share_source(&self, cx: &Context, source: &Ami, accounts: &BTreeSet<String>) -> Result<Vec<Guard>> {
        if accounts.is_empty() {
            return Ok(vec![]);
        }
        let api = self.api(&self.source);
        let wanted = |now: &serde_json::Value| with(now, accounts.iter().map(|id| permission::account(id)));
        let mut shares = vec![];
        for snapshot in source.snapshot_ids() {
            shares.extend(Attribute::VolumePermission.change(cx, &api, snapshot, false, wanted).await?);
        }
        shares.extend(Attribute::LaunchPermission.change(cx, &api, &source.id, false, wanted).await?);
        Ok(shares)
    }

    /// Makes the copies that are missing. Each one is asked for even where another was refused, so that all that is wrong
    /// is known at once.
    async fn make_copies(
        &self,
        cx: &Context,
        approved: &ApprovedImage,
        source: &Ami,
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

    fn copy_call(&self, approved: &ApprovedImage, source: &Ami, target: &Target) -> Result<CopyCall> {
        let name = self.copy_name(&approved.record().pipeline, &source.id)?;
        let mut tags = target.tags.clone();
        tags.entry("Name".into()).or_insert_with(|| name.clone());
        tags.insert(SOURCE_TAG.into(), format!("{}/{}", self.source, source.id));
        tags.insert(tag::FINGERPRINT.into(), self.copy_fingerprint(&source.id, target)?.as_str().to_owned());
        Ok(CopyCall {
            api: self.api(&target.place),
            image: source.id.clone(),
            region: self.source.region.clone(),
            description: format!("copy of {} in {}", source.id, self.source),
            name,
            tags,
            encryption: target.encryption.clone(),
            copy_within: target.copy_within,
        })
    }

    /// Waits until every copy is available. The first one that can never be ends the wait for the others: the run undoes
    /// them all.
    async fn wait_for(&self, cx: &Context, copies: &[Copy]) -> Result<Vec<Ec2Image>> {
        let mut jobs: Vec<Job<Ec2Image>> = vec![];
        for (target, (id, _)) in self.targets.iter().zip(copies) {
            let (cx, api, id) = (cx.clone(), self.api(&target.place), id.clone());
            let timeout = self.copy_timeout;
            jobs.push((target.place.clone(), Box::pin(async move { available(&cx, &api, &id, timeout).await })));
        }
        // Waiting costs nothing: all at once.
        tasks::all("waiting for copies", jobs.len(), Others::GiveUp, jobs).await
    }
}

/// A `CopyImage` to be.
#[derive(Clone, Debug)]
struct CopyCall {
    api: Api,
    image: String,
    region: String,
    name: String,
    description: String,
    tags: BTreeMap<String, String>,
    encryption: Encryption,
    copy_within: Option<Duration>,
}

impl CopyCall {
    async fn make(self, cx: &Context) -> Result<Guard> {
        let place = self.api.place.clone();
        let call = move |request: CreateRequest| async move {
            let client = self.api.ec2_once().await?;
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
                let call = client.copy_image().source_image_id(&self.image).source_region(&self.region);
                let call = call.name(&self.name).description(&self.description).client_token(&request.token);
                let call = call.copy_image_tags(false).set_snapshot_copy_completion_duration_minutes(minutes);
                let call = call.set_encrypted(encrypted).set_kms_key_id(key.clone());
                let call = call.tag_specifications(tagged(ResourceType::Image));
                call.tag_specifications(tagged(ResourceType::Snapshot)).send()
            };
            let made = self.api.repeat("ec2:CopyImage", send).await?;
            let id = made.image_id().ok_or_else(|| Error::bug("ec2:CopyImage gives no id"))?;
            Ok(Created::new(id))
        };
        let made = cx.create(OWNER, &place.scope(), kind(COPY), &place.region, call).await;
        made.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => {
                let message = "another run makes or has left this copy; wait for it, or recover it";
                Error::new(ErrorKind::Conflict, message).with_context("place", &place).with_source(e)
            }
            _ => e,
        })
    }
}

/// The oldest available copy with this fingerprint that was kept.
async fn find_kept(api: &Api, fingerprint: &str) -> Result<Option<String>> {
    let filters = vec![tagged(tag::FINGERPRINT, fingerprint), tagged(tag::STATE, State::Kept.as_str())];
    let found = api.images(filters).await?;
    let usable =
        |image: &Ec2Image| image.state() == Some(&ImageState::Available) && tags(image.tags()).contains_key(SOURCE_TAG);
    let oldest =
        found.into_iter().filter(usable).min_by_key(|image| (image.creation_date.clone(), image.image_id.clone()));
    Ok(oldest.and_then(|image| image.image_id))
}

/// Waits until an image is available.
async fn available(cx: &Context, api: &Api, id: &str, timeout: Duration) -> Result<Ec2Image> {
    let what = format!("image {id} in {} to be available", api.place);
    let last_seen = &Mutex::new(Instant::now());
    wait::until(cx, WaitPolicy::new(timeout), &what, || async move {
        let Some(image) = cx.race(api.image(id)).await? else {
            let last = *last_seen.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() > SETTLE {
                let message =
                    format!("image {id} was not seen for {} s; somebody may have removed it", SETTLE.as_secs());
                return Err(Error::new(ErrorKind::NotFound, message));
            }
            return Ok(Poll::Pending("not visible yet".into()));
        };
        *last_seen.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        match image.state() {
            Some(ImageState::Available) => Ok(Poll::Ready(image)),
            Some(ImageState::Pending | ImageState::Transient) | None => Ok(Poll::Pending("pending".into())),
            Some(state) => {
                let reason = image.state_reason().and_then(|reason| reason.message()).unwrap_or("without a reason");
                let error = Error::new(ErrorKind::Unavailable, format!("image {id} is {state}: {reason}"));
                Err(error.with_retryable(false))
            }
        }
    })
    .await
}
