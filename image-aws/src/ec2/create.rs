//! Repeating a creating call without ever taking a lost reply for a refusal.

use crate::{Place, error::create_error};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use image_core::{CreateError, Created, Error, Result};
use std::{error::Error as StdError, time::Duration};
use tokio::time::sleep;

/// How often a call is made.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; it doubles with each one.
const PAUSE: Duration = Duration::from_millis(500);
/// How often what a lost call made is looked for, and how long to wait between.
const ADOPT_LOOKS: u32 = 20;
const ADOPT_PAUSE: Duration = Duration::from_secs(2);
/// Something that was made a moment ago and that not every part of EC2 knows of yet.
const NOT_YET_VISIBLE: [&str; 4] = [
    "InvalidGroup.NotFound",
    "InvalidInstanceID.NotFound",
    "InvalidSecurityGroupID.NotFound",
    "InvalidSnapshot.NotFound",
];

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
        let not_yet_visible = error.code().is_some_and(|code| NOT_YET_VISIBLE.contains(&code));
        let error = match create_error(operation, place, error) {
            CreateError::Rejected(error) => error,
            CreateError::Unclear(error) => {
                lost = true;
                error
            }
            other => return Err(other),
        };
        if attempt == ATTEMPTS || !(error.is_retryable() || not_yet_visible) {
            return Err(if lost { CreateError::Unclear(error) } else { CreateError::Rejected(error) });
        }
        sleep(pause(attempt)).await;
        attempt += 1;
    }
}

/// What a repeated call meets when it is refused because the name, which is ours alone, is taken: what the first call made,
/// whose reply was lost. Reads lag behind it.
///
/// # Errors
/// The refusal as an unclear end, when nothing of that token comes to be seen.
pub(crate) async fn adopt<F, Fut>(refusal: Error, look: F) -> Result<Created, CreateError>
where
    F: Fn() -> Fut + Send,
    Fut: Future<Output = Result<Option<String>>> + Send,
{
    for _ in 0..ADOPT_LOOKS {
        if let Some(id) = look().await? {
            return Ok(Created::new(id));
        }
        sleep(ADOPT_PAUSE).await;
    }
    Err(CreateError::Unclear(refusal))
}

/// The call succeeded, and what it made is only to be found by its token.
pub(crate) fn nameless(operation: &str) -> CreateError {
    CreateError::Unclear(Error::bug(format!("{operation} gives no id")))
}

/// Half of the pause is random, so that calls that were turned away together do not come back together.
fn pause(attempt: u32) -> Duration {
    let whole = PAUSE * 2u32.pow(attempt - 1);
    let random = uuid::Uuid::new_v4().as_u128() % 1000;
    let thousandths = u32::try_from(random).unwrap_or_default();
    whole / 2 + whole * thousandths / 2000
}
