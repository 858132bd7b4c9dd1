//! From an instance to an image: stop, create, wait for as long as it progresses, and look whether it is what it must be.

use super::{
    AmiBuilder,
    available::{available, check_hardware},
    client::Region,
    create::{adopt, again, nameless},
    kind::Ec2Kind,
    launch::Build,
    list, request, state,
};
use crate::{error::sdk_error, tag};
use aws_sdk_ec2::types::{AttributeValue, ImdsSupportValues, InstanceStateName};
use image_core::{Capture, Captured, Context, CreateError, CreateRequest, Created, ErrorKind, Guard, Result, Role};
use serde_json::json;
use std::sync::Arc;

impl AmiBuilder {
    pub(super) async fn capture_instance(&self, cx: &Context, build: &Build, capture: Capture<'_>) -> Result<Captured> {
        let region = self.region();
        if build.stoppable {
            stop(cx, &region, &build.instance).await?;
        }
        let guard = self.create_image(cx, &region, build, &capture).await?;
        let image = available(cx, &region, guard.id(), build.ami.gib()).await?;
        check_hardware(&image, &build.ami.hardware, &format!("its source {}", build.ami.id))?;
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
            let client = at.client_once().await?;
            let operation = "ec2:CreateImage";
            match again(operation, &at.place, || input.clone().send_with(&client)).await {
                Ok(made) => made.image_id().map(Created::new).ok_or_else(|| nameless(operation)),
                Err(CreateError::Unclear(e)) if e.kind() == ErrorKind::AlreadyExists => {
                    adopt(e, || list::image_of_token(&at, &create.token)).await
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
