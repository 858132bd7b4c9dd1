//! A request, the call that it is, and the reply.

use bytes::Bytes;
use hyper::HeaderMap;
use jiff::Timestamp;

use crate::identity::Identity;
use crate::query::Form;
use crate::xml::Xml;

/// An HTTP request, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Upper case.
    pub(crate) method: String,
    /// As sent, percent-encoded, without the query.
    pub(crate) path: String,
    /// Decoded.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// A header that is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The parameters of a query protocol: those of the URL and those of a form body.
    pub(crate) fn form(&self) -> Form {
        let body = std::str::from_utf8(&self.body).unwrap_or_default();
        Form::new(self.query.iter().cloned().chain(crate::query::decode(body)))
    }
}

/// A request that was understood and let in.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The request id that the reply and the log have.
    pub(crate) id: String,
    pub(crate) region: String,
    pub(crate) identity: Identity,
    pub(crate) action: String,
    /// The simulated time at which it is answered.
    pub(crate) now: Timestamp,
    pub(crate) request: Request,
}

/// What a service answers.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn new(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    pub(crate) fn xml(xml: Xml) -> Self {
        Self::new("text/xml;charset=UTF-8", xml.finish())
    }

    pub(crate) fn json(value: &serde_json::Value) -> Self {
        Self::new("application/x-amz-json-1.1", value.to_string())
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
