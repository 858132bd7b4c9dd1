//! The distributor, of images that the builder made.

use crate::{
    rig::{Cloud, OTHER, REGION, SECRET, pipeline, place},
    wire::Mangle,
};
use image_aws::{
    distribute::{AmiDistributor, Target},
    ec2::Ec2,
};
use image_conformance::{DistributorRig, Limits, Rig};
use image_core::{Architecture, BootMode, Distributor, Image, ImageKind, Pipeline, Platform, Ready, Undoers};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const FAR: &str = "eu-west-1";

#[derive(Debug)]
struct AwsRig(Cloud);

impl AwsRig {
    fn distributor(&self, ec2: &Ec2) -> AmiDistributor {
        AmiDistributor::new(ec2, place(REGION))
            .target(Target::new(place(REGION)).parameter("/golden/near"))
            .target(Target::new(place(FAR)).tag("team", "base").parameter("/golden/far"))
            .target(Target::new(place("us-east-2")).parameter("/golden/east"))
    }
    fn with(&self, distributor: AmiDistributor) -> Pipeline<Ready> {
        pipeline(self.0.builder(&self.0.ec2("test"))).distributor(distributor)
    }
}

impl Rig for AwsRig {
    fn pipeline(&self) -> Pipeline<Ready> {
        self.with(self.distributor(&self.0.ec2("test")))
    }
    fn foreign(&self) -> Undoers {
        let ec2 = self.0.ec2(OTHER);
        Undoers::new().with(Arc::new(self.0.builder(&ec2))).with(Arc::new(self.distributor(&ec2)))
    }
    fn live(&self) -> BTreeSet<String> {
        self.0.live()
    }
    fn values(&self) -> BTreeMap<String, Value> {
        let parameters = self.0.made().into_iter().filter(|resource| resource.kind == "parameter");
        parameters.map(|parameter| (parameter.id, json!(parameter.state))).collect()
    }
    fn refused(&self) -> Vec<Pipeline<Ready>> {
        let full = || self.distributor(&self.0.ec2("test"));
        let twice = full().target(Target::new(place(FAR)));
        let no_template = Target::new(place("us-east-1")).launch_template("lt-none");
        [twice, full().name_prefix("web:"), full().target(no_template)].map(|d| self.with(d)).into()
    }
    fn secrets(&self) -> Vec<String> {
        vec![SECRET.into()]
    }
    fn limits(&self) -> Limits {
        Limits::sampled(2, Duration::from_secs(300))
    }
}

impl DistributorRig for AwsRig {
    fn distributor(&self) -> Arc<dyn Distributor> {
        Arc::new(self.distributor(&self.0.ec2("test")))
    }
    fn image(&self) -> Image {
        let platform = Platform::linux(Architecture::X86_64, BootMode::Uefi);
        Image::new(ImageKind::Machine, "aws.ami", place(REGION).scope(), REGION, self.0.seeded(), platform)
    }
    fn corrupt(&self, _copy: &Image) {
        self.0.0.mangle(Mangle::Images);
    }
}

fn fresh() -> Arc<dyn DistributorRig> {
    Arc::new(AwsRig(Cloud::new()))
}

image_conformance::distributor_conformance!(fresh);
