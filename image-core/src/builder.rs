//! Builders and importers: how a base becomes a machine, and a machine an image.

use crate::{Architecture, Context, Error, Fingerprint, Guard, Image, Machine, Platform, Result, Undo, async_trait};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{any::Any, collections::BTreeMap, fmt, sync::Arc};

/// What a builder can do, so that a pipeline that asks for more is refused before anything is created.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Capabilities {
    /// It can boot a machine from an image.
    pub boot: bool,
    /// Its build machine can be restarted.
    pub reboot: bool,
    /// Its machines carry secret environment without a trace.
    pub secrets: bool,
    /// Its machines pass output on while a command runs.
    pub live_output: bool,
    /// A timeout or a cancel ends a command and all it started.
    pub kills_group: bool,
    /// It can cut a layer off the network.
    pub offline: bool,
}

/// What is to be built.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct BuildSpec {
    /// The image's name; `[a-z0-9-]`, 3 to 60 characters.
    pub name: String,
    /// Processor architecture; the builder's default unless set.
    pub architecture: Option<Architecture>,
    /// The image to start from, where it is another pipeline's and not the builder's own source.
    pub source: Option<Image>,
    /// Labels for the image; provider-side tags where there are such.
    pub labels: BTreeMap<String, String>,
}

impl BuildSpec {
    /// A spec with only a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// What a plugin passes to itself between two calls; opaque to everyone else.
#[derive(Clone)]
pub struct Handle(Arc<dyn Any + Send + Sync>);

impl Handle {
    /// Wraps a value.
    pub fn new<T: Any + Send + Sync>(value: T) -> Self {
        Self(Arc::new(value))
    }
    /// The value.
    ///
    /// # Errors
    /// `Internal` when the handle is another plugin's.
    pub fn get<T: Any + Send + Sync>(&self) -> Result<&T> {
        self.0.downcast_ref().ok_or_else(|| Error::bug("the handle is another plugin's"))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

/// The base of an image, resolved once: "most recent" means the same thing in the whole run.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Source {
    /// What was asked for, in words, for example `debian bookworm`.
    pub name: String,
    /// What it resolved to: a digest, or an id that never changes its content.
    pub pinned: String,
}

impl Source {
    /// A resolved source.
    pub fn new(name: impl Into<String>, pinned: impl Into<String>) -> Self {
        Self { name: name.into(), pinned: pinned.into() }
    }
}

/// A checked build.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Checked {
    /// The base.
    pub source: Source,
    /// What the image will run on.
    pub platform: Platform,
    /// The builder's settings that change what comes out; part of every fingerprint.
    pub fingerprint: Option<Fingerprint>,
    /// Where it will be built, for the plan.
    pub location: String,
    /// The builder's own.
    pub plan: Handle,
}

impl Checked {
    /// A checked build. Without a fingerprint nothing of it is reused.
    pub fn new(
        source: Source,
        platform: Platform,
        fingerprint: Option<Fingerprint>,
        location: impl Into<String>,
        plan: Handle,
    ) -> Self {
        Self { source, platform, fingerprint, location: location.into(), plan }
    }
}

/// Whether commands of a layer reach the network.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// They do not: the layer is a function of its inputs alone.
    Offline,
    /// They do, as the builder is set up.
    #[default]
    Online,
}

/// Which machine to launch.
#[non_exhaustive]
#[derive(Debug)]
pub struct Launch<'a> {
    /// The checked build; its source is the base unless `parent` is set.
    pub checked: &'a Checked,
    /// The layer to start from.
    pub parent: Option<&'a Image>,
    /// The name of the layer that is about to be provisioned.
    pub layer: &'a str,
    /// Whether its commands reach the network.
    pub network: Network,
}

impl<'a> Launch<'a> {
    /// A machine for a layer.
    pub fn new(checked: &'a Checked, parent: Option<&'a Image>, layer: &'a str, network: Network) -> Self {
        Self { checked, parent, layer, network }
    }
}

/// A machine and everything that was created for it.
#[non_exhaustive]
#[derive(Debug)]
pub struct Launched {
    /// The machine.
    pub machine: Arc<dyn Machine>,
    /// What [`Builder::capture`] wants to know.
    pub handle: Handle,
    /// What must be undone when the machine has served, in order of creation.
    pub guards: Vec<Guard>,
}

impl Launched {
    /// A launched machine.
    pub fn new(machine: Arc<dyn Machine>, handle: Handle, guards: Vec<Guard>) -> Self {
        Self { machine, handle, guards }
    }
}

/// What a capture is for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The image that is tested, approved and distributed.
    Image,
    /// An intermediate: private, only built upon.
    Layer,
}

/// What to capture.
#[non_exhaustive]
#[derive(Debug)]
pub struct Capture<'a> {
    /// The checked build.
    pub checked: &'a Checked,
    /// The image's name.
    pub name: &'a str,
    /// The layer's name.
    pub layer: &'a str,
    /// What it is for.
    pub role: Role,
    /// What [`Builder::lookup`] finds it by later; put it into the tags of the creating call.
    pub fingerprint: Option<&'a Fingerprint>,
    /// The layer it was built on.
    pub parent: Option<&'a Image>,
    /// Labels of the image.
    pub labels: &'a BTreeMap<String, String>,
}

impl<'a> Capture<'a> {
    /// A capture with nothing but what must be known.
    pub fn new(
        checked: &'a Checked,
        name: &'a str,
        layer: &'a str,
        role: Role,
        labels: &'a BTreeMap<String, String>,
    ) -> Self {
        Self { checked, name, layer, role, fingerprint: None, parent: None, labels }
    }
    /// Sets what it is found by later.
    #[must_use]
    pub fn fingerprint(mut self, fingerprint: Option<&'a Fingerprint>) -> Self {
        self.fingerprint = fingerprint;
        self
    }
    /// Sets the layer it was built on.
    #[must_use]
    pub fn parent(mut self, parent: Option<&'a Image>) -> Self {
        self.parent = parent;
        self
    }
}

/// An image and every resource it is made of, not yet kept.
#[non_exhaustive]
#[derive(Debug)]
pub struct Captured {
    /// The image.
    pub image: Image,
    /// What is kept or undone with it. Empty when it existed before.
    pub guards: Vec<Guard>,
    /// The plugin's own facts for the build record, for example the paths that a layer changed.
    pub notes: BTreeMap<String, Value>,
}

impl Captured {
    /// An image with its resources.
    pub fn new(image: Image, guards: Vec<Guard>) -> Self {
        Self { image, guards, notes: BTreeMap::new() }
    }
    /// Adds a fact for the build record.
    #[must_use]
    pub fn with_note(mut self, key: impl Into<String>, value: Value) -> Self {
        self.notes.insert(key.into(), value);
        self
    }
}

/// A committed image or layer that can be reused.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Cached {
    /// The image.
    pub image: Image,
    /// Whether it is an image or an intermediate layer.
    pub role: Role,
}

impl Cached {
    /// A find.
    pub fn new(image: Image, role: Role) -> Self {
        Self { image, role }
    }
}

/// Makes images: from a base to a machine, from a machine to an image, from an image to a machine that tests it.
///
/// **Contract**: everything it creates goes through [`Context::create`], everything it changes through
/// [`Context::change`]. It never keeps an image: only the run commits. What it needs after a call it puts into the
/// [`Handle`], and what undo needs into `undo_data`.
///
/// **Idempotency**: `check` and `lookup` have no side effects and may be called at any time. The others are called once.
///
/// **Cancellation**: a call is dropped when the run is cancelled; what it has created is undone from the journal. So no
/// cleanup belongs into a later line of the same function.
///
/// **Errors**: bad settings are `InvalidInput` from `check`, and nothing was created then.
///
/// **Testing**: `image-conformance` has `builder_conformance!`.
#[async_trait]
pub trait Builder: Undo {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;
    /// Resolves the base and validates the settings. No side effects.
    async fn check(&self, cx: &Context, spec: &BuildSpec) -> Result<Checked>;
    /// Finds a committed, available image or layer of our own by its fingerprint. No side effects.
    async fn lookup(&self, cx: &Context, checked: &Checked, fingerprint: &Fingerprint) -> Result<Option<Cached>>;
    /// Starts a machine from the base or from a layer.
    async fn launch(&self, cx: &Context, launch: Launch<'_>) -> Result<Launched>;
    /// Turns a machine into an image. The machine takes no more commands.
    async fn capture(&self, cx: &Context, handle: Handle, capture: Capture<'_>) -> Result<Captured>;
    /// Starts a throwaway machine from an image; the image does not change.
    async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched>;
}

/// Makes a cloud image of a raw disk, without an instance.
///
/// **Contract**, **idempotency**, **cancellation** and **errors** are those of [`Builder`].
#[async_trait]
pub trait Importer: Undo {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;
    /// Who else answers for what its calls create: the builder, for example, that boots for it.
    fn helpers(&self) -> Vec<Arc<dyn Undo>> {
        vec![]
    }
    /// Validates the settings. No side effects.
    async fn check(&self, cx: &Context, spec: &BuildSpec) -> Result<Checked>;
    /// Makes an image of a disk image; the disk does not change.
    async fn import(&self, cx: &Context, checked: &Checked, disk: &Image) -> Result<Captured>;
    /// Starts a throwaway machine from an imported image.
    async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched>;
}

macro_rules! forward_builders {
    ($($pointer:ident),*) => {$(
        #[async_trait]
        impl<T: Builder + ?Sized> Builder for $pointer<T> {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }
            async fn check(&self, cx: &Context, spec: &BuildSpec) -> Result<Checked> {
                (**self).check(cx, spec).await
            }
            async fn lookup(&self, cx: &Context, checked: &Checked, fingerprint: &Fingerprint) -> Result<Option<Cached>> {
                (**self).lookup(cx, checked, fingerprint).await
            }
            async fn launch(&self, cx: &Context, launch: Launch<'_>) -> Result<Launched> {
                (**self).launch(cx, launch).await
            }
            async fn capture(&self, cx: &Context, handle: Handle, capture: Capture<'_>) -> Result<Captured> {
                (**self).capture(cx, handle, capture).await
            }
            async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched> {
                (**self).boot(cx, image).await
            }
        }
        #[async_trait]
        impl<T: Importer + ?Sized> Importer for $pointer<T> {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }
            fn helpers(&self) -> Vec<Arc<dyn Undo>> {
                (**self).helpers()
            }
            async fn check(&self, cx: &Context, spec: &BuildSpec) -> Result<Checked> {
                (**self).check(cx, spec).await
            }
            async fn import(&self, cx: &Context, checked: &Checked, disk: &Image) -> Result<Captured> {
                (**self).import(cx, checked, disk).await
            }
            async fn boot(&self, cx: &Context, image: &Image) -> Result<Launched> {
                (**self).boot(cx, image).await
            }
        }
    )*};
}
forward_builders!(Arc, Box);
