//! A tiny signed client, for tests of this crate.

use bytes::Bytes;
use hyper::HeaderMap;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::call::Request;
use crate::signature::sign;
use crate::{Builder, Simulator};

/// A simulator and a caller.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    key: String,
    region: String,
}

/// A reply, or the lack of one.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// 0: the connection closed without a reply.
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The text of the first element with this name.
    pub(crate) fn text(&self, name: &str) -> String {
        self.all(name).into_iter().next().unwrap_or_else(|| panic!("no <{name}> in {}", self.body))
    }

    /// The texts of all elements with this name, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        self.body.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap().to_owned()).collect()
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(Simulator::builder()).await
    }

    pub(crate) async fn with(builder: Builder) -> Self {
        Self { simulator: builder.start().await.unwrap(), key: "test".to_owned(), region: "us-east-1".to_owned() }
    }

    /// Calls EC2 as a key, in a region.
    pub(crate) async fn call_as(&self, key: &str, region: &str, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let body: String =
            parameters.iter().map(|(key, value)| format!("&{}={}", encode(key), encode(value))).collect();
        let body = format!("Action={action}&Version=2016-11-15{body}");
        self.send(key, region, "ec2", "POST", "/", &[], body.into_bytes()).await
    }

    /// Sends a signed request to any service.
    #[expect(clippy::too_many_arguments, reason = "each is a part of a request")]
    pub(crate) async fn send(
        &self,
        key: &str,
        region: &str,
        service: &str,
        method: &str,
        path_and_query: &str,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let address = self.simulator.endpoint().trim_start_matches("http://").to_owned();
        let mut request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: crate::query::decode(query).collect(),
            headers: HeaderMap::new(),
            body: Bytes::from(body),
        };
        request.headers.insert("host", address.parse().unwrap());
        for (name, value) in headers {
            request.headers.insert(*name, value.parse().unwrap());
        }
        sign(&mut request, key, key, region, service, Timestamp::now());
        let mut text = format!("{method} {path_and_query} HTTP/1.1\r\n");
        for (name, value) in &request.headers {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        text.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", request.body.len()));
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.write_all(&request.body).await.unwrap();
        let mut reply = Vec::new();
        // A connection that is reset is a reply that was lost.
        let _ = stream.read_to_end(&mut reply).await;
        let reply = String::from_utf8_lossy(&reply).into_owned();
        let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = reply.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        Answer { status, body }
    }

    pub(crate) async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call_as(&self.key, &self.region, action, parameters).await
    }

    /// A call that must succeed.
    pub(crate) async fn ok(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let answer = self.call(action, parameters).await;
        assert_eq!(answer.status, 200, "{action} {parameters:?}: {}", answer.body);
        answer
    }

    /// The code of a call that must be refused.
    pub(crate) async fn error(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        let answer = self.call(action, parameters).await;
        assert_ne!(answer.status, 200, "{action} {parameters:?}: {}", answer.body);
        answer.text("Code")
    }
}
