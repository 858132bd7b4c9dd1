//! The network that every account finds: a VPC with a private subnet in each zone, and what those reach.
//!
//! There is no default VPC, as in an account that is kept with care. The private subnets reach SSM through VPC endpoints
//! and the internet through a NAT gateway in the one public subnet.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::action::{Action, Cx, Handler, act};
use super::describe::{Query, one};
use super::ids::{ENDPOINT, INTERNET_GATEWAY, Kind, NAT_GATEWAY, ROUTE_TABLE, SUBNET, VPC};
use super::region::{zone_id, zones};
use super::tags::{self, Tags};
use crate::clock::iso;
use crate::error::ApiError;
use crate::query::Params;
use crate::world::{Place, Region, seeded_id};
use crate::xml::Xml;

pub(crate) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "DescribeVpcs" => act::<Describe<Vpc>>,
        "DescribeSubnets" => act::<Describe<Subnet>>,
        "DescribeRouteTables" => act::<Describe<RouteTable>>,
        "DescribeVpcEndpoints" => act::<Describe<Endpoint>>,
        "DescribeNatGateways" => act::<Describe<NatGateway>>,
        "DescribeInternetGateways" => act::<Describe<InternetGateway>>,
        _ => return None,
    })
}

/// The network of an account in a region.
#[derive(Debug, Default)]
pub(crate) struct Network {
    vpcs: BTreeMap<String, Vpc>,
    subnets: BTreeMap<String, Subnet>,
    route_tables: BTreeMap<String, RouteTable>,
    endpoints: BTreeMap<String, Endpoint>,
    nat_gateways: BTreeMap<String, NatGateway>,
    internet_gateways: BTreeMap<String, InternetGateway>,
    addresses: u32,
}

#[derive(Debug)]
struct Vpc {
    id: String,
}

/// A subnet.
#[derive(Debug)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    pub(crate) vpc_id: String,
    pub(crate) zone: String,
    pub(crate) cidr: String,
    pub(crate) map_public_ip: bool,
}

#[derive(Debug)]
struct RouteTable {
    id: String,
    vpc_id: String,
    subnets: Vec<String>,
    main: bool,
    /// Where the internet is: the element's name and the id.
    default_route: (&'static str, String),
}

#[derive(Debug)]
struct Endpoint {
    id: String,
    vpc_id: String,
    service: String,
    subnets: Vec<String>,
    group: String,
    created: Timestamp,
}

#[derive(Debug)]
struct NatGateway {
    id: String,
    vpc_id: String,
    subnet_id: String,
    created: Timestamp,
}

#[derive(Debug)]
struct InternetGateway {
    id: String,
    vpc_id: String,
}

impl Network {
    /// The network and its tags. The ids are the same in every run.
    pub(crate) fn seeded(place: &Place, now: Timestamp) -> (Self, Vec<(String, Tags)>) {
        let id = |prefix: &str, name: &str| seeded_id(prefix, &[&place.account, &place.region, name]);
        let vpc_id = id("vpc", "main");
        let mut network = Self::default();
        let mut names = vec![(vpc_id.clone(), "main".to_owned())];
        let mut private = Vec::new();
        let public_zone = format!("{}a", place.region);
        let plans = zones(&place.region).into_iter().enumerate();
        let plans =
            plans.map(|(index, zone)| (format!("private-{zone}"), zone, format!("10.0.{}.0/24", index + 1), false));
        let public = (format!("public-{public_zone}"), public_zone, "10.0.100.0/24".to_owned(), true);
        let public_id = id("subnet", &public.0);
        for (name, zone, cidr, map_public_ip) in plans.chain([public]) {
            let subnet = Subnet { id: id("subnet", &name), vpc_id: vpc_id.clone(), zone, cidr, map_public_ip };
            if !map_public_ip {
                private.push(subnet.id.clone());
            }
            names.push((subnet.id.clone(), name));
            network.subnets.insert(subnet.id.clone(), subnet);
        }
        let nat =
            NatGateway { id: id("nat", "main"), vpc_id: vpc_id.clone(), subnet_id: public_id.clone(), created: now };
        let gateway = InternetGateway { id: id("igw", "main"), vpc_id: vpc_id.clone() };
        for (name, main, subnets, default_route) in [
            ("private", true, private.clone(), ("natGatewayId", nat.id.clone())),
            ("public", false, vec![public_id], ("gatewayId", gateway.id.clone())),
        ] {
            let table = RouteTable { id: id("rtb", name), vpc_id: vpc_id.clone(), subnets, main, default_route };
            names.push((table.id.clone(), name.to_owned()));
            network.route_tables.insert(table.id.clone(), table);
        }
        for service in ["ssm", "ssmmessages", "ec2messages"] {
            let endpoint = Endpoint {
                id: id("vpce", service),
                vpc_id: vpc_id.clone(),
                service: format!("com.amazonaws.{}.{service}", place.region),
                subnets: private.clone(),
                group: id("sg", "default"),
                created: now,
            };
            network.endpoints.insert(endpoint.id.clone(), endpoint);
        }
        network.nat_gateways.insert(nat.id.clone(), nat);
        network.internet_gateways.insert(gateway.id.clone(), gateway);
        network.vpcs.insert(vpc_id.clone(), Vpc { id: vpc_id });
        let tags = names.into_iter().map(|(id, name)| (id, Tags::from([("Name".to_owned(), name)]))).collect();
        (network, tags)
    }

    /// The id of the one VPC that is there from the start.
    pub(crate) fn main_vpc(&self) -> Option<&str> {
        self.vpcs.keys().next().map(String::as_str)
    }

    pub(crate) fn has_vpc(&self, id: &str) -> bool {
        self.vpcs.contains_key(id)
    }

    /// The subnet of a launch.
    pub(crate) fn subnet(&self, id: Option<&str>, zone: Option<&str>) -> Result<&Subnet, ApiError> {
        let Some(id) = id else {
            let message = "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.";
            return Err(ApiError::new("VPCIdNotSpecified", message));
        };
        let subnet = self.subnets.get(id).ok_or_else(|| SUBNET.missing(id))?;
        if let Some(zone) = zone.filter(|zone| *zone != subnet.zone) {
            let message = format!(
                "Value ({zone}) for parameter Placement.AvailabilityZone is invalid: {id} is in {}",
                subnet.zone
            );
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        Ok(subnet)
    }

    /// A number for a new address.
    pub(crate) const fn next_address(&mut self) -> u32 {
        // The first four of a subnet are AWS's.
        self.addresses = self.addresses.wrapping_add(1);
        0x0103_u32.wrapping_add(self.addresses)
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.vpcs.contains_key(id)
            || self.subnets.contains_key(id)
            || self.route_tables.contains_key(id)
            || self.endpoints.contains_key(id)
            || self.nat_gateways.contains_key(id)
            || self.internet_gateways.contains_key(id)
    }

    /// Kind and id of everything.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let vpcs = self.vpcs.keys().map(|id| (VPC.name, id));
        vpcs.chain(self.subnets.keys().map(|id| (SUBNET.name, id)))
            .chain(self.route_tables.keys().map(|id| (ROUTE_TABLE.name, id)))
            .chain(self.endpoints.keys().map(|id| (ENDPOINT.name, id)))
            .chain(self.nat_gateways.keys().map(|id| (NAT_GATEWAY.name, id)))
            .chain(self.internet_gateways.keys().map(|id| (INTERNET_GATEWAY.name, id)))
    }
}

/// A part of the network that is only ever described.
trait Part: Sized + 'static {
    const KIND: &'static Kind;
    /// The parameter with the ids.
    const IDS: &'static str;
    /// The element around the items.
    const SET: &'static str;
    const FILTERS: &'static [&'static str];

    fn of(network: &Network) -> &BTreeMap<String, Self>;
    fn id(&self) -> &str;
    fn field(&self, account: &str, name: &str) -> Vec<String>;
    fn write(&self, xml: &mut Xml, place: &Place);
}

struct Describe<T> {
    query: Query,
    part: std::marker::PhantomData<T>,
}

impl<T: Part> Action for Describe<T> {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let query = Query::parse(params, T::KIND, T::IDS, T::FILTERS)?;
        Ok(Self { query, part: std::marker::PhantomData })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (now, place) = (cx.now, cx.place.clone());
        let Region { ec2, unsettled, .. } = cx.region();
        let (shown, next) = self
            .query
            .select(T::of(&ec2.network), &ec2.tags, unsettled, now, |part, name| part.field(&place.account, name))?;
        xml.items(T::SET, shown, |xml, part| {
            part.write(xml, &place);
            tags::write(xml, ec2.tags.of(part.id()));
        });
        xml.optional("nextToken", next);
        Ok(())
    }
}

impl Part for Vpc {
    const KIND: &'static Kind = &VPC;
    const IDS: &'static str = "VpcId";
    const SET: &'static str = "vpcSet";
    const FILTERS: &'static [&'static str] = &["cidr", "is-default", "owner-id", "state", "vpc-id"];

    fn of(network: &Network) -> &BTreeMap<String, Self> {
        &network.vpcs
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn field(&self, account: &str, name: &str) -> Vec<String> {
        match name {
            "cidr" => one("10.0.0.0/16"),
            "is-default" => one(false),
            "owner-id" => one(account),
            "state" => one("available"),
            _ => one(&self.id),
        }
    }

    fn write(&self, xml: &mut Xml, place: &Place) {
        xml.text("vpcId", &self.id);
        xml.text("ownerId", &place.account);
        xml.text("state", "available");
        xml.text("cidrBlock", "10.0.0.0/16");
        xml.text("instanceTenancy", "default");
        xml.text("isDefault", false);
    }
}

impl Part for Subnet {
    const KIND: &'static Kind = &SUBNET;
    const IDS: &'static str = "SubnetId";
    const SET: &'static str = "subnetSet";
    const FILTERS: &'static [&'static str] = &[
        "availability-zone",
        "availability-zone-id",
        "cidr-block",
        "default-for-az",
        "map-public-ip-on-launch",
        "owner-id",
        "state",
        "subnet-id",
        "vpc-id",
    ];

    fn of(network: &Network) -> &BTreeMap<String, Self> {
        &network.subnets
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn field(&self, account: &str, name: &str) -> Vec<String> {
        match name {
            "availability-zone" => one(&self.zone),
            "availability-zone-id" => one(zone_id(&self.zone)),
            "cidr-block" => one(&self.cidr),
            "default-for-az" => one(false),
            "map-public-ip-on-launch" => one(self.map_public_ip),
            "owner-id" => one(account),
            "state" => one("available"),
            "subnet-id" => one(&self.id),
            _ => one(&self.vpc_id),
        }
    }

    fn write(&self, xml: &mut Xml, place: &Place) {
        xml.text("subnetId", &self.id);
        let Place { account, region } = place;
        xml.text("subnetArn", format_args!("arn:aws:ec2:{region}:{account}:subnet/{}", self.id));
        xml.text("state", "available");
        xml.text("ownerId", &place.account);
        xml.text("vpcId", &self.vpc_id);
        xml.text("cidrBlock", &self.cidr);
        xml.text("availableIpAddressCount", 251);
        xml.text("availabilityZone", &self.zone);
        xml.text("availabilityZoneId", zone_id(&self.zone));
        xml.text("defaultForAz", false);
        xml.text("mapPublicIpOnLaunch", self.map_public_ip);
    }
}

impl Part for RouteTable {
    const KIND: &'static Kind = &ROUTE_TABLE;
    const IDS: &'static str = "RouteTableId";
    const SET: &'static str = "routeTableSet";
    const FILTERS: &'static [&'static str] =
        &["association.main", "association.subnet-id", "owner-id", "route-table-id", "vpc-id"];

    fn of(network: &Network) -> &BTreeMap<String, Self> {
        &network.route_tables
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn field(&self, account: &str, name: &str) -> Vec<String> {
        match name {
            "association.main" => one(self.main),
            "association.subnet-id" => self.subnets.clone(),
            "owner-id" => one(account),
            "route-table-id" => one(&self.id),
            _ => one(&self.vpc_id),
        }
    }

    fn write(&self, xml: &mut Xml, place: &Place) {
        xml.text("routeTableId", &self.id);
        xml.text("vpcId", &self.vpc_id);
        xml.text("ownerId", &place.account);
        let (target, id) = &self.default_route;
        let routes = [("10.0.0.0/16", "gatewayId", "local"), ("0.0.0.0/0", *target, id.as_str())];
        xml.items("routeSet", routes, |xml, (cidr, target, id)| {
            xml.text("destinationCidrBlock", cidr);
            xml.text(target, id);
            xml.text("state", "active");
        });
        xml.items("associationSet", &self.subnets, |xml, subnet| {
            xml.text("routeTableAssociationId", subnet.replace("subnet-", "rtbassoc-"));
            xml.text("routeTableId", &self.id);
            xml.text("subnetId", subnet);
            xml.text("main", false);
        });
    }
}

impl Part for Endpoint {
    const KIND: &'static Kind = &ENDPOINT;
    const IDS: &'static str = "VpcEndpointId";
    const SET: &'static str = "vpcEndpointSet";
    const FILTERS: &'static [&'static str] =
        &["service-name", "vpc-endpoint-id", "vpc-endpoint-state", "vpc-endpoint-type", "vpc-id"];

    fn of(network: &Network) -> &BTreeMap<String, Self> {
        &network.endpoints
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn field(&self, _account: &str, name: &str) -> Vec<String> {
        match name {
            "service-name" => one(&self.service),
            "vpc-endpoint-id" => one(&self.id),
            "vpc-endpoint-state" => one("available"),
            "vpc-endpoint-type" => one("Interface"),
            _ => one(&self.vpc_id),
        }
    }

    fn write(&self, xml: &mut Xml, place: &Place) {
        xml.text("vpcEndpointId", &self.id);
        xml.text("vpcEndpointType", "Interface");
        xml.text("vpcId", &self.vpc_id);
        xml.text("serviceName", &self.service);
        xml.text("state", "available");
        xml.text("privateDnsEnabled", true);
        xml.texts("subnetIdSet", &self.subnets);
        xml.items("groupSet", [&self.group], |xml, group| {
            xml.text("groupId", group);
            xml.text("groupName", "default");
        });
        xml.text("creationTimestamp", iso(self.created));
        xml.text("ownerId", &place.account);
    }
}

impl Part for NatGateway {
    const KIND: &'static Kind = &NAT_GATEWAY;
    const IDS: &'static str = "NatGatewayId";
    const SET: &'static str = "natGatewaySet";
    const FILTERS: &'static [&'static str] = &["nat-gateway-id", "state", "subnet-id", "vpc-id"];

    fn of(network: &Network) -> &BTreeMap<String, Self> {
        &network.nat_gateways
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn field(&self, _account: &str, name: &str) -> Vec<String> {
        match name {
            "nat-gateway-id" => one(&self.id),
            "state" => one("available"),
            "subnet-id" => one(&self.subnet_id),
            _ => one(&self.vpc_id),
        }
    }

    fn write(&self, xml: &mut Xml, _place: &Place) {
        xml.text("natGatewayId", &self.id);
        xml.text("vpcId", &self.vpc_id);
        xml.text("subnetId", &self.subnet_id);
        xml.text("state", "available");
        xml.text("connectivityType", "public");
        xml.text("createTime", iso(self.created));
    }
}

impl Part for InternetGateway {
    const KIND: &'static Kind = &INTERNET_GATEWAY;
    const IDS: &'static str = "InternetGatewayId";
    const SET: &'static str = "internetGatewaySet";
    const FILTERS: &'static [&'static str] = &["attachment.vpc-id", "internet-gateway-id"];

    fn of(network: &Network) -> &BTreeMap<String, Self> {
        &network.internet_gateways
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn field(&self, _account: &str, name: &str) -> Vec<String> {
        match name {
            "attachment.vpc-id" => one(&self.vpc_id),
            _ => one(&self.id),
        }
    }

    fn write(&self, xml: &mut Xml, place: &Place) {
        xml.text("internetGatewayId", &self.id);
        xml.text("ownerId", &place.account);
        xml.items("attachmentSet", [()], |xml, ()| {
            xml.text("vpcId", &self.vpc_id);
            xml.text("state", "available");
        });
    }
}
