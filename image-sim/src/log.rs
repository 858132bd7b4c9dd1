//! What was called, by whom, and how it ended.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// Names of parameters whose values are secret or may hold secrets, wherever they stand.
const SECRET: [&str; 13] = [
    "PresignedUrl",
    "UserData",
    "KeyMaterial",
    "PublicKeyMaterial",
    "SecretAccessKey",
    "SessionToken",
    "WebIdentityToken",
    "SAMLAssertion",
    "Plaintext",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-Credential",
    "TokenCode",
];

/// One call, as `GET /_sim/calls` lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CallRecord {
    /// When it was handled, by the simulated clock.
    pub time: String,
    /// The id that the reply had.
    pub request_id: String,
    /// The account that called; empty when the call was not let in or not signed.
    pub account: String,
    /// The principal that called; empty when the call was not let in.
    pub principal: String,
    /// As in the credential scope.
    pub service: String,
    /// As in the credential scope.
    pub region: String,
    /// As the API names it.
    pub action: String,
    /// What was sent, with secrets replaced by `***`.
    pub parameters: Value,
    /// The HTTP status of the answer, also of one that was lost.
    pub status: u16,
    /// The API's code, when the call was refused.
    pub error: Option<String>,
    /// Whether the answer was sent. A lost answer is a call that took effect all the same.
    pub answered: bool,
}

/// Every call, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<CallRecord>>);

impl Log {
    pub(crate) fn add(&self, record: CallRecord) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    pub(crate) fn calls(&self) -> Vec<CallRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The parameters of a form, without secrets.
pub(crate) fn form(flat: BTreeMap<String, String>) -> Value {
    let hidden = |name: &str| name.split('.').any(|part| SECRET.contains(&part));
    flat.into_iter().map(|(name, value)| if hidden(&name) { (name, "***".to_owned()) } else { (name, value) }).collect()
}

/// A JSON body, without secrets.
pub(crate) fn json(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            // Values of `PutParameter` are secret only for a `SecureString`, but a log need not know any of them.
            let parameter = map.contains_key("Name") && map.contains_key("Value") && map.contains_key("Type");
            map.into_iter()
                .map(|(name, value)| {
                    let hidden = SECRET.contains(&name.as_str()) || (parameter && name == "Value");
                    (name, if hidden { Value::from("***") } else { json(value) })
                })
                .collect()
        }
        Value::Array(items) => items.into_iter().map(json).collect(),
        other => other,
    }
}

/// `time` as records have it.
pub(crate) fn time(time: Timestamp) -> String {
    crate::clock::iso(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_recorded() {
        let flat = [("UserData", "hunter2"), ("ImageId", "ami-1"), ("LaunchTemplateData.UserData", "hunter2")];
        let value = form(flat.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert!(!value.to_string().contains("hunter2"), "{value}");
        assert_eq!(value["ImageId"], "ami-1");

        let body = serde_json::json!({"Name": "n", "Type": "SecureString", "Value": "hunter2", "Tags": [{"Key": "a", "Value": "b"}]});
        let value = json(body);
        assert!(!value.to_string().contains("hunter2"), "{value}");
        assert_eq!(value["Tags"][0]["Value"], "b");
    }
}
