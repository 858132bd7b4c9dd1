//! Errors as an API answers them, in each protocol.

use serde_json::json;

use crate::call::Reply;
use crate::xml::Xml;

/// An error of a simulated API: what a client's SDK turns into its error type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ApiError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) status: u16,
    /// `Reason` of REST-JSON, where the API gives one.
    pub(crate) reason: Option<&'static str>,
}

impl ApiError {
    /// The client is at fault: status 400.
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), status: 400, reason: None }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with_reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// An action that the simulator does not have, or not with these parameters: 501, so that no SDK retries it
    /// as it would a 500.
    pub(crate) fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new("UnsupportedOperation", format!("the simulator does not support {what}")).with_status(501)
    }
}

/// How a service writes what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// EC2: form in, XML out.
    Ec2Query,
    /// STS, IAM: form in, XML out.
    Query,
    /// SSM, KMS: JSON with `X-Amz-Target`. The version is 1.0 or 1.1.
    Json,
    /// EBS direct: JSON with the action in method and path.
    RestJson,
    /// S3.
    #[cfg_attr(not(test), expect(dead_code, reason = "S3 is the next service"))]
    RestXml,
}

impl Protocol {
    /// `error` as this protocol writes it.
    pub(crate) fn encode(self, error: &ApiError, request_id: &str) -> Reply {
        let ApiError { code, message, status, reason } = error;
        let reply = match self {
            Self::Ec2Query => {
                let mut xml = Xml::document();
                xml.element("Response", |xml| {
                    xml.element("Errors", |xml| {
                        xml.element("Error", |xml| {
                            xml.text("Code", code);
                            xml.text("Message", message);
                        });
                    });
                    xml.text("RequestID", request_id);
                });
                Reply::xml(xml)
            }
            Self::Query => {
                let mut xml = Xml::document();
                xml.element("ErrorResponse", |xml| {
                    xml.element("Error", |xml| {
                        xml.text("Type", if *status < 500 { "Sender" } else { "Receiver" });
                        xml.text("Code", code);
                        xml.text("Message", message);
                    });
                    xml.text("RequestId", request_id);
                });
                Reply::xml(xml)
            }
            Self::Json => Reply::json(&json!({ "__type": code, "message": message })),
            // REST-JSON models differ in the case of `message`; readers take the one they know.
            Self::RestJson => {
                let body = json!({ "message": message, "Message": message, "Reason": reason });
                Reply::json(&body).header("x-amzn-errortype", code.clone())
            }
            Self::RestXml => {
                let mut xml = Xml::document();
                xml.element("Error", |xml| {
                    xml.text("Code", code);
                    xml.text("Message", message);
                    xml.text("RequestId", request_id);
                });
                Reply::xml(xml)
            }
        };
        reply.status(*status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_names_code_and_message() {
        let error = ApiError::new("InvalidAMIID.NotFound", "no 'ami-1' & co").with_status(403);
        for protocol in [Protocol::Ec2Query, Protocol::Query, Protocol::Json, Protocol::RestJson, Protocol::RestXml] {
            let reply = protocol.encode(&error, "id-1");
            let text = format!("{:?} {}", reply.headers, String::from_utf8_lossy(&reply.body));
            assert_eq!(reply.status, 403, "{protocol:?}");
            assert!(text.contains("InvalidAMIID.NotFound"), "{protocol:?}: {text}");
            assert!(text.contains("no 'ami-1' &"), "{protocol:?}: {text}");
        }
    }
}
