//! `DescribeInstances`, `DescribeInstanceStatus`, `GetConsoleOutput`.

use jiff::Timestamp;

use super::super::State;
use super::super::action::{Action, Cx, Handler, act};
use super::super::describe::{Query, maybe, one};
use super::super::ids::INSTANCE;
use super::{Instance, code, write_state};
use crate::clock::{after, iso};
use crate::error::ApiError;
use crate::query::Params;
use crate::world::Region;
use crate::xml::Xml;

pub(super) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "DescribeInstances" => act::<DescribeInstances>,
        "DescribeInstanceStatus" => act::<DescribeInstanceStatus>,
        "GetConsoleOutput" => act::<GetConsoleOutput>,
        _ => return None,
    })
}

const FILTERS: &[&str] = &[
    "architecture",
    "availability-zone",
    "block-device-mapping.volume-id",
    "client-token",
    "iam-instance-profile.arn",
    "image-id",
    "instance-id",
    "instance-lifecycle",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "instance.group-id",
    "instance.group-name",
    "ip-address",
    "key-name",
    "launch-time",
    "metadata-options.http-tokens",
    "network-interface.network-interface-id",
    "private-ip-address",
    "reservation-id",
    "root-device-name",
    "spot-instance-request-id",
    "subnet-id",
    "vpc-id",
];

fn field(instance: &Instance, ec2: &State, name: &str, now: Timestamp) -> Vec<String> {
    let state = instance.state(now);
    match name {
        "architecture" => one(&instance.architecture),
        "availability-zone" => one(&instance.zone),
        "block-device-mapping.volume-id" => {
            ec2.attached_to(&instance.id).map(|(_, volume)| volume.id.clone()).collect()
        }
        "client-token" => maybe(instance.token.as_ref()),
        "iam-instance-profile.arn" => maybe(instance.profile.as_ref()),
        "image-id" => one(&instance.image_id),
        "instance-id" => one(&instance.id),
        "instance-lifecycle" => maybe(instance.spot.as_ref().map(|_| "spot")),
        "instance-state-code" => one(code(state)),
        "instance-state-name" => one(state),
        "instance-type" => one(&instance.instance_type),
        "instance.group-id" => instance.groups.iter().map(|(id, _)| id.clone()).collect(),
        "instance.group-name" => instance.groups.iter().map(|(_, name)| name.clone()).collect(),
        "ip-address" => maybe(instance.public_ip.as_ref()),
        "key-name" => maybe(instance.key_name.as_ref()),
        "launch-time" => one(iso(instance.launched)),
        "metadata-options.http-tokens" => one(instance.metadata.tokens.as_deref().unwrap_or("optional")),
        "network-interface.network-interface-id" => one(&instance.interface_id),
        "private-ip-address" => one(&instance.private_ip),
        "reservation-id" => one(&instance.reservation),
        "root-device-name" => one(&instance.root_device),
        "spot-instance-request-id" => maybe(instance.spot.as_ref().map(|spot| &spot.id)),
        "subnet-id" => one(&instance.subnet_id),
        _ => one(&instance.vpc_id),
    }
}

struct DescribeInstances(Query);

impl Action for DescribeInstances {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.bool("IncludeManagedResources")?;
        Query::parse(params, &INSTANCE, "InstanceId", FILTERS).map(Self)
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (now, account) = (cx.now, cx.place.account.clone());
        let Region { ec2, unsettled, .. } = cx.region();
        let (shown, next) = self
            .0
            .select(&ec2.instances, &ec2.tags, unsettled, now, |instance, name| field(instance, ec2, name, now))?;
        let mut reservations: Vec<(&String, Vec<&Instance>)> = Vec::new();
        for instance in shown {
            match reservations.iter_mut().find(|(id, _)| **id == instance.reservation) {
                Some((_, instances)) => instances.push(instance),
                None => reservations.push((&instance.reservation, vec![instance])),
            }
        }
        xml.items("reservationSet", reservations, |xml, (id, instances)| {
            xml.text("reservationId", id);
            xml.text("ownerId", &account);
            xml.element("groupSet", |_| ());
            xml.items("instancesSet", instances, |xml, instance| {
                instance.write(xml, ec2, ec2.tags.of(&instance.id), &account, now);
            });
        });
        xml.optional("nextToken", next);
        Ok(())
    }
}

struct DescribeInstanceStatus {
    query: Query,
    all: bool,
}

impl Action for DescribeInstanceStatus {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.bool("IncludeManagedResources")?;
        let filters = [
            "availability-zone",
            "instance-state-code",
            "instance-state-name",
            "instance-status.status",
            "system-status.status",
        ];
        Ok(Self {
            query: Query::parse(params, &INSTANCE, "InstanceId", &filters)?,
            all: params.bool("IncludeAllInstances")?.unwrap_or(false),
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (now, checks) = (cx.now, cx.cloud.config.timings.instance_checks);
        let status = |instance: &Instance| match instance.running_since(now) {
            Some(since) if after(since, checks) <= now => ("ok", "passed"),
            Some(_) => ("initializing", "initializing"),
            None => ("not-applicable", ""),
        };
        let Region { ec2, unsettled, .. } = cx.region();
        let (mut shown, next) =
            self.query.select(&ec2.instances, &ec2.tags, unsettled, now, |instance, name| match name {
                "instance-status.status" | "system-status.status" => one(status(instance).0),
                name => field(instance, ec2, name, now),
            })?;
        shown.retain(|instance| self.all || instance.state(now) == "running");
        xml.items("instanceStatusSet", shown, |xml, instance| {
            xml.text("instanceId", &instance.id);
            xml.text("availabilityZone", &instance.zone);
            write_state(xml, "instanceState", instance.state(now));
            let (status, reachability) = status(instance);
            for element in ["systemStatus", "instanceStatus"] {
                xml.element(element, |xml| {
                    xml.text("status", status);
                    if !reachability.is_empty() {
                        xml.items("details", [()], |xml, ()| {
                            xml.text("name", "reachability");
                            xml.text("status", reachability);
                        });
                    }
                });
            }
        });
        xml.optional("nextToken", next);
        Ok(())
    }
}

struct GetConsoleOutput {
    id: String,
}

impl Action for GetConsoleOutput {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.bool("Latest")?;
        Ok(Self { id: INSTANCE.required(params, "InstanceId")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let now = cx.now;
        let instance = cx.region().ec2.instances.get(&self.id).ok_or_else(|| INSTANCE.missing(&self.id))?;
        xml.text("instanceId", &instance.id);
        xml.text("timestamp", iso(now));
        // Bodies have no console: nothing was written to it.
        xml.text("output", "");
        Ok(())
    }
}
