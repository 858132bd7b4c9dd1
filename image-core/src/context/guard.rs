//! Something open in the journal.

use super::Context;
use crate::{Error, ErrorKind, Resource, Result};

/// Something open in the journal: created or changed, and neither kept nor undone yet.
///
/// Dropping it does nothing, and above all no I/O: the run's unwind undoes what is still open. Hand it to the run with
/// the output it belongs to, or release it when it has served.
#[must_use = "hand it to the run, or release it; what stays open is undone at the end of the run"]
#[derive(Debug)]
pub struct Guard {
    cx: Context,
    resource: Resource,
}

impl Guard {
    pub(super) fn new(cx: Context, resource: Resource) -> Self {
        Self { cx, resource }
    }
    /// The resource's id.
    pub fn id(&self) -> &str {
        self.resource.id.as_deref().unwrap_or_default()
    }
    /// The resource.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }
    /// Undoes it now, and returns when it is proven gone. It runs to its end whatever becomes of the run; on failure the
    /// resource stays open, for the run's unwind to try again.
    ///
    /// # Errors
    /// `Unavailable`, with the reason.
    pub async fn release(self) -> Result<()> {
        match self.cx.undo_open(Some(&self.resource.token)).await.into_iter().next() {
            None => Ok(()),
            Some(stuck) => {
                let message = format!("{} could not be released: {}", stuck.resource, stuck.reason);
                Err(Error::new(ErrorKind::Unavailable, message).with_retryable(false))
            }
        }
    }
}
