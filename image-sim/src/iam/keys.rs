//! The condition keys that the simulator fills in, and those of resources that exist.

use super::condition::Context;
use crate::clock::iso;
use crate::world::{Place, World};

/// Every key that is filled in wherever AWS does. Those that end with a slash go on with the key of a tag.
const KNOWN: [&str; 50] = [
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:RequestedRegion",
    "aws:RequestTag/",
    "aws:ResourceAccount",
    "aws:ResourceTag/",
    "aws:SecureTransport",
    "aws:TagKeys",
    "ec2:AssociatePublicIpAddress",
    "ec2:AvailabilityZone",
    "ec2:CreateAction",
    "ec2:EbsOptimized",
    "ec2:Encrypted",
    "ec2:ImageID",
    "ec2:ImageType",
    "ec2:InstanceID",
    "ec2:InstanceMarketType",
    "ec2:InstanceMetadataTags",
    "ec2:InstanceProfile",
    "ec2:InstanceType",
    "ec2:KeyPairName",
    "ec2:KeyPairType",
    "ec2:MetadataHttpEndpoint",
    "ec2:MetadataHttpPutResponseHopLimit",
    "ec2:MetadataHttpTokens",
    "ec2:Owner",
    "ec2:ParentSnapshot",
    "ec2:ParentVolume",
    "ec2:Public",
    "ec2:Region",
    "ec2:ResourceTag/",
    "ec2:RootDeviceType",
    "ec2:SecurityGroupID",
    "ec2:SnapshotID",
    "ec2:SnapshotTime",
    "ec2:Subnet",
    "ec2:SubnetID",
    "ec2:Tenancy",
    "ec2:VolumeID",
    "ec2:VolumeIops",
    "ec2:VolumeSize",
    "ec2:VolumeThroughput",
    "ec2:VolumeType",
    "ec2:Vpc",
    "ec2:VpcID",
    "iam:PassedToService",
    "ssm:Overwrite",
    "ssm:resourceTag/",
];
/// As the ones above, of the calls of STS.
const OF_SESSIONS: [&str; 2] = ["sts:ExternalId", "sts:RoleSessionName"];

fn all() -> impl Iterator<Item = &'static str> {
    KNOWN.into_iter().chain(OF_SESSIONS)
}

/// Whether the simulator fills in a key, which is in lower case.
pub(super) fn known(key: &str) -> bool {
    all().map(str::to_ascii_lowercase).any(|known| match known.ends_with('/') {
        true => key.strip_prefix(&known).is_some_and(|tag| !tag.is_empty()),
        false => key == known,
    })
}

/// Every key that the simulator fills in, for people.
pub(super) fn list() -> String {
    all().collect::<Vec<_>>().join(", ")
}

/// Sets a key to one value.
pub(super) fn set(context: &mut Context, key: &str, value: impl ToString) {
    debug_assert!(known(&key.to_ascii_lowercase()), "{key} is not in the list of keys");
    context.insert(key.to_ascii_lowercase(), vec![value.to_string()]);
}

/// Sets a key where there is a value.
pub(super) fn set_some(context: &mut Context, key: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        set(context, key, value);
    }
}

/// The keys of tags that a request has.
pub(super) fn set_request_tags<'a>(context: &mut Context, tags: impl IntoIterator<Item = (&'a String, &'a String)>) {
    let mut names = Vec::new();
    for (name, value) in tags {
        set(context, &format!("aws:RequestTag/{name}"), value);
        names.push(name.clone());
    }
    if !names.is_empty() {
        context.insert("aws:tagkeys".to_owned(), names);
    }
}

/// The names of resources: partition, region and account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arns {
    pub(super) place: Place,
}

impl Arns {
    pub(super) fn partition(&self) -> &'static str {
        match &self.place.region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    /// Something of EC2. Images and snapshots have no account in their names.
    pub(super) fn ec2(&self, kind: &str, id: &str) -> String {
        let account = if matches!(kind, "image" | "snapshot") { "" } else { &self.place.account };
        format!("arn:{}:ec2:{}:{account}:{kind}/{id}", self.partition(), self.place.region)
    }

    /// Something of Systems Manager. What AWS publishes has no account in its name.
    pub(super) fn ssm(&self, kind: &str, name: &str, public: bool) -> String {
        let account = if public { "" } else { &self.place.account };
        format!("arn:{}:ssm:{}:{account}:{kind}/{name}", self.partition(), self.place.region)
    }

    pub(super) fn role(&self, name: &str) -> String {
        format!("arn:{}:iam::{}:role/{name}", self.partition(), self.place.account)
    }
}

/// Adds the keys of a resource of EC2: those that every kind has, and those of its own. A resource that does not exist
/// has no tags.
pub(super) fn of_resource(world: &World, arns: &Arns, kind: &str, id: &str, context: &mut Context) {
    let place = &arns.place;
    for (name, value) in world.tags(place, id) {
        set(context, &format!("aws:ResourceTag/{name}"), value);
        set(context, &format!("ec2:ResourceTag/{name}"), value);
    }
    set(context, "aws:ResourceAccount", &place.account);
    let Some(ec2) = world.place(place).map(|region| &region.ec2) else { return };
    match kind {
        "instance" => {
            set(context, "ec2:InstanceID", id);
            let Some(instance) = ec2.instances.get(id) else { return };
            set(context, "ec2:InstanceType", &instance.instance_type);
            set(context, "ec2:AvailabilityZone", &instance.zone);
            set(context, "ec2:EbsOptimized", instance.ebs_optimized);
            set(context, "ec2:InstanceMarketType", if instance.spot.is_some() { "spot" } else { "on-demand" });
            set_some(context, "ec2:InstanceProfile", instance.profile.as_ref());
            set(context, "ec2:RootDeviceType", "ebs");
            set(context, "ec2:Tenancy", "default");
            instance.metadata.keys(|key, value| set(context, key, value));
        }
        "image" => {
            set(context, "ec2:ImageID", id);
            set(context, "ec2:ImageType", "machine");
            set(context, "ec2:RootDeviceType", "ebs");
            let mut all = world.in_region(&place.region);
            let found = all.find_map(|(owner, region)| Some((owner, region.ec2.images.get(id)?)));
            let Some((owner, image)) = found else { return };
            set(context, "ec2:Owner", image.owner_alias.unwrap_or(&owner.account));
            set(context, "ec2:Public", image.permission.all);
            set(context, "aws:ResourceAccount", &owner.account);
        }
        "snapshot" => {
            set(context, "ec2:SnapshotID", id);
            let mut all = world.in_region(&place.region);
            let found = all.find_map(|(owner, region)| Some((owner, region.ec2.snapshots.get(id)?)));
            let Some((owner, snapshot)) = found else { return };
            set(context, "ec2:Owner", snapshot.owner_alias.unwrap_or(&owner.account));
            set(context, "ec2:ParentVolume", arns.ec2("volume", &snapshot.volume_id));
            set(context, "ec2:SnapshotTime", iso(snapshot.started));
            set(context, "ec2:VolumeSize", snapshot.size);
            set(context, "ec2:Encrypted", snapshot.encrypted);
            set(context, "aws:ResourceAccount", &owner.account);
        }
        "volume" => {
            set(context, "ec2:VolumeID", id);
            let Some(volume) = ec2.volumes.get(id) else { return };
            set(context, "ec2:AvailabilityZone", &volume.zone);
            set(context, "ec2:Encrypted", volume.encrypted);
            set(context, "ec2:VolumeSize", volume.size);
            set(context, "ec2:VolumeType", &volume.kind);
            set_some(context, "ec2:VolumeIops", volume.iops);
            set_some(context, "ec2:VolumeThroughput", volume.throughput);
            let parent = volume.snapshot_id.as_ref().map(|id| arns.ec2("snapshot", id));
            set_some(context, "ec2:ParentSnapshot", parent);
        }
        "security-group" => {
            set(context, "ec2:SecurityGroupID", id);
            let group = ec2.groups.0.get(id);
            set_some(context, "ec2:Vpc", group.map(|group| arns.ec2("vpc", &group.vpc_id)));
        }
        "subnet" => {
            set(context, "ec2:SubnetID", id);
            let Ok(subnet) = ec2.network.subnet(Some(id), None) else { return };
            set(context, "ec2:AvailabilityZone", &subnet.zone);
            set(context, "ec2:Vpc", arns.ec2("vpc", &subnet.vpc_id));
        }
        "vpc" => {
            set(context, "ec2:VpcID", id);
            set(context, "ec2:Tenancy", "default");
        }
        "key-pair" => {
            set(context, "ec2:KeyPairName", id);
            let Some(key) = ec2.key_pairs.values().find(|key| key.name == id) else { return };
            set(context, "ec2:KeyPairType", key.kind);
            for (name, value) in world.tags(place, &key.id) {
                set(context, &format!("aws:ResourceTag/{name}"), value);
                set(context, &format!("ec2:ResourceTag/{name}"), value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_in_any_case_and_those_of_tags_by_their_prefix() {
        for (key, expected) in [
            ("aws:requesttag/golden-image:token", true),
            ("aws:requesttag/", false),
            ("aws:requesttag", false),
            ("ec2:metadatahttptokens", true),
            ("ec2:metadatahttptoken", false),
            ("ec2:regionx", false),
            ("sts:externalid", true),
        ] {
            assert_eq!(known(key), expected, "{key}");
        }
        assert!(all().is_sorted_by(|a, b| a.to_ascii_lowercase() < b.to_ascii_lowercase()));
    }
}
