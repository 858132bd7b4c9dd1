//! What a snapshot holds, so that the next one gets only what differs.

use super::{
    blocks::is_zero,
    digests::{BlockMap, Digest, content},
    snapshot::{Listing, list},
};
use crate::{ec2::client::Region, error::sdk_error};
use aws_sdk_ebs::Client;
use image_core::{ContentDigest, Context, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::sleep,
};

/// Blocks that are downloaded at once: 8 MiB.
const DOWNLOADS: usize = 16;
/// How often a block is read that comes broken; the client repeats by itself what gets no answer.
const ATTEMPTS: u32 = 4;
/// Before the second time; the next ones are longer by as much each.
const PAUSE: Duration = Duration::from_millis(200);

/// A snapshot to build on.
#[derive(Debug, Default)]
pub(crate) struct Parent {
    /// The blocks that are not zeros.
    pub(crate) data: Arc<BlockMap>,
    /// All blocks that were ever written.
    pub(crate) written: BTreeSet<u32>,
}

/// The file that says what a snapshot holds.
#[derive(Debug, Deserialize, Serialize)]
struct Manifest {
    format: u32,
    snapshot: String,
    /// Over `blocks`: a file that was changed is no manifest.
    digest: ContentDigest,
    blocks: BlockMap,
}

const FORMAT: u32 = 1;

fn file_of(directory: &Path, snapshot: &str) -> PathBuf {
    directory.join(format!("{snapshot}.json"))
}

/// Writes what a snapshot holds.
///
/// # Errors
/// The I/O error.
pub(crate) async fn keep(directory: PathBuf, snapshot: String, blocks: BlockMap) -> Result<()> {
    let write = move || {
        let path = file_of(&directory, &snapshot);
        let manifest = Manifest { format: FORMAT, digest: content(&blocks), snapshot, blocks };
        let text = serde_json::to_vec(&manifest).map_err(|e| Error::bug("manifest").with_source(e))?;
        let new = path.with_extension("new");
        let written = fs::create_dir_all(&directory)
            .and_then(|()| fs::File::create(&new))
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&new, &path));
        written.map_err(|e| Error::io("write", &path, e))
    };
    spawn_blocking(write).await?
}

/// Reads what a snapshot holds; `None` where nothing was written down.
///
/// # Errors
/// The I/O error; `Conflict` when the file is not what was written.
async fn read(directory: PathBuf, snapshot: String) -> Result<Option<BlockMap>> {
    let read = move || {
        let path = file_of(&directory, &snapshot);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        let broken = |why: &str| Error::new(ErrorKind::Conflict, format!("{}: {why}", path.display()));
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|e| broken("it cannot be read as a manifest").with_source(e))?;
        if (manifest.format, manifest.snapshot.as_str()) != (FORMAT, snapshot.as_str()) {
            return Err(broken("it is the manifest of another snapshot, or of another version"));
        }
        if content(&manifest.blocks) != manifest.digest {
            return Err(broken("it was changed"));
        }
        Ok(Some(manifest.blocks))
    };
    spawn_blocking(read).await?
}

impl Parent {
    /// What a snapshot holds: by its manifest, or else by reading all of it.
    ///
    /// # Errors
    /// The API's; `InvalidInput` when the snapshot is larger than `gib`.
    pub(crate) async fn read(
        cx: &Context,
        region: &Arc<Region>,
        snapshot: &str,
        gib: u32,
        manifests: Option<&Path>,
    ) -> Result<Self> {
        let listing = list(cx, region, snapshot).await?;
        if listing.gib > u64::from(gib) {
            let accepted = format!("a snapshot of up to {gib} GiB, the size of the new one");
            return Err(Error::invalid("parent", format!("{snapshot} of {} GiB", listing.gib), accepted));
        }
        let written = listing.blocks.keys().copied().collect();
        let known = match manifests {
            Some(directory) => read(directory.to_owned(), snapshot.to_owned()).await.unwrap_or_else(|error| {
                cx.warn(format!("{snapshot} is read from EBS: {}", error.chain()));
                None
            }),
            None => None,
        };
        let known = known.filter(|blocks| blocks.keys().all(|index| listing.blocks.contains_key(index)));
        let data = match known {
            Some(data) => data,
            None => download(cx, region, snapshot, listing).await?,
        };
        Ok(Self { data: Arc::new(data), written })
    }
}

/// Reads all blocks of a snapshot for their digests.
async fn download(cx: &Context, region: &Arc<Region>, snapshot: &str, listing: Listing) -> Result<BlockMap> {
    cx.message(format!("{} blocks of {snapshot} are read: there is no manifest of it", listing.blocks.len()));
    let stored = Arc::new(Stored { client: region.ebs().await?, region: Arc::clone(region), id: snapshot.to_owned() });
    let mut blocks = listing.blocks.into_iter();
    let (mut under_way, mut data) = (JoinSet::new(), BlockMap::new());
    loop {
        while under_way.len() < DOWNLOADS {
            let Some((index, token)) = blocks.next() else { break };
            let stored = Arc::clone(&stored);
            under_way.spawn(async move { stored.digest_of(index, token).await.map(|digest| (index, digest)) });
        }
        let Some(read) = cx.race(async { Ok(under_way.join_next().await) }).await? else { return Ok(data) };
        if let (index, Some(digest)) = read?? {
            data.insert(index, digest);
        }
    }
}

/// A snapshot that is read.
#[derive(Debug)]
struct Stored {
    client: Client,
    region: Arc<Region>,
    id: String,
}

impl Stored {
    /// The digest of a block; `None` when it is zeros. A body that is cut off is asked for again.
    async fn digest_of(&self, index: u32, token: String) -> Result<Option<Digest>> {
        let mut attempt = 1;
        loop {
            match self.read_once(index, &token).await {
                Err(e) if e.is_retryable() && attempt < ATTEMPTS => {
                    sleep(PAUSE * attempt).await;
                    attempt += 1;
                }
                read => return read,
            }
        }
    }

    async fn read_once(&self, index: u32, token: &str) -> Result<Option<Digest>> {
        const OPERATION: &str = "ebs:GetSnapshotBlock";
        let block = i32::try_from(index).map_err(|e| Error::bug("block index").with_source(e))?;
        let call = self.client.get_snapshot_block().snapshot_id(&self.id).block_index(block).block_token(token);
        let reply = call.send().await.map_err(|e| sdk_error(OPERATION, &self.region.place, e))?;
        let (stated, length) = (reply.checksum, reply.data_length);
        let broken = |why: &str| {
            Error::new(ErrorKind::Unavailable, format!("block {index} of {}: {why}", self.id)).with_operation(OPERATION)
        };
        let data = reply.block_data.collect().await.map_err(|e| broken("it cannot be read").with_source(e))?;
        let data = data.into_bytes();
        if length.is_some_and(|length| usize::try_from(length) != Ok(data.len())) {
            return Err(broken("it is not whole"));
        }
        let (digest, zeros) = spawn_blocking(move || (Digest::of(&data), is_zero(&data))).await?;
        match stated {
            Some(stated) if stated != digest.base64() => Err(broken("its checksum is another")),
            _ => Ok((!zeros).then_some(digest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manifest_is_read_as_it_was_written_and_not_when_it_was_changed() {
        let dir = tempfile::tempdir().unwrap();
        let blocks = BlockMap::from([(3, Digest::of(b"three")), (70_000, Digest::of(b"far"))]);
        let (place, id) = (dir.path().join("manifests"), "snap-0123456789abcdef0".to_owned());
        assert_eq!(read(place.clone(), id.clone()).await.unwrap(), None);
        keep(place.clone(), id.clone(), blocks.clone()).await.unwrap();
        assert_eq!(read(place.clone(), id.clone()).await.unwrap(), Some(blocks.clone()));
        let file = file_of(&place, &id);
        let text = fs::read_to_string(&file).unwrap();
        for changed in [
            text.replace(&Digest::of(b"three").base64(), &Digest::of(b"four").base64()),
            text.replace("def0", "def1"),
            text.replace("\"format\":1", "\"format\":2"),
            text[..text.len() / 2].to_owned(),
        ] {
            assert_ne!(changed, text);
            fs::write(&file, changed).unwrap();
            assert_eq!(read(place.clone(), id.clone()).await.unwrap_err().kind(), ErrorKind::Conflict);
        }
    }
}
