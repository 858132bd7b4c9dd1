//! Security groups and their rules.

use std::collections::BTreeMap;

use super::action::{Action, Cx, Handler, act, done};
use super::describe::{Query, one};
use super::ids::{GROUP, RULE, VPC};
use super::tags::{self, Tags};
use crate::error::ApiError;
use crate::query::Params;
use crate::world::{Place, Region, new_id, seeded_id};
use crate::xml::Xml;

pub(crate) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "CreateSecurityGroup" => act::<Create>,
        "DescribeSecurityGroups" => act::<Describe>,
        "DeleteSecurityGroup" => act::<Delete>,
        "AuthorizeSecurityGroupIngress" => act::<Authorize<false>>,
        "AuthorizeSecurityGroupEgress" => act::<Authorize<true>>,
        "RevokeSecurityGroupIngress" => act::<Revoke<false>>,
        "RevokeSecurityGroupEgress" => act::<Revoke<true>>,
        _ => return None,
    })
}

/// A security group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) name: String,
    description: String,
    pub(crate) vpc_id: String,
    rules: BTreeMap<String, Rule>,
}

/// One permission: a protocol, its ports, and one source or destination.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    egress: bool,
    protocol: String,
    from: Option<i32>,
    to: Option<i32>,
    peer: Peer,
    description: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Peer {
    V4(String),
    V6(String),
    Group(String),
    PrefixList(String),
}

/// The security groups of an account in a region.
#[derive(Debug, Default)]
pub(crate) struct Groups(pub(crate) BTreeMap<String, Group>);

impl Groups {
    /// The VPC's default group.
    pub(crate) fn seeded(place: &Place, vpc_id: &str) -> Self {
        let id = seeded_id("sg", &[&place.account, &place.region, "default"]);
        let mut group = Group::new(id.clone(), "default", "default VPC security group", vpc_id);
        let rule = Rule { egress: false, peer: Peer::Group(id.clone()), ..Rule::everywhere() };
        group.rules.insert(seeded_id("sgr", &[&id, "ingress"]), rule);
        Self([(id, group)].into())
    }

    /// Ids and names of the groups that a launch in a VPC asks for; the VPC's default group when it asks for none.
    pub(crate) fn for_launch(
        &self,
        ids: &[String],
        names: &[String],
        vpc_id: &str,
    ) -> Result<Vec<(String, String)>, ApiError> {
        let mut groups = Vec::new();
        for id in ids {
            groups.push(self.0.get(id).ok_or_else(|| GROUP.missing(id))?);
        }
        for name in names {
            let mut known = self.0.values();
            groups.push(known.find(|group| group.name == *name).ok_or_else(|| GROUP.missing(name))?);
        }
        if groups.is_empty() {
            groups.extend(self.0.values().find(|group| group.name == "default" && group.vpc_id == vpc_id));
        }
        if let Some(group) = groups.iter().find(|group| group.vpc_id != vpc_id) {
            let message = format!("Security group {} and subnet belong to different networks.", group.id);
            return Err(ApiError::new("InvalidParameter", message));
        }
        Ok(groups.into_iter().map(|group| (group.id.clone(), group.name.clone())).collect())
    }
}

impl Group {
    fn new(id: String, name: &str, description: &str, vpc_id: &str) -> Self {
        let egress = (seeded_id("sgr", &[&id, "egress"]), Rule::everywhere());
        let (name, description, vpc_id) = (name.to_owned(), description.to_owned(), vpc_id.to_owned());
        Self { id, name, description, vpc_id, rules: [egress].into() }
    }

    fn write_rules(&self, xml: &mut Xml, account: &str, egress: bool) {
        let name = if egress { "ipPermissionsEgress" } else { "ipPermissions" };
        // One permission has all rules of the same protocol and ports.
        let mut permissions: Vec<(&Rule, Vec<&Rule>)> = Vec::new();
        for rule in self.rules.values().filter(|rule| rule.egress == egress) {
            let same = |other: &Rule| (&other.protocol, other.from, other.to) == (&rule.protocol, rule.from, rule.to);
            match permissions.iter_mut().find(|(first, _)| same(first)) {
                Some((_, rules)) => rules.push(rule),
                None => permissions.push((rule, vec![rule])),
            }
        }
        xml.items(name, permissions, |xml, (first, rules)| {
            xml.text("ipProtocol", &first.protocol);
            xml.optional("fromPort", first.from);
            xml.optional("toPort", first.to);
            for (set, element) in [
                ("ipRanges", "cidrIp"),
                ("ipv6Ranges", "cidrIpv6"),
                ("groups", "groupId"),
                ("prefixListIds", "prefixListId"),
            ] {
                let rules = rules.iter().filter(|rule| rule.peer.element() == element);
                xml.items(set, rules, |xml, rule| {
                    xml.text(element, rule.peer.text());
                    if element == "groupId" {
                        xml.text("userId", account);
                    }
                    xml.optional("description", rule.description.as_ref());
                });
            }
        });
    }
}

impl Peer {
    const fn element(&self) -> &'static str {
        match self {
            Self::V4(_) => "cidrIp",
            Self::V6(_) => "cidrIpv6",
            Self::Group(_) => "groupId",
            Self::PrefixList(_) => "prefixListId",
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::V4(text) | Self::V6(text) | Self::Group(text) | Self::PrefixList(text) => text,
        }
    }
}

impl Rule {
    /// Egress to everywhere: what every new group allows.
    fn everywhere() -> Self {
        let peer = Peer::V4("0.0.0.0/0".to_owned());
        Self { egress: true, protocol: "-1".to_owned(), from: None, to: None, peer, description: None }
    }

    /// `IpPermissions.N`, or a single one in the parameters themselves.
    fn parse_all(params: &Params<'_>, egress: bool) -> Result<Vec<Self>, ApiError> {
        let mut rules = Vec::new();
        for permission in params.list("IpPermissions")? {
            let rule = Self::ports(&permission, egress)?;
            let mut add = |list: &str, name: &str, peer: fn(String) -> Peer| -> Result<(), ApiError> {
                for item in permission.list(list)? {
                    let description = item.text("Description");
                    item.text("UserId");
                    item.text("VpcId");
                    rules.push(Self { peer: peer(item.required(name)?), description, ..rule.clone() });
                }
                Ok(())
            };
            add("IpRanges", "CidrIp", Peer::V4)?;
            add("Ipv6Ranges", "CidrIpv6", Peer::V6)?;
            add("Groups", "GroupId", Peer::Group)?;
            add("PrefixListIds", "PrefixListId", Peer::PrefixList)?;
        }
        if let Some(cidr) = params.text("CidrIp") {
            rules.push(Self { peer: Peer::V4(cidr), ..Self::ports(params, egress)? });
        }
        for rule in &rules {
            let cidr = match &rule.peer {
                Peer::V4(cidr) => cidr.split_once('/').is_some_and(|(ip, bits)| {
                    ip.parse::<std::net::Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 32)
                }),
                Peer::V6(cidr) => cidr.split_once('/').is_some_and(|(ip, bits)| {
                    ip.parse::<std::net::Ipv6Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 128)
                }),
                Peer::Group(id) => GROUP.check(id).is_ok(),
                Peer::PrefixList(_) => true,
            };
            if !cidr {
                let message = format!("CIDR block or group {} is malformed", rule.peer.text());
                return Err(ApiError::new("InvalidParameterValue", message));
            }
        }
        Ok(rules)
    }

    fn ports(params: &Params<'_>, egress: bool) -> Result<Self, ApiError> {
        let protocol = params.required("IpProtocol")?;
        let (from, to) = (params.parse("FromPort")?, params.parse("ToPort")?);
        let protocol = match protocol.as_str() {
            "6" => "tcp".to_owned(),
            "17" => "udp".to_owned(),
            _ => protocol,
        };
        if matches!(protocol.as_str(), "tcp" | "udp") && (from.is_none() || to.is_none()) {
            return Err(ApiError::new(
                "MissingParameter",
                "The request must contain the parameters FromPort and ToPort",
            ));
        }
        if let (Some(from), Some(to)) = (from, to) {
            let range = (-1..=65_535).contains(&from) && (-1..=65_535).contains(&to);
            if !range || (to < from && protocol != "icmp") {
                let message = format!("Invalid TCP/UDP port range ({from}:{to})");
                return Err(ApiError::new("InvalidParameterValue", message));
            }
        }
        let all = protocol == "-1";
        Ok(Self { egress, protocol, from: from.filter(|_| !all), to: to.filter(|_| !all), ..Self::everywhere() })
    }

    fn write(&self, xml: &mut Xml, id: &str, group: &str, account: &str) {
        xml.text("securityGroupRuleId", id);
        xml.text("groupId", group);
        xml.text("groupOwnerId", account);
        xml.text("isEgress", self.egress);
        xml.text("ipProtocol", &self.protocol);
        xml.text("fromPort", self.from.unwrap_or(-1));
        xml.text("toPort", self.to.unwrap_or(-1));
        match &self.peer {
            Peer::V4(cidr) => xml.text("cidrIpv4", cidr),
            Peer::V6(cidr) => xml.text("cidrIpv6", cidr),
            Peer::PrefixList(id) => xml.text("prefixListId", id),
            Peer::Group(id) => xml.element("referencedGroupInfo", |xml| {
                xml.text("groupId", id);
                xml.text("userId", account);
            }),
        }
        xml.optional("description", self.description.as_ref());
    }

    /// Whether it is the same but for the description.
    fn same(&self, other: &Self) -> bool {
        Self { description: None, ..self.clone() } == Self { description: None, ..other.clone() }
    }
}

struct Create {
    name: String,
    description: String,
    vpc_id: Option<String>,
    tags: Tags,
}

impl Action for Create {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let name = params.required("GroupName")?;
        if name.starts_with("sg-") || name == "default" || name.len() > 255 {
            return Err(params.invalid("GroupName", name));
        }
        Ok(Self {
            name,
            description: params.required("GroupDescription")?,
            vpc_id: VPC.optional(params, "VpcId")?,
            tags: tags::specification(params, &GROUP)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let Place { account, region } = cx.place.clone();
        let ec2 = &mut cx.region().ec2;
        let Some(vpc_id) = self.vpc_id else {
            return Err(ApiError::new("VPCIdNotSpecified", "No default VPC for this user"));
        };
        if !ec2.network.has_vpc(&vpc_id) {
            return Err(VPC.missing(&vpc_id));
        }
        if ec2.groups.0.values().any(|group| group.name == self.name && group.vpc_id == vpc_id) {
            let message = format!("The security group '{}' already exists for VPC '{vpc_id}'", self.name);
            return Err(ApiError::new("InvalidGroup.Duplicate", message));
        }
        let group = Group::new(new_id("sg"), &self.name, &self.description, &vpc_id);
        let id = group.id.clone();
        xml.text("groupId", &id);
        xml.text("securityGroupArn", format_args!("arn:aws:ec2:{region}:{account}:security-group/{id}"));
        tags::write(xml, &self.tags);
        ec2.tags.set(&id, self.tags);
        ec2.groups.0.insert(id.clone(), group);
        cx.created(&id);
        Ok(())
    }
}

struct Describe {
    query: Query,
    names: Vec<String>,
}

impl Action for Describe {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let filters = ["description", "group-id", "group-name", "ip-permission.cidr", "owner-id", "vpc-id"];
        Ok(Self { query: Query::parse(params, &GROUP, "GroupId", &filters)?, names: params.texts("GroupName")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (now, Place { account, region }) = (cx.now, cx.place.clone());
        let Region { ec2, unsettled, .. } = cx.region();
        let groups = &ec2.groups.0;
        if let Some(name) = self.names.iter().find(|name| !groups.values().any(|group| group.name == **name)) {
            return Err(GROUP.missing(name));
        }
        let items = groups.iter().filter(|(_, group)| self.names.is_empty() || self.names.contains(&group.name));
        let (shown, next) = self.query.select(items, &ec2.tags, unsettled, now, |group, name| match name {
            "description" => one(&group.description),
            "group-id" => one(&group.id),
            "group-name" => one(&group.name),
            "ip-permission.cidr" => {
                let rules = group.rules.values().filter(|rule| !rule.egress && matches!(rule.peer, Peer::V4(_)));
                rules.map(|rule| rule.peer.text().to_owned()).collect()
            }
            "owner-id" => one(&account),
            _ => one(&group.vpc_id),
        })?;
        xml.items("securityGroupInfo", shown, |xml, group| {
            xml.text("groupId", &group.id);
            xml.text("groupName", &group.name);
            xml.text("groupDescription", &group.description);
            xml.text("vpcId", &group.vpc_id);
            xml.text("ownerId", &account);
            xml.text("securityGroupArn", format_args!("arn:aws:ec2:{region}:{account}:security-group/{}", group.id));
            group.write_rules(xml, &account, false);
            group.write_rules(xml, &account, true);
            tags::write(xml, ec2.tags.of(&group.id));
        });
        xml.optional("nextToken", next);
        Ok(())
    }
}

struct Delete {
    id: String,
}

impl Action for Delete {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self { id: GROUP.required(params, "GroupId")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let now = cx.now;
        let ec2 = &mut cx.region().ec2;
        let group = ec2.groups.0.get(&self.id).ok_or_else(|| GROUP.missing(&self.id))?;
        if group.name == "default" {
            let message = format!("the specified group: \"{}\" name: \"default\" cannot be deleted by a user", self.id);
            return Err(ApiError::new("CannotDelete", message));
        }
        // The interface of an instance holds the group until the instance is gone.
        let holds = |groups: &[(String, String)]| groups.iter().any(|(id, _)| *id == self.id);
        let used = ec2.instances.values().any(|i| i.state(now) != "terminated" && holds(&i.groups));
        let peer = Peer::Group(self.id.clone());
        let mut others = ec2.groups.0.values().filter(|other| other.id != self.id);
        if used || others.any(|other| other.rules.values().any(|rule| rule.peer == peer)) {
            let message = format!("resource {} has a dependent object", self.id);
            return Err(ApiError::new("DependencyViolation", message));
        }
        ec2.groups.0.remove(&self.id);
        ec2.tags.forget(&self.id);
        done(xml);
        xml.text("groupId", &self.id);
        Ok(())
    }
}

struct Authorize<const EGRESS: bool> {
    id: String,
    rules: Vec<Rule>,
    tags: Tags,
}

impl<const EGRESS: bool> Action for Authorize<EGRESS> {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let rules = Rule::parse_all(params, EGRESS)?;
        if rules.is_empty() {
            return Err(params.missing("IpPermissions"));
        }
        Ok(Self { id: GROUP.required(params, "GroupId")?, rules, tags: tags::specification(params, &RULE)? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let account = cx.place.account.clone();
        let ec2 = &mut cx.region().ec2;
        let group = ec2.groups.0.get_mut(&self.id).ok_or_else(|| GROUP.missing(&self.id))?;
        if let Some(rule) = self.rules.iter().find(|rule| group.rules.values().any(|known| known.same(rule))) {
            let message =
                format!("the specified rule \"peer: {}, {}\" already exists", rule.peer.text(), rule.protocol);
            return Err(ApiError::new("InvalidPermission.Duplicate", message));
        }
        done(xml);
        let new: Vec<_> = self.rules.into_iter().map(|rule| (new_id("sgr"), rule)).collect();
        xml.items("securityGroupRuleSet", &new, |xml, (id, rule)| rule.write(xml, id, &self.id, &account));
        for (id, _) in &new {
            ec2.tags.set(id, self.tags.clone());
        }
        group.rules.extend(new);
        Ok(())
    }
}

struct Revoke<const EGRESS: bool> {
    id: String,
    rules: Vec<Rule>,
    rule_ids: Vec<String>,
}

impl<const EGRESS: bool> Action for Revoke<EGRESS> {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let (rules, rule_ids) = (Rule::parse_all(params, EGRESS)?, RULE.list(params, "SecurityGroupRuleId")?);
        if rules.is_empty() && rule_ids.is_empty() {
            return Err(params.missing("IpPermissions"));
        }
        Ok(Self { id: GROUP.required(params, "GroupId")?, rules, rule_ids })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let ec2 = &mut cx.region().ec2;
        let group = ec2.groups.0.get_mut(&self.id).ok_or_else(|| GROUP.missing(&self.id))?;
        if let Some(id) = self.rule_ids.iter().find(|id| group.rules.get(*id).is_none_or(|rule| rule.egress != EGRESS))
        {
            return Err(RULE.missing(id));
        }
        if self.rules.iter().any(|rule| !group.rules.values().any(|known| known.same(rule))) {
            let message = "The specified rule does not exist in this security group.";
            return Err(ApiError::new("InvalidPermission.NotFound", message));
        }
        group.rules.retain(|id, known| !self.rule_ids.contains(id) && !self.rules.iter().any(|rule| rule.same(known)));
        done(xml);
        Ok(())
    }
}
