//! Managed instances: those whose agent has registered.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Cx, seconds};
use crate::error::ApiError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Describe {
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    instance_information_filter_list: Vec<OldFilter>,
    #[serde(default)]
    max_results: Option<u32>,
    #[serde(default)]
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OldFilter {
    key: String,
    #[serde(rename = "valueSet")]
    values: Vec<String>,
}

/// `DescribeInstanceInformation`.
pub(super) fn describe(cx: &Cx<'_>, input: Describe) -> Result<Value, ApiError> {
    let limit = input.max_results.unwrap_or(50);
    if !(5..=50).contains(&limit) {
        return Err(ApiError::new("ValidationException", format!("MaxResults is {limit}: 5 to 50")));
    }
    let mut ids: Option<BTreeSet<String>> = None;
    let old = input.instance_information_filter_list.into_iter().map(|f| Filter { key: f.key, values: f.values });
    for filter in input.filters.into_iter().chain(old) {
        match filter.key.as_str() {
            "InstanceIds" => ids = Some(filter.values.into_iter().collect()),
            "PingStatus" if filter.values.iter().any(|value| value == "Online") => {}
            "PingStatus" => ids = Some(BTreeSet::new()),
            key => return Err(ApiError::unsupported(format_args!("the filter {key}"))),
        }
    }
    let after = input.next_token.unwrap_or_default();
    let mut world = cx.cloud.world();
    let online = world.region(&cx.place, cx.now).ec2.managed(cx.now, cx.cloud.config.timings.agent_online);
    let mut chosen = online
        .into_iter()
        .filter(|instance| ids.as_ref().is_none_or(|ids| ids.contains(&instance.id)) && instance.id > after)
        .take(limit as usize + 1)
        .collect::<Vec<_>>();
    let more = chosen.len() > limit as usize;
    chosen.truncate(limit as usize);
    let next = chosen.last().filter(|_| more).map(|instance| instance.id.clone());
    let list: Vec<_> = chosen
        .iter()
        .map(|instance| {
            json!({
                "InstanceId": instance.id,
                "PingStatus": "Online",
                "LastPingDateTime": seconds(cx.now),
                "AgentVersion": "3.3.0.0",
                "IsLatestVersion": true,
                "PlatformType": "Linux",
                "PlatformName": "Linux",
                "PlatformVersion": "1",
                "ResourceType": "EC2Instance",
                "IPAddress": instance.private_ip,
                "ComputerName": instance.id,
            })
        })
        .collect();
    Ok(match next {
        Some(next) => json!({ "InstanceInformationList": list, "NextToken": next }),
        None => json!({ "InstanceInformationList": list }),
    })
}
