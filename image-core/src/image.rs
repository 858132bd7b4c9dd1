//! What a pipeline makes: an image, where it is, what it runs on, and what its content is.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Who would answer for an id: partition, account or project, and endpoint; or the id of a local store.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Scope(String);

impl Scope {
    /// A scope; its text is the owner's own, stable form.
    pub fn new(scope: impl Into<String>) -> Self {
        Self(scope.into())
    }
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Processor architecture, by the kernel's name.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// 64-bit Arm.
    Aarch64,
    /// 64-bit x86.
    X86_64,
}

impl Architecture {
    /// The architecture this process runs on, where it is one we know.
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "aarch64" => Some(Self::Aarch64),
            "x86_64" => Some(Self::X86_64),
            _ => None,
        }
    }
    /// `aarch64` or `x86_64`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86_64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the firmware starts the image.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BootMode {
    /// A boot sector.
    LegacyBios,
    /// It is not started by firmware: a layer, or a root file system only.
    None,
    /// An EFI system partition.
    Uefi,
}

/// What an image runs on.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Platform {
    /// Operating system in the form of the OCI image specification, for example `linux`.
    pub os: String,
    /// Processor architecture.
    pub architecture: Architecture,
    /// How the firmware starts it.
    pub boot: BootMode,
}

impl Platform {
    /// A Linux platform.
    pub fn linux(architecture: Architecture, boot: BootMode) -> Self {
        Self { os: "linux".into(), architecture, boot }
    }
}

/// What the bytes of an image are, where they can be had.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentDigest {
    /// SHA-256 over the digests of a snapshot's blocks.
    Blocks {
        /// Hexadecimal.
        sha256: String,
    },
    /// SHA-256 of the raw disk, or of the archive of a root file system.
    Raw {
        /// Hexadecimal.
        sha256: String,
    },
    /// It cannot be had. Provenance shows the reason, and a policy may refuse the image.
    Unavailable {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocks { sha256 } => write!(f, "blocks-sha256:{sha256}"),
            Self::Raw { sha256 } => write!(f, "sha256:{sha256}"),
            Self::Unavailable { reason } => write!(f, "unavailable: {reason}"),
        }
    }
}

/// The form of an image.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageKind {
    /// A disk image file.
    Disk,
    /// A root file system, kept to build on.
    Layer,
    /// A machine image of a cloud.
    Machine,
    /// An OCI image.
    Oci,
}

/// An image. Two are the same only when all of it is the same.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Image {
    /// Its form.
    pub kind: ImageKind,
    /// The plugin that answers for it; the same text as its [`Undo::owner`](crate::Undo::owner).
    pub provider: String,
    /// The account, project or store it is in.
    pub scope: Scope,
    /// Region, zone or directory.
    pub location: String,
    /// The provider's own id.
    pub id: String,
    /// What its bytes are.
    pub digest: ContentDigest,
    /// What it runs on.
    pub platform: Platform,
    /// What it is made of, by role: snapshots, or files such as `raw` and `qcow2`.
    pub parts: BTreeMap<String, String>,
}

impl Image {
    /// An image without parts, whose digest is not known yet.
    pub fn new(
        kind: ImageKind,
        provider: impl Into<String>,
        scope: Scope,
        location: impl Into<String>,
        id: impl Into<String>,
        platform: Platform,
    ) -> Self {
        let digest = ContentDigest::Unavailable { reason: "not computed".into() };
        let (provider, location, id) = (provider.into(), location.into(), id.into());
        Self { kind, provider, scope, location, id, digest, platform, parts: BTreeMap::new() }
    }
    /// Sets the digest.
    #[must_use]
    pub fn with_digest(mut self, digest: ContentDigest) -> Self {
        self.digest = digest;
        self
    }
    /// Adds a part.
    #[must_use]
    pub fn with_part(mut self, role: impl Into<String>, id: impl Into<String>) -> Self {
        self.parts.insert(role.into(), id.into());
        self
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.provider, self.location, self.id)
    }
}
