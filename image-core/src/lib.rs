//! Compose pipelines that build, verify, test, scan, approve and distribute golden machine images.
//!
//! A [`Pipeline`] is a value. A run turns it into images; whatever it creates or changes is written to a journal before
//! it happens, so nothing can leak. An image is distributed only as an [`ApprovedImage`], which only a run whose every
//! gate passed, or verified evidence of one, can mint.
//!
//! ```
//! # mod memory {
//! #     include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/memory_builder.rs"));
//! # }
//! # use memory::MemoryBuilder;
//! use image_core::{Context, Layer, MemoryStore, Pipeline, provision::Shell, validate::Command};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pipeline = Pipeline::new("web")
//!     .builder(MemoryBuilder::default())
//!     .layer(Layer::new("base").provision(Shell::inline("upgrade", "apt-get -y upgrade")))
//!     .layer(Layer::new("web").provision(Shell::inline("nginx", "apt-get -y install nginx")))
//!     .validator(Command::new("nginx").check("configuration", "nginx -t"))
//!     .without_scan("there is no scanner yet");
//!
//! // `FileStore` keeps the journals of runs that must survive a crash.
//! let cx = Context::builder(MemoryStore::default()).open().await?;
//! let outcome = pipeline.run(&cx).await?;
//! assert_eq!(outcome.report.record.layers.len(), 2);
//! assert!(outcome.leftovers.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! A run works on whatever implements the traits here: a [`Builder`] makes machines of bases and images of machines, a
//! [`Provisioner`] changes a machine, a [`Validator`] and a [`Scanner`] judge it, a [`Distributor`] publishes what was
//! approved. Builders are crates of their own (the one above is made for the example), and so are most distributors and
//! scanners; what every pipeline needs is in [`provision`], [`validate`] and [`sink`].
//!
//! After a crash [`unfinished`] names the runs that left something, and [`recover()`] finishes or undoes them.
//!
//! The crate prints nothing, reads no environment variable and installs nothing global. Progress is [`Event`]s for the
//! [`EventSink`]s of a [`Context`]; what a run did is a [`RunReport`].

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
