//! Images and snapshots of the cloud in memory.

use super::{
    cloud::{Ami, COPY_TAKES, Cloud, Home, LAG, Refusal, Snap, State, refuse},
    wire::{Form, items, xml},
};
use crate::Place;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

impl Cloud {
    pub(super) fn image(&self, place: &Place, action: &str, form: &Form) -> Result<String, Refusal> {
        let (mut state, now) = (self.lock(), Instant::now());
        if action == "CopyImage" {
            return copy_image(&mut state, place, form);
        }
        let home = state.home(place);
        let done = Ok(xml("return", true));
        match action {
            "DescribeImages" => {
                assert_eq!(form.list("Owner"), ["self"]);
                let seen = home.images.iter().filter(|(_, ami)| ami.visible_at <= now);
                let wanted = seen.filter(|(id, ami)| matches(form, "image-id", id, &ami.tags));
                return Ok(items("imagesSet", wanted.map(|(id, ami)| show_image(id, ami, now))));
            }
            "DescribeSnapshots" => {
                let seen = home.snapshots.iter().filter(|(_, snap)| snap.visible_at <= now);
                let wanted = seen.filter(|(id, snap)| matches(form, "snapshot-id", id, &snap.tags));
                return Ok(items("snapshotSet", wanted.map(|(id, snap)| show_snapshot(id, snap, now))));
            }
            "CreateTags" | "DeleteTags" => {
                for id in form.list("ResourceId") {
                    let tags = tags_of(home, &id)?;
                    for (key, value) in form.tags("Tag") {
                        if action == "CreateTags" {
                            tags.insert(key, value);
                        } else {
                            tags.remove(&key);
                        }
                    }
                }
                return done;
            }
            "DescribeFastSnapshotRestores" => {
                let id = &form.forms("Filter")[0].text("Value.1");
                let zones = home.snapshots.get(id).map(|snap| snap.fast.clone()).unwrap_or_default();
                let item = |zone| xml("snapshotId", id) + &xml("availabilityZone", zone) + &xml("state", "enabling");
                return Ok(items("fastSnapshotRestoreSet", zones.iter().map(item)));
            }
            "EnableFastSnapshotRestores" | "DisableFastSnapshotRestores" => {
                for id in form.list("SourceSnapshotId") {
                    let snap = home.snapshots.get_mut(&id).ok_or_else(|| refusal("InvalidSnapshot.NotFound"))?;
                    for zone in form.list("AvailabilityZone") {
                        if action == "EnableFastSnapshotRestores" {
                            snap.fast.insert(zone);
                        } else {
                            snap.fast.remove(&zone);
                        }
                    }
                }
                return done;
            }
            "DeleteSnapshot" => {
                let id = form.text("SnapshotId");
                if home.images.values().any(|ami| ami.devices.values().any(|snap| *snap == id)) {
                    return refuse("InvalidSnapshot.InUse");
                }
                home.snapshots.remove(&id).ok_or_else(|| refusal("InvalidSnapshot.NotFound"))?;
                return done;
            }
            "DescribeSnapshotAttribute" | "ModifySnapshotAttribute" => {
                let snap = home
                    .snapshots
                    .get_mut(&form.text("SnapshotId"))
                    .ok_or_else(|| refusal("InvalidSnapshot.NotFound"))?;
                if action == "ModifySnapshotAttribute" {
                    modify(&mut snap.volume, form, "CreateVolumePermission");
                }
                return Ok(items("createVolumePermission", snap.volume.iter().map(|who| show_permission(who))));
            }
            _ => {}
        }
        let id = form.text("ImageId");
        let ami = home
            .images
            .get_mut(&id)
            .filter(|ami| ami.visible_at <= now)
            .ok_or_else(|| refusal("InvalidAMIID.NotFound"))?;
        match action {
            "DeregisterImage" if ami.protected => return refuse("OperationNotPermitted"),
            "DeregisterImage" => drop(home.images.remove(&id)),
            "EnableImageDeprecation" => ami.deprecation = Some(form.text("DeprecateAt")),
            "DisableImageDeprecation" => ami.deprecation = None,
            "EnableImageDeregistrationProtection" => ami.protected = true,
            "DisableImageDeregistrationProtection" => ami.protected = false,
            "ModifyImageAttribute" => modify(&mut ami.launch, form, "LaunchPermission"),
            "DescribeImageAttribute" => {
                return Ok(items("launchPermission", ami.launch.iter().map(|who| show_permission(who))));
            }
            other => panic!("{other} is not simulated"),
        }
        done
    }
}

fn refusal(code: &'static str) -> Refusal {
    Refusal { code, status: 400 }
}

fn tags_of<'a>(home: &'a mut Home, id: &str) -> Result<&'a mut BTreeMap<String, String>, Refusal> {
    let Home { images, snapshots, .. } = home;
    let tags = images.get_mut(id).map(|ami| &mut ami.tags);
    tags.or_else(|| snapshots.get_mut(id).map(|snap| &mut snap.tags)).ok_or_else(|| refusal("InvalidID.NotFound"))
}

fn matches(form: &Form, id_filter: &str, id: &str, tags: &BTreeMap<String, String>) -> bool {
    form.forms("Filter").iter().all(|filter| {
        let (name, values) = (filter.text("Name"), filter.list("Value"));
        let has = |value: &str| values.iter().any(|wanted| wanted == value);
        match name.strip_prefix("tag:") {
            Some(key) => tags.get(key).is_some_and(|value| has(value)),
            None if name == "tag-key" => tags.keys().any(|key| has(key)),
            None => {
                assert_eq!(name, id_filter);
                has(id)
            }
        }
    })
}

fn show_tags(tags: &BTreeMap<String, String>) -> String {
    items("tagSet", tags.iter().map(|(key, value)| xml("key", key) + &xml("value", value)))
}

fn show_image(id: &str, ami: &Ami, now: Instant) -> String {
    let state = if now < ami.available_at {
        "pending"
    } else if ami.fails {
        "failed"
    } else {
        "available"
    };
    let device = |(device, id): (&String, &String)| xml("deviceName", device) + &xml("ebs", xml("snapshotId", id));
    let mut text = xml("imageId", id) + &xml("name", &ami.name) + &xml("imageState", state);
    text += &(xml("architecture", &ami.architecture) + &xml("enaSupport", true) + &xml("rootDeviceName", "/dev/xvda"));
    text += &(xml("bootMode", "uefi") + &xml("imdsSupport", "v2.0") + &xml("tpmSupport", "v2.0"));
    text += &(items("blockDeviceMapping", ami.devices.iter().map(device)) + &show_tags(&ami.tags));
    text += &xml("creationDate", format!("2026-01-01T00:00:{:02}.000Z", ami.number % 60));
    text += &xml("deregistrationProtection", if ami.protected { "enabled-without-cooldown" } else { "disabled" });
    if let Some((image, region)) = &ami.source {
        text += &(xml("sourceImageId", image) + &xml("sourceImageRegion", region));
    }
    if let Some(at) = &ami.deprecation {
        text += &xml("deprecationTime", at);
    }
    if state == "failed" {
        text += &xml("stateReason", xml("message", "the key is not accessible"));
    }
    text
}

fn show_snapshot(id: &str, snap: &Snap, now: Instant) -> String {
    let state = if now < snap.completed_at { "pending" } else { "completed" };
    let mut text = xml("snapshotId", id) + &xml("status", state) + &xml("volumeSize", snap.gib);
    text += &(xml("encrypted", snap.encrypted) + &show_tags(&snap.tags));
    text + &snap.key.as_ref().map(|key| xml("kmsKeyId", key)).unwrap_or_default()
}

fn show_permission(who: &str) -> String {
    match who.split_once(':') {
        Some(("account", id)) => xml("userId", id),
        Some(("organization", arn)) => xml("organizationArn", arn),
        Some((_, arn)) => xml("organizationalUnitArn", arn),
        None => xml("group", who),
    }
}

fn modify(set: &mut BTreeSet<String>, form: &Form, key: &str) {
    let text = |one: &Form| {
        let named = [("UserId", "account:"), ("OrganizationArn", "organization:"), ("Group", "")];
        let named = named.into_iter().find_map(|(key, prefix)| Some(format!("{prefix}{}", one.get(key)?)));
        named.unwrap_or_else(|| format!("organizational-unit:{}", one.text("OrganizationalUnitArn")))
    };
    set.extend(form.forms(&format!("{key}.Add")).iter().map(text));
    let gone: BTreeSet<String> = form.forms(&format!("{key}.Remove")).iter().map(text).collect();
    set.retain(|who| !gone.contains(who));
}

fn copy_image(state: &mut State, place: &Place, form: &Form) -> Result<String, Refusal> {
    let token = form.text("ClientToken");
    if let Some(id) = state.tokens.get(&token) {
        return Ok(xml("imageId", id));
    }
    let (id, region) = (form.text("SourceImageId"), form.text("SourceRegion"));
    let found = state.homes.iter().find(|(home, there)| home.region == region && there.images.contains_key(&id));
    let (owner, home) = found.ok_or_else(|| refusal("InvalidAMIID.NotFound"))?;
    let source = home.images[&id].clone();
    let snapshots: Vec<(String, Snap)> =
        source.devices.iter().map(|(device, id)| (device.clone(), home.snapshots[id].clone())).collect();
    let me = format!("account:{}", place.account);
    let may = source.launch.contains(&me) && snapshots.iter().all(|(_, snap)| snap.volume.contains(&me));
    if owner.account != place.account && !may {
        return refuse("InvalidAMIID.NotFound");
    }
    if state.home(place).images.values().any(|ami| ami.name == form.text("Name")) {
        return refuse("InvalidAMIName.Duplicate");
    }
    let tags_for = |kind: &str| {
        let of_kind = form.forms("TagSpecification").into_iter().find(|spec| spec.text("ResourceType") == kind);
        of_kind.map(|spec| spec.tags("Tag")).unwrap_or_default()
    };
    let (now, number) = (Instant::now(), state.next());
    let new = format!("ami-{number:017x}");
    let mut devices = BTreeMap::new();
    for (device, snap) in snapshots {
        let snapshot = format!("snap-{:017x}", state.next());
        let encrypted = snap.encrypted || form.get("Encrypted") == Some("true") || state.home(place).encrypts;
        let key = form.get("KmsKeyId").unwrap_or("default");
        let copy = Snap {
            encrypted,
            key: encrypted.then(|| format!("arn:aws:kms:{}:{}:key/{key}", place.region, place.account)),
            tags: tags_for("snapshot"),
            volume: BTreeSet::new(),
            // EC2 makes them a while after it has answered.
            visible_at: now + LAG,
            completed_at: now + COPY_TAKES,
            ..snap
        };
        state.home(place).snapshots.insert(snapshot.clone(), copy);
        devices.insert(device, snapshot);
    }
    let copy = Ami {
        name: form.text("Name"),
        source: Some((id, region)),
        devices,
        tags: tags_for("image"),
        launch: BTreeSet::new(),
        deprecation: None,
        protected: false,
        fails: state.failing.contains(&place.region),
        visible_at: now + LAG,
        available_at: now + COPY_TAKES,
        number,
        ..source
    };
    state.home(place).images.insert(new.clone(), copy);
    state.tokens.insert(token, new.clone());
    Ok(xml("imageId", new))
}
