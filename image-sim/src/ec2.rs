//! EC2: the query protocol, and the families of resources, one file each.

mod action;
mod region;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::call::{Call, Reply};
use crate::cloud::Cloud;
use crate::error::{ApiError, Protocol};
use crate::service::Service;
use crate::world::Place;

/// The service.
#[derive(Debug)]
pub(crate) struct Ec2;

/// What an account has in a region.
#[derive(Debug, Default)]
pub(crate) struct State {}

impl State {
    /// What a new account finds.
    pub(crate) fn seeded(_place: &Place, _now: Timestamp) -> Self {
        Self::default()
    }
}

/// The families, asked in turn for who answers an action.
const FAMILIES: [fn(&str) -> Option<action::Handler>; 1] = [region::handler];

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
}
