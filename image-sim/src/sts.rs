//! STS: whose credentials these are.

use std::sync::Arc;

use async_trait::async_trait;

use crate::call::{Call, Reply};
use crate::cloud::Cloud;
use crate::error::{ApiError, Protocol};
use crate::service::Service;
use crate::xml::Xml;

/// The service.
#[derive(Debug)]
pub(crate) struct Sts;

#[async_trait]
impl Service for Sts {
    fn name(&self) -> &'static str {
        "sts"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query
    }

    async fn handle(&self, _cloud: &Arc<Cloud>, call: &Call) -> Result<Reply, ApiError> {
        if call.action != "GetCallerIdentity" {
            return Err(ApiError::unsupported(&call.action));
        }
        let mut xml = Xml::document();
        xml.element("GetCallerIdentityResponse", |xml| {
            xml.element("GetCallerIdentityResult", |xml| {
                xml.text("Arn", &call.identity.arn);
                xml.text("UserId", &call.identity.arn);
                xml.text("Account", &call.identity.account);
            });
            xml.element("ResponseMetadata", |xml| xml.text("RequestId", &call.id));
        });
        Ok(Reply::xml(xml))
    }
}
