//! The simulator without a socket, so that the clock can stand still: the real SDK clients hand their requests over, and
//! the simulator's clock goes as tokio's does.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ebs::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use bytes::Bytes;
use http_body_util::BodyExt;
use image_aws::{ClientProvider, Place};
use image_core::{Result, async_trait};
use image_sim::{Builder, Clock, Simulator};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// One way, in the time of the test.
const LATENCY: Duration = Duration::from_millis(5);

/// What becomes of requests and replies on their way, which no service would do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mangle {
    /// A bit of every block flips.
    Blocks,
    /// Every snapshot is shown as one that failed.
    Snapshots,
    /// Every image is shown as one that failed.
    Images,
}

/// A simulator in this process. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    simulator: Arc<Simulator>,
    seen: Arc<Mutex<Instant>>,
    mangle: Arc<Mutex<Option<Mangle>>>,
}

impl Wire {
    pub(crate) fn new(builder: Builder) -> Self {
        let simulator = Arc::new(builder.clock(Clock::manual()).in_process());
        Self { simulator, seen: Arc::new(Mutex::new(Instant::now())), mangle: Arc::default() }
    }
    /// The simulator, at the time that it is now.
    pub(crate) fn simulator(&self) -> &Simulator {
        let now = Instant::now();
        let before = std::mem::replace(&mut *self.seen.lock().unwrap(), now);
        // Another runtime may have another time; that is no step back.
        self.simulator.advance(now.saturating_duration_since(before));
        &self.simulator
    }
    pub(crate) fn mangle(&self, what: Mangle) {
        *self.mangle.lock().unwrap() = Some(what);
    }
    fn mangles(&self, what: Mangle) -> bool {
        *self.mangle.lock().unwrap() == Some(what)
    }
    /// Clients by an access key, whose secret is the same.
    pub(crate) fn clients(&self, key: &str) -> Clients {
        let keys = Credentials::new(key, key, None, None, "test");
        Clients(
            SdkConfig::builder()
                .behavior_version(BehaviorVersion::latest())
                .credentials_provider(SharedCredentialsProvider::new(keys))
                .endpoint_url(self.simulator.endpoint())
                .http_client(SharedHttpClient::new(self.clone()))
                .build(),
        )
    }

    async fn exchange(&self, request: HttpRequest) -> Option<(StatusCode, Bytes, Vec<(String, String)>)> {
        let mut builder = hyper::Request::builder().method(request.method()).uri(request.uri());
        for (name, value) in request.headers() {
            builder = builder.header(name, value);
        }
        if !request.headers().contains_key("host") {
            let host = self.simulator.endpoint().trim_start_matches("http://");
            builder = builder.header("host", host);
        }
        let puts = request.method() == "PUT";
        let mut body = ByteStream::new(request.into_body()).collect().await.unwrap().to_vec();
        if puts && self.mangles(Mangle::Blocks) {
            body[7] ^= 1;
        }
        let answer = self.simulator().answer(builder.body(Bytes::from(body)).unwrap()).await?;
        let status = StatusCode::try_from(answer.status().as_u16()).unwrap();
        let header = |(name, value): (&hyper::http::HeaderName, &hyper::http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let headers = answer.headers().iter().map(header).collect();
        let mut body = answer.into_body().collect().await.unwrap().to_bytes();
        if self.mangles(Mangle::Snapshots) {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let failed = "<status>error</status><statusMessage>a block was lost</statusMessage>";
            body = text.replace("<status>completed</status>", failed).into();
        }
        if self.mangles(Mangle::Images) {
            let text = String::from_utf8(body.to_vec()).unwrap();
            body = text.replace("<imageState>available</imageState>", "<imageState>failed</imageState>").into();
        }
        Some((status, body, headers))
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            sleep(LATENCY).await;
            let answer = this.exchange(request).await;
            sleep(LATENCY).await;
            let Some((status, body, headers)) = answer else {
                return Err(ConnectorError::io("the connection was lost".into()));
            };
            let mut response = HttpResponse::new(status, SdkBody::from(body));
            for (name, value) in headers {
                response.headers_mut().insert(name, value);
            }
            Ok(response)
        })
    }
}

/// Gives the SDK clients of a simulator.
#[derive(Clone, Debug)]
pub(crate) struct Clients(pub(crate) SdkConfig);

#[async_trait]
impl ClientProvider for Clients {
    async fn config(&self, place: &Place) -> Result<SdkConfig> {
        Ok(self.0.to_builder().region(Region::new(place.region.clone())).build())
    }
}
