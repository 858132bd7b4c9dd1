//! Systems Manager: managed instances, Run Command and the parameter store.

mod command;
mod managed;
mod parameter;
mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::call::{Call, Reply};
use crate::cloud::Cloud;
use crate::error::{ApiError, Protocol};
use crate::service::Service;
use crate::world::{Place, ResourceState, World};

/// The service.
#[derive(Debug)]
pub(crate) struct Ssm;

/// What an account has in a region.
#[derive(Debug, Default)]
pub(crate) struct State {
    commands: command::Commands,
    parameters: parameter::Parameters,
}

/// What an action has at hand.
struct Cx<'a> {
    cloud: &'a Arc<Cloud>,
    place: Place,
    now: Timestamp,
}

#[async_trait]
impl Service for Ssm {
    fn name(&self) -> &'static str {
        "ssm"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Json
    }

    async fn handle(&self, cloud: &Arc<Cloud>, call: &Call) -> Result<Reply, ApiError> {
        let cx = Cx { cloud, place: Place::new(&call.identity.account, &call.region), now: call.now };
        let body = &call.request.body;
        let answer = match call.action.as_str() {
            "AddTagsToResource" => parameter::add_tags(&cx, input(body)?)?,
            "CancelCommand" => command::cancel(&cx, input(body)?)?,
            "DeleteParameter" => parameter::delete(&cx, input(body)?)?,
            "DescribeInstanceInformation" => managed::describe(&cx, input(body)?)?,
            "GetCommandInvocation" => command::invocation(&cx, input(body)?)?,
            "GetParameter" => parameter::get(&cx, input(body)?)?,
            "GetParameterHistory" => parameter::history(&cx, input(body)?)?,
            "GetParameters" => parameter::get_many(&cx, input(body)?)?,
            "ListCommandInvocations" => command::list(&cx, input(body)?)?,
            "ListTagsForResource" => parameter::list_tags(&cx, input(body)?)?,
            "PutParameter" => parameter::put(&cx, input(body)?)?,
            "SendCommand" => command::send(&cx, input(body)?)?,
            action => return Err(ApiError::unsupported(format_args!("ssm:{action}"))),
        };
        Ok(Reply::json(&answer))
    }

    fn resources(&self, world: &World, _now: Timestamp) -> Vec<ResourceState> {
        let places = world.places();
        places.flat_map(|(place, region)| parameter::resources(place, &region.ssm.parameters)).collect()
    }
}

/// Reads an action's input. A field that it does not know is refused, so that none is dropped silently.
fn input<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| ApiError::new("ValidationException", e.to_string()))
}

/// Seconds since 1970 with a fraction: how JSON 1.1 writes times.
fn seconds(time: Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this millennium fit")]
    Value::from(time.as_millisecond() as f64 / 1000.0)
}
