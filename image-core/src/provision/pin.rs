//! What was fingerprinted is what is applied: a file that changes between the plan and the work is an error.

use crate::{Context, Error, ErrorKind, Result, per_run::PerRun};

/// Digests by run, as they were when the run was planned. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pins(PerRun<String>);

impl Pins {
    /// Notes what a run was planned with.
    pub(super) fn set(&self, cx: &Context, digest: &str) {
        self.0.set(cx, digest.to_owned());
    }
    /// Refuses anything else than what the run was planned with. A run that was not planned takes what there is.
    ///
    /// # Errors
    /// `Conflict` naming `what`.
    pub(super) fn check(&self, cx: &Context, what: &str, digest: &str) -> Result<()> {
        match self.0.get(cx) {
            Some(planned) if planned != digest => {
                Err(Error::new(ErrorKind::Conflict, format!("{what} has changed since the run was planned")))
            }
            _ => Ok(()),
        }
    }
}
