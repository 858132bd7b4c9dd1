//! Distributors: copies of an approved image where it is used, and the pointers that name it.

use crate::{ApprovedImage, Captured, Context, Guard, Image, Result, Undo, async_trait};
use std::sync::Arc;

/// Brings an approved image to where it is used.
///
/// All distributors of a run distribute and verify, then the run commits, and only then any of them publishes: nobody
/// sees a new image before every copy of it is there.
///
/// **Contract**: it takes nothing but an [`ApprovedImage`]. Copies are made through [`Context::create`], everything else
/// (sharing, pointers) through [`Context::change`].
///
/// **Idempotency**: a rerun converges. A copy that exists is returned without a guard; a pointer that already stands where
/// it should is not moved.
///
/// **Cancellation** and **errors** are those of [`Builder`](crate::Builder).
#[async_trait]
pub trait Distributor: Undo {
    /// Validates the settings. No side effects.
    async fn check(&self, cx: &Context) -> Result<()>;
    /// Makes the copies that are missing, and returns all.
    async fn distribute(&self, cx: &Context, image: &ApprovedImage) -> Result<Vec<Captured>>;
    /// Proves that each copy is the image. No side effects.
    async fn verify(&self, cx: &Context, image: &ApprovedImage, copies: &[Image]) -> Result<()>;
    /// Moves pointers to the copies.
    async fn publish(&self, cx: &Context, copies: &[Image]) -> Result<Vec<Guard>>;
}

macro_rules! forward_distributor {
    ($($pointer:ident),*) => {$(
        #[async_trait]
        impl<T: Distributor + ?Sized> Distributor for $pointer<T> {
            async fn check(&self, cx: &Context) -> Result<()> {
                (**self).check(cx).await
            }
            async fn distribute(&self, cx: &Context, image: &ApprovedImage) -> Result<Vec<Captured>> {
                (**self).distribute(cx, image).await
            }
            async fn verify(&self, cx: &Context, image: &ApprovedImage, copies: &[Image]) -> Result<()> {
                (**self).verify(cx, image, copies).await
            }
            async fn publish(&self, cx: &Context, copies: &[Image]) -> Result<Vec<Guard>> {
                (**self).publish(cx, copies).await
            }
        }
    )*};
}
forward_distributor!(Arc, Box);
