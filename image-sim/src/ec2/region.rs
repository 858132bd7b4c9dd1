//! Regions and availability zones.

use super::action::{Action, Cx, Handler, act};
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

pub(crate) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "DescribeRegions" => act::<DescribeRegions>,
        "DescribeAvailabilityZones" => act::<DescribeAvailabilityZones>,
        _ => return None,
    })
}

/// The zones of a region. Every region has three.
pub(crate) fn zones(region: &str) -> [String; 3] {
    ["a", "b", "c"].map(|letter| format!("{region}{letter}"))
}

/// The id of a zone, which is the same in every account: `use1-az1`.
pub(crate) fn zone_id(zone: &str) -> String {
    let (region, letter) = zone.split_at(zone.len().saturating_sub(1));
    let short: String = region
        .split('-')
        .enumerate()
        .map(|(index, part)| match index {
            1 => match part {
                "southeast" => "se",
                "southwest" => "sw",
                "northeast" => "ne",
                "northwest" => "nw",
                other => other.get(..1).unwrap_or_default(),
            },
            _ => part,
        })
        .collect();
    let number = match letter {
        "a" => 1,
        "b" => 2,
        _ => 3,
    };
    format!("{short}-az{number}")
}

struct DescribeRegions {
    names: Vec<String>,
}

impl Action for DescribeRegions {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        // Every region that the simulator has is enabled, so all of them are those the account can use.
        params.bool("AllRegions")?;
        Ok(Self { names: params.texts("RegionName")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let known = &cx.cloud.config.regions;
        if let Some(name) = self.names.iter().find(|name| !known.contains(name)) {
            return Err(ApiError::new("InvalidParameterValue", format!("Invalid region '{name}'")));
        }
        let names = known.iter().filter(|name| self.names.is_empty() || self.names.contains(name));
        xml.items("regionInfo", names, |xml, name| {
            xml.text("regionName", name);
            xml.text("regionEndpoint", format_args!("ec2.{name}.amazonaws.com"));
            xml.text("optInStatus", "opt-in-not-required");
        });
        Ok(())
    }
}

struct DescribeAvailabilityZones {
    names: Vec<String>,
}

impl Action for DescribeAvailabilityZones {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.bool("AllAvailabilityZones")?;
        Ok(Self { names: params.texts("ZoneName")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let known = zones(&cx.place.region);
        if let Some(name) = self.names.iter().find(|name| !known.contains(name)) {
            return Err(ApiError::new("InvalidParameterValue", format!("Invalid availability zone: [{name}]")));
        }
        let names = known.iter().filter(|name| self.names.is_empty() || self.names.contains(name));
        xml.items("availabilityZoneInfo", names, |xml, name| {
            xml.text("zoneName", name);
            xml.text("zoneId", zone_id(name));
            xml.text("zoneState", "available");
            xml.text("regionName", &cx.place.region);
            xml.text("zoneType", "availability-zone");
            xml.text("optInStatus", "opt-in-not-required");
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::zone_id;
    use crate::testing::Rig;

    #[test]
    fn zone_ids_are_short() {
        assert_eq!(zone_id("us-east-1a"), "use1-az1");
        assert_eq!(zone_id("ap-southeast-2c"), "apse2-az3");
    }

    #[tokio::test]
    async fn regions_and_their_zones() {
        let rig = Rig::start().await;
        let regions = rig.ok("DescribeRegions", &[]).await;
        assert_eq!(regions.all("regionName").len(), 6);
        let zones = rig.ok("DescribeAvailabilityZones", &[("ZoneName.1", "us-east-1b")]).await;
        assert_eq!(zones.all("zoneId"), ["use1-az2"]);
        assert_eq!(rig.error("DescribeRegions", &[("RegionName.1", "mars-1")]).await, "InvalidParameterValue");
        assert_eq!(rig.error("DescribeRegions", &[("Shiny", "1")]).await, "UnknownParameter");
        assert_eq!(rig.error("DescribeRegions", &[("DryRun", "true")]).await, "DryRunOperation");
        assert_eq!(rig.error("MakeCoffee", &[]).await, "InvalidAction");
    }
}
