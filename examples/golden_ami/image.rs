//! The image: where it is built, what goes in, what is checked, and where it goes.

use crate::options::Options;
use image_aws::{
    FromEnv, Place, SystemsManager,
    distribute::{self, AmiDistributor, Target},
    ec2::{self, AmiBuilder, AmiSource, Ec2, Volume},
};
use image_core::{
    Error, Layer, Pipeline, Result, Revision, ValidationStage,
    provision::{FileUpload, Seal, Shell},
    validate::Sealed,
};
use image_test::{GossValidator, gossfile::Loader, hygiene};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the files of the image are.
fn files(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden_ami").join(name)
}

/// What needs the cloud.
#[derive(Debug)]
pub(crate) struct Plugins {
    builder: AmiBuilder,
    distributor: AmiDistributor,
    account: String,
}

impl Plugins {
    pub(crate) fn new(options: &Options, provider: FromEnv) -> Result<Self> {
        let provider = Arc::new(provider);
        let ec2 = Ec2::new(Arc::clone(&provider));
        let builder = builder(options, &ec2, SystemsManager::new(provider))?;
        Ok(Self { builder, distributor: distributor(options, &ec2)?, account: options.account.clone() })
    }

    /// The IAM policies that allow what they do, and nothing else.
    pub(crate) fn policies(&self) -> BTreeMap<&'static str, Value> {
        BTreeMap::from([
            ("builder", ec2::iam_policy(&self.builder)),
            ("distributor", distribute::iam_policy(&self.distributor, &self.account)),
        ])
    }
}

/// Two layers, built on instances that nothing reaches from outside, tested before and after a boot, and copied.
pub(crate) fn pipeline(plugins: Plugins, revision: Option<Revision>) -> Result<Pipeline> {
    let seal = Seal::new();
    let mut pipeline = Pipeline::new("golden-ami")
        .builder(plugins.builder)
        .revision(revision)
        .layer(base_os())
        .layer(application())
        .validator(Sealed::by(&seal))
        .seal(seal)
        .without_scan("the workspace has no scanner yet")
        .distributor(plugins.distributor);
    for validator in checks()? {
        pipeline = pipeline.validator(validator);
    }
    Ok(pipeline)
}

/// Instances in private subnets, reached by Systems Manager.
fn builder(options: &Options, ec2: &Ec2, connect: SystemsManager) -> Result<AmiBuilder> {
    let source = match options.source.starts_with('/') {
        true => AmiSource::parameter(&*options.source),
        false => AmiSource::id(&*options.source),
    };
    let builder = AmiBuilder::new(ec2, options.home()?, source, connect)
        .candidates(options.instance_types.clone(), &options.subnets)
        .instance_profile(&*options.instance_profile)
        .root_volume(Volume::new().gib(8));
    Ok(match &options.kms_key {
        Some(key) => builder.kms_key(key),
        // What is encrypted by the account's default key cannot be shared.
        None if !options.share_with.is_empty() => builder.without_encryption(),
        None => builder,
    })
}

/// A copy in each region, shared, and a parameter that points to it.
fn distributor(options: &Options, ec2: &Ec2) -> Result<AmiDistributor> {
    let mut distributor = AmiDistributor::new(ec2, options.home()?);
    for region in std::iter::once(&options.region).chain(&options.copy_to) {
        let mut target = Target::new(Place::new(&*options.account, &**region)?).parameter(&*options.parameter);
        if let Some(key) = options.kms_key.as_ref().filter(|_| *region != options.region) {
            target = target.kms_key(key);
        }
        let share = |target: Target, account: &String| target.share_with_account(account);
        distributor = distributor.target(options.share_with.iter().fold(target, share));
    }
    Ok(distributor)
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
