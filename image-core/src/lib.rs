//! Compose pipelines that build, verify, test, scan, approve and distribute golden machine images.
//!
//! A [`Pipeline`] is a value. A run turns it into images; whatever it creates or changes is written to a journal before
//! it happens, so nothing can leak. An image is distributed only as an [`ApprovedImage`], which only a run whose every
//! gate passed, or verified evidence of one, can mint.

pub use async_trait::async_trait;

mod approve;
mod builder;
mod context;
mod distributor;
mod error;
mod event;
mod fingerprint;
mod graph;
#[cfg(test)]
mod host_machine;
mod image;
pub mod journal;
mod machine;
mod per_run;
mod pipeline;
pub mod provision;
mod record;
mod recover;
mod report;
mod scan;
mod secret;
pub mod sink;
mod stage;
mod time;
mod undo;
pub mod validate;
pub mod wait;

pub use approve::{ApprovedImage, Policy};
pub use builder::{
    BuildSpec, Builder, Cached, Capabilities, Capture, Captured, Checked, Handle, Importer, Launch, Launched, Network,
    Role, Source,
};
pub use context::{
    Context, ContextBuilder, CreateError, CreateRequest, Created, FaultSide, Faults, Guard, Leftovers, OutputLines,
    Stuck, Target,
};
pub use distributor::Distributor;
pub use error::{Error, ErrorClass, ErrorKind, Result};
pub use event::{Event, EventBody, EventSink, StageOutcome, Stream};
pub use fingerprint::{Fingerprint, sha256, sha256_file};
pub use graph::{BuildGraph, GraphHandle, GraphOutcome, GraphReport, NodeOutcome, NodeReport};
pub use image::{Architecture, BootMode, ContentDigest, Image, ImageKind, Platform, Scope};
pub use journal::{Change, Entry, FileStore, Journal, JournalStore, Keep, Kind, MemoryStore, Record, Resource, State};
pub use machine::{
    Command, DEFAULT_OUTPUT_LIMIT, ExecOutput, Exit, Machine, MachineExt, MachineInfo, Output, Upload, UploadSource,
    quote,
};
pub use pipeline::{
    Canceller, FailurePolicy, Layer, LayerAction, Outcome, Pipeline, Plan, PlannedLayer, Ready, RunError, RunHandle,
    WantsBuilder,
};
pub use record::{BuildRecord, DistributionRecord, ImageRecord, LayerRecord, Revision, RunReport, StageRecord};
pub use recover::{ReapOutcome, Reaped, Recovered, reap, recover, recover_with, unfinished};
pub use report::{Check, Report, ValidationStage, Verdict};
pub use scan::{Coverage, Finding, ScanPolicy, ScanReport, Severity, SeverityLimit};
pub use secret::Secret;
pub use stage::{
    Approval, Approver, Attestation, Attestor, EvidenceVerifier, Provisioner, Requirements, ScanTarget, Scanner, Step,
    StepHook, StepKind, Subject, Validator, VerifiedInput, Verifier,
};
pub use time::Timestamp;
pub use undo::{Found, Query, Undo, Undoers, Undone};
