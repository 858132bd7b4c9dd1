//! The EBS direct APIs: snapshots written and read block by block, with every checksum held against the data.
//!
//! Paths and headers: <https://docs.aws.amazon.com/ebs/latest/APIReference/Welcome.html>.

mod read;
mod snapshot;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use async_trait::async_trait;

use crate::call::{Call, Reply, Request};
use crate::cloud::Cloud;
use crate::error::{ApiError, Protocol};
use crate::service::Service;
use crate::world::Place;

pub(crate) use snapshot::State;

/// The size of a block in bytes: the only one there is.
pub(crate) const BLOCK: usize = 512 << 10;

/// The service.
#[derive(Debug)]
pub(crate) struct Ebs;

/// What a path asks for.
enum Route<'a> {
    Start,
    Put(&'a str, &'a str),
    Complete(&'a str),
    Get(&'a str, &'a str),
    List(&'a str),
    Changed(&'a str),
}

impl<'a> Route<'a> {
    fn of(request: &'a Request) -> Option<Self> {
        let path: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        match (request.method.as_str(), path.as_slice()) {
            ("POST", ["snapshots"]) => Some(Self::Start),
            ("PUT", ["snapshots", id, "blocks", index]) => Some(Self::Put(id, index)),
            ("POST", ["snapshots", "completion", id]) => Some(Self::Complete(id)),
            ("GET", ["snapshots", id, "blocks", index]) => Some(Self::Get(id, index)),
            ("GET", ["snapshots", id, "blocks"]) => Some(Self::List(id)),
            ("GET", ["snapshots", id, "changedblocks"]) => Some(Self::Changed(id)),
            _ => None,
        }
    }

    const fn action(&self) -> &'static str {
        match self {
            Self::Start => "StartSnapshot",
            Self::Put(..) => "PutSnapshotBlock",
            Self::Complete(_) => "CompleteSnapshot",
            Self::Get(..) => "GetSnapshotBlock",
            Self::List(_) => "ListSnapshotBlocks",
            Self::Changed(_) => "ListChangedBlocks",
        }
    }
}

#[async_trait]
impl Service for Ebs {
    fn name(&self) -> &'static str {
        "ebs"
    }

    fn protocol(&self) -> Protocol {
        Protocol::RestJson
    }

    fn action(&self, request: &Request) -> Result<String, ApiError> {
        let unknown = || ApiError::unsupported(format_args!("{} {}", request.method, request.path));
        Route::of(request).map(|route| route.action().to_owned()).ok_or_else(unknown)
    }

    async fn handle(&self, cloud: &Arc<Cloud>, call: &Call) -> Result<Reply, ApiError> {
        match Route::of(&call.request) {
            Some(Route::Start) => write::start(cloud, call),
            Some(Route::Put(id, index)) => write::put(cloud, call, id, index).await,
            Some(Route::Complete(id)) => write::complete(cloud, call, id),
            Some(Route::Get(id, index)) => read::get(cloud, call, id, index).await,
            Some(Route::List(id)) => read::list(cloud, call, id),
            Some(Route::Changed(id)) => read::changed(cloud, call, id),
            None => Err(ApiError::unsupported("this path")),
        }
    }
}

/// The account and region of a call.
fn place(call: &Call) -> Place {
    Place::new(&call.identity.account, &call.region)
}

/// A refusal of a value, with the reason that the API gives.
fn invalid(reason: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationException", message).with_reason(reason)
}

/// The refusal of a snapshot that is not there.
fn no_snapshot(id: &str) -> ApiError {
    let message = format!("The snapshot '{id}' does not exist.");
    ApiError::new("ResourceNotFoundException", message).with_status(404).with_reason("SNAPSHOT_NOT_FOUND")
}

/// A failure of the simulator's own files.
fn broken(error: &std::io::Error) -> ApiError {
    ApiError::new("InternalServerException", format!("the simulator's file: {error}")).with_status(500)
}
