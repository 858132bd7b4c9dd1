//! `DescribeImages`.

use super::super::action::{Action, Cx, Handler, act};
use super::super::describe::{Query, maybe, one};
use super::super::ids::IMAGE;
use super::Image;
use crate::clock::iso;
use crate::error::ApiError;
use crate::query::Params;
use crate::world::Region;
use crate::xml::Xml;

pub(super) fn handler(action: &str) -> Option<Handler> {
    (action == "DescribeImages").then_some(act::<DescribeImages>)
}

const FILTERS: &[&str] = &[
    "architecture",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.encrypted",
    "block-device-mapping.snapshot-id",
    "block-device-mapping.volume-size",
    "block-device-mapping.volume-type",
    "creation-date",
    "description",
    "ena-support",
    "hypervisor",
    "image-id",
    "image-type",
    "is-public",
    "name",
    "owner-alias",
    "owner-id",
    "root-device-name",
    "root-device-type",
    "source-image-id",
    "source-image-region",
    "source-instance-id",
    "sriov-net-support",
    "state",
    "virtualization-type",
];

struct DescribeImages {
    query: Query,
    owners: Vec<String>,
    executable_by: Vec<String>,
    deprecated: bool,
    disabled: bool,
}

/// An image as the caller sees it.
struct Seen {
    owner: String,
    image: Image,
    state: &'static str,
    text: Xml,
}

impl Action for DescribeImages {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            query: Query::parse(params, &IMAGE, "ImageId", FILTERS)?,
            owners: params.texts("Owner")?,
            executable_by: params.texts("ExecutableBy")?,
            deprecated: params.bool("IncludeDeprecated")?.unwrap_or(false),
            disabled: params.bool("IncludeDisabled")?.unwrap_or(false),
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (now, region) = (cx.now, cx.place.region.clone());
        for id in &self.query.ids {
            super::usable(cx, &region, id)?;
        }
        let caller = cx.place.account.clone();
        let mut visible = Vec::new();
        for (place, other) in cx.world.in_region(&region) {
            for image in other.ec2.images.values() {
                let state = image.state(&other.ec2, now);
                if !self.shows(image, state, &place.account, &caller, now) {
                    continue;
                }
                let mut text = Xml::default();
                let tags = cx.world.tags(&cx.place, &image.id);
                image.write(&mut text, &place.account, &other.ec2, tags, now);
                visible.push(Seen { owner: place.account.clone(), image: image.clone(), state, text });
            }
        }
        let Region { ec2, unsettled, .. } = cx.region();
        let items = visible.iter_mut().map(|seen| {
            let id: &String = &seen.image.id;
            (id, (&seen.owner, &seen.image, seen.state, &mut seen.text))
        });
        let (shown, next) = self.query.select(items, &ec2.tags, unsettled, now, |(owner, image, state, _), name| {
            field(image, owner, state, name)
        })?;
        xml.items("imagesSet", shown, |xml, (.., text)| xml.append(std::mem::take(text)));
        xml.optional("nextToken", next);
        Ok(())
    }
}

impl DescribeImages {
    fn shows(&self, image: &Image, state: &str, owner: &str, caller: &str, now: jiff::Timestamp) -> bool {
        let mine = owner == caller;
        let named = self.owners.iter().any(|name| {
            name == owner || (name == "self" && mine) || image.owner_alias.is_some_and(|alias| alias == name)
        });
        let executable = self.executable_by.iter().any(|name| match name.as_str() {
            "all" => image.permission.all,
            "self" => image.permission.users.contains(caller),
            account => image.permission.users.contains(account),
        });
        (mine || image.permission.allows(caller))
            && (self.owners.is_empty() || named)
            && (self.executable_by.is_empty() || executable)
            && (self.deprecated || mine || !image.deprecated(now))
            && (self.disabled || state != "disabled")
    }
}

fn field(image: &Image, owner: &str, state: &str, name: &str) -> Vec<String> {
    let ebs = || image.devices.iter().filter_map(|device| device.ebs.as_ref());
    match name {
        "architecture" => one(&image.architecture),
        "block-device-mapping.delete-on-termination" => {
            ebs().filter_map(|ebs| ebs.delete_on_termination).map(|value| value.to_string()).collect()
        }
        "block-device-mapping.device-name" => image.devices.iter().map(|device| device.name.clone()).collect(),
        "block-device-mapping.encrypted" => {
            ebs().filter_map(|ebs| ebs.encrypted).map(|value| value.to_string()).collect()
        }
        "block-device-mapping.snapshot-id" => image.snapshots().map(str::to_owned).collect(),
        "block-device-mapping.volume-size" => ebs().filter_map(|ebs| ebs.size).map(|size| size.to_string()).collect(),
        "block-device-mapping.volume-type" => ebs().filter_map(|ebs| ebs.kind.clone()).collect(),
        "creation-date" => one(iso(image.created)),
        "description" => one(&image.description),
        "ena-support" => one(image.ena),
        "hypervisor" => one("xen"),
        "image-id" => one(&image.id),
        "image-type" => one("machine"),
        "is-public" => one(image.permission.all),
        "name" => one(&image.name),
        "owner-alias" => maybe(image.owner_alias),
        "owner-id" => one(owner),
        "root-device-name" => one(&image.root_device),
        "root-device-type" => one("ebs"),
        "source-image-id" => maybe(image.source_image.as_ref().map(|(id, _)| id)),
        "source-image-region" => maybe(image.source_image.as_ref().map(|(_, region)| region)),
        "source-instance-id" => maybe(image.source_instance.as_ref()),
        "sriov-net-support" => maybe(image.sriov.as_ref()),
        "state" => one(state),
        _ => one(&image.virtualization),
    }
}
