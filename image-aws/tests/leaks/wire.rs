//! Real SDK clients over real sockets, for a clock that stands still: no time passes while a request is on its way, and all
//! waiting between requests takes none.

use crate::process::die;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use image_aws::{ClientProvider, Place};
use image_core::{Result, async_trait};
use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU64, Ordering::SeqCst},
};
use tokio::{runtime::Runtime, task::spawn_blocking};

/// Sockets and simulators live here, where the clock goes on.
pub(crate) static SOCKETS: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Clients of a simulator, with the keys of the account that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    endpoint: String,
    http: SharedHttpConnector,
    replies: Arc<AtomicU64>,
    dies_after: Option<u64>,
}

impl Wire {
    pub(crate) fn new(endpoint: &str) -> Self {
        let http = SharedHttpConnector::new(Connector::builder().build_http());
        Self { endpoint: endpoint.to_owned(), http, replies: Arc::default(), dies_after: None }
    }
    /// Kills the process when the n-th request was answered, before the answer is read.
    pub(crate) fn dies_after(mut self, replies: Option<u64>) -> Self {
        self.dies_after = replies;
        self
    }

    async fn exchange(self, request: HttpRequest) -> std::result::Result<HttpResponse, ConnectorError> {
        let mut response = self.http.call(request).await?;
        if Some(self.replies.fetch_add(1, SeqCst) + 1) == self.dies_after {
            die();
        }
        let body = ByteStream::new(std::mem::replace(response.body_mut(), SdkBody::taken()));
        let body = body.collect().await.map_err(|e| ConnectorError::io(e.into()))?;
        *response.body_mut() = SdkBody::from(body.into_bytes());
        Ok(response)
    }
}

#[async_trait]
impl ClientProvider for Wire {
    async fn config(&self, place: &Place) -> Result<SdkConfig> {
        let key = if place.account == crate::site::ACCOUNT { "test" } else { &place.account };
        Ok(SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(place.region.clone()))
            .endpoint_url(&self.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(key, key, None, None, "test")))
            .http_client(SharedHttpClient::new(self.clone()))
            .build())
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    /// A clock that stands still does not jump ahead while something blocks.
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let exchange = self.clone().exchange(request);
        HttpConnectorFuture::new(async move {
            let done = spawn_blocking(move || SOCKETS.block_on(exchange)).await;
            done.unwrap_or_else(|e| Err(ConnectorError::other(e.into(), None)))
        })
    }
}
