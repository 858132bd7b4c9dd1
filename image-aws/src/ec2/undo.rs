//! Undoing what a build or an import made, from its journal entry or its tags alone.
//!
//! Nothing is deleted that does not carry the token of its create, whatever id the journal has; and nothing that says that
//! it is kept.

use super::{
    AmiBuilder, ami,
    client::{Region, tags},
    kind::{Ec2Kind, OWNER},
    list::{self, Which},
    request::to_tags,
    state::state,
};
use crate::{error::sdk_error, tag};
use aws_sdk_ec2::types::{Image, ImageState, InstanceStateName, Snapshot, Tag, VolumeState};
use image_core::{
    Context, Error, ErrorKind, Found, Keep, Query, Resource, Result, Scope, State, Undo, Undone, async_trait,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// Before looking again at what is on its way out.
const RETRY: Duration = Duration::from_secs(2);

#[async_trait]
impl Undo for AmiBuilder {
    fn owner(&self) -> &str {
        OWNER
    }
    fn scopes(&self) -> Vec<Scope> {
        vec![self.place.scope()]
    }
    async fn identity(&self, _cx: &Context, _configured: &Scope) -> Result<Scope> {
        crate::identity(self.ec2.clients().provider(), &self.place).await
    }
    async fn undo(&self, cx: &Context, created: &Resource) -> Result<Undone> {
        let region = self.region_of(created)?;
        match Ec2Kind::of(created)? {
            Ec2Kind::Image => undo_image(cx, &region, created).await,
            Ec2Kind::Instance => undo_instance(&region, created).await,
            Ec2Kind::SecurityGroup => undo_group(&region, created).await,
            Ec2Kind::Snapshot => undo_snapshot(&region, created).await,
            Ec2Kind::Volume => undo_volumes(&region, created, Undone::Absent).await,
        }
    }
    async fn restore(&self, _cx: &Context, changed: &Resource) -> Result<Undone> {
        Err(Error::bug(format!("{OWNER} changes nothing, but is asked to restore {changed}")))
    }
    async fn keep(&self, _cx: &Context, created: &Resource, keep: &Keep) -> Result<()> {
        if Ec2Kind::of(created)? != Ec2Kind::Image {
            return Err(Error::bug(format!("{created} is nothing to keep")));
        }
        keep_image(&*self.region_of(created)?, created, keep).await
    }
    async fn find(&self, _cx: &Context, query: &Query) -> Result<Vec<Found>> {
        self.find_tagged(query).await
    }
}

/// The end of an attempt that is not yet proven.
pub(crate) fn look_again() -> Undone {
    Undone::NotYetProven { retry_at: Instant::now() + RETRY }
}

/// What a resource is looked for by.
fn which<'a>(resource: &'a Resource, ids: &'a [String]) -> Which<'a> {
    if ids.is_empty() { Which::Token(&resource.token) } else { Which::Ids(ids) }
}

/// The tags of something that an id led to, if they are those of its create and it is not kept.
fn require_ours(resource: &Resource, list: &[Tag]) -> Result<()> {
    let all = tags(list);
    require_token(resource, &all)?;
    if all.get(tag::STATE).map(String::as_str) == Some(State::Kept.as_str()) {
        let message = format!("{resource} is tagged {}={}: it is not to be deleted", tag::STATE, State::Kept.as_str());
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    Ok(())
}

fn require_token(resource: &Resource, tags: &BTreeMap<String, String>) -> Result<()> {
    if tags.get(tag::TOKEN) == Some(&resource.token) {
        return Ok(());
    }
    let message = format!("{resource} does not carry the tag {}={}: it is not ours", tag::TOKEN, resource.token);
    Err(Error::new(ErrorKind::PermissionDenied, message))
}

/// Terminates an instance; its volumes and its interface go with it. A volume that was not yet attached does not, so that
/// it is looked for.
async fn undo_instance(region: &Region, resource: &Resource) -> Result<Undone> {
    let ids: Vec<String> = resource.id.iter().cloned().collect();
    let (mut ended, mut ending) = (false, false);
    for instance in list::instances(region, which(resource, &ids)).await? {
        require_ours(resource, instance.tags())?;
        match state(&instance) {
            InstanceStateName::Terminated => ended = true,
            InstanceStateName::ShuttingDown => ending = true,
            _ => {
                let client = region.client().await?;
                let call = client.terminate_instances().set_instance_ids(instance.instance_id.map(|id| vec![id]));
                let answer = call.send().await.map_err(|e| sdk_error("ec2:TerminateInstances", &region.place, e));
                absent_is_done(answer.map(drop))?;
                ending = true;
            }
        }
    }
    if ending {
        return Ok(look_again());
    }
    undo_volumes(region, resource, if ended { Undone::Gone } else { Undone::Absent }).await
}

/// Deletes the volumes of a create that no instance has; `otherwise` when there are none.
async fn undo_volumes(region: &Region, resource: &Resource, otherwise: Undone) -> Result<Undone> {
    let mut done = otherwise;
    for volume in list::volumes(region, Which::Token(&resource.token)).await? {
        require_ours(resource, volume.tags())?;
        match volume.state() {
            Some(VolumeState::Deleted | VolumeState::Deleting) => {}
            Some(VolumeState::Available | VolumeState::Error) => {
                let client = region.client().await?;
                let call = client.delete_volume().set_volume_id(volume.volume_id);
                let answer = call.send().await.map_err(|e| sdk_error("ec2:DeleteVolume", &region.place, e));
                done = if busy(answer.map(drop))? { look_again() } else { first_of(done, Undone::Gone) };
            }
            _ => done = look_again(),
        }
    }
    Ok(done)
}

/// What is still open outweighs what is done.
fn first_of(before: Undone, now: Undone) -> Undone {
    if matches!(before, Undone::NotYetProven { .. }) { before } else { now }
}

/// Deletes a security group. EC2 refuses that until the instance in it has gone.
async fn undo_group(region: &Region, resource: &Resource) -> Result<Undone> {
    let ids: Vec<String> = resource.id.iter().cloned().collect();
    let mut done = Undone::Absent;
    for group in list::security_groups(region, which(resource, &ids)).await? {
        require_ours(resource, group.tags())?;
        let client = region.client().await?;
        let call = client.delete_security_group().set_group_id(group.group_id);
        let answer = call.send().await.map_err(|e| sdk_error("ec2:DeleteSecurityGroup", &region.place, e));
        done = if busy(answer.map(drop))? { look_again() } else { first_of(done, Undone::Gone) };
    }
    Ok(done)
}

/// An image and its snapshots, as they are now.
struct ImageParts {
    images: Vec<Image>,
    snapshots: Vec<Snapshot>,
}

impl ImageParts {
    /// Of one create: by the image's id or the token, and by the snapshots that the image names or that carry the token.
    async fn of(region: &Region, resource: &Resource) -> Result<Self> {
        let ids: Vec<String> = resource.id.iter().cloned().collect();
        let (images, mut snapshots) = tokio::try_join!(
            list::images(region, which(resource, &ids)),
            list::snapshots(region, Which::Token(&resource.token)),
        )?;
        let images: Vec<Image> =
            images.into_iter().filter(|image| image.state() != Some(&ImageState::Deregistered)).collect();
        let known: BTreeSet<_> = snapshots.iter().filter_map(Snapshot::snapshot_id).collect();
        let named = images.iter().flat_map(ami::volumes).filter_map(|(_, volume)| volume.snapshot);
        let more: Vec<String> = named.filter(|id| !known.contains(id.as_str())).collect();
        if !more.is_empty() {
            let named = list::snapshots(region, Which::Ids(&more)).await?.into_iter();
            // One without the token was there before the image.
            let ours = |snapshot: &Snapshot| tags(snapshot.tags()).get(tag::TOKEN) == Some(&resource.token);
            snapshots.extend(named.filter(ours));
        }
        Ok(Self { images, snapshots })
    }
    fn is_empty(&self) -> bool {
        self.images.is_empty() && self.snapshots.is_empty()
    }
}

/// Deregisters an image and deletes its snapshots. One that EC2 was still making may appear while that happens, so that
/// it looks again before it says that all is gone.
pub(crate) async fn undo_image(cx: &Context, region: &Region, resource: &Resource) -> Result<Undone> {
    let parts = ImageParts::of(region, resource).await?;
    if parts.is_empty() {
        return Ok(Undone::Absent);
    }
    let all = parts.images.iter().map(Image::tags).chain(parts.snapshots.iter().map(Snapshot::tags));
    all.into_iter().try_for_each(|tags| require_ours(resource, tags))?;
    for image in parts.images {
        let client = region.client().await?;
        let answer = client.deregister_image().set_image_id(image.image_id).send().await;
        let answer = answer.map_err(|e| sdk_error("ec2:DeregisterImage", &region.place, e));
        absent_is_done(answer.map(drop))?;
    }
    let mut open = delete_snapshots(region, parts.snapshots).await?;
    cx.sleep(RETRY / 2).await?;
    open |= !ImageParts::of(region, resource).await?.is_empty();
    Ok(if open { look_again() } else { Undone::Gone })
}

/// Deletes the snapshots of a create: the one of an import, or those of a build that lost their image.
pub(crate) async fn undo_snapshot(region: &Region, resource: &Resource) -> Result<Undone> {
    let mut snapshots = list::snapshots(region, Which::Token(&resource.token)).await?;
    let named = |snapshot: &Snapshot| snapshot.snapshot_id() == resource.id.as_deref();
    if let Some(id) = resource.id.clone().filter(|_| !snapshots.iter().any(named)) {
        snapshots.extend(list::snapshots(region, Which::Ids(&[id])).await?);
    }
    if snapshots.is_empty() {
        return Ok(Undone::Absent);
    }
    snapshots.iter().try_for_each(|snapshot| require_ours(resource, snapshot.tags()))?;
    Ok(if delete_snapshots(region, snapshots).await? { look_again() } else { Undone::Gone })
}

/// Deletes snapshots; whether one of them is still in use.
async fn delete_snapshots(region: &Region, snapshots: Vec<Snapshot>) -> Result<bool> {
    let mut in_use = false;
    for snapshot in snapshots {
        let client = region.client().await?;
        let answer = client.delete_snapshot().set_snapshot_id(snapshot.snapshot_id).send().await;
        in_use |= busy(answer.map(drop).map_err(|e| sdk_error("ec2:DeleteSnapshot", &region.place, e)))?;
    }
    Ok(in_use)
}

/// Somebody else may have been faster.
pub(crate) fn absent_is_done(answer: Result<()>) -> Result<()> {
    answer.or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

/// Whether a deletion was refused only for now.
fn busy(answer: Result<()>) -> Result<bool> {
    match absent_is_done(answer) {
        Ok(()) => Ok(false),
        Err(e) if e.kind() == ErrorKind::Conflict => Ok(true),
        Err(e) => Err(e),
    }
}

/// Retags an image and the snapshots that came with it.
pub(crate) async fn keep_image(region: &Region, resource: &Resource, keep: &Keep) -> Result<()> {
    let ImageParts { images, snapshots } = ImageParts::of(region, resource).await?;
    let image = images.first().ok_or_else(|| missing(resource))?;
    require_token(resource, &tags(image.tags()))?;
    let ids = images.iter().filter_map(Image::image_id).chain(snapshots.iter().filter_map(Snapshot::snapshot_id));
    retag(region, ids.map(str::to_owned).collect(), keep).await
}

/// Retags the snapshot of an import.
pub(crate) async fn keep_snapshot(region: &Region, resource: &Resource, keep: &Keep) -> Result<()> {
    let found = list::snapshots(region, Which::Token(&resource.token)).await?;
    let ids: Vec<String> = found.into_iter().filter_map(|snapshot| snapshot.snapshot_id).collect();
    if ids.is_empty() {
        return Err(missing(resource));
    }
    retag(region, ids, keep).await
}

fn missing(resource: &Resource) -> Error {
    Error::new(ErrorKind::NotFound, format!("{resource} is not there to be kept"))
}

/// What is kept for good loses its expiry last: a state that says so is what every cleanup looks at first.
async fn retag(region: &Region, ids: Vec<String>, keep: &Keep) -> Result<()> {
    let mut kept = BTreeMap::from([(tag::STATE.to_owned(), keep.state.as_str().to_owned())]);
    if let Some(at) = keep.expires_at {
        kept.insert(tag::EXPIRES.to_owned(), at.as_millis().to_string());
    }
    let client = region.client().await?;
    let call = client.create_tags().set_resources(Some(ids.clone())).set_tags(Some(to_tags(&kept)));
    call.send().await.map_err(|e| sdk_error("ec2:CreateTags", &region.place, e))?;
    if keep.expires_at.is_none() {
        let call = client.delete_tags().set_resources(Some(ids)).tags(Tag::builder().key(tag::EXPIRES).build());
        call.send().await.map_err(|e| sdk_error("ec2:DeleteTags", &region.place, e))?;
    }
    Ok(())
}
