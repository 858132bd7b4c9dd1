//! The values that a distributor changes: read, changed through the journal, and restored only where ours still stands.

use super::{
    kind::{self, OWNER},
    parameter, permission, template,
};
use crate::{
    ec2::{
        client::{Region, filter},
        create::again,
        list::{self, Which},
    },
    error::sdk_error,
};
use aws_sdk_ec2::types::{FastSnapshotRestoreStateCode, Image};
use aws_smithy_types::{DateTime, date_time::Format};
use image_core::{Change, Context, CreateError, Error, ErrorKind, Guard, Resource, Result, Target, Undone};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How long a value may take to be seen: reads lag behind, and Systems Manager validates late.
const STANDS_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A value of something that is not ours to delete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Attribute {
    /// The default version of a launch template: a number.
    DefaultVersion,
    /// When an image is deprecated: RFC 3339 or null.
    Deprecation,
    /// The zones that a snapshot is restored fast in: a set.
    FastRestore,
    /// Who may launch an image: a set.
    LaunchPermission,
    /// What a parameter of Systems Manager says; see [`parameter::read`].
    Parameter,
    /// Whether an image is protected from being deregistered.
    Protection {
        /// Whether the protection lasts a day longer than it is wanted. It is no part of the value.
        cooldown: bool,
    },
    /// Who may make volumes of a snapshot: a set.
    VolumePermission,
}

impl Attribute {
    const ALL: [Self; 7] = [
        Self::DefaultVersion,
        Self::Deprecation,
        Self::FastRestore,
        Self::LaunchPermission,
        Self::Parameter,
        Self::Protection { cooldown: false },
        Self::VolumePermission,
    ];

    /// Its name in journals. It never changes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DefaultVersion => "default-version",
            Self::Deprecation => "deprecation",
            Self::FastRestore => "fast-snapshot-restore",
            Self::LaunchPermission => "launch-permission",
            Self::Parameter => "ssm-parameter",
            Self::Protection { .. } => "deregistration-protection",
            Self::VolumePermission => "create-volume-permission",
        }
    }

    /// The id of the value in journals: `ami-1/launch-permission`, or a parameter's own name.
    pub(crate) fn id(self, thing: &str) -> String {
        if self == Self::Parameter { thing.to_owned() } else { format!("{thing}/{}", self.name()) }
    }

    /// What a journal says that the value is of.
    pub(crate) fn of(resource: &Resource) -> Result<(Self, &str)> {
        let name = &resource.kind.name;
        let known = Self::ALL.into_iter().find(|attribute| attribute.name() == name);
        let attribute = known.ok_or_else(|| Error::bug(format!("{name} is no value that {OWNER} changes")))?;
        let id = resource.id.as_deref().ok_or_else(|| Error::bug(format!("a change of {name} without its target")))?;
        let suffix = format!("/{name}");
        let thing = if attribute == Self::Parameter { Some(id) } else { id.strip_suffix(&suffix) };
        thing.map(|thing| (attribute, thing)).ok_or_else(|| Error::bug(format!("{id} is no id of a {name}")))
    }

    /// Each member of a set is a value of its own, which others may add to and take from.
    fn is_set(self) -> bool {
        matches!(self, Self::FastRestore | Self::LaunchPermission | Self::VolumePermission)
    }

    /// The value; `None` where the thing that has it is gone.
    pub(crate) async fn read(self, region: &Region, thing: &str) -> Result<Option<Value>> {
        match self {
            Self::DefaultVersion => {
                Ok(template::describe(region, thing).await?.map(|template| json!(template.default)))
            }
            Self::Deprecation => match own_image(region, thing).await? {
                Some(image) => image.deprecation_time().map_or(Ok(Some(Value::Null)), |at| minute_of(at).map(Some)),
                None => Ok(None),
            },
            Self::FastRestore => fast_zones(region, thing).await.map(|zones| Some(json!(zones))),
            Self::LaunchPermission => Ok(permission::of_image(region, thing).await?.map(|set| json!(set))),
            Self::Parameter => parameter::read(region, thing).await.map(Some),
            Self::Protection { .. } => {
                let on = |text: Option<&str>| text.is_some_and(|text| text.starts_with("enabled"));
                Ok(own_image(region, thing).await?.map(|image| json!(on(image.deregistration_protection()))))
            }
            Self::VolumePermission => Ok(permission::of_snapshot(region, thing).await?.map(|set| json!(set))),
        }
    }

    /// Makes the calls that bring a value from one to another.
    async fn write(self, region: &Region, thing: &str, from: &Value, to: &Value) -> Result<(), CreateError> {
        let (add, remove) = (less(to, from), less(from, to));
        match self {
            Self::DefaultVersion => template::set_default(region, thing, to).await,
            Self::Deprecation => deprecate(region, thing, to).await,
            Self::FastRestore => change_fast_zones(region, thing, &add, &remove).await,
            Self::LaunchPermission => permission::change_image(region, thing, &add, &remove).await,
            Self::Parameter => parameter::write(region, thing, from, to).await,
            Self::Protection { cooldown } => protect(region, thing, to == &json!(true), cooldown).await,
            Self::VolumePermission => permission::change_snapshot(region, thing, &add, &remove).await,
        }
    }

    /// Whether a change has had its effect.
    fn stands(self, now: &Value, from: &Value, to: &Value) -> bool {
        if !self.is_set() {
            return now == to;
        }
        let now = members(now);
        less(to, from).is_subset(&now) && less(from, to).is_disjoint(&now)
    }

    /// Changes a value through the journal; nothing where it is so already.
    pub(crate) async fn change(
        self,
        cx: &Context,
        region: &Arc<Region>,
        thing: &str,
        wanted: impl FnOnce(&Value) -> Value,
    ) -> Result<Option<Guard>> {
        let missing = || {
            let message = format!("{thing} is not there, so that its {} cannot be changed", self.name());
            Error::new(ErrorKind::NotFound, message).with_context("place", &region.place)
        };
        let before = cx.race(self.read(region, thing)).await?.ok_or_else(missing)?;
        let after = wanted(&before);
        if self.stands(&before, &before, &after) {
            return Ok(None);
        }
        region.mutations.turn(cx).await?;
        let place = &region.place;
        let target = Target::new(OWNER, place.scope(), kind::kind(self.name()), &place.region, self.id(thing));
        let (region, thing) = (Arc::clone(region), thing.to_owned());
        let apply = move |change: Change| async move { self.apply(&region, &thing, &change).await };
        cx.change(target, before, after, apply).await.map(Some)
    }

    /// Changes a value where nobody was faster, and waits until the new one is seen.
    async fn apply(self, region: &Region, thing: &str, change: &Change) -> Result<(), CreateError> {
        let Change { before, after, .. } = change;
        if !self.is_set() {
            let now = self.read(region, thing).await.map_err(CreateError::Rejected)?;
            if now.as_ref() != Some(before) {
                let message = format!("the {} of {thing} is {} and not {before} any more", self.name(), show(now));
                return Err(CreateError::Rejected(Error::new(ErrorKind::Conflict, message)));
            }
        }
        self.write(region, thing, before, after).await?;
        self.settled(region, thing, before, after).await.map_err(CreateError::Unclear)
    }

    /// Waits until a change is seen.
    async fn settled(self, region: &Region, thing: &str, from: &Value, to: &Value) -> Result<()> {
        let give_up = Instant::now() + STANDS_WITHIN;
        loop {
            let now = match self.read(region, thing).await {
                Ok(now) => now,
                Err(e) if e.is_retryable() => None,
                Err(e) => return Err(e),
            };
            if now.as_ref().is_some_and(|now| self.stands(now, from, to)) {
                return Ok(());
            }
            if Instant::now() >= give_up {
                let seconds = STANDS_WITHIN.as_secs();
                let message = format!("the {} of {thing} is {} and not {to} after {seconds} s", self.name(), show(now));
                return Err(Error::new(ErrorKind::Conflict, message).with_context("place", &region.place));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Takes a change back, as far as it is still ours.
    pub(crate) async fn restore(self, region: &Region, thing: &str, change: &Change) -> Result<Undone> {
        let Some(now) = self.read(region, thing).await? else { return Ok(Undone::Absent) };
        let old = match self.back(&now, change) {
            Back::Done => return Ok(Undone::Absent),
            Back::Foreign => return Ok(Undone::Superseded),
            Back::To(old) => old,
        };
        self.write(region, thing, &now, &old).await.map_err(cause)?;
        self.settled(region, thing, &now, &old).await.map(|()| Undone::Gone)
    }

    fn back(self, now: &Value, change: &Change) -> Back {
        let Change { before, after, .. } = change;
        if !self.is_set() {
            return match now {
                now if now == before => Back::Done,
                now if now == after => Back::To(before.clone()),
                _ => Back::Foreign,
            };
        }
        let (ours, now) = (less(after, before), members(now));
        if ours.is_disjoint(&now) {
            // Where a reply was lost it may still come.
            return Back::Done;
        }
        Back::To(json!(now.difference(&ours).collect::<Vec<_>>()))
    }
}

/// What is to be done to take a change back.
#[derive(Debug, PartialEq)]
enum Back {
    Done,
    /// Somebody else changed the value since.
    Foreign,
    To(Value),
}

fn show(value: Option<Value>) -> String {
    value.map_or_else(|| "unknown".into(), |value| value.to_string())
}

/// The members of a set; none where it is not one.
fn members(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn less(a: &Value, b: &Value) -> BTreeSet<String> {
    let b = members(b);
    members(a).into_iter().filter(|member| !b.contains(member)).collect()
}

/// A set with more members.
pub(crate) fn with(set: &Value, more: impl IntoIterator<Item = String>) -> Value {
    let mut members = members(set);
    members.extend(more);
    json!(members)
}

/// A moment as EC2 keeps it: to the minute.
pub(crate) fn minute(seconds: i64) -> Result<Value> {
    let at = DateTime::from_secs(seconds - seconds.rem_euclid(60));
    let text = at.fmt(Format::DateTime).map_err(|e| Error::bug("a moment without a form").with_source(e))?;
    Ok(json!(text))
}

fn moment(text: &str) -> Result<DateTime> {
    let unreadable = |e| Error::bug(format!("`{text}` is no moment of EC2")).with_source(e);
    DateTime::from_str(text, Format::DateTime).map_err(unreadable)
}

fn minute_of(text: &str) -> Result<Value> {
    minute(moment(text)?.secs())
}

/// Why a change failed, however certain that is.
fn cause(failed: CreateError) -> Error {
    match failed {
        CreateError::Rejected(e) | CreateError::Unclear(e) => e,
        _ => Error::bug("a change failed in an unknown way"),
    }
}

async fn own_image(region: &Region, id: &str) -> Result<Option<Image>> {
    Ok(list::images(region, Which::Ids(&[id.to_owned()])).await?.into_iter().next())
}

async fn deprecate(region: &Region, image: &str, at: &Value) -> Result<(), CreateError> {
    let client = region.client_once().await?;
    match at.as_str() {
        Some(text) => {
            let at = moment(text).map_err(CreateError::Rejected)?;
            let call = || client.enable_image_deprecation().image_id(image).deprecate_at(at).send();
            again("ec2:EnableImageDeprecation", &region.place, call).await.map(drop)
        }
        None => {
            let call = || client.disable_image_deprecation().image_id(image).send();
            again("ec2:DisableImageDeprecation", &region.place, call).await.map(drop)
        }
    }
}

async fn protect(region: &Region, image: &str, on: bool, cooldown: bool) -> Result<(), CreateError> {
    let client = region.client_once().await?;
    if on {
        let call = || client.enable_image_deregistration_protection().image_id(image).with_cooldown(cooldown).send();
        again("ec2:EnableImageDeregistrationProtection", &region.place, call).await.map(drop)
    } else {
        let call = || client.disable_image_deregistration_protection().image_id(image).send();
        again("ec2:DisableImageDeregistrationProtection", &region.place, call).await.map(drop)
    }
}

async fn fast_zones(region: &Region, snapshot: &str) -> Result<BTreeSet<String>> {
    use FastSnapshotRestoreStateCode::{Enabled, Enabling, Optimizing};
    let client = region.client().await?;
    let call = client.describe_fast_snapshot_restores().filters(filter("snapshot-id", [snapshot]));
    let (mut zones, mut pages) = (BTreeSet::new(), call.into_paginator().send());
    while let Some(page) = pages.next().await {
        let page = page.map_err(|e| sdk_error("ec2:DescribeFastSnapshotRestores", &region.place, e))?;
        let on = page.fast_snapshot_restores.unwrap_or_default().into_iter();
        let on = on.filter(|restore| matches!(restore.state, Some(Enabled | Enabling | Optimizing)));
        zones.extend(on.filter_map(|restore| restore.availability_zone));
    }
    Ok(zones)
}

async fn change_fast_zones(
    region: &Region,
    snapshot: &str,
    add: &BTreeSet<String>,
    remove: &BTreeSet<String>,
) -> Result<(), CreateError> {
    let client = region.client_once().await?;
    let list = |zones: &BTreeSet<String>| Some(zones.iter().cloned().collect());
    // The answer may be a list of refusals; what stands afterwards is what counts.
    if !add.is_empty() {
        let call = || {
            let call = client.enable_fast_snapshot_restores().source_snapshot_ids(snapshot);
            call.set_availability_zones(list(add)).send()
        };
        again("ec2:EnableFastSnapshotRestores", &region.place, call).await?;
    }
    if !remove.is_empty() {
        let call = || {
            let call = client.disable_fast_snapshot_restores().source_snapshot_ids(snapshot);
            call.set_availability_zones(list(remove)).send()
        };
        again("ec2:DisableFastSnapshotRestores", &region.place, call).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: Value, after: Value) -> Change {
        Change::new(before, after)
    }

    #[test]
    fn only_what_is_ours_is_taken_back() {
        let set = change(json!(["a"]), json!(["a", "b", "c"]));
        let pointer = change(json!("ami-1"), json!("ami-2"));
        let new = change(Value::Null, json!("ami-2"));
        for (attribute, change, now, expected) in [
            (Attribute::LaunchPermission, &set, json!(["a", "b", "c"]), Back::To(json!(["a"]))),
            (Attribute::LaunchPermission, &set, json!(["b", "x"]), Back::To(json!(["x"]))),
            (Attribute::LaunchPermission, &set, json!(["a", "x"]), Back::Done),
            (Attribute::LaunchPermission, &set, json!([]), Back::Done),
            (Attribute::Parameter, &pointer, json!("ami-2"), Back::To(json!("ami-1"))),
            (Attribute::Parameter, &pointer, json!("ami-1"), Back::Done),
            (Attribute::Parameter, &pointer, json!("ami-3"), Back::Foreign),
            (Attribute::Parameter, &pointer, Value::Null, Back::Foreign),
            (Attribute::Parameter, &new, json!("ami-2"), Back::To(Value::Null)),
        ] {
            assert_eq!(attribute.back(&now, change), expected, "{attribute:?} {now}");
        }
    }

    #[test]
    fn a_set_stands_whatever_others_do_to_it() {
        let (from, to) = (json!(["a"]), json!(["a", "b"]));
        for (now, expected) in [(json!(["a", "b"]), true), (json!(["b", "x"]), true), (json!(["a"]), false)] {
            assert_eq!(Attribute::VolumePermission.stands(&now, &from, &to), expected, "{now}");
        }
        assert!(!Attribute::VolumePermission.stands(&json!(["a", "b"]), &to, &from));
    }

    #[test]
    fn journals_name_what_a_value_is_of() {
        for (attribute, thing) in [
            (Attribute::LaunchPermission, "ami-1"),
            (Attribute::Parameter, "/golden/launch-permission"),
            (Attribute::DefaultVersion, "lt-1"),
        ] {
            let kind = kind::kind(attribute.name());
            let scope = image_core::Scope::new("aws/111122223333");
            let resource = Resource::found(OWNER, scope, kind, "us-east-1", "t", attribute.id(thing));
            assert_eq!(Attribute::of(&resource).unwrap(), (attribute, thing));
        }
    }

    #[test]
    fn moments_are_kept_to_the_minute() {
        assert_eq!(minute_of("2030-01-02T03:04:59.999Z").unwrap(), json!("2030-01-02T03:04:00Z"));
        assert_eq!(minute(-1).unwrap(), json!("1969-12-31T23:59:00Z"));
    }
}
