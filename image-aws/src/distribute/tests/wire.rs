//! Between the SDK's clients and the cloud in memory: forms and JSON in, XML and JSON out.

use super::cloud::{Cloud, Refusal};
use crate::{ClientProvider, Place};
use aws_config::{BehaviorVersion, Region, SdkConfig, stalled_stream_protection::StalledStreamProtectionConfig};
use aws_sdk_sts::config::{AsyncSleep, Credentials, SharedAsyncSleep, SharedCredentialsProvider, Sleep};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use image_core::{Result, async_trait};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// The parameters of a query call.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    fn parse(body: &str) -> Self {
        let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(key, value)| (decode(key), decode(value))).collect())
    }
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
    pub(super) fn text(&self, key: &str) -> String {
        self.get(key).unwrap_or_default().to_owned()
    }
    /// `Key.1`, `Key.2`, ..
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        (1..).map_while(|n| self.get(&format!("{key}.{n}")).map(str::to_owned)).collect()
    }
    /// The forms under `Key.1.`, `Key.2.`, ..
    pub(super) fn forms(&self, key: &str) -> Vec<Self> {
        let under = |n: usize| {
            let prefix = format!("{key}.{n}.");
            let inner = self.0.iter().filter_map(|(k, v)| Some((k.strip_prefix(&prefix)?.to_owned(), v.clone())));
            Self(inner.collect())
        };
        (1..).map(under).take_while(|form| !form.0.is_empty()).collect()
    }
    /// Tags under `Key.1.Key` and `Key.1.Value`.
    pub(super) fn tags(&self, key: &str) -> BTreeMap<String, String> {
        self.forms(key).into_iter().map(|form| (form.text("Key"), form.text("Value"))).collect()
    }
}

fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (vec![], text.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// An element.
pub(super) fn xml(name: &str, inside: impl std::fmt::Display) -> String {
    format!("<{name}>{inside}</{name}>")
}

/// An element with items.
pub(super) fn items(name: &str, items: impl IntoIterator<Item = String>) -> String {
    xml(name, items.into_iter().map(|item| xml("item", item)).collect::<String>())
}

/// Clients whose credentials are those of the place asked for, or always those of another account.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    pub(super) cloud: Cloud,
    pub(super) reaches: Option<String>,
}

#[async_trait]
impl ClientProvider for Provider {
    async fn config(&self, place: &Place) -> Result<SdkConfig> {
        let account = self.reaches.clone().unwrap_or_else(|| place.account.clone());
        let place = Place::new(account, &place.region)?;
        let connector = SharedHttpConnector::new(Wire { cloud: self.cloud.clone(), place: place.clone() });
        let credentials = Credentials::new("key", "secret", None, None, "test");
        Ok(SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(place.region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build())
    }
}

#[derive(Debug)]
struct TokioSleep;

impl AsyncSleep for TokioSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(tokio::time::sleep(duration))
    }
}

#[derive(Clone, Debug)]
struct Wire {
    cloud: Cloud,
    place: Place,
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let body = String::from_utf8(request.body().bytes().unwrap_or_default().to_vec()).unwrap();
            let answer = match request.headers().get("x-amz-target") {
                Some(target) => this.json(target, &body),
                None => this.query(&body),
            };
            let (status, body) = answer.ok_or_else(|| ConnectorError::io("the connection was reset".into()))?;
            Ok(HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body)))
        })
    }
}

impl Wire {
    fn query(&self, body: &str) -> Option<(u16, String)> {
        let form = Form::parse(body);
        let action = form.text("Action");
        let done = self.cloud.faulty(&self.place, &action, || self.cloud.act(&self.place, &action, &form))?;
        Some(match done {
            Ok(inside) if action == "GetCallerIdentity" => {
                (200, xml("GetCallerIdentityResponse", xml("GetCallerIdentityResult", inside)))
            }
            Ok(inside) => (200, xml(&format!("{action}Response"), inside)),
            Err(Refusal { code, status }) => {
                let error = xml("Error", xml("Code", code) + &xml("Message", "no"));
                (status, xml("Response", xml("Errors", error) + &xml("RequestID", "r-1")))
            }
        })
    }

    fn json(&self, target: &str, body: &str) -> Option<(u16, String)> {
        let action = target.strip_prefix("AmazonSSM.").unwrap();
        let input: Value = serde_json::from_str(body).unwrap();
        let done = self.cloud.faulty(&self.place, action, || self.cloud.parameter(&self.place, action, &input))?;
        Some(match done {
            Ok(output) => (200, output.to_string()),
            Err(Refusal { code, status }) => (status, json!({ "__type": code, "message": "no" }).to_string()),
        })
    }
}
