//! Repeating a creating call without ever taking a lost reply for a refusal.

use crate::{
    Place,
    error::{is_refusal, sdk_error},
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use image_core::{CreateError, ErrorKind};
use std::{error::Error as StdError, time::Duration};
use tokio::time::sleep;

/// How often a call is made.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; it doubles with each one.
const PAUSE: Duration = Duration::from_millis(500);

/// Makes a creating call, again when trying again can help.
///
/// The call must be byte-identical each time, and be idempotent by a client token or a unique name. Its client must not
/// repeat it by itself. Once a reply was lost, a later refusal proves nothing about the first call, and the end is unclear.
pub(crate) async fn again<T, E, F, Fut>(operation: &'static str, place: &Place, call: F) -> Result<T, CreateError>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    F: Fn() -> Fut + Send,
    Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
{
    let (mut lost, mut attempt) = (false, 1);
    loop {
        let error = match call().await {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        lost |= !is_refusal(&error);
        let error = sdk_error(operation, place, error);
        // What was made a moment ago is not known everywhere yet.
        let helps = error.is_retryable() || error.kind() == ErrorKind::NotFound;
        if attempt == ATTEMPTS || !helps {
            return Err(if lost { CreateError::Unclear(error) } else { CreateError::Rejected(error) });
        }
        sleep(PAUSE * 2u32.pow(attempt - 1)).await;
        attempt += 1;
    }
}
