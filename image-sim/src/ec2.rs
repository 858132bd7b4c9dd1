//! EC2: the query protocol, and the families of resources, one file each.

mod action;
mod catalogue;
mod describe;
pub(crate) mod device;
mod group;
mod ids;
mod image;
pub(crate) mod instance;
mod instance_type;
mod key_pair;
pub(crate) mod launch_template;
mod managed;
mod network;
mod region;
mod settings;
mod sharing;
mod snapshot;
mod state;
mod tags;
mod volume;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

pub use catalogue::SeedImage;
pub(crate) use catalogue::public as public_images;
pub(crate) use device::kms_arn;
pub(crate) use snapshot::Snapshot;
pub(crate) use state::State;

use crate::call::{Call, Reply};
use crate::cloud::Cloud;
use crate::error::{ApiError, Protocol};
use crate::service::Service;
use crate::world::{ResourceState, World};

/// The service.
#[derive(Debug)]
pub(crate) struct Ec2;

/// The families, asked in turn for who answers an action.
const FAMILIES: [fn(&str) -> Option<action::Handler>; 11] = [
    region::handler,
    instance::handler,
    instance_type::handler,
    image::handler,
    snapshot::handler,
    volume::handler,
    tags::handler,
    key_pair::handler,
    group::handler,
    network::handler,
    |action| launch_template::handler(action).or_else(|| settings::handler(action)),
];

/// The kind that an id is of, as ARNs and tag specifications name it.
pub(crate) fn kind_of(id: &str) -> Option<&'static str> {
    ids::Kind::of(id).map(|kind| kind.name)
}

/// Whether an action is simulated.
#[cfg(test)]
pub(crate) fn simulates(action: &str) -> bool {
    FAMILIES.iter().any(|family| family(action).is_some())
}

#[async_trait]
impl Service for Ec2 {
    fn name(&self) -> &'static str {
        "ec2"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Ec2Query
    }

    async fn handle(&self, cloud: &Arc<Cloud>, call: &Call) -> Result<Reply, ApiError> {
        let handler = FAMILIES.iter().find_map(|family| family(&call.action)).ok_or_else(|| {
            let message = format!("The action {} is not valid for this web service, or not simulated.", call.action);
            ApiError::new("InvalidAction", message)
        })?;
        handler(cloud, call)
    }

    fn resources(&self, world: &World, now: Timestamp) -> Vec<ResourceState> {
        world.places().flat_map(|(place, region)| region.ec2.resources(place, now)).collect()
    }
}
