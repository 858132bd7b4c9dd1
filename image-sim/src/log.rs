//! What was called, by whom, and how it ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// The newest calls, oldest first.
#[derive(Debug)]
pub(crate) struct Log {
    kept: usize,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    records: VecDeque<CallRecord>,
    dropped: u64,
}

impl Log {
    /// A log of the newest calls, so many.
    pub(crate) fn keeping(kept: usize) -> Self {
        Self { kept, calls: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, record: CallRecord) {
        let mut calls = self.lock();
        calls.records.push_back(record);
        while calls.records.len() > self.kept {
            calls.records.pop_front();
            calls.dropped += 1;
        }
    }

    pub(crate) fn calls(&self) -> Vec<CallRecord> {
        self.lock().records.iter().cloned().collect()
    }

    /// How many calls were recorded and are no longer kept.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
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
    fn the_newest_calls_are_kept_and_the_others_counted() {
        let log = Log::keeping(2);
        for action in ["A", "B", "C"] {
            log.add(CallRecord {
                time: String::new(),
                request_id: String::new(),
                account: String::new(),
                principal: String::new(),
                service: String::new(),
                region: String::new(),
                action: action.to_owned(),
                parameters: Value::Null,
                status: 200,
                error: None,
                answered: true,
            });
        }
        assert_eq!(log.calls().into_iter().map(|call| call.action).collect::<Vec<_>>(), ["B", "C"]);
        assert_eq!(log.dropped(), 1);
    }

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
