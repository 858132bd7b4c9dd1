//! Disks, clients and a look at what the simulator holds.

use crate::wire::Clients;
use aws_config::{BehaviorVersion, SdkConfig};
use image_aws::{ClientProvider, Place, ebs::EbsDirect, ec2::Ec2};
use image_core::{
    Architecture, BootMode, BuildSpec, Captured, Context, Image, ImageKind, Importer, MemoryStore, Platform, Result,
    Scope, Undo, Undoers,
};
use image_sim::{Builder, DEFAULT_ACCOUNT, ResourceState, Simulator};
use std::{collections::BTreeMap, os::unix::fs::FileExt, sync::Arc};
use tempfile::NamedTempFile;

pub(crate) const BLOCK: u64 = 512 << 10;

/// The simulator.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) simulator: Simulator,
}

pub(crate) fn place(region: &str) -> Place {
    Place::new(DEFAULT_ACCOUNT, region).unwrap()
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with(Simulator::builder()).await
    }
    pub(crate) async fn with(builder: Builder) -> Self {
        Self { simulator: builder.start().await.unwrap() }
    }
    pub(crate) fn clients(&self) -> Clients {
        let keys = aws_sdk_ebs::config::Credentials::new("test", "test", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(aws_sdk_ebs::config::SharedCredentialsProvider::new(keys))
            .endpoint_url(self.simulator.endpoint());
        Clients(config.build())
    }
    /// Images and snapshots that were not there from the start.
    pub(crate) fn live(&self) -> BTreeMap<String, ResourceState> {
        let made = self.simulator.state().into_iter().filter(|resource| !resource.seeded);
        made.map(|resource| (resource.id.clone(), resource)).collect()
    }
    /// An importer that says nothing about encryption.
    pub(crate) fn importer(&self) -> EbsDirect {
        self.importer_in("us-east-1").without_encryption()
    }
    pub(crate) fn importer_in(&self, region: &str) -> EbsDirect {
        EbsDirect::new(&Ec2::new(self.clients()), place(region))
    }
    /// How often an action was called and answered well.
    pub(crate) fn count(&self, action: &str) -> usize {
        self.simulator.calls().iter().filter(|call| call.action == action && call.error.is_none()).count()
    }
    /// What a snapshot holds, block by block, by the API.
    pub(crate) async fn blocks(&self, snapshot: &str) -> BTreeMap<u32, Vec<u8>> {
        let client = aws_sdk_ebs::Client::new(&self.clients().config(&place("us-east-1")).await.unwrap());
        let list = client.list_snapshot_blocks().snapshot_id(snapshot).send().await.unwrap();
        let mut blocks = BTreeMap::new();
        for block in list.blocks() {
            let (index, token) = (block.block_index().unwrap(), block.block_token().unwrap());
            let call = client.get_snapshot_block().snapshot_id(snapshot).block_index(index).block_token(token);
            let data = call.send().await.unwrap().block_data.collect().await.unwrap();
            blocks.insert(u32::try_from(index).unwrap(), data.to_vec());
        }
        blocks
    }
}

/// A run without a pipeline: its undoers are those of an importer.
pub(crate) async fn context(importer: &EbsDirect) -> Context {
    let cx = Context::builder(MemoryStore::default()).open().await.unwrap();
    let undoer: Arc<dyn Undo> = Arc::new(importer.clone());
    cx.register(Undoers::new().with(undoer)).unwrap();
    cx
}

/// Checks and imports.
pub(crate) async fn import(cx: &Context, importer: &EbsDirect, disk: &NamedTempFile) -> Result<Captured> {
    let checked = importer.check(cx, &BuildSpec::new("golden")).await?;
    importer.import(cx, &checked, &image(disk)).await
}

/// A disk of some MiB, sparse, with blocks of one byte each.
pub(crate) fn disk(mib: u64, blocks: &[(u32, u8)]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    file.as_file().set_len(mib << 20).unwrap();
    for (index, byte) in blocks {
        fill(&file, *index, *byte);
    }
    file
}

pub(crate) fn fill(file: &NamedTempFile, index: u32, byte: u8) {
    file.as_file().write_all_at(&vec![byte; BLOCK as usize], u64::from(index) * BLOCK).unwrap();
}

pub(crate) fn image(disk: &NamedTempFile) -> Image {
    let platform = Platform::linux(Architecture::X86_64, BootMode::Uefi);
    let image = Image::new(ImageKind::Disk, "local", Scope::new("here"), "here", "disk-1", platform);
    image.with_part("raw", disk.path().display().to_string())
}

/// What a snapshot of a file must hold: its blocks that are not zeros.
pub(crate) fn blocks_of(file: &NamedTempFile) -> BTreeMap<u32, Vec<u8>> {
    let len = file.as_file().metadata().unwrap().len();
    let zeros = vec![0; BLOCK as usize];
    let mut blocks = BTreeMap::new();
    for index in 0..len.div_ceil(BLOCK) {
        let mut block = zeros.clone();
        let held = usize::try_from((len - index * BLOCK).min(BLOCK)).unwrap();
        file.as_file().read_exact_at(&mut block[..held], index * BLOCK).unwrap();
        if block != zeros {
            blocks.insert(u32::try_from(index).unwrap(), block);
        }
    }
    blocks
}
