//! The builder.

use crate::rig::{Cloud, OTHER, SECRET, pipeline};
use image_aws::ec2::{AmiBuilder, Volume};
use image_conformance::{Limits, Rig};
use image_core::{Pipeline, Ready, Undoers};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

#[derive(Debug)]
struct AmiRig(Cloud);

impl AmiRig {
    fn builder(&self) -> AmiBuilder {
        self.0.builder(&self.0.ec2("test"))
    }
}

impl Rig for AmiRig {
    fn pipeline(&self) -> Pipeline<Ready> {
        pipeline(self.builder())
    }
    fn foreign(&self) -> Undoers {
        Undoers::new().with(Arc::new(self.0.builder(&self.0.ec2(OTHER))))
    }
    fn live(&self) -> BTreeSet<String> {
        self.0.live()
    }
    fn refused(&self) -> Vec<Pipeline<Ready>> {
        let refused = |change: fn(AmiBuilder) -> AmiBuilder| pipeline(change(self.builder()));
        vec![
            refused(|builder| builder.candidate("m7i.large", "subnet-1")),
            refused(|builder| builder.candidate("m7i.large", "subnet-0123456789abcdef0")),
            refused(|builder| builder.security_group("default")),
            refused(|builder| builder.root_volume(Volume::new().gib(4))),
            refused(|builder| builder.tag("golden-image:state", "kept")),
        ]
    }
    fn secrets(&self) -> Vec<String> {
        vec![SECRET.into()]
    }
    fn limits(&self) -> Limits {
        Limits::sampled(2, Duration::from_secs(300))
    }
}

fn fresh() -> Arc<dyn Rig> {
    Arc::new(AmiRig(Cloud::new()))
}

image_conformance::builder_conformance!(fresh);
