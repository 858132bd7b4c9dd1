//! The fake cloud as a rig for the kit, with one pipeline that uses every trait.

use super::{FakeAttestor, FakeCloud, FakePlugin, FakeProvisioner, FakeScanner, FakeValidator, FakeVerifier};
use crate::{DistributorRig, Rig};
use image_core::{
    Architecture, BootMode, ContentDigest, Distributor, Image, ImageKind, Layer, Pipeline, Platform, Ready, Scope,
    Secret, Undoers, sha256,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const SECRET: &str = "correct-horse-battery";
const DISTRIBUTED: &str = "image-of-distributor-tests";

impl FakeCloud {
    /// A fresh cloud, for the macros.
    pub fn rig() -> Arc<dyn Rig> {
        Arc::new(Self::default())
    }
    /// A fresh cloud with an image to distribute, for the macros.
    pub fn distributor_rig() -> Arc<dyn DistributorRig> {
        Arc::new(Self::default().with_image(DISTRIBUTED))
    }
    /// Two layers, a secret, every gate, an importer and two distributors, all declared, on plugins made by
    /// `FakePlugin::new`.
    pub fn full_pipeline(&self) -> Pipeline<Ready> {
        let plugin = FakePlugin::new(self);
        Pipeline::new("golden")
            .builder(plugin.clone())
            .verifier(FakeVerifier::new("bytes", &sha256("bytes")))
            .layer(Layer::new("base").provision(FakeProvisioner::new("packages", "apt-get upgrade")))
            .layer(Layer::new("app").provision(FakeProvisioner::new("app", "install app").secret(Secret::new(SECRET))))
            .seal(FakeProvisioner::new("seal", "rm -f /etc/machine-id"))
            .validator(FakeValidator::passing())
            .scanner(FakeScanner::covering(9))
            .importer(plugin.clone())
            .attestor(FakeAttestor)
            .distributor(plugin.clone())
            .distributor(plugin.named("b"))
    }
}

impl Rig for FakeCloud {
    fn pipeline(&self) -> Pipeline<Ready> {
        self.full_pipeline()
    }
    fn foreign(&self) -> Undoers {
        let other = FakePlugin::new(&Self::new("222")).configured_for(self.account());
        Undoers::new().with(Arc::new(other))
    }
    fn live(&self) -> BTreeSet<String> {
        self.ids()
    }
    fn values(&self) -> BTreeMap<String, Value> {
        let pointers = ["a-0", "a-1", "b-0", "b-1"].map(|name| format!("pointer/{name}"));
        pointers.into_iter().map(|key| (key.clone(), self.value(&key))).collect()
    }
    fn overwrite(&self, id: &str, value: Value) -> bool {
        self.set_value(id, value);
        true
    }
    fn snapshot(&self) -> Option<Arc<dyn Rig>> {
        Some(Arc::new(self.copy()))
    }
    fn refused(&self) -> Vec<Pipeline<Ready>> {
        let plugin = FakePlugin::new(self);
        let nameless = self.full_pipeline().distributor(plugin.clone().named(""));
        let refused_import = self.full_pipeline().importer(plugin.source(""));
        vec![nameless, refused_import]
    }
    fn secrets(&self) -> Vec<String> {
        vec![SECRET.into()]
    }
}

impl DistributorRig for FakeCloud {
    fn distributor(&self) -> Arc<dyn Distributor> {
        Arc::new(FakePlugin::new(self))
    }
    fn image(&self) -> Image {
        let platform = Platform::linux(Architecture::X86_64, BootMode::Uefi);
        let image = Image::new(ImageKind::Machine, "fake", Scope::new("111"), "here", DISTRIBUTED, platform);
        image.with_digest(ContentDigest::Raw { sha256: sha256(DISTRIBUTED) })
    }
    fn corrupt(&self, copy: &Image) {
        Self::corrupt(self, &copy.id);
    }
}
