//! The image: what goes in, and what is checked.

use crate::options::{OnError, Options};
use image_core::{
    Architecture, Error, ErrorKind, FailurePolicy, Layer, Pipeline, Result, Revision, ValidationStage,
    provision::{FileUpload, Seal, Shell},
    validate::Sealed,
};
use image_local::{LocalBuilder, LocalStore, Source};
use image_test::{GossValidator, gossfile::Loader, hygiene};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a refused image is kept for a look.
const QUARANTINE: Duration = Duration::from_secs(7 * 24 * 3600);
/// What has to start first may take a while where a processor is emulated.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// Where the files of the image are.
fn files(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("quickstart").join(name)
}

/// Two layers, their checks, and where the image goes.
pub(crate) fn pipeline(options: &Options, revision: Option<Revision>, store: LocalStore) -> Result<Pipeline> {
    let host = || Error::new(ErrorKind::Unsupported, "the processor of this machine is not known");
    let source = Source::suite(&options.suite, Architecture::host().ok_or_else(host)?)?;
    let builder = LocalBuilder::open(options.directory.join("builder"), source)?;
    let seal = Seal::new();
    let mut pipeline = Pipeline::new(format!("quickstart-{}", options.suite))
        .builder(builder)
        .revision(revision)
        .layer(base_os())
        .layer(application(&options.greeting))
        .validator(Sealed::by(&seal))
        .seal(seal)
        .without_scan("the workspace has no scanner yet")
        .distributor(store)
        .on_failure(match options.on_error {
            OnError::Cleanup => FailurePolicy::Unwind,
            OnError::Pause => FailurePolicy::Pause,
            OnError::Quarantine => FailurePolicy::Quarantine(QUARANTINE),
        });
    for validator in checks(options)? {
        pipeline = pipeline.validator(validator);
    }
    Ok(pipeline)
}

fn base_os() -> Layer {
    Layer::new("base-os")
        .provision(Shell::file(files("packages.sh")))
        .provision(FileUpload::tree(files("base-os"), "/").named("configuration"))
        .provision(Shell::file(files("services.sh")))
}

/// It installs nothing, so it gets no network: the same input gives the same layer.
fn application(greeting: &str) -> Layer {
    Layer::new("application")
        .provision(FileUpload::tree(files("application"), "/").named("files"))
        .provision(Shell::file(files("application.sh")).env("GREETING", greeting))
        .offline()
}

/// What must be true of the image: of its files on the build machine as well, of what runs after a boot.
fn checks(options: &Options) -> Result<[GossValidator; 4]> {
    let gossfiles = Loader::new().var("greeting", options.greeting.as_str()).strict(true);
    let validator = |name: &str| {
        let loaded = gossfiles.load(files("checks").join(format!("{name}.goss.yaml")))?;
        Ok::<_, Error>(GossValidator::new(loaded.suite).named(name))
    };
    Ok([
        validator("base-os")?,
        validator("application")?,
        validator("running")?.only_booted().retry_for(STARTS_WITHIN),
        GossValidator::new(hygiene::at(ValidationStage::Boot)).named("hygiene").only_booted(),
    ])
}
