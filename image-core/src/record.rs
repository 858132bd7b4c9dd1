//! What a run found and did, as documents.

use crate::{
    Approval, Attestation, Fingerprint, Image, Leftovers, Report, ScanReport, Source, StageOutcome, Timestamp,
    VerifiedInput,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// The version-control state that a pipeline was built from.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Revision {
    /// The commit's id.
    pub commit: String,
    /// Whether the work tree had changes on top of it.
    pub dirty: bool,
}

impl Revision {
    /// A revision.
    pub fn new(commit: impl Into<String>, dirty: bool) -> Self {
        Self { commit: commit.into(), dirty }
    }
    /// Asks `git` about a directory; `None` where there is no git, no repository or no commit.
    pub async fn of_git(directory: impl AsRef<Path> + Send) -> Option<Self> {
        let directory = directory.as_ref().to_owned();
        let git = |args: &'static [&'static str]| {
            let mut command = tokio::process::Command::new("git");
            command.arg("-C").arg(&directory).args(args).stdin(std::process::Stdio::null());
            async move {
                let output = command.output().await.ok().filter(|output| output.status.success())?;
                String::from_utf8(output.stdout).ok()
            }
        };
        let commit = git(&["rev-parse", "--verify", "HEAD"]).await?;
        let dirty = !git(&["status", "--porcelain"]).await?.trim().is_empty();
        Some(Self { commit: commit.trim().to_owned(), dirty })
    }
}

/// One stage of a run.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StageRecord {
    /// Its path, for example `layer base/provision/shell`.
    pub name: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// How it ended.
    pub outcome: StageOutcome,
}

/// One layer of the image.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LayerRecord {
    /// Its name.
    pub name: String,
    /// What decides its content, where all of it is declared.
    pub fingerprint: Option<Fingerprint>,
    /// Whether it was reused and not built.
    pub reused: bool,
    /// The captured layer; the image itself for the last one.
    pub image: Option<Image>,
    /// Ids of the provisioners, in order.
    pub provisioners: Vec<String>,
    /// The builder's own facts, for example the paths that the layer changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, Value>,
}

/// One captured or imported image, and what was found on it.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ImageRecord {
    /// The image.
    pub image: Image,
    /// Reports of validators on a machine booted from it.
    pub booted: Vec<Report>,
    /// Reports of scanners on it.
    pub scans: Vec<ScanReport>,
}

/// What the run found, frozen after the gates: the evidence for approval, and what provenance derives from.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct BuildRecord {
    /// Version of this document.
    pub format: u32,
    /// The run.
    pub run: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// When the run began.
    pub started_at: Timestamp,
    /// The version-control state of the pipeline, where it was given.
    pub revision: Option<Revision>,
    /// The builder's id.
    pub builder: String,
    /// The base.
    pub source: Option<Source>,
    /// Verified input artifacts.
    pub inputs: Vec<VerifiedInput>,
    /// The layers, lowest first.
    pub layers: Vec<LayerRecord>,
    /// Reports of validators on build machines.
    pub build_reports: Vec<Report>,
    /// Reports of scanners on build machines.
    pub build_scans: Vec<ScanReport>,
    /// The captured image first, then the imported ones.
    pub images: Vec<ImageRecord>,
    /// The stages up to the gates.
    pub stages: Vec<StageRecord>,
    /// Gates that the pipeline left out by name.
    pub opted_out: Vec<String>,
    /// The scan policy, in words.
    pub scan_policy: String,
    /// Human or external decisions.
    pub approvals: Vec<Approval>,
}

/// What one distributor did.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DistributionRecord {
    /// The distributor's id.
    pub distributor: String,
    /// The copies.
    pub copies: Vec<Image>,
    /// How many of them were made by this run.
    pub created: usize,
    /// Pointers that this run moved.
    pub published: Vec<String>,
}

/// The whole run as one document: the frozen record, distribution and cleanup.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RunReport {
    /// The run that reports; empty when it never began. [`BuildRecord::run`] is the one that built and tested.
    #[serde(default)]
    pub run: String,
    /// What the run found, or the earlier one whose approval it reused.
    pub record: BuildRecord,
    /// Whether the images were approved by an earlier run, and which.
    pub approved_by_run: Option<String>,
    /// Signed statements.
    pub attestations: Vec<Attestation>,
    /// What each distributor did.
    pub distribution: Vec<DistributionRecord>,
    /// All stages.
    pub stages: Vec<StageRecord>,
    /// Creates and changes that the run asked for.
    pub mutations: u64,
    /// What could not be cleaned up.
    pub leftovers: Leftovers,
}
