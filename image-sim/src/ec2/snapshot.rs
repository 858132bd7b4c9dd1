//! Snapshots.

mod attribute;
pub(crate) mod copy;

use jiff::Timestamp;

use super::action::{Action, Cx, Handler, act, done};
use super::describe::{Query, maybe, one};
use super::ids::{SNAPSHOT, VOLUME};
use super::sharing::Sharing;
use super::tags::{self, Tags};
use crate::body::Content;
use crate::clock::{after, iso};
use crate::error::ApiError;
use crate::query::Params;
use crate::world::{Region, new_id};
use crate::xml::Xml;

pub(crate) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "CreateSnapshot" => act::<CreateSnapshot>,
        "DescribeSnapshots" => act::<DescribeSnapshots>,
        "DeleteSnapshot" => act::<DeleteSnapshot>,
        _ => return copy::handler(action).or_else(|| attribute::handler(action)),
    })
}

/// A snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    /// GiB
    pub(crate) size: u32,
    /// Of a copy, an id that no volume has.
    pub(crate) volume_id: String,
    pub(crate) encrypted: bool,
    pub(crate) kms_key: Option<String>,
    pub(crate) description: String,
    pub(crate) started: Timestamp,
    /// When it is complete, provided that its content is there.
    pub(crate) ready_at: Timestamp,
    /// `None` while it is still being captured or written.
    pub(crate) content: Option<Content>,
    /// Of one that is written block by block: when it fails unless another block comes.
    pub(crate) idle_until: Option<Timestamp>,
    /// Why it could not be made.
    pub(crate) failed: Option<String>,
    pub(crate) sharing: Sharing,
    /// `amazon`, for what Amazon publishes.
    pub(crate) owner_alias: Option<&'static str>,
    pub(crate) seeded: bool,
}

impl Snapshot {
    /// A snapshot of this size that begins now and has no content yet.
    pub(crate) fn new(size: u32, now: Timestamp, ready_at: Timestamp) -> Self {
        Self {
            id: new_id("snap"),
            size,
            volume_id: "vol-ffffffff".to_owned(),
            encrypted: false,
            kms_key: None,
            description: String::new(),
            started: now,
            ready_at,
            content: None,
            idle_until: None,
            failed: None,
            sharing: Sharing::default(),
            owner_alias: None,
            seeded: false,
        }
    }

    /// `pending`, `completed` or `error`.
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match (&self.failed, &self.content) {
            (Some(_), _) => "error",
            (None, Some(_)) if self.ready_at <= now => "completed",
            (None, None) if self.idle_until.is_some_and(|until| until < now) => "error",
            _ => "pending",
        }
    }

    fn progress(&self, now: Timestamp) -> i64 {
        let total = self.ready_at.duration_since(self.started).as_millis().max(1);
        let share = now.duration_since(self.started).as_millis() * 100 / total;
        match self.state(now) {
            "completed" => 100,
            _ => i64::try_from(share.clamp(0, 99)).unwrap_or(99),
        }
    }

    fn field(&self, owner: &str, name: &str, now: Timestamp) -> Vec<String> {
        match name {
            "description" => one(&self.description),
            "encrypted" => one(self.encrypted),
            "owner-alias" => maybe(self.owner_alias),
            "owner-id" => one(owner),
            "progress" => one(format_args!("{}%", self.progress(now))),
            "snapshot-id" => one(&self.id),
            "start-time" => one(iso(self.started)),
            "status" => one(self.state(now)),
            "storage-tier" => one("standard"),
            "volume-id" => one(&self.volume_id),
            _ => one(self.size),
        }
    }

    fn write(&self, xml: &mut Xml, owner: &str, tags: &Tags, now: Timestamp) {
        xml.text("snapshotId", &self.id);
        xml.text("volumeId", &self.volume_id);
        xml.text("status", self.state(now));
        xml.optional("statusMessage", self.failed.as_ref());
        xml.text("startTime", iso(self.started));
        if self.state(now) == "completed" {
            xml.text("completionTime", iso(self.ready_at));
        }
        xml.text("progress", format_args!("{}%", self.progress(now)));
        xml.text("ownerId", owner);
        xml.optional("ownerAlias", self.owner_alias);
        xml.text("volumeSize", self.size);
        xml.text("description", &self.description);
        xml.text("encrypted", self.encrypted);
        xml.optional("kmsKeyId", self.kms_key.as_ref());
        xml.text("storageTier", "standard");
        tags::write(xml, tags);
    }
}

/// A snapshot in a region that the caller may make volumes of, and who owns it.
pub(crate) fn usable(cx: &Cx<'_>, region: &str, id: &str) -> Result<(String, Snapshot), ApiError> {
    let caller = &cx.place.account;
    cx.world
        .in_region(region)
        .filter_map(|(place, region)| Some((place, region.ec2.snapshots.get(id)?)))
        .find(|(place, snapshot)| place.account == *caller || snapshot.sharing.allows(caller))
        .map(|(place, snapshot)| (place.account.clone(), snapshot.clone()))
        .ok_or_else(|| SNAPSHOT.missing(id))
}

/// As [`usable`], and complete.
pub(crate) fn complete(cx: &Cx<'_>, region: &str, id: &str) -> Result<Snapshot, ApiError> {
    let (_, snapshot) = usable(cx, region, id)?;
    match snapshot.state(cx.now) {
        "completed" => Ok(snapshot),
        state => Err(ApiError::new("IncorrectState", format!("Snapshot is in invalid state - {state}"))),
    }
}

/// A snapshot that the caller owns.
pub(crate) fn own<'a>(cx: &'a mut Cx<'_>, id: &str) -> Result<&'a mut Snapshot, ApiError> {
    cx.region().ec2.snapshots.get_mut(id).ok_or_else(|| SNAPSHOT.missing(id))
}

/// Fills snapshots with what volumes hold now: of a running instance, once its body has told.
///
/// `pairs`: snapshots and the volumes that they are of.
pub(crate) fn capture(cx: &mut Cx<'_>, pairs: Vec<(String, String)>) {
    let ec2 = &mut cx.region().ec2;
    let mut from_bodies = Vec::new();
    for (snapshot_id, volume_id) in pairs {
        let Some(volume) = ec2.volumes.get(&volume_id) else { continue };
        let attached = volume.attachment.as_ref();
        let body = attached.and_then(|at| Some((at.device.clone(), ec2.instances.get(&at.instance_id)?.body.clone()?)));
        match body {
            Some((device, body)) => from_bodies.push((snapshot_id, device, body)),
            None => {
                let content = volume.content.clone();
                if let Some(snapshot) = ec2.snapshots.get_mut(&snapshot_id) {
                    snapshot.content = Some(content);
                }
            }
        }
    }
    let (cloud, place, now) = (std::sync::Arc::clone(cx.cloud), cx.place.clone(), cx.now);
    let Some((_, _, body)) = from_bodies.first() else { return };
    // All volumes of a request belong to one instance.
    let body = std::sync::Arc::clone(body);
    cx.later(async move {
        let captured = body.capture().await;
        let mut world = cloud.world();
        let snapshots = &mut world.region(&place, now).ec2.snapshots;
        for (id, device, _) in from_bodies {
            let Some(snapshot) = snapshots.get_mut(&id) else { continue };
            match &captured {
                Ok(contents) => snapshot.content = Some(contents.get(&device).cloned().unwrap_or_default()),
                Err(error) => snapshot.failed = Some(error.message.clone()),
            }
        }
    });
}

struct CreateSnapshot {
    volume_id: String,
    description: String,
    tags: Tags,
}

impl Action for CreateSnapshot {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.one_of("Location", &["regional"])?;
        Ok(Self {
            volume_id: VOLUME.required(params, "VolumeId")?,
            description: params.text("Description").unwrap_or_default(),
            tags: tags::specification(params, &SNAPSHOT)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (now, ready) = (cx.now, after(cx.now, cx.cloud.config.timings.snapshot));
        let account = cx.place.account.clone();
        let ec2 = &mut cx.region().ec2;
        let volume = ec2.volumes.get(&self.volume_id).ok_or_else(|| VOLUME.missing(&self.volume_id))?;
        let snapshot = Snapshot {
            volume_id: volume.id.clone(),
            encrypted: volume.encrypted,
            kms_key: volume.kms_key.clone(),
            description: self.description,
            ..Snapshot::new(volume.size, now, ready)
        };
        let id = snapshot.id.clone();
        snapshot.write(xml, &account, &self.tags, now);
        ec2.tags.set(&id, self.tags);
        ec2.snapshots.insert(id.clone(), snapshot);
        cx.created(&id);
        capture(cx, vec![(id, self.volume_id)]);
        Ok(())
    }
}

struct DescribeSnapshots {
    query: Query,
    owners: Vec<String>,
    restorable_by: Vec<String>,
}

impl Action for DescribeSnapshots {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let filters = [
            "description",
            "encrypted",
            "owner-alias",
            "owner-id",
            "progress",
            "snapshot-id",
            "start-time",
            "status",
            "storage-tier",
            "volume-id",
            "volume-size",
        ];
        Ok(Self {
            query: Query::parse(params, &SNAPSHOT, "SnapshotId", &filters)?,
            owners: params.texts("Owner")?,
            restorable_by: params.texts("RestorableBy")?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (now, caller, region) = (cx.now, cx.place.account.clone(), cx.place.region.clone());
        let is = |names: &[String], account: &str| {
            names.iter().any(|name| name == account || (name == "self" && account == caller))
        };
        let mut visible: Vec<(String, Snapshot)> = Vec::new();
        for (place, other) in cx.world.in_region(&region) {
            for snapshot in other.ec2.snapshots.values() {
                let mine = place.account == caller;
                let owner = self.owners.is_empty()
                    || is(&self.owners, &place.account)
                    || snapshot.owner_alias.is_some_and(|alias| self.owners.iter().any(|name| name == alias));
                let restorable = self.restorable_by.is_empty()
                    || (is(&self.restorable_by, &caller) && (mine || snapshot.sharing.users.contains(&caller)))
                    || (snapshot.sharing.all && self.restorable_by.iter().any(|name| name == "all"));
                if (mine || snapshot.sharing.allows(&caller)) && owner && restorable {
                    visible.push((place.account.clone(), snapshot.clone()));
                }
            }
        }
        let Region { ec2, unsettled, .. } = cx.region();
        let items = visible.iter().map(|item| (&item.1.id, item));
        let (shown, next) = self
            .query
            .select(items, &ec2.tags, unsettled, now, |(owner, snapshot), name| snapshot.field(owner, name, now))?;
        xml.items("snapshotSet", shown, |xml, (owner, snapshot)| {
            snapshot.write(xml, owner, ec2.tags.of(&snapshot.id), now);
        });
        xml.optional("nextToken", next);
        Ok(())
    }
}

struct DeleteSnapshot {
    id: String,
}

impl Action for DeleteSnapshot {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self { id: SNAPSHOT.required(params, "SnapshotId")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        own(cx, &self.id)?;
        let ec2 = &mut cx.region().ec2;
        if let Some(image) = ec2.images.values().find(|image| image.snapshots().any(|id| id == self.id)) {
            let message = format!("The snapshot {} is currently in use by {}", self.id, image.id);
            return Err(ApiError::new("InvalidSnapshot.InUse", message));
        }
        ec2.forget_snapshot(&self.id);
        done(xml);
        Ok(())
    }
}
