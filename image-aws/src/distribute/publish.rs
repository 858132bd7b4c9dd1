//! Publishing: who may use the copies, and then the pointers to them.

use super::{
    AmiDistributor,
    attribute::{Attribute, minute, with},
    parameter, permission,
    target::{Protection, Target},
    tasks::{self, Job, Others},
    template,
};
use crate::ec2::{
    ami,
    client::Region,
    list::{self, Which},
};
use image_core::{Context, Error, ErrorKind, Guard, Image, Result};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

impl AmiDistributor {
    /// All copies are opened to those who may use them before any pointer moves.
    pub(super) async fn publish_copies(&self, cx: &Context, copies: &[Image]) -> Result<Vec<Guard>> {
        let targets: Vec<&Target> = copies.iter().map(|copy| self.target_of(copy)).collect::<Result<_>>()?;
        let mut pointed = BTreeSet::new();
        for target in targets.iter().filter(|target| target.has_pointers()) {
            if !pointed.insert(&target.place) {
                let message = format!("two images for {} cannot have the same pointers", target.place);
                return Err(Error::new(ErrorKind::Conflict, message));
            }
        }
        let (mut opening, mut pointing): (Vec<Job<_>>, Vec<Job<_>>) = (vec![], vec![]);
        for (target, copy) in targets.into_iter().zip(copies) {
            let (region, id) = (self.region(&target.place), copy.id.clone());
            let work = Opening { cx: cx.clone(), region, target: target.clone(), id };
            let place = &target.place;
            let then = work.clone();
            opening.push((place.clone(), Box::pin(async move { work.open().await })));
            pointing.push((place.clone(), Box::pin(async move { then.point().await })));
        }
        let mut guards = tasks::all("opening copies", self.at_once, Others::Finish, opening).await?;
        guards.extend(tasks::all("moving pointers", self.at_once, Others::Finish, pointing).await?);
        Ok(guards.into_iter().flatten().collect())
    }
}

/// A copy that is published.
#[derive(Clone)]
struct Opening {
    cx: Context,
    region: Arc<Region>,
    target: Target,
    id: String,
}

impl Opening {
    /// Deprecation and permissions; the image last, which is what others find it by.
    async fn open(&self) -> Result<Vec<Guard>> {
        let (cx, region, target) = (&self.cx, &self.region, &self.target);
        let mut guards = vec![];
        if let Some(after) = target.deprecate_after {
            let seconds = i64::try_from(cx.now().after(after).as_millis() / 1000).unwrap_or(i64::MAX);
            let at = minute(seconds)?;
            // What a rerun finds stays: it was deprecated so when it was published first.
            let wanted = |now: &Value| if now.is_null() { at } else { now.clone() };
            guards.extend(Attribute::Deprecation.change(cx, region, &self.id, wanted).await?);
        }
        if let Some(protection) = target.protection {
            let cooldown = protection == Protection::WithCooldown;
            guards.extend(Attribute::Protection { cooldown }.change(cx, region, &self.id, |_| json!(true)).await?);
        }
        guards.extend(self.open_snapshots().await?);
        let mut allowed: Vec<String> = target.accounts.iter().map(|id| permission::account(id)).collect();
        allowed.extend(target.organizations.iter().map(|arn| permission::organization(arn)));
        allowed.extend(target.units.iter().map(|arn| permission::unit(arn)));
        allowed.extend(target.public.then(|| permission::ALL.to_owned()));
        if !allowed.is_empty() {
            let wanted = |now: &Value| with(now, allowed);
            guards.extend(Attribute::LaunchPermission.change(cx, region, &self.id, wanted).await?);
        }
        Ok(guards)
    }

    async fn open_snapshots(&self) -> Result<Vec<Guard>> {
        let (cx, region, target) = (&self.cx, &self.region, &self.target);
        if !target.share_snapshots && target.fast_restore.is_empty() {
            return Ok(vec![]);
        }
        let missing = || Error::new(ErrorKind::NotFound, format!("image {} is gone from {}", self.id, region.place));
        let ids = [self.id.clone()];
        let image = cx.race(list::images(region, Which::Ids(&ids))).await?.into_iter().next().ok_or_else(missing)?;
        let mut guards = vec![];
        for snapshot in ami::snapshots(&image).values() {
            if target.share_snapshots {
                let wanted = |now: &Value| with(now, target.accounts.iter().map(|id| permission::account(id)));
                guards.extend(Attribute::VolumePermission.change(cx, region, snapshot, wanted).await?);
            }
            if !target.fast_restore.is_empty() {
                let wanted = |now: &Value| with(now, target.fast_restore.iter().cloned());
                guards.extend(Attribute::FastRestore.change(cx, region, snapshot, wanted).await?);
            }
        }
        Ok(guards)
    }

    async fn point(&self) -> Result<Vec<Guard>> {
        let mut guards = vec![];
        for name in &self.target.parameters {
            let wanted = |now: &Value| if parameter::names(now, &self.id) { now.clone() } else { json!(self.id) };
            guards.extend(Attribute::Parameter.change(&self.cx, &self.region, name, wanted).await?);
        }
        for template in &self.target.templates {
            guards.extend(template::point(&self.cx, &self.region, template, &self.id).await?);
        }
        Ok(guards)
    }
}
