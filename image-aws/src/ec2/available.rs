//! Waiting for an image to be available, for as long as it progresses, and looking whether it is what it must be.

use super::{
    ami::{self, Ami, Hardware},
    client::Region,
    state::LastSeen,
};
use aws_sdk_ec2::types::{Image, ImageState};
use image_core::{Context, Error, ErrorKind, Result, wait::Poll};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Before joining the next look; that one comes a second after the last.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a snapshot may stand still. Its progress is shown in whole percents, and the first one comes late.
const STANDSTILL: Duration = Duration::from_secs(30 * 60);
/// What a percent of a large volume may take over that: a hundredth of a GiB at 1 MiB a second, for each GiB.
const STANDSTILL_PER_GIB: Duration = Duration::from_secs(10);

/// Waits until an image of volumes of so many GiB is available, for as long as its snapshots make progress.
///
/// # Errors
/// `Unavailable` when it failed, `TimedOut` when it stands still, `NotFound` when it has gone.
pub(crate) async fn available(cx: &Context, region: &Region, id: &str, gib: u32) -> Result<Arc<Image>> {
    let mut watch = Watch { id, last_seen: LastSeen::new(), snapshots: vec![], gib };
    let (mut progress, mut moved) = (String::new(), Instant::now());
    loop {
        match cx.race(watch.look(region)).await {
            Ok(Poll::Ready(image)) => return Ok(image),
            Ok(Poll::Pending(now)) if now != progress => (progress, moved) = (now, Instant::now()),
            Ok(_) => {}
            // No answer is no progress.
            Err(e) if e.is_retryable() => cx.warn(format!("cannot see how image {id} comes on: {e}")),
            Err(e) => return Err(e),
        }
        cx.progress(0, None, format!("waiting for image {id} to be available: {progress}"));
        let patience = STANDSTILL + STANDSTILL_PER_GIB * watch.gib;
        if moved.elapsed() > patience {
            let message = format!("image {id} has made no progress for {} s: {progress}", patience.as_secs());
            return Err(Error::new(ErrorKind::TimedOut, message).with_retryable(false));
        }
        cx.sleep(PAUSE).await?;
    }
}

/// An image that becomes, with its snapshots.
struct Watch<'a> {
    id: &'a str,
    last_seen: LastSeen,
    /// Those that the last look saw, so that the next one sees the image and them at once.
    snapshots: Vec<String>,
    gib: u32,
}

impl Watch<'_> {
    async fn look(&mut self, region: &Region) -> Result<Poll<Arc<Image>>> {
        let id = self.id;
        let (image, snapshots) = tokio::try_join!(region.images.look(id), region.snapshots.look_all(&self.snapshots))?;
        let what = format!("image {id}");
        let Some(image) = self.last_seen.judge(&what, image)? else {
            return Ok(Poll::Pending("not visible yet".into()));
        };
        match image.state() {
            Some(ImageState::Available) => return Ok(Poll::Ready(image)),
            Some(ImageState::Pending | ImageState::Transient) | None => {}
            Some(state) => {
                let reason = image.state_reason();
                let code = reason.and_then(|reason| reason.code()).unwrap_or("without a reason");
                let message = reason.and_then(|reason| reason.message()).unwrap_or_default();
                let error = Error::new(ErrorKind::Unavailable, format!("{what} is {state}: {code}: {message}"));
                return Err(error.with_retryable(false));
            }
        }
        let volumes = ami::volumes(&image);
        self.gib = self.gib.max(volumes.values().map(|volume| volume.gib).fold(0, u32::saturating_add));
        self.snapshots = volumes.into_values().filter_map(|volume| volume.snapshot).collect();
        let percents: Vec<_> = snapshots.iter().flatten().filter_map(|snapshot| snapshot.progress()).collect();
        Ok(Poll::Pending(if percents.is_empty() { "pending".into() } else { percents.join(", ") }))
    }
}

/// An image inherits these from its instance, and that from its source, or has what its registration asked for. One that
/// has not would not boot, or boot without its TPM, only later and elsewhere. `of` says whose the expected ones are.
pub(crate) fn check_hardware(image: &Image, expected: &Hardware, of: &str) -> Result<()> {
    let actual = Ami::read(image)?.hardware;
    if actual == *expected {
        return Ok(());
    }
    let id = image.image_id().unwrap_or_default();
    let show = |Hardware { boot_mode, tpm, ena }: &Hardware| format!("boot mode {boot_mode:?}, TPM {tpm:?}, ENA {ena}");
    let message = format!("image {id} has {}; {of} has {}", show(&actual), show(expected));
    Err(Error::new(ErrorKind::Conflict, message))
}
