//! How things of the cloud are filtered and shown.

use crate::{
    cloud::{CAPTURES, Thing},
    wire::{Params, element, items, list, text},
};
use std::collections::BTreeMap;

pub(crate) fn passes(id: &str, thing: &Thing, params: &Params) -> bool {
    items(params, "Filter").iter().all(|filter| {
        let values = list(filter, "Value");
        let is = |value: &str| values.iter().any(|wanted| wanted == value);
        match filter["Name"].as_str() {
            "tag-key" => thing.tags.keys().any(|key| is(key)),
            "state" => is(thing.state()),
            "name" => is(thing.fact("name")),
            name if name.starts_with("tag:") => thing.tags.get(&name[4..]).is_some_and(|value| is(value)),
            name if name.ends_with("-id") => is(id),
            other => panic!("filter {other} is not known"),
        }
    })
}

pub(crate) fn show(id: &str, thing: &Thing, state: &str) -> String {
    let tag = |(key, value): (&String, &String)| element("item", text("key", key) + &text("value", value));
    let tags = element("tagSet", thing.tags.iter().map(tag).collect::<String>());
    let item = match thing.kind {
        "instance" => {
            let instance = text("instanceId", id) + &element("instanceState", text("name", state)) + &tags;
            element("instancesSet", element("item", instance))
        }
        "security-group" => text("groupId", id) + &tags,
        "snapshot" => {
            let percent = thing.born.elapsed().as_secs() * 100 / CAPTURES.as_secs();
            text("snapshotId", id)
                + &text("status", state)
                + &text("progress", format!("{}%", percent.min(100)))
                + &tags
        }
        "volume" => text("volumeId", id) + &text("status", state) + &tags,
        _ => show_image(id, thing) + &tags,
    };
    element("item", item)
}

fn show_image(id: &str, thing: &Thing) -> String {
    let volume = |(key, snapshot): (&String, &String)| {
        let device = key.strip_prefix("Volume.")?;
        let ebs = element("ebs", text("snapshotId", snapshot) + &text("volumeSize", "8"));
        Some(element("item", text("deviceName", device) + &ebs))
    };
    let reason = element("stateReason", text("code", "Client.InternalError") + &text("message", "the key is disabled"));
    [
        text("imageId", id),
        text("imageState", thing.state()),
        text("imageOwnerId", thing.fact("OwnerId")),
        text("name", thing.fact("name")),
        text("creationDate", thing.fact("created")),
        text("architecture", "x86_64"),
        text("rootDeviceType", "ebs"),
        text("rootDeviceName", "/dev/xvda"),
        text("enaSupport", "true"),
        text("bootMode", thing.fact("BootMode")),
        text("tpmSupport", thing.fact("Tpm")),
        if thing.fact("Imds").is_empty() { String::new() } else { text("imdsSupport", thing.fact("Imds")) },
        if thing.state() == "failed" { reason } else { String::new() },
        element("blockDeviceMapping", thing.facts.iter().filter_map(volume).collect::<String>()),
    ]
    .concat()
}

pub(crate) fn tags_for(params: &Params, kind: &str) -> BTreeMap<String, String> {
    let wanted = items(params, "TagSpecification").into_iter().filter(|one| one["ResourceType"] == kind);
    wanted.flat_map(|one| items(&one, "Tag")).map(|tag| (tag["Key"].clone(), tag["Value"].clone())).collect()
}
