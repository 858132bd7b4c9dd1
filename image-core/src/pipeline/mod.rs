//! A pipeline is a value: a builder, layers, gates and distributors. Running it makes images.

mod evidence;
mod layer;
mod plan;
mod run;
mod stages;
mod trace;

pub use layer::Layer;
pub use plan::{LayerAction, Plan, PlannedLayer};
pub use run::{Canceller, Outcome, RunError, RunHandle};

use crate::{
    Approver, Attestor, BuildSpec, Builder, Distributor, Importer, Policy, Provisioner, Revision, Scanner, StepHook,
    Undo, Undoers, Validator, Verifier,
};
use std::{fmt, sync::Arc, time::Duration};

/// How long an intermediate layer is kept for reuse unless the pipeline says otherwise.
const DEFAULT_LAYER_TTL: Duration = Duration::from_secs(14 * 24 * 3600);

/// A pipeline whose builder is not chosen yet.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WantsBuilder;

/// A pipeline that can run.
#[derive(Clone)]
#[non_exhaustive]
pub struct Ready {
    pub(crate) builder: Arc<dyn Builder>,
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ready").field(&self.builder.owner()).finish()
    }
}

/// What becomes of an image that failed a gate, and of the machine it failed on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FailurePolicy {
    /// The run waits with everything in place, and an event says how to get a shell, until it is resumed or cancelled.
    Pause,
    /// Captured images stay for so long: private, expiring, never approved.
    Quarantine(Duration),
    /// Everything is undone.
    #[default]
    Unwind,
}

/// Everything of a pipeline but its builder.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) spec: BuildSpec,
    pub(crate) revision: Option<Revision>,
    pub(crate) verifiers: Vec<Arc<dyn Verifier>>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) seal: Vec<Arc<dyn Provisioner>>,
    pub(crate) validators: Vec<Arc<dyn Validator>>,
    pub(crate) scanners: Vec<Arc<dyn Scanner>>,
    pub(crate) importers: Vec<Arc<dyn Importer>>,
    pub(crate) attestors: Vec<Arc<dyn Attestor>>,
    pub(crate) approvers: Vec<Arc<dyn Approver>>,
    pub(crate) distributors: Vec<Arc<dyn Distributor>>,
    pub(crate) hooks: Vec<Arc<dyn StepHook>>,
    pub(crate) policy: Policy,
    pub(crate) on_failure: FailurePolicy,
    pub(crate) layer_ttl: Duration,
}

/// A pipeline: a source image, layers, gates and distributors, composed in Rust. It is a value; clone it, change it, run
/// it many times and at once.
///
/// `Pipeline<WantsBuilder>` becomes a `Pipeline<Ready>` by [`builder`](Pipeline::builder); only that one runs.
#[derive(Clone, Debug)]
pub struct Pipeline<S = Ready> {
    pub(crate) state: S,
    pub(crate) definition: Definition,
}

impl Pipeline<WantsBuilder> {
    /// An empty pipeline for an image of this name.
    pub fn new(name: impl Into<String>) -> Self {
        let definition = Definition {
            spec: BuildSpec::new(name),
            revision: None,
            verifiers: vec![],
            layers: vec![],
            seal: vec![],
            validators: vec![],
            scanners: vec![],
            importers: vec![],
            attestors: vec![],
            approvers: vec![],
            distributors: vec![],
            hooks: vec![],
            policy: Policy::default(),
            on_failure: FailurePolicy::default(),
            layer_ttl: DEFAULT_LAYER_TTL,
        };
        Self { state: WantsBuilder, definition }
    }
    /// Chooses the builder.
    pub fn builder(self, builder: impl Builder) -> Pipeline<Ready> {
        self.builder_arc(Arc::new(builder))
    }
    /// Chooses a shared builder.
    pub fn builder_arc(self, builder: Arc<dyn Builder>) -> Pipeline<Ready> {
        Pipeline { state: Ready { builder }, definition: self.definition }
    }
}

impl<S> Pipeline<S> {
    /// The image's name.
    pub fn name(&self) -> &str {
        &self.definition.spec.name
    }
    /// Changes what is to be built: architecture, labels, a source that is another pipeline's image.
    #[must_use]
    pub fn spec(mut self, change: impl FnOnce(&mut BuildSpec)) -> Self {
        change(&mut self.definition.spec);
        self
    }
    /// Says which version-control state this pipeline is from; it stands in the build record.
    #[must_use]
    pub fn revision(mut self, revision: Option<Revision>) -> Self {
        self.definition.revision = revision;
        self
    }
    /// Adds a verifier of input artifacts.
    #[must_use]
    pub fn verifier(mut self, verifier: impl Verifier) -> Self {
        self.definition.verifiers.push(Arc::new(verifier));
        self
    }
    /// Adds a layer on top.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.definition.layers.push(layer);
        self
    }
    /// Adds a provisioner that runs last in every layer, right before its capture: it removes what a build leaves behind.
    #[must_use]
    pub fn seal(mut self, provisioner: impl Provisioner) -> Self {
        self.definition.seal.push(Arc::new(provisioner));
        self
    }
    /// Adds a validator of the image: on the last build machine before capture, and on a machine booted from every
    /// captured or imported image.
    #[must_use]
    pub fn validator(mut self, validator: impl Validator) -> Self {
        self.definition.validators.push(Arc::new(validator));
        self
    }
    /// Adds a scanner: of what is installed on the last build machine where it can, and of every image.
    #[must_use]
    pub fn scanner(mut self, scanner: impl Scanner) -> Self {
        self.definition.scanners.push(Arc::new(scanner));
        self
    }
    /// Adds a place that the captured disk is imported to.
    #[must_use]
    pub fn importer(mut self, importer: impl Importer) -> Self {
        self.definition.importers.push(Arc::new(importer));
        self
    }
    /// Adds a signer of the build record.
    #[must_use]
    pub fn attestor(mut self, attestor: impl Attestor) -> Self {
        self.definition.attestors.push(Arc::new(attestor));
        self
    }
    /// Adds a human or external decision, after all other gates.
    #[must_use]
    pub fn approver(mut self, approver: impl Approver) -> Self {
        self.definition.approvers.push(Arc::new(approver));
        self
    }
    /// Adds a distributor.
    #[must_use]
    pub fn distributor(mut self, distributor: impl Distributor) -> Self {
        self.definition.distributors.push(Arc::new(distributor));
        self
    }
    /// Adds code around every step.
    #[must_use]
    pub fn hook(mut self, hook: impl StepHook) -> Self {
        self.definition.hooks.push(Arc::new(hook));
        self
    }
    /// Changes what approval demands.
    #[must_use]
    pub fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.definition.policy);
        self
    }
    /// Approves without a boot of the image; the reason stands in the record.
    #[must_use]
    pub fn without_boot_validation(self, reason: impl Into<String>) -> Self {
        self.policy(|policy| policy.without_boot_validation = Some(reason.into()))
    }
    /// Approves without a scan; the reason stands in the record.
    #[must_use]
    pub fn without_scan(self, reason: impl Into<String>) -> Self {
        self.policy(|policy| policy.without_scan = Some(reason.into()))
    }
    /// Sets what becomes of an image that failed.
    #[must_use]
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.definition.on_failure = policy;
        self
    }
    /// Sets how long intermediate layers are kept for reuse: 14 days unless set.
    #[must_use]
    pub fn layer_ttl(mut self, ttl: Duration) -> Self {
        self.definition.layer_ttl = ttl;
        self
    }
}

impl Pipeline<Ready> {
    /// Who undoes what this pipeline creates: give it to [`recover`](crate::recover()) after a crash.
    pub fn undoers(&self) -> Undoers {
        let builder: Arc<dyn Undo> = Arc::clone(&self.state.builder) as Arc<dyn Undo>;
        let importers = self.definition.importers.iter().flat_map(|importer| {
            let own: Arc<dyn Undo> = Arc::clone(importer) as Arc<dyn Undo>;
            importer.helpers().into_iter().chain([own])
        });
        let distributors = self.definition.distributors.iter().map(|d| Arc::clone(d) as Arc<dyn Undo>);
        importers.chain(distributors).fold(Undoers::new().with(builder), Undoers::with)
    }
}
