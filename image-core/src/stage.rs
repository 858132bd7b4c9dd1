//! The smaller seams: provisioners, verifiers, validators, scanners, attestors, approvers, hooks.

use crate::{BuildRecord, Context, Error, Fingerprint, Image, Machine, Report, Result, ScanReport, async_trait};
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path, sync::Arc, time::Duration};

/// What a provisioner needs of the machine, checked before anything is created.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Requirements {
    /// It restarts the machine.
    pub reboot: bool,
    /// It sends secret environment.
    pub secrets: bool,
}

impl Requirements {
    /// It restarts the machine.
    pub const REBOOT: Self = Self { reboot: true, secrets: false };
    /// It sends secret environment.
    pub const SECRETS: Self = Self { reboot: false, secrets: true };
    /// Nothing but commands and files.
    pub const NONE: Self = Self { reboot: false, secrets: false };
}

/// Changes a machine on its way to an image.
///
/// **Contract**: it declares its inputs. Two provisioners with equal fingerprints do the same to equal machines; one that
/// cannot tell returns `None`, and its layer and all above it are built anew every time.
///
/// **Idempotency**: it may be run again after a failure, where a hook or a retry asks for it.
///
/// **Cancellation**: it is dropped when the run is cancelled; the machine is thrown away then.
///
/// **Errors**: any error ends the layer. A script that failed is `CommandFailed`.
#[async_trait]
pub trait Provisioner: fmt::Debug + Send + Sync + 'static {
    /// Its name in stages, records and logs.
    fn id(&self) -> &str;
    /// What it does, content-addressed: settings and the digests of files, never secret values.
    async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>>;
    /// What it needs of the machine.
    fn requirements(&self) -> Requirements {
        Requirements::NONE
    }
    /// Does it.
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()>;
}

/// An input artifact that was verified before anything was created.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VerifiedInput {
    /// What it is.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Who vouches for it, and by which authority.
    pub signer: String,
}

impl VerifiedInput {
    /// A verified input.
    pub fn new(name: impl Into<String>, sha256: impl Into<String>, signer: impl Into<String>) -> Self {
        Self { name: name.into(), sha256: sha256.into(), signer: signer.into() }
    }
}

/// Verifies input artifacts before anything is created.
///
/// **Contract**: no side effects. What it could not verify is an error, never an empty answer.
#[async_trait]
pub trait Verifier: fmt::Debug + Send + Sync + 'static {
    /// Its name in records and logs.
    fn id(&self) -> &str;
    /// Verifies, and yields the digests to pin.
    async fn verify(&self, cx: &Context) -> Result<Vec<VerifiedInput>>;
}

/// What a validator looks at.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A machine booted from the finished image.
    Booted(&'a dyn Machine),
    /// The machine the image is made on.
    BuildMachine(&'a dyn Machine),
    /// A root file system on the controller, which does not run.
    Rootfs(&'a Path),
}

/// Tests an image.
///
/// **Contract**: a failed check is a value; `Err` means "could not tell". What it could not tell of one check is
/// [`Verdict::Unknown`](crate::Verdict::Unknown), which fails closed. It leaves no trace on the subject.
#[async_trait]
pub trait Validator: fmt::Debug + Send + Sync + 'static {
    /// Its name in reports.
    fn id(&self) -> &str;
    /// What it checks, content-addressed; `None` when an earlier approval must never be reused.
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        Ok(None)
    }
    /// Looks.
    async fn validate(&self, cx: &Context, subject: Subject<'_>) -> Result<Report>;
}

/// What a scanner looks at.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum ScanTarget<'a> {
    /// A raw disk on the controller.
    Disk(&'a Path),
    /// An image where it is.
    Image(&'a Image),
    /// A machine.
    Machine(&'a dyn Machine),
    /// A root file system on the controller.
    Rootfs(&'a Path),
    /// A software bill of materials.
    Sbom(&'a Path),
}

/// Looks for vulnerabilities.
///
/// **Contract**: it returns normalised findings and what it covered. No coverage is an error: a scan that looked at
/// nothing is not clean. It does not decide; the one [`ScanPolicy`](crate::ScanPolicy) does.
#[async_trait]
pub trait Scanner: fmt::Debug + Send + Sync + 'static {
    /// Its name in reports.
    fn id(&self) -> &str;
    /// What it looks for, with the version of its data; `None` when an earlier approval must never be reused.
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        Ok(None)
    }
    /// Whether it can look at this kind of target.
    fn supports(&self, target: &ScanTarget<'_>) -> bool;
    /// Looks.
    async fn scan(&self, cx: &Context, target: ScanTarget<'_>) -> Result<ScanReport>;
}

/// A signed statement about an image, as its bytes and what they are.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Attestation {
    /// Media type of the content, for example a Sigstore bundle's.
    pub media_type: String,
    /// The statement.
    pub content: String,
}

impl Attestation {
    /// A statement.
    pub fn new(media_type: impl Into<String>, content: impl Into<String>) -> Self {
        Self { media_type: media_type.into(), content: content.into() }
    }
}

/// Signs what a run found, frozen.
#[async_trait]
pub trait Attestor: fmt::Debug + Send + Sync + 'static {
    /// Its name in records and logs.
    fn id(&self) -> &str;
    /// Signs.
    async fn attest(&self, cx: &Context, record: &BuildRecord) -> Result<Attestation>;
}

/// Proves attestations and hands back the record they are about.
#[async_trait]
pub trait EvidenceVerifier: fmt::Debug + Send + Sync + 'static {
    /// Verifies all of them; one that cannot be verified is an error.
    async fn verify(&self, cx: &Context, attestations: &[Attestation]) -> Result<BuildRecord>;
}

/// Who approved, when, why.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Approval {
    /// The approver's id.
    pub approver: String,
    /// The person or system.
    pub who: String,
    /// When; filled by the run.
    #[serde(default)]
    pub at: crate::Timestamp,
    /// In their words.
    pub reason: String,
}

impl Approval {
    /// An approval.
    pub fn new(approver: impl Into<String>, who: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { approver: approver.into(), who: who.into(), at: crate::Timestamp::default(), reason: reason.into() }
    }
}

/// A human or external decision after all gates and before distribution.
///
/// **Contract**: a refusal is an error of kind `PolicyViolation` with the reason. It may take long; it must end when
/// [`Context::ended`] does.
#[async_trait]
pub trait Approver: fmt::Debug + Send + Sync + 'static {
    /// Its name in records and logs.
    fn id(&self) -> &str;
    /// Decides.
    async fn approve(&self, cx: &Context, record: &BuildRecord) -> Result<Approval>;
}

/// What is about to happen or has happened.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StepKind {
    /// A provisioner.
    Provision,
    /// A scanner.
    Scan,
    /// A validator.
    Validate,
}

/// One plugin call that hooks see.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What it is.
    pub kind: StepKind,
    /// The plugin's id.
    pub id: &'a str,
    /// The machine it works on, where there is one.
    pub machine: Option<&'a dyn Machine>,
}

impl<'a> Step<'a> {
    /// A step.
    pub fn new(kind: StepKind, id: &'a str, machine: Option<&'a dyn Machine>) -> Self {
        Self { kind, id, machine }
    }
}

/// Code around every step. All methods do nothing unless implemented.
#[async_trait]
pub trait StepHook: fmt::Debug + Send + Sync + 'static {
    /// Before a step. An error fails the step.
    async fn before(&self, _cx: &Context, _step: &Step<'_>) -> Result<()> {
        Ok(())
    }
    /// After the last attempt of a step. An error fails a step that succeeded.
    async fn after(&self, _cx: &Context, _step: &Step<'_>, _error: Option<&Error>) -> Result<()> {
        Ok(())
    }
    /// After a failed attempt, counted from 1: how long to wait before the next one; `None` for no further one.
    async fn should_retry(&self, _cx: &Context, _step: &Step<'_>, _attempt: u32, _error: &Error) -> Option<Duration> {
        None
    }
}

macro_rules! forward_stages {
    ($($pointer:ident),*) => {$(
        #[async_trait]
        impl<T: Provisioner + ?Sized> Provisioner for $pointer<T> {
            fn id(&self) -> &str {
                (**self).id()
            }
            async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
                (**self).fingerprint(cx).await
            }
            fn requirements(&self) -> Requirements {
                (**self).requirements()
            }
            async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
                (**self).provision(cx, machine).await
            }
        }
        #[async_trait]
        impl<T: Verifier + ?Sized> Verifier for $pointer<T> {
            fn id(&self) -> &str {
                (**self).id()
            }
            async fn verify(&self, cx: &Context) -> Result<Vec<VerifiedInput>> {
                (**self).verify(cx).await
            }
        }
        #[async_trait]
        impl<T: Validator + ?Sized> Validator for $pointer<T> {
            fn id(&self) -> &str {
                (**self).id()
            }
            async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
                (**self).fingerprint(cx).await
            }
            async fn validate(&self, cx: &Context, subject: Subject<'_>) -> Result<Report> {
                (**self).validate(cx, subject).await
            }
        }
        #[async_trait]
        impl<T: Scanner + ?Sized> Scanner for $pointer<T> {
            fn id(&self) -> &str {
                (**self).id()
            }
            async fn fingerprint(&self, cx: &Context) -> Result<Option<Fingerprint>> {
                (**self).fingerprint(cx).await
            }
            fn supports(&self, target: &ScanTarget<'_>) -> bool {
                (**self).supports(target)
            }
            async fn scan(&self, cx: &Context, target: ScanTarget<'_>) -> Result<ScanReport> {
                (**self).scan(cx, target).await
            }
        }
    )*};
}
forward_stages!(Arc, Box);
