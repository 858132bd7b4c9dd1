//! The seam at which services are added: one module each, and one line in [`all`].

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::call::{Call, Reply, Request};
use crate::cloud::Cloud;
use crate::ebs::Ebs;
use crate::ec2::Ec2;
use crate::error::{ApiError, Protocol};
use crate::ssm::Ssm;
use crate::sts::Sts;
use crate::world::{ResourceState, World};

/// One simulated service.
#[async_trait]
pub(crate) trait Service: Debug + Send + Sync {
    /// As in the credential scope of a signature: `ec2`, `ssm`, `ebs`, `sts`, `s3`, `kms`.
    fn name(&self) -> &'static str;

    /// How it writes what it answers, errors too.
    fn protocol(&self) -> Protocol;

    /// The action that a request asks for, as the API names it.
    ///
    /// The default reads `Action` of query protocols and `X-Amz-Target` of JSON; REST services have their own.
    fn action(&self, request: &Request) -> Result<String, ApiError> {
        match self.protocol() {
            Protocol::Ec2Query | Protocol::Query => request.form().params().required("Action"),
            Protocol::Json => request
                .header("x-amz-target")
                .and_then(|target| target.rsplit_once('.'))
                .map(|(_, action)| action.to_owned())
                .ok_or_else(|| ApiError::new("UnknownOperationException", "the request names no operation")),
            Protocol::RestJson | Protocol::RestXml => {
                Err(ApiError::unsupported(format_args!("{} {}", request.method, request.path)))
            }
        }
    }

    /// What the log keeps of a request, without secrets.
    fn parameters(&self, request: &Request) -> Value {
        match self.protocol() {
            Protocol::Ec2Query | Protocol::Query => crate::log::form(request.form().flat()),
            Protocol::Json => crate::log::json(serde_json::from_slice(&request.body).unwrap_or_default()),
            Protocol::RestJson | Protocol::RestXml => {
                let query = crate::log::form(request.query.iter().cloned().collect());
                serde_json::json!({ "path": request.path, "query": query })
            }
        }
    }

    /// Whether an unsigned request is for this service, as for `AssumeRoleWithWebIdentity`.
    fn takes_unsigned(&self, _request: &Request) -> bool {
        false
    }

    /// Does what was asked.
    async fn handle(&self, cloud: &Arc<Cloud>, call: &Call) -> Result<Reply, ApiError>;

    /// What exists, for leak tests.
    fn resources(&self, _world: &World, _now: Timestamp) -> Vec<ResourceState> {
        Vec::new()
    }
}

/// Every service there is.
pub(crate) fn all() -> Vec<Box<dyn Service>> {
    vec![Box::new(Ec2), Box::new(Ebs), Box::new(Ssm), Box::new(Sts)]
}
