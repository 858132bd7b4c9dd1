use std::io;
use std::path::PathBuf;

use super::super::digest::Digest;
use super::super::error::RootfsError;

/// Why an image layout cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// More than one image answers to the platform and the tag.
    #[error("{count} images match {wanted}; name a tag and a variant that only one has (tags: {})", tags.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// How many match.
        count: usize,
        /// The tags of the layout.
        tags: Vec<String>,
    },
    /// A blob is not what its descriptor says: damaged, incomplete or exchanged.
    #[error("blob {digest}: found {found} with {found_size} bytes; its descriptor says {size} bytes")]
    Blob {
        /// The digest in the descriptor.
        digest: Digest,
        /// The digest of what was read.
        found: Digest,
        /// How much was read, up to one byte more than declared.
        found_size: u64,
        /// The size in the descriptor.
        size: u64,
    },
    /// A layer, decompressed, is not what the configuration of the image says.
    #[error("layer {digest}: decompresses to {found}; the image configuration says {expected}")]
    DiffId {
        /// The digest of the layer as stored.
        digest: Digest,
        /// The digest of the decompressed layer.
        found: Digest,
        /// The digest in the configuration.
        expected: Digest,
    },
    /// A document violates the specification.
    #[error("{document}: {reason}")]
    Invalid {
        /// The file or the digest of the document.
        document: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A document is not valid JSON of its type.
    #[error("cannot parse {document}")]
    Json {
        /// The file or the digest of the document.
        document: String,
        /// Why.
        source: serde_json::Error,
    },
    /// An entry of a layer cannot be applied to the layers below it.
    #[error("layer {digest}: cannot apply entry {path}: {reason}")]
    Layer {
        /// The layer.
        digest: Digest,
        /// The entry.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// No image answers to the platform and the tag.
    #[error("no image matches {wanted}; the layout has {}", if found.is_empty() { "none".to_owned() } else { found.join(", ") })]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// The tags and platforms of the layout.
        found: Vec<String>,
    },
    /// A file of the layout cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A layer is malformed, too large, or the flattened archive cannot be written.
    #[error("{}", digest.map_or_else(|| "cannot write the flattened image".to_owned(), |digest| format!("layer {digest} cannot be read")))]
    Rootfs {
        /// The layer, unless the error is of the whole.
        digest: Option<Digest>,
        /// Why.
        source: RootfsError,
    },
}

impl OciError {
    pub(super) fn invalid(document: impl ToString, reason: impl Into<String>) -> Self {
        Self::Invalid { document: document.to_string(), reason: reason.into() }
    }
}
