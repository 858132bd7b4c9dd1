//! How commands reach an instance.

use crate::Place;
use image_core::{Capabilities, Context, Machine, Platform, Result, async_trait};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// Reaches the instances that a builder launches.
///
/// **Contract**: `connect` returns a machine on which commands work, and waits for that itself; the instance is running,
/// perhaps for less than a second. It creates and changes nothing outside of the instance.
///
/// **Cancellation**: `connect` is dropped when the run is cancelled.
///
/// **Errors**: `TimedOut` when commands do not work in time, `Unavailable` when they cannot any more. The instance is
/// undone then, as after any error.
#[async_trait]
pub trait Connect: fmt::Debug + Send + Sync + 'static {
    /// What machines can do: all of [`Capabilities`] but `boot` and `offline`, which the builder decides.
    fn capabilities(&self) -> Capabilities;
    /// Waits until commands work on an instance.
    async fn connect(
        &self,
        cx: &Context,
        place: &Place,
        instance: &str,
        platform: &Platform,
    ) -> Result<Arc<dyn Machine>>;
    /// Statements of an IAM policy that allow the calls it makes; none unless there are some.
    fn policy(&self, _place: &Place) -> Vec<Value> {
        vec![]
    }
}

#[async_trait]
impl<T: Connect + ?Sized> Connect for Arc<T> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    async fn connect(
        &self,
        cx: &Context,
        place: &Place,
        instance: &str,
        platform: &Platform,
    ) -> Result<Arc<dyn Machine>> {
        (**self).connect(cx, place, instance, platform).await
    }
    fn policy(&self, place: &Place) -> Vec<Value> {
        (**self).policy(place)
    }
}
