//! The simulator's own endpoint, for when it runs as a process of its own.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /_sim/health` | `{}` |
//! | `GET /_sim/calls` | every call, oldest first |
//! | `GET /_sim/state` | every resource |
//! | `POST /_sim/faults` | adds a rule, or a list of rules |
//! | `DELETE /_sim/faults` | removes every rule |
//! | `POST /_sim/clock` | `{"advance_seconds": 60}` moves a manual clock |

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Reply, Request};
use crate::cloud::Cloud;
use crate::fault::Rule;

/// Where the paths start.
pub(crate) const PREFIX: &str = "/_sim/";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

pub(crate) fn answer(cloud: &Cloud, request: &Request) -> Reply {
    let result = match (request.method.as_str(), request.path.strip_prefix(PREFIX).unwrap_or_default()) {
        ("GET", "health") => Ok(json!({})),
        ("GET", "calls") => Ok(cloud.calls_json()),
        ("GET", "state") => Ok(serde_json::to_value(cloud.resources()).unwrap_or_default()),
        ("POST", "faults") => add_faults(cloud, &request.body),
        ("DELETE", "faults") => {
            cloud.faults.clear();
            Ok(json!({}))
        }
        ("POST", "clock") => advance(cloud, &request.body),
        (method, _) => Err((404, format!("no {method} {}", request.path))),
    };
    match result {
        Ok(value) => plain(&value),
        Err((status, message)) => plain(&json!({ "message": message })).status(status),
    }
}

fn plain(value: &Value) -> Reply {
    Reply::new("application/json", value.to_string())
}

type Result = std::result::Result<Value, (u16, String)>;

fn add_faults(cloud: &Cloud, body: &[u8]) -> Result {
    let rules = serde_json::from_slice::<Vec<Rule>>(body)
        .or_else(|_| serde_json::from_slice::<Rule>(body).map(|rule| vec![rule]))
        .map_err(|error| (400, format!("not a rule: {error}")))?;
    let added = rules.len();
    for rule in rules {
        cloud.faults.add(rule);
    }
    Ok(json!({ "added": added }))
}

fn advance(cloud: &Cloud, body: &[u8]) -> Result {
    let advance: Advance = serde_json::from_slice(body).map_err(|error| (400, error.to_string()))?;
    if !cloud.config.clock.advance(Duration::from_secs(advance.advance_seconds)) {
        return Err((409, "the clock is the system's, or at its end: start the simulator with a manual clock".into()));
    }
    Ok(json!({ "now": crate::log::time(cloud.now()) }))
}
