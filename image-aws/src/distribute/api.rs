//! The calls of one place, and repeating those that create or change.

use crate::{
    Place,
    client::Clients,
    error::{create_error, sdk_error},
};
use aws_sdk_ec2::types::{Filter, Image, Snapshot, Tag};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use image_core::{CreateError, Error, ErrorKind, Result};
use std::{collections::BTreeMap, error::Error as StdError, time::Duration};
use tokio::time::sleep;

/// How often a call is made.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; it doubles with each one.
const PAUSE: Duration = Duration::from_millis(500);
/// Values that one filter of a Describe call takes.
const FILTER_VALUES: usize = 200;

/// The clients of a place.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    clients: Clients,
    pub(crate) place: Place,
}

impl Api {
    pub(crate) fn new(clients: &Clients, place: &Place) -> Self {
        Self { clients: clients.clone(), place: place.clone() }
    }
    /// For calls that read.
    pub(crate) async fn ec2(&self) -> Result<aws_sdk_ec2::Client> {
        self.clients.ec2(&self.place).await
    }
    /// For calls that [`repeat`](Self::repeat) makes. Without a client nothing was asked for.
    pub(crate) async fn ec2_once(&self) -> Result<aws_sdk_ec2::Client, CreateError> {
        self.clients.ec2_once(&self.place).await.map_err(CreateError::Rejected)
    }
    /// For calls that read.
    pub(crate) async fn ssm(&self) -> Result<aws_sdk_ssm::Client> {
        self.clients.ssm(&self.place).await
    }
    /// For calls that [`repeat`](Self::repeat) makes.
    pub(crate) async fn ssm_once(&self) -> Result<aws_sdk_ssm::Client, CreateError> {
        self.clients.ssm_once(&self.place).await.map_err(CreateError::Rejected)
    }

    /// An error of a call.
    pub(crate) fn error<E>(&self, operation: &'static str, error: SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        sdk_error(operation, &self.place, error)
    }

    /// Makes a call that creates or changes, again where that can help. It must be byte-identical each time and idempotent,
    /// and its client must not repeat it by itself: once a reply was lost, a later refusal proves nothing about the first
    /// call.
    pub(crate) async fn repeat<T, E, F, Fut>(&self, operation: &'static str, call: F) -> Result<T, CreateError>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
        F: Fn() -> Fut + Send,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    {
        let (mut lost, mut attempt) = (false, 1);
        loop {
            let failed = match call().await {
                Ok(made) => return Ok(made),
                Err(error) => create_error(operation, &self.place, error),
            };
            lost |= !matches!(failed, CreateError::Rejected(_));
            let error = cause(failed);
            if attempt == ATTEMPTS || !error.is_retryable() {
                return Err(if lost { CreateError::Unclear(error) } else { CreateError::Rejected(error) });
            }
            sleep(pause(attempt)).await;
            attempt += 1;
        }
    }

    /// Images of the own account in all states; one that is missing is no error.
    pub(crate) async fn images(&self, filters: Vec<Filter>) -> Result<Vec<Image>> {
        let client = self.ec2().await?;
        let call = client.describe_images().owners("self").include_deprecated(true).include_disabled(true);
        let (mut found, mut pages) =
            (vec![], call.set_filters(Some(filters)).max_results(1000).into_paginator().send());
        while let Some(page) = pages.next().await {
            found.extend(page.map_err(|e| self.error("ec2:DescribeImages", e))?.images.unwrap_or_default());
        }
        Ok(found)
    }

    /// An image of the own account.
    pub(crate) async fn image(&self, id: &str) -> Result<Option<Image>> {
        Ok(self.images(vec![filter("image-id", [id])]).await?.into_iter().next())
    }

    /// Snapshots of the own account; one that is missing is no error.
    pub(crate) async fn snapshots(&self, filters: Vec<Filter>) -> Result<Vec<Snapshot>> {
        let client = self.ec2().await?;
        let call = client.describe_snapshots().owner_ids("self").set_filters(Some(filters));
        let (mut found, mut pages) = (vec![], call.max_results(1000).into_paginator().send());
        while let Some(page) = pages.next().await {
            found.extend(page.map_err(|e| self.error("ec2:DescribeSnapshots", e))?.snapshots.unwrap_or_default());
        }
        Ok(found)
    }

    /// Snapshots by their ids.
    pub(crate) async fn snapshots_by_id(&self, ids: &[String]) -> Result<Vec<Snapshot>> {
        let mut found = vec![];
        for ids in ids.chunks(FILTER_VALUES) {
            found.extend(self.snapshots(vec![filter("snapshot-id", ids)]).await?);
        }
        Ok(found)
    }
}

/// Why a create or a change failed, however certain that is.
pub(crate) fn cause(failed: CreateError) -> Error {
    match failed {
        CreateError::Rejected(e) | CreateError::Unclear(e) => e,
        _ => Error::bug("a create failed in an unknown way"),
    }
}

/// What somebody else has done before is done.
pub(crate) fn absent_is_done(answer: Result<(), CreateError>) -> Result<()> {
    match answer.map_err(cause) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A filter of a Describe call.
pub(crate) fn filter<S: AsRef<str>>(name: &str, values: impl IntoIterator<Item = S>) -> Filter {
    let values = values.into_iter().map(|value| value.as_ref().to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// A filter by a tag's value.
pub(crate) fn tagged(key: &str, value: &str) -> Filter {
    filter(&format!("tag:{key}"), [value])
}

/// Tags as a map.
pub(crate) fn tags(list: &[Tag]) -> BTreeMap<String, String> {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    list.iter().filter_map(pair).collect()
}

/// A map as tags.
pub(crate) fn to_tags(map: &BTreeMap<String, String>) -> Vec<Tag> {
    map.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// The snapshots of an image, by device.
pub(crate) fn devices(image: &Image) -> BTreeMap<String, String> {
    let snapshot = |mapping: &aws_sdk_ec2::types::BlockDeviceMapping| {
        Some((mapping.device_name()?.to_owned(), mapping.ebs()?.snapshot_id()?.to_owned()))
    };
    image.block_device_mappings().iter().filter_map(snapshot).collect()
}

/// Half of the pause is random, so that calls that were turned away together do not come back together.
fn pause(attempt: u32) -> Duration {
    let whole = PAUSE * 2u32.pow(attempt - 1);
    let thousandths = u32::try_from(uuid::Uuid::new_v4().as_u128() % 1000).unwrap_or_default();
    whole / 2 + whole * thousandths / 2000
}
