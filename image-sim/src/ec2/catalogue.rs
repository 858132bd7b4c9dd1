//! The public images that are there from the start, and those that a test adds.

use jiff::Timestamp;

use super::State;
use super::device::{Device, Ebs};
use super::image::Image;
use super::sharing::Sharing;
use super::snapshot::Snapshot;
use crate::body::Content;
use crate::world::{Place, seeded_id};

/// Amazon's account for its Linux images.
const AMAZON: &str = "137112412989";
/// Debian's account.
const DEBIAN: &str = "136693071363";
/// Canonical's account, for Ubuntu.
const CANONICAL: &str = "099720109477";

/// An image that exists from the start, in every region.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SeedImage {
    /// The name of the image.
    pub name: String,
    /// The account that owns it.
    pub owner: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Whether every account may use it. It is otherwise its owner's alone.
    pub public: bool,
    /// The name of the root device.
    pub root_device: String,
    /// The size of the root volume, in GiB.
    pub size: u32,
    /// What the root volume holds.
    pub content: Content,
}

impl SeedImage {
    /// A public image of 8 GiB that holds nothing.
    pub fn new(name: impl Into<String>, owner: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            owner: owner.into(),
            architecture: architecture.into(),
            public: true,
            root_device: "/dev/xvda".to_owned(),
            size: 8,
            content: Content::Empty,
        }
    }

    /// With a root volume that holds this.
    #[must_use]
    pub fn content(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    /// The id that it has in a region, the same in every run.
    pub fn id(&self, region: &str) -> String {
        seeded_id("ami", &[&self.owner, region, &self.name])
    }
}

/// Amazon Linux 2023, Debian 12 and Ubuntu 24.04, for both architectures.
pub(crate) fn public() -> Vec<SeedImage> {
    let mut images = Vec::new();
    for (architecture, short) in [("x86_64", "amd64"), ("arm64", "arm64")] {
        images.push(SeedImage::new(
            format!("al2023-ami-2023.9.20261101.0-kernel-6.1-{architecture}"),
            AMAZON,
            architecture,
        ));
        images.push(SeedImage::new(format!("debian-12-{short}-20261101-2283"), DEBIAN, architecture));
        let name = format!("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{short}-server-20261101");
        images.push(SeedImage { root_device: "/dev/sda1".to_owned(), ..SeedImage::new(name, CANONICAL, architecture) });
    }
    images
}

/// Puts the images of a place's account into it.
pub(crate) fn add(ec2: &mut State, place: &Place, now: Timestamp, images: &[SeedImage]) {
    for seed in images.iter().filter(|seed| seed.owner == place.account) {
        let sharing = Sharing { all: seed.public, ..Sharing::default() };
        let alias = (seed.owner == AMAZON).then_some("amazon");
        let snapshot = Snapshot {
            id: seeded_id("snap", &[&seed.owner, &place.region, &seed.name]),
            content: Some(seed.content.clone()),
            sharing: sharing.clone(),
            owner_alias: alias,
            seeded: true,
            ..Snapshot::new(seed.size, now, now)
        };
        let ebs = Ebs {
            snapshot_id: Some(snapshot.id.clone()),
            size: Some(seed.size),
            kind: Some("gp3".to_owned()),
            iops: Some(3000),
            throughput: Some(125),
            encrypted: Some(false),
            kms_key: None,
            delete_on_termination: Some(true),
        };
        let root = Device { name: seed.root_device.clone(), ebs: Some(ebs), no_device: false, virtual_name: None };
        let image = Image {
            id: seed.id(&place.region),
            architecture: seed.architecture.clone(),
            root_device: seed.root_device.clone(),
            devices: vec![root],
            boot_mode: Some(if seed.architecture == "arm64" { "uefi" } else { "uefi-preferred" }.to_owned()),
            imds: alias.map(|_| "v2.0".to_owned()),
            permission: sharing,
            owner_alias: alias,
            seeded: true,
            ..Image::new(seed.name.clone(), now, now)
        };
        ec2.snapshots.insert(snapshot.id.clone(), snapshot);
        ec2.images.insert(image.id.clone(), image);
    }
}
