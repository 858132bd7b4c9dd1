//! Finding one image in a layout.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::super::digest::Digest;
use super::blob::Blob;
use super::error::OciError;
use super::spec::{
    ConfigFile, Descriptor, ImageManifest, Index, LayoutFile, Platform, is_index, is_layer, is_manifest,
};

/// The annotation that tags an entry of `index.json`.
const TAG: &str = "org.opencontainers.image.ref.name";
/// Registries accept manifests of up to 4 MiB.
const MAX_DOCUMENT: u64 = 4 << 20;
/// An index of indexes of images is as deep as real layouts are.
const MAX_NESTING: u32 = 4;
/// The most documents to look at while searching.
const MAX_DOCUMENTS: usize = 1000;

/// A directory in the OCI image layout.
#[derive(Debug, Clone)]
pub struct OciLayout {
    pub(super) directory: PathBuf,
    manifests: Vec<Descriptor>,
}

/// One image of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OciImage {
    /// The digest of its manifest, which pins everything else.
    pub digest: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// How its makers meant it to be run.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<OciLayer>,
}

/// The execution part of an image configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageConfig {
    /// The environment, as `NAME=value`.
    pub env: Vec<String>,
    /// The command and its first arguments.
    pub entrypoint: Vec<String>,
    /// The default arguments, or the command when there is no entrypoint.
    pub cmd: Vec<String>,
    /// The user, as `user[:group]` in names or numbers; empty for root.
    pub user: String,
    /// The working directory; empty for the root.
    pub working_dir: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OciLayer {
    /// The digest of the layer as stored.
    pub digest: Digest,
    /// Its size in bytes, as stored.
    pub size: u64,
    /// The digest of the layer, decompressed.
    pub diff_id: Digest,
}

impl OciLayout {
    /// Opens the layout in `directory`.
    ///
    /// # Errors
    /// When `oci-layout` or `index.json` is missing, malformed or of another version.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, OciError> {
        let directory = directory.into();
        let document = |name: &str| {
            let path = directory.join(name);
            let mut content = Vec::new();
            File::open(&path)
                .and_then(|file| file.take(MAX_DOCUMENT + 1).read_to_end(&mut content))
                .map_err(|source| OciError::Read { path: path.clone(), source })?;
            if content.len() as u64 > MAX_DOCUMENT {
                return Err(OciError::invalid(path.display(), format!("is larger than {MAX_DOCUMENT} bytes")));
            }
            Ok(content)
        };
        let layout: LayoutFile = parse("oci-layout", &document("oci-layout")?)?;
        if layout.version != "1.0.0" {
            let reason = format!("imageLayoutVersion is {:?}; \"1.0.0\" is accepted", layout.version);
            return Err(OciError::invalid("oci-layout", reason));
        }
        let index: Index = parse("index.json", &document("index.json")?)?;
        check_schema("index.json", index.schema_version)?;
        Ok(Self { directory, manifests: index.manifests })
    }

    /// Finds the one image for `platform`, in nested indexes too, and below `tag` where one is given.
    ///
    /// # Errors
    /// When no image or more than one matches, or a document on the way is malformed or not what its digest says.
    pub fn resolve(&self, platform: &Platform, tag: Option<&str>) -> Result<OciImage, OciError> {
        let tagged =
            |entry: &&Descriptor| tag.is_none_or(|tag| entry.annotations.get(TAG).is_some_and(|name| name == tag));
        let mut open: Vec<_> = self.manifests.iter().filter(tagged).cloned().map(|entry| (entry, 0)).collect();
        let mut matching: BTreeMap<Digest, OciImage> = BTreeMap::new();
        let mut found = Vec::new();
        let mut looked_at = 0;
        while let Some((entry, depth)) = open.pop() {
            looked_at += 1;
            if looked_at > MAX_DOCUMENTS || depth > MAX_NESTING {
                let reason = format!("more than {MAX_DOCUMENTS} entries, or nested deeper than {MAX_NESTING}");
                return Err(OciError::invalid("index.json", reason));
            }
            if is_index(&entry.media_type) {
                let index: Index = self.document(&entry)?;
                check_schema(entry.digest, index.schema_version)?;
                if index.manifests.len() > MAX_DOCUMENTS {
                    return Err(OciError::invalid(entry.digest, format!("has more than {MAX_DOCUMENTS} entries")));
                }
                open.extend(index.manifests.into_iter().map(|entry| (entry, depth + 1)));
            } else if is_manifest(&entry.media_type) {
                if let Some(offered) = entry.platform.as_ref().filter(|offered| !platform.accepts(offered)) {
                    found.push(offered.to_string());
                    continue;
                }
                let image = self.image(&entry)?;
                if platform.accepts(&image.platform) {
                    matching.insert(image.digest, image);
                } else {
                    found.push(image.platform.to_string());
                }
            }
        }
        let wanted = || format!("{platform}{}", tag.map(|tag| format!(" tagged {tag:?}")).unwrap_or_default());
        let tags = || self.manifests.iter().filter_map(|entry| entry.annotations.get(TAG).cloned());
        match (matching.len(), matching.into_values().next()) {
            (1, Some(image)) => Ok(image),
            (0, _) | (_, None) => {
                found.extend(tags().map(|tag| format!("tag {tag:?}")));
                found.sort();
                found.dedup();
                Err(OciError::NotFound { wanted: wanted(), found })
            }
            (count, _) => Err(OciError::Ambiguous { wanted: wanted(), count, tags: tags().collect() }),
        }
    }

    fn image(&self, entry: &Descriptor) -> Result<OciImage, OciError> {
        let manifest: ImageManifest = self.document(entry)?;
        check_schema(entry.digest, manifest.schema_version)?;
        let config: ConfigFile = self.document(&manifest.config)?;
        let diff_ids = config.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() {
            let reason = format!("has {} layers, but its configuration {}", manifest.layers.len(), diff_ids.len());
            return Err(OciError::invalid(entry.digest, reason));
        }
        let layers = manifest.layers.into_iter().zip(diff_ids);
        let layers = layers.map(|(layer, diff_id)| {
            if !is_layer(&layer.media_type) {
                let reason = format!("layer media type {:?}; tar, gzip and zstd are accepted", layer.media_type);
                return Err(OciError::invalid(entry.digest, reason));
            }
            Ok(OciLayer { digest: layer.digest, size: layer.size, diff_id })
        });
        let execution = config.config.unwrap_or_default();
        Ok(OciImage {
            digest: entry.digest,
            // An index may know the variant where the configuration does not.
            platform: entry.platform.clone().filter(|_| config.platform.variant.is_none()).unwrap_or(config.platform),
            config: ImageConfig {
                env: execution.env.unwrap_or_default(),
                entrypoint: execution.entrypoint.unwrap_or_default(),
                cmd: execution.cmd.unwrap_or_default(),
                user: execution.user.unwrap_or_default(),
                working_dir: execution.working_dir.unwrap_or_default(),
                labels: execution.labels.unwrap_or_default(),
            },
            layers: layers.collect::<Result<_, _>>()?,
        })
    }

    fn document<T: DeserializeOwned>(&self, entry: &Descriptor) -> Result<T, OciError> {
        if entry.size > MAX_DOCUMENT {
            let reason = format!("declares {} bytes; at most {MAX_DOCUMENT} are accepted", entry.size);
            return Err(OciError::invalid(entry.digest, reason));
        }
        let mut blob = Blob::open(&self.directory, entry.digest, entry.size)?;
        let mut content = Vec::new();
        blob.read_to_end(&mut content)
            .map_err(|source| OciError::Read { path: entry.digest.to_string().into(), source })?;
        blob.prove()?;
        parse(entry.digest, &content)
    }
}

fn parse<T: DeserializeOwned>(document: impl ToString, content: &[u8]) -> Result<T, OciError> {
    serde_json::from_slice(content).map_err(|source| OciError::Json { document: document.to_string(), source })
}

fn check_schema(document: impl ToString, version: u32) -> Result<(), OciError> {
    if version == 2 {
        return Ok(());
    }
    Err(OciError::invalid(document, format!("schemaVersion is {version}; 2 is accepted")))
}
