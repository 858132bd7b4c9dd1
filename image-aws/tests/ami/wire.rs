//! The query protocol of EC2 and STS, spoken by the real SDK clients to a cloud in memory: no socket, so that the clock can
//! stand still.

use crate::cloud::Cloud;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
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
use aws_smithy_types::body::SdkBody;
use image_aws::{ClientProvider, Place};
use image_core::{Result, async_trait};
use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

/// One way, in the time of the test.
const LATENCY: Duration = Duration::from_millis(20);

/// The parameters of a call, by their full names: `Filter.1.Value.2`.
pub(crate) type Params = BTreeMap<String, String>;

/// A refusal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

pub(crate) fn refuse<T>(status: u16, code: &str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { status, code: code.into(), message: message.into() })
}

/// The values of a list, `Name.1`, `Name.2` and so on.
pub(crate) fn list(params: &Params, name: &str) -> Vec<String> {
    (1..).map_while(|n| params.get(&format!("{name}.{n}")).cloned()).collect()
}

/// The parameters below each item of a list of structures.
pub(crate) fn items(params: &Params, name: &str) -> Vec<Params> {
    let item = |n: u32| {
        let prefix = format!("{name}.{n}.");
        let below =
            params.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())));
        Some(below.collect::<Params>()).filter(|below| !below.is_empty())
    };
    (1..).map_while(item).collect()
}

/// An XML element.
pub(crate) fn element(name: &str, content: impl AsRef<str>) -> String {
    format!("<{name}>{}</{name}>", content.as_ref())
}

/// Text of an XML element.
pub(crate) fn text(name: &str, content: impl AsRef<str>) -> String {
    element(name, content.as_ref().replace('&', "&amp;").replace('<', "&lt;"))
}

/// Gives the SDK clients of a cloud.
#[derive(Clone, Debug)]
pub(crate) struct InMemory(pub(crate) Cloud);

#[async_trait]
impl ClientProvider for InMemory {
    async fn config(&self, place: &Place) -> Result<SdkConfig> {
        let client = Wire { cloud: self.0.clone(), region: place.region.clone() };
        let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        Ok(SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(place.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .http_client(SharedHttpClient::new(client))
            .build())
    }
}

#[derive(Clone, Debug)]
struct Wire {
    cloud: Cloud,
    region: String,
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        let body = request.body().bytes().unwrap_or_default().to_vec();
        HttpConnectorFuture::new(async move {
            let params = decode(&String::from_utf8_lossy(&body));
            tokio::time::sleep(LATENCY).await;
            let answer = this.cloud.call(&this.region, &params);
            tokio::time::sleep(LATENCY).await;
            match answer {
                Some(answer) => Ok(response(params.get("Action").map_or("", String::as_str), answer)),
                None => Err(ConnectorError::io("the connection was lost".into())),
            }
        })
    }
}

fn response(action: &str, answer: Result<String, Refusal>) -> HttpResponse {
    let (status, body) = match answer {
        Ok(body) => (200, element(&format!("{action}Response"), body)),
        Err(Refusal { status, code, message }) => {
            let error = element("Error", text("Code", code) + &text("Message", message));
            (status, element("Response", element("Errors", error) + "<RequestID>r-1</RequestID>"))
        }
    };
    HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body))
}

fn decode(form: &str) -> Params {
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decode_one(key), decode_one(value))).collect()
}

fn decode_one(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let byte = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                bytes.push(byte.unwrap());
                rest = after;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// The parameters of a call one a line, for snapshots; what differs from run to run is replaced.
pub(crate) fn show(params: &Params) -> String {
    let token = params.iter().find(|(key, _)| *key == "ClientToken").map(|(_, value)| value.clone());
    let mut lines = String::new();
    for (key, value) in params {
        let value = match key.as_str() {
            "UserData" => "…",
            _ => value.as_str(),
        };
        let value = token.iter().fold(value.to_owned(), |value, token| value.replace(token.as_str(), "TOKEN"));
        writeln!(lines, "{key}={value}").unwrap();
    }
    lines
}
