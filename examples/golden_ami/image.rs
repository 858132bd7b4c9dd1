//! The image: where it is built, what goes in, what is checked, and where it goes.

use crate::options::Options;
use image_aws::{
    ClientProvider, SystemsManager,
    ec2::{AmiBuilder, AmiSource, Ec2, Volume},
};
use image_core::{
    Error, Layer, Pipeline, Result, Revision, ValidationStage,
    provision::{FileUpload, Seal, Shell},
    validate::Sealed,
};
use image_test::{GossValidator, gossfile::Loader, hygiene};
use std::{path::PathBuf, sync::Arc};

/// Where the files of the image are.
fn files(name: &str) -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden_ami").join(name)
}

/// Two layers, built on instances that nothing reaches from outside, tested before and after a boot, and copied.
pub(crate) fn pipeline(builder: AmiBuilder, revision: Option<Revision>) -> Result<Pipeline> {
    let seal = Seal::new();
    let mut pipeline = Pipeline::new("golden-ami")
        .builder(builder)
        .revision(revision)
        .layer(base_os())
        .layer(application())
        .validator(Sealed::by(&seal))
        .seal(seal)
        .without_scan("the workspace has no scanner yet");
    for validator in checks()? {
        pipeline = pipeline.validator(validator);
    }
    Ok(pipeline)
}

/// Instances in private subnets, reached by Systems Manager.
pub(crate) fn builder(options: &Options, provider: &Arc<dyn ClientProvider>) -> Result<AmiBuilder> {
    let source = match options.source.starts_with('/') {
        true => AmiSource::parameter(&*options.source),
        false => AmiSource::id(&*options.source),
    };
    let ec2 = Ec2::new(Arc::clone(provider));
    Ok(AmiBuilder::new(&ec2, options.home()?, source, SystemsManager::new(Arc::clone(provider)))
        .candidates(options.instance_types.clone(), &options.subnets)
        .instance_profile(&*options.instance_profile)
        .root_volume(Volume::new().gib(8))
        .without_encryption())
}

fn base_os() -> Layer {
    Layer::new("base-os")
        .provision(Shell::file(files("packages.sh")))
        .provision(FileUpload::tree(files("base-os"), "/").named("configuration"))
}

fn application() -> Layer {
    Layer::new("application").provision(FileUpload::tree(files("application"), "/").named("files"))
}

/// What must be true of the image, on the build machine and of what boots from it.
fn checks() -> Result<[GossValidator; 3]> {
    let gossfiles = Loader::new().strict(true);
    let validator = |name: &str| {
        let loaded = gossfiles.load(files("checks").join(format!("{name}.goss.yaml")))?;
        Ok::<_, Error>(GossValidator::new(loaded.suite).named(name))
    };
    Ok([
        validator("base-os")?,
        validator("application")?,
        GossValidator::new(hygiene::at(ValidationStage::Boot)).named("hygiene").only_booted(),
    ])
}
