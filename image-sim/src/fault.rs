//! Faults that a test scripts: which call, and what goes wrong with it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{ApiError, Protocol};

/// What goes wrong with the calls that match. Rules are asked in the order in which they were added; the first that
/// matches and is not used up decides.
///
/// ```
/// use image_sim::{Effect, Rule};
///
/// // The second `RunInstances` takes effect, but its reply never arrives.
/// let rule = Rule::new(Effect::ReplyLost).service("ec2").action("RunInstances").after(1).times(1);
/// # let _ = rule;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// As in the credential scope: `ec2`, `ssm`, `s3`. Any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The action as the API names it: `RunInstances`. Any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Only calls of this account. Any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How many matching calls pass first.
    #[serde(default)]
    pub after: u32,
    /// How many matching calls it then befalls. All when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// What befalls them.
    pub effect: Effect,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Effect {
    /// Refused with this error; nothing takes effect.
    Error {
        /// The API's code: `InsufficientInstanceCapacity`.
        code: String,
        /// For people.
        #[serde(default)]
        message: String,
        /// The HTTP status: 400 unless said.
        #[serde(default = "bad_request")]
        status: u16,
    },
    /// It takes effect, and then the connection closes without a reply.
    ReplyLost,
    /// It takes effect, and then a server error is answered.
    ErrorAfter {
        /// The HTTP status, such as 500 or 503.
        status: u16,
    },
    /// It is held this long, in real time, and then handled as usual.
    Delay {
        /// In milliseconds.
        millis: u64,
    },
    /// Refused as too frequent, with the code of the service's protocol.
    Throttle,
    /// Refused with a server error; nothing takes effect.
    ServerError {
        /// The HTTP status, such as 500 or 503.
        status: u16,
    },
    /// The connection closes without a reply, and nothing takes effect.
    ConnectionReset,
}

const fn bad_request() -> u16 {
    400
}

impl Rule {
    /// A rule for every call, until it is narrowed.
    pub const fn new(effect: Effect) -> Self {
        Self { service: None, action: None, region: None, account: None, after: 0, times: None, effect }
    }

    /// Only calls of this service.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// Only calls of this action.
    #[must_use]
    pub fn action(mut self, name: impl Into<String>) -> Self {
        self.action = Some(name.into());
        self
    }

    /// Only calls in this region. With [`Effect::ServerError`] and nothing else this is a region that is down.
    #[must_use]
    pub fn region(mut self, name: impl Into<String>) -> Self {
        self.region = Some(name.into());
        self
    }

    /// Only calls of this account.
    #[must_use]
    pub fn account(mut self, id: impl Into<String>) -> Self {
        self.account = Some(id.into());
        self
    }

    /// Lets this many matching calls pass first.
    #[must_use]
    pub const fn after(mut self, calls: u32) -> Self {
        self.after = calls;
        self
    }

    /// Befalls only this many calls.
    #[must_use]
    pub const fn times(mut self, calls: u32) -> Self {
        self.times = Some(calls);
        self
    }

    fn matches(&self, service: &str, action: &str, region: &str, account: &str) -> bool {
        let is = |wanted: &Option<String>, actual: &str| wanted.as_deref().is_none_or(|wanted| wanted == actual);
        is(&self.service, service) && is(&self.action, action) && is(&self.region, region) && is(&self.account, account)
    }
}

impl Effect {
    /// The refusal that this is, where it is one that happens before anything takes effect.
    pub(crate) fn refusal(&self, protocol: Protocol) -> Option<ApiError> {
        match self {
            Self::Error { code, message, status } => {
                Some(ApiError::new(code.clone(), message.clone()).with_status(*status))
            }
            Self::Throttle => Some(throttled(protocol)),
            Self::ServerError { status } => Some(server_error(*status)),
            Self::ReplyLost | Self::ErrorAfter { .. } | Self::Delay { .. } | Self::ConnectionReset => None,
        }
    }

    pub(crate) fn delay(&self) -> Option<Duration> {
        match self {
            Self::Delay { millis } => Some(Duration::from_millis(*millis)),
            _ => None,
        }
    }
}

pub(crate) fn server_error(status: u16) -> ApiError {
    let code = if status == 503 { "ServiceUnavailable" } else { "InternalError" };
    ApiError::new(code, "An internal error has occurred").with_status(status)
}

/// The refusal of a call that came too soon.
pub(crate) fn throttled(protocol: Protocol) -> ApiError {
    match protocol {
        Protocol::Ec2Query => ApiError::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503),
        Protocol::Query => ApiError::new("Throttling", "Rate exceeded"),
        Protocol::Json | Protocol::RestJson => ApiError::new("ThrottlingException", "Rate exceeded"),
        Protocol::RestXml => ApiError::new("SlowDown", "Please reduce your request rate.").with_status(503),
    }
}

/// The rules and how often each matched.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<(Rule, u32)>>);

impl Faults {
    pub(crate) fn add(&self, rule: Rule) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((rule, 0));
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What befalls this call. Counts it.
    pub(crate) fn next(&self, service: &str, action: &str, region: &str, account: &str) -> Option<Effect> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut decided = None;
        for (rule, seen) in rules.iter_mut().filter(|(rule, _)| rule.matches(service, action, region, account)) {
            if decided.is_some() {
                break;
            }
            let index = *seen;
            *seen = seen.saturating_add(1);
            if index >= rule.after && rule.times.is_none_or(|times| index - rule.after < times) {
                decided = Some(rule.effect.clone());
            }
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_befalls_the_calls_it_names() {
        let faults = Faults::default();
        faults.add(Rule::new(Effect::ReplyLost).service("ec2").action("RunInstances").region("r").after(1).times(2));
        let hits: Vec<_> = (0..5).map(|_| faults.next("ec2", "RunInstances", "r", "1").is_some()).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert_eq!(faults.next("ec2", "StopInstances", "r", "1"), None);
        assert_eq!(faults.next("ec2", "RunInstances", "s", "1"), None);
    }

    #[test]
    fn the_first_rule_that_is_not_used_up_decides() {
        let faults = Faults::default();
        faults.add(Rule::new(Effect::Throttle).times(1));
        faults.add(Rule::new(Effect::ReplyLost));
        assert_eq!(faults.next("a", "b", "c", "d"), Some(Effect::Throttle));
        assert_eq!(faults.next("a", "b", "c", "d"), Some(Effect::ReplyLost));
        faults.clear();
        assert_eq!(faults.next("a", "b", "c", "d"), None);
    }

    #[test]
    fn rules_are_read_from_json() {
        let rule: Rule = serde_json::from_str(
            r#"{"action": "CopyImage", "times": 1, "effect": {"error": {"code": "ResourceLimitExceeded"}}}"#,
        )
        .unwrap();
        let refusal = rule.effect.refusal(Protocol::Ec2Query).unwrap();
        assert_eq!((refusal.code.as_str(), refusal.status), ("ResourceLimitExceeded", 400));
        assert!(serde_json::from_str::<Rule>(r#"{"effect": "reply_lost", "acton": "x"}"#).is_err());
    }
}
