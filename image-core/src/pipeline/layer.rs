//! A layer: the unit of capture and reuse.

use crate::{Network, Provisioner, Validator};
use std::sync::Arc;

/// A named list of provisioners whose result is captured, and reused while nothing of it changes.
///
/// A change in a layer rebuilds it and the layers above it, never those below.
#[derive(Clone, Debug)]
pub struct Layer {
    pub(crate) name: String,
    pub(crate) provisioners: Vec<Arc<dyn Provisioner>>,
    pub(crate) validators: Vec<Arc<dyn Validator>>,
    pub(crate) network: Network,
    pub(crate) refresh: Option<String>,
}

impl Layer {
    /// An empty layer.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), provisioners: vec![], validators: vec![], network: Network::Online, refresh: None }
    }
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Adds a provisioner; they run in order.
    #[must_use]
    pub fn provision(mut self, provisioner: impl Provisioner) -> Self {
        self.provisioners.push(Arc::new(provisioner));
        self
    }
    /// Adds a validator of this layer alone, on its build machine before capture.
    #[must_use]
    pub fn validate(mut self, validator: impl Validator) -> Self {
        self.validators.push(Arc::new(validator));
        self
    }
    /// Cuts the layer's commands off the network, where the builder can.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.network = Network::Offline;
        self
    }
    /// Rebuilds the layer whenever this text changes, for example the week's number: what a package mirror gives is not
    /// among the inputs that a provisioner can declare.
    #[must_use]
    pub fn refresh(mut self, epoch: impl Into<String>) -> Self {
        self.refresh = Some(epoch.into());
        self
    }
}
