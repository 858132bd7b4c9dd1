//! From a disk to a tested snapshot, and from there to an AMI.

use super::{
    EbsDirect, OWNER, Plan,
    blocks::Disk,
    digests::{BlockMap, DiskDigests, content},
    parent::{self, Parent},
    reader::Reader,
    register::{Registration, of_platform, register},
    snapshot::{self, Start, is_encrypted},
    upload::{Target, Upload},
};
use crate::ec2::{client::Region, settings::Encryption};
use image_core::{Captured, Context, Error, Guard, Image, ImageKind, Platform, Result};
use serde_json::json;
use std::{path::Path, sync::Arc};
use tokio::task::spawn_blocking;

/// Blocks of 512 KiB.
const BLOCKS_PER_GIB: u32 = 2048;

/// A disk, and how large its volume becomes.
#[derive(Debug)]
struct Job {
    disk: Arc<Disk>,
    digests: Arc<DiskDigests>,
    gib: u32,
}

impl EbsDirect {
    pub(super) async fn import_disk(&self, cx: &Context, plan: &Plan, image: &Image) -> Result<Captured> {
        let platform = self.platform(plan, image)?;
        let (job, region) = (self.open(image).await?, self.region());
        let parent = match &self.settings.parent {
            Some(id) => Parent::read(cx, &region, id, job.gib, self.settings.manifests.as_deref()).await?,
            None => Parent::default(),
        };
        let snapshot = snapshot::start(cx, &region, self.start_of(plan, &job)).await?;
        let (data, sent) = self.send(cx, &region, &job, &snapshot, &parent).await?;
        let disk = Arc::clone(&job.disk);
        spawn_blocking(move || disk.check_unchanged()).await??;
        snapshot::complete(cx, &region, snapshot.id(), &sent).await?;
        let mut written = parent.written;
        written.extend(sent.keys());
        snapshot::verify(cx, &region, snapshot.id(), &data, &written).await?;
        self.keep_manifest(cx, snapshot.id(), &data).await;

        let registration = Registration {
            name: plan.name.clone(),
            snapshot: snapshot.id().to_owned(),
            platform: platform.clone(),
            root_device: self.settings.root_device.clone(),
            gib: job.gib,
            tpm: self.settings.tpm,
            imds_v1: self.settings.imds_v1,
            tags: plan.labels.clone(),
        };
        let ami = register(cx, &region, registration).await?;
        let imported =
            Image::new(ImageKind::Machine, OWNER, self.place.scope(), &self.place.region, ami.id(), platform)
                .with_digest(content(&data))
                .with_part("snapshot", snapshot.id());
        Ok(Captured::new(imported, vec![snapshot, ami])
            .with_note("blocks_with_data", json!(data.len()))
            .with_note("blocks_sent", json!(sent.len())))
    }

    fn platform(&self, plan: &Plan, disk: &Image) -> Result<Platform> {
        let platform = disk.platform.clone();
        of_platform(&platform)?;
        if let Some(wanted) = plan.architecture.filter(|wanted| *wanted != platform.architecture) {
            return Err(Error::invalid("architecture", wanted, format!("{}, that of the disk", platform.architecture)));
        }
        if self.settings.tpm && platform.boot != image_core::BootMode::Uefi {
            return Err(Error::invalid("tpm", "true", "disks that boot by UEFI"));
        }
        Ok(platform)
    }

    async fn open(&self, image: &Image) -> Result<Job> {
        let raw = image.parts.get("raw").filter(|_| image.kind == ImageKind::Disk);
        let raw =
            raw.ok_or_else(|| Error::invalid("disk", image, "a disk image with a part `raw`, the path of a file"))?;
        let raw = raw.clone();
        let disk = Arc::new(spawn_blocking(move || Disk::open(Path::new(&raw))).await??);
        let gib = self.settings.gib.unwrap_or_else(|| disk.gib());
        if gib < disk.gib() {
            let what = format!("{gib}, smaller than {}", disk.path().display());
            return Err(Error::invalid("volume_gib", what, format!("{} or more", disk.gib())));
        }
        let digests = self.digests.of(&disk);
        Ok(Job { disk, digests, gib })
    }

    fn start_of(&self, plan: &Plan, job: &Job) -> Start {
        let key = match &self.settings.encryption {
            Encryption::Key(arn) => Some(arn.clone()),
            Encryption::DefaultKey | Encryption::Account => None,
        };
        Start {
            gib: job.gib,
            parent: self.settings.parent.clone(),
            encrypted: (self.settings.encryption != Encryption::Account).then_some(true),
            key,
            description: plan.name.clone(),
            tags: plan.labels.clone(),
        }
    }

    /// Sends what the snapshot lacks. Gives the disk's blocks with data, and those that were sent.
    async fn send(
        &self,
        cx: &Context,
        region: &Region,
        job: &Job,
        snapshot: &Guard,
        parent: &Parent,
    ) -> Result<(BlockMap, BlockMap)> {
        let target = Target {
            client: region.ebs_once().await?,
            place: self.place.clone(),
            snapshot: snapshot.id().to_owned(),
            disk: Arc::clone(&job.disk),
        };
        let mut upload = Upload::new(cx, target);
        let reader = Reader::new(Arc::clone(&job.disk), Arc::clone(&job.digests), Arc::clone(&parent.data));
        upload.data(reader.start()).await?;
        let data = job.digests.data();
        if is_encrypted(snapshot) && !self.settings.trust_unwritten {
            // A volume has up to 64 TiB, and so up to 2^27 blocks.
            let blocks = job.gib.saturating_mul(BLOCKS_PER_GIB);
            let zeros_there = |index: &u32| parent.written.contains(index) && !parent.data.contains_key(index);
            let unwritten = |index: &u32| !data.contains_key(index) && !zeros_there(index);
            upload.zeros((0..blocks).filter(unwritten)).await?;
        } else {
            // Whatever the parent has there would shine through.
            let emptied = parent.data.keys().copied().filter(|index| !data.contains_key(index));
            upload.zeros(emptied).await?;
        }
        Ok((data, upload.finish()))
    }

    async fn keep_manifest(&self, cx: &Context, snapshot: &str, data: &BlockMap) {
        let Some(directory) = &self.settings.manifests else { return };
        if let Err(error) = parent::keep(directory.clone(), snapshot.to_owned(), data.clone()).await {
            // It only spares the next import a download.
            cx.warn(format!("the manifest of {snapshot} is not kept: {}", error.chain()));
        }
    }
}
