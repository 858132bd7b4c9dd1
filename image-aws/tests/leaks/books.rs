//! What must be there after a run, by a fold of its journal that shares no code with the library's, and what is there.
//! Both are lists of lines, which are compared.

use crate::{
    site::{CHANGES, FAR, HOME, IMAGES, OTHER, POINTER, RUN, Site, mutates, place},
    tally::Found,
};
use aws_sdk_ec2::types::{ImageAttributeName, SnapshotAttributeName};
use image_aws::tag;
use image_core::{Entry, JournalStore as _, Record, Resource};
use image_sim::ResourceState;
use std::collections::BTreeMap;

/// What a journal says is kept.
#[derive(Debug, Default)]
struct Kept {
    images: Vec<Resource>,
    changes: Vec<Resource>,
}

impl Kept {
    /// From a begun commit on its members stay; a change stays once it is kept.
    fn fold(entries: Vec<Entry>) -> Self {
        let mut intended = BTreeMap::<String, Resource>::new();
        let mut kept = BTreeMap::<String, Resource>::new();
        for entry in entries {
            let tokens = match entry.record {
                Record::Intended(resource) => {
                    intended.insert(resource.token.clone(), resource);
                    continue;
                }
                Record::Committing { set, .. } | Record::Kept { set } => set,
                _ => continue,
            };
            kept.extend(tokens.into_iter().map(|token| (token.clone(), intended[&token].clone())));
        }
        let (changes, images) = kept.into_values().partition(|resource| resource.change.is_some());
        Self { images, changes }
    }

    /// The lines of [`there`].
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![];
        for Resource { token, location, .. } in &self.images {
            lines.extend(["image", "snapshot"].map(|kind| format!("{location} {kind} {token} kept")));
        }
        let mut pointers = BTreeMap::from([(place(FAR).region, Site::old_image())]);
        for Resource { id, location, change, kind, .. } in &self.changes {
            let (id, after) = (id.as_deref().unwrap(), &change.as_ref().unwrap().after);
            match kind.name.as_str() {
                "ssm-parameter" => drop(pointers.insert(location.clone(), after.as_str().unwrap().to_owned())),
                _ => lines.extend(
                    after.as_array().unwrap().iter().map(|who| format!("{location} {id} {}", who.as_str().unwrap())),
                ),
            }
        }
        lines.extend(pointers.into_iter().map(|(region, image)| format!("{region} parameter {POINTER} = {image}")));
        lines.sort();
        lines
    }
}

/// What is there of builds: neither from the start nor ended.
pub(crate) fn things(site: &Site) -> Vec<ResourceState> {
    let mut things = site.simulator.state();
    things.retain(|thing| !thing.seeded && thing.state != "terminated" && thing.kind != "parameter");
    things
}

/// A line for each thing, each permission and each pointer.
async fn there(site: &Site) -> Vec<String> {
    let mut lines = vec![];
    for thing in things(site) {
        let ResourceState { account, region, kind, id, tags, .. } = thing;
        let token = tags.get(tag::TOKEN).unwrap_or(&id);
        let state = tags.get(tag::STATE).map_or("without a state", String::as_str);
        let expires = if tags.contains_key(tag::EXPIRES) { " expires" } else { "" };
        lines.push(format!("{region} {kind} {token} {state}{expires}"));
        let allowed = match kind.as_str() {
            "image" => may_launch(site, &format!("{account}/{region}"), &id).await,
            "snapshot" => may_copy(site, &format!("{account}/{region}"), &id).await,
            _ => vec![],
        };
        let attribute = if kind == "image" { "launch-permission" } else { "create-volume-permission" };
        lines.extend(allowed.iter().map(|who| format!("{region} {id}/{attribute} account:{who}")));
    }
    for at in [HOME, FAR, OTHER] {
        if let Ok(answer) = site.ssm(at).await.get_parameter().name(POINTER).send().await {
            let image = answer.parameter.unwrap().value.unwrap();
            lines.push(format!("{} parameter {POINTER} = {image}", place(at).region));
        }
    }
    lines.sort();
    lines
}

/// Accounts, or an empty text for whoever is none.
async fn may_launch(site: &Site, at: &str, id: &str) -> Vec<String> {
    let call = site.ec2(at).await.describe_image_attribute().image_id(id);
    let answer = call.attribute(ImageAttributeName::LaunchPermission).send().await.unwrap();
    answer.launch_permissions().iter().map(|one| one.user_id().unwrap_or_default().to_owned()).collect()
}

async fn may_copy(site: &Site, at: &str, id: &str) -> Vec<String> {
    let call = site.ec2(at).await.describe_snapshot_attribute().snapshot_id(id);
    let answer = call.attribute(SnapshotAttributeName::CreateVolumePermission).send().await.unwrap();
    answer.create_volume_permissions().iter().map(|one| one.user_id().unwrap_or_default().to_owned()).collect()
}

/// Compares the cloud with the journal.
pub(crate) async fn compare(site: &Site) -> Found {
    let kept = Kept::fold(site.store().entries(RUN).await.unwrap());
    let (mut missing, mut beyond) = (kept.lines(), vec![]);
    for line in there(site).await {
        match missing.iter().position(|expected| *expected == line) {
            Some(at) => drop(missing.swap_remove(at)),
            None => beyond.push(line),
        }
    }
    let mut wrong = vec![];
    for (what, kept, all) in [("images", kept.images.len(), IMAGES), ("changes", kept.changes.len(), CHANGES)] {
        if kept != 0 && kept != all {
            wrong.push(format!("{kept} of {all} {what} are kept"));
        }
    }
    Found { committed: !kept.images.is_empty(), beyond, missing, wrong }
}

/// Recovers a run twice, as two people do who saw the same alarm, and compares the cloud with the journal.
pub(crate) async fn recovered(site: &Site) -> Found {
    let mut wrong = vec![];
    match site.recover().await {
        Ok(recovered) if recovered.leftovers.is_empty() => {}
        Ok(recovered) => wrong.push(format!("recovery left {:?}", recovered.leftovers)),
        Err(e) => wrong.push(format!("recovery failed: {}", e.chain())),
    }
    let mut found = compare(site).await;
    let before = site.calls().len();
    if let Err(e) = site.recover().await {
        wrong.push(format!("a second recovery failed: {}", e.chain()));
    }
    let again: Vec<String> =
        site.calls().split_off(before).iter().filter(|c| mutates(c)).map(|c| c.action.clone()).collect();
    if !again.is_empty() {
        wrong.push(format!("a second recovery called {again:?}"));
    }
    found.wrong.extend(wrong);
    found
}
