//! From an instance to an image: stop, create, wait for as long as it progresses, and look whether it is what it must be.

use super::{
    AmiBuilder,
    ami::{self, Ami, Hardware},
    client::Region,
    create::{adopt, again},
    kind::Ec2Kind,
    launch::{Build, nameless},
    list::{self, Which},
    request,
    state::{self, LastSeen},
};
use crate::{error::sdk_error, tag};
use aws_sdk_ec2::types::{AttributeValue, Image, ImageState, ImdsSupportValues, InstanceStateName};
use image_core::{
    Capture, Captured, Context, CreateError, CreateRequest, Created, Error, ErrorKind, Guard, Result, Role, wait::Poll,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Before joining the next look; that one comes a second after the last.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a snapshot may stand still. Its progress is shown in whole percents, and the first one comes late.
const STANDSTILL: Duration = Duration::from_secs(30 * 60);
/// What a percent of a large volume may take over that: a hundredth of a GiB at 1 MiB a second, for each GiB.
const STANDSTILL_PER_GIB: Duration = Duration::from_secs(10);

impl AmiBuilder {
    pub(super) async fn capture_instance(&self, cx: &Context, build: &Build, capture: Capture<'_>) -> Result<Captured> {
        let region = self.region();
        if build.stoppable {
            stop(cx, &region, &build.instance).await?;
        }
        let guard = self.create_image(cx, &region, build, &capture).await?;
        let image = available(cx, &region, guard.id(), &build.ami).await?;
        check_hardware(&image, &build.ami)?;
        if !self.settings.imds_v1 && image.imds_support() != Some(&ImdsSupportValues::V20) {
            cx.race(require_imds_v2(&region, guard.id())).await?;
        }
        let image = self.image_of(&image, capture.checked)?;
        let snapshots = json!(image.parts);
        let captured = Captured::new(image, vec![guard]);
        Ok(captured.with_note("instance", json!(build.instance)).with_note("snapshots", snapshots))
    }

    async fn create_image(
        &self,
        cx: &Context,
        region: &Arc<Region>,
        build: &Build,
        capture: &Capture<'_>,
    ) -> Result<Guard> {
        region.mutations.turn(cx).await?;
        let mut own = capture.labels.clone();
        own.entry("Name".into()).or_insert_with(|| capture.name.to_owned());
        if let Some(fingerprint) = capture.fingerprint {
            own.insert(tag::FINGERPRINT.into(), fingerprint.as_str().to_owned());
        }
        let layer = (capture.role == Role::Layer).then(|| capture.layer.to_owned());
        let description = format!("{}, layer {}, of {}", capture.name, capture.layer, build.ami.id);
        let description: String = description.chars().filter(char::is_ascii).take(255).collect();
        let (builder, at) = (self.clone(), Arc::clone(region));
        let (name, instance, stopped) = (capture.name.to_owned(), build.instance.clone(), build.stoppable);
        let call = move |create: CreateRequest| async move {
            let mut tags = own;
            tags.extend(tag::of(&create));
            let name = request::image_name(&name, layer.as_deref(), &create.token);
            let input = request::image(&instance, &name, &description, stopped, &builder.tags(tags));
            let client = at.client_once().await.map_err(CreateError::Rejected)?;
            let operation = "ec2:CreateImage";
            match again(operation, &at.place, || input.clone().send_with(&client)).await {
                Ok(made) => made.image_id().map(Created::new).ok_or_else(|| nameless(operation)),
                Err(CreateError::Unclear(e)) if e.kind() == ErrorKind::AlreadyExists => {
                    let first = || async {
                        let found = list::images(&at, Which::Token(&create.token)).await?;
                        Ok(found.into_iter().next().and_then(|image| image.image_id))
                    };
                    adopt(e, first).await
                }
                Err(e) => Err(e),
            }
        };
        self.create(cx, Ec2Kind::Image, call).await
    }
}

/// Stops an instance, so that its file systems are whole. It is ours and about to be thrown away: nothing to restore.
async fn stop(cx: &Context, region: &Region, instance: &str) -> Result<()> {
    region.mutations.turn(cx).await?;
    cx.race(async {
        let client = region.client().await?;
        let answer = client.stop_instances().instance_ids(instance).send().await;
        answer.map(drop).map_err(|e| sdk_error("ec2:StopInstances", &region.place, e))
    })
    .await?;
    state::instance(cx, region, instance, InstanceStateName::Stopped).await.map(drop)
}

/// Waits until an image is available, for as long as its snapshots make progress.
async fn available(cx: &Context, region: &Region, id: &str, ami: &Ami) -> Result<Arc<Image>> {
    let mut watch = Watch { id, last_seen: LastSeen::new(), snapshots: vec![], gib: ami.gib() };
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

/// An image inherits these from its instance, and that from its source. One that did not would not boot, or boot without
/// its TPM, only later and elsewhere.
fn check_hardware(image: &Image, source: &Ami) -> Result<()> {
    let Hardware { boot_mode, tpm, ena } = Ami::read(image)?.hardware;
    let kept = boot_mode == source.hardware.boot_mode && tpm == source.hardware.tpm && ena == source.hardware.ena;
    if kept {
        return Ok(());
    }
    let id = image.image_id().unwrap_or_default();
    let message = format!(
        "image {id} has boot mode {boot_mode:?}, TPM {tpm:?}, ENA {ena}; its source {} has {:?}, {:?}, {}",
        source.id, source.hardware.boot_mode, source.hardware.tpm, source.hardware.ena
    );
    Err(Error::new(ErrorKind::Conflict, message))
}

/// Makes instances of an image need IMDSv2.
///
/// No change for the journal: EC2 cannot take it back, and it goes with the image, which is undone while nobody has kept
/// it. It is repeatable.
async fn require_imds_v2(region: &Region, id: &str) -> Result<()> {
    let client = region.client().await?;
    let value = AttributeValue::builder().value("v2.0").build();
    let answer = client.modify_image_attribute().image_id(id).imds_support(value).send().await;
    answer.map(drop).map_err(|e| sdk_error("ec2:ModifyImageAttribute", &region.place, e))
}
