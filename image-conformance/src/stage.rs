//! What the cases of single plugins share.

use crate::{Failure, harness::Events};
use image_core::{Context, MemoryStore};

/// A context with nobody registered: a stage plugin creates nothing.
pub(crate) async fn open() -> Result<(Context, Events), Failure> {
    let events = Events::default();
    let settings = Context::builder(MemoryStore::default()).sink(events.clone());
    Ok((settings.open().await.map_err(Failure::at("a fresh journal"))?, events))
}
