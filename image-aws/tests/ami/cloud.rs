//! A region or two of EC2 in memory: states take their time, reads lag behind, replies get lost.

use crate::shown::{passes, show, tags_for};
use crate::wire::{Params, Refusal, element, items, list, refuse, text};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "us-west-2";
pub(crate) const BASE_IMAGE: &str = "ami-00000000000000001";
pub(crate) const SUBNETS: [&str; 2] = ["subnet-0000000000000000a", "subnet-0000000000000000b"];

/// Reads do not show what is younger. All times are short, because every look costs the test real time.
const LAG: Duration = Duration::from_secs(2);
const STARTS: Duration = Duration::from_secs(3);
const STOPS: Duration = Duration::from_secs(3);
const ENDS: Duration = Duration::from_secs(3);
/// A terminated instance is shown for so long.
const LINGERS: Duration = Duration::from_secs(3600);
pub(crate) const CAPTURES: Duration = Duration::from_secs(4);
/// Small, so that there is more than one page.
const PAGE: usize = 2;

/// Something that exists.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub(crate) kind: &'static str,
    pub(crate) region: String,
    pub(crate) born: Instant,
    pub(crate) tags: BTreeMap<String, String>,
    /// What the call that made it said, and what it belongs to.
    pub(crate) facts: BTreeMap<String, String>,
    /// When it was asked to stop and to end.
    pub(crate) stopping: Option<Instant>,
    pub(crate) ending: Option<Instant>,
}

impl Thing {
    pub(crate) fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }
    pub(crate) fn state(&self) -> &'static str {
        let past = |at: Option<Instant>, takes| at.map(|at| at.elapsed() >= takes);
        match self.kind {
            "instance" => match (past(self.ending, ENDS), past(self.stopping, STOPS)) {
                (Some(true), _) => "terminated",
                (Some(false), _) => "shutting-down",
                (None, Some(true)) => "stopped",
                (None, Some(false)) => "stopping",
                (None, None) if self.born.elapsed() < STARTS => "pending",
                (None, None) => "running",
            },
            "image" if self.fact("fails") == "true" && self.born.elapsed() >= CAPTURES => "failed",
            "image" if self.born.elapsed() < CAPTURES && self.fact("OwnerId") == ACCOUNT => "pending",
            "snapshot" if self.born.elapsed() < CAPTURES => "pending",
            "snapshot" => "completed",
            _ => "available",
        }
    }
    fn gone(&self) -> bool {
        self.state() == "terminated"
    }
}

/// What goes wrong with a call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is done, and the reply is lost.
    LoseReply,
    Refuse(Refusal),
    /// The image that it makes never becomes available.
    FailImage,
}

#[derive(Clone, Debug, Default)]
struct World {
    account: String,
    next: u64,
    things: BTreeMap<String, Thing>,
    by_client_token: BTreeMap<String, (Params, String)>,
    faults: Vec<(String, u32, Fault)>,
    calls: Vec<Params>,
    no_capacity: BTreeSet<String>,
    denied: BTreeMap<String, Refusal>,
}

/// The cloud. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Cloud(Arc<Mutex<World>>);

impl Cloud {
    pub(crate) fn new(account: &str) -> Self {
        let cloud = Self(Arc::new(Mutex::new(World { account: account.into(), next: 1000, ..World::default() })));
        for (id, created) in [("ami-00000000000000000", "2024-01-01"), (BASE_IMAGE, "2024-06-01")] {
            let facts =
                [("OwnerId", "amazon"), ("name", "base"), ("created", created), ("BootMode", "uefi"), ("Tpm", "v2.0")];
            let snapshot = facts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let mut facts: BTreeMap<String, String> = snapshot.collect();
            facts.insert("Volume./dev/xvda".into(), "snap-00000000000000001".into());
            cloud.world().add(id, "image", REGION, facts, BTreeMap::new());
        }
        cloud
    }
    /// An independent copy.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.world().clone())))
    }
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
    /// Fails the next so many calls of an action.
    pub(crate) fn fault(&self, action: &str, times: u32, fault: Fault) {
        self.world().faults.push((action.into(), times, fault));
    }
    pub(crate) fn clear_faults(&self) {
        self.world().faults.clear();
    }
    /// Refuses dry runs of an action.
    pub(crate) fn deny(&self, action: &str, refusal: Refusal) {
        self.world().denied.insert(action.into(), refusal);
    }
    /// Removes a thing as somebody else would.
    pub(crate) fn remove(&self, id: &str) {
        self.world().things.remove(id);
    }
    /// Takes away the capacity for an instance type, or a type in a subnet (`TYPE SUBNET`).
    pub(crate) fn no_capacity(&self, what: &str) {
        self.world().no_capacity.insert(what.into());
    }
    /// The calls of an action, or all.
    pub(crate) fn calls(&self, action: &str) -> Vec<Params> {
        let wanted = |call: &&Params| action.is_empty() || call["Action"] == action;
        self.world().calls.iter().filter(wanted).cloned().collect()
    }
    /// Ids of what is left: instances that have not ended, groups, images, volumes and snapshots that are without one.
    pub(crate) fn live(&self) -> BTreeSet<String> {
        let world = self.world();
        let left = world.things.iter().filter(|(_, thing)| world.stands_alone(thing));
        left.map(|(id, _)| id.clone()).collect()
    }
    pub(crate) fn thing(&self, id: &str) -> Option<Thing> {
        self.world().things.get(id).cloned()
    }
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<(String, Thing)> {
        let things = self.world().things.clone();
        things.into_iter().filter(|(_, thing)| thing.kind == kind).collect()
    }
    /// Changes a tag as somebody else would.
    pub(crate) fn tag(&self, id: &str, key: &str, value: Option<&str>) {
        let mut world = self.world();
        let tags = &mut world.things.get_mut(id).unwrap().tags;
        match value {
            Some(value) => tags.insert(key.into(), value.into()),
            None => tags.remove(key),
        };
    }

    /// Answers a call; nothing where the reply is lost.
    pub(crate) fn call(&self, region: &str, params: &Params) -> Option<Result<String, Refusal>> {
        let mut world = self.world();
        world.calls.push(params.clone());
        let action = params["Action"].clone();
        let dry = params.get("DryRun").is_some_and(|dry| dry == "true");
        let fault =
            world.faults.iter_mut().find(|(name, times, _)| *times > 0 && (*name == action || name == "*") && !dry);
        let fault = fault.map(|(_, times, fault)| {
            *times -= 1;
            fault.clone()
        });
        if let Some(Fault::Refuse(refusal)) = fault {
            return Some(Err(refusal));
        }
        world.sweep();
        let fails = matches!(fault, Some(Fault::FailImage));
        let answer = world.act(&action, region, params, dry, fails);
        (!matches!(fault, Some(Fault::LoseReply))).then_some(answer)
    }
}

impl World {
    fn add(
        &mut self,
        id: &str,
        kind: &'static str,
        region: &str,
        facts: BTreeMap<String, String>,
        tags: BTreeMap<String, String>,
    ) {
        let (region, born) = (region.to_owned(), Instant::now());
        self.things.insert(id.into(), Thing { kind, region, born, tags, facts, stopping: None, ending: None });
    }
    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}-{:017x}", self.next)
    }
    /// Whether something is left by itself. What belongs to something that is there is left with that.
    fn stands_alone(&self, thing: &Thing) -> bool {
        let given = thing.fact("OwnerId") == "amazon";
        let part = self.things.get(thing.fact("of")).is_some_and(|of| !of.gone());
        !given && !part && !thing.gone() && !self.ended_with_its_instance(thing)
    }
    fn ended_with_its_instance(&self, thing: &Thing) -> bool {
        let ends = thing.kind == "volume" && thing.fact("DeleteOnTermination") == "true";
        ends && self.things.get(thing.fact("of")).is_none_or(Thing::gone)
    }
    fn state_of(&self, thing: &Thing) -> &'static str {
        let attached = thing.kind == "volume" && self.things.get(thing.fact("of")).is_some_and(|of| !of.gone());
        if attached { "in-use" } else { thing.state() }
    }
    /// Forgets what has ended.
    fn sweep(&mut self) {
        let world = self.clone();
        self.things.retain(|_, thing| {
            let forgotten = thing.ending.is_some_and(|at| at.elapsed() > ENDS + LINGERS);
            !world.ended_with_its_instance(thing) && !forgotten
        });
    }

    fn act(&mut self, action: &str, region: &str, params: &Params, dry: bool, fails: bool) -> Result<String, Refusal> {
        if let Some(refusal) = self.denied.get(action) {
            return Err(refusal.clone());
        }
        let would = || refuse(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.");
        match action {
            "GetCallerIdentity" => Ok(element(
                "GetCallerIdentityResult",
                text("Arn", format!("arn:aws:iam::{0}:user/test", self.account)) + &text("Account", &self.account),
            )),
            "DescribeSubnets" => {
                let subnet = |id: &&str| {
                    element(
                        "item",
                        text("subnetId", *id) + &text("vpcId", "vpc-1") + &text("mapPublicIpOnLaunch", "true"),
                    )
                };
                Ok(element("subnetSet", SUBNETS.iter().map(subnet).collect::<String>()))
            }
            "DescribeInstanceTypes" => {
                let one = |name: String| {
                    let architecture = if name.split('.').next().is_some_and(|family| family.ends_with('g')) {
                        "arm64"
                    } else {
                        "x86_64"
                    };
                    let supported = element("supportedArchitectures", text("item", architecture));
                    element("item", text("instanceType", name) + &element("processorInfo", supported))
                };
                Ok(element("instanceTypeSet", list(params, "InstanceType").into_iter().map(one).collect::<String>()))
            }
            "GetEbsEncryptionByDefault" => Ok(text("ebsEncryptionByDefault", "false")),
            "RunInstances" if dry => would(),
            "CreateSecurityGroup" if dry => would(),
            "RunInstances" => self.run_instances(region, params),
            "CreateSecurityGroup" => self.create_group(region, params),
            "CreateImage" => self.create_image(region, params, fails),
            "DescribeInstances" => self.describe(region, params, "instance", "reservationSet"),
            "DescribeSecurityGroups" => self.describe(region, params, "security-group", "securityGroupInfo"),
            "DescribeImages" => self.describe(region, params, "image", "imagesSet"),
            "DescribeSnapshots" => self.describe(region, params, "snapshot", "snapshotSet"),
            "DescribeVolumes" => self.describe(region, params, "volume", "volumeSet"),
            "StopInstances" | "TerminateInstances" => {
                for id in list(params, "InstanceId") {
                    let Some(thing) = self.things.get_mut(&id) else {
                        return refuse(400, "InvalidInstanceID.NotFound", id);
                    };
                    let at = if action == "StopInstances" { &mut thing.stopping } else { &mut thing.ending };
                    at.get_or_insert_with(Instant::now);
                }
                Ok(String::new())
            }
            "ModifyImageAttribute" => {
                let image = self.things.get_mut(&params["ImageId"]);
                let value = params["ImdsSupport.Value"].clone();
                image.map(|image| image.facts.insert("Imds".into(), value));
                Ok(text("return", "true"))
            }
            "DeregisterImage" => self.delete(&params["ImageId"], "InvalidAMIID.Unavailable"),
            "DeleteSnapshot" => {
                let id = &params["SnapshotId"];
                let uses = |thing: &Thing| thing.kind == "image" && thing.facts.values().any(|fact| fact == id);
                if self.things.values().any(uses) {
                    return refuse(400, "InvalidSnapshot.InUse", id);
                }
                self.delete(id, "InvalidSnapshot.NotFound")
            }
            "DeleteVolume" => self.delete(&params["VolumeId"], "InvalidVolume.NotFound"),
            "DeleteSecurityGroup" => {
                let id = &params["GroupId"];
                if self
                    .things
                    .values()
                    .any(|thing| thing.kind == "instance" && !thing.gone() && thing.fact("group") == id)
                {
                    return refuse(400, "DependencyViolation", format!("resource {id} has a dependent object"));
                }
                self.delete(id, "InvalidGroup.NotFound")
            }
            "CreateTags" | "DeleteTags" => {
                for id in list(params, "ResourceId") {
                    let Some(thing) = self.things.get_mut(&id) else { return refuse(400, "InvalidID", id) };
                    for tag in items(params, "Tag") {
                        match action {
                            "CreateTags" => thing.tags.insert(tag["Key"].clone(), tag["Value"].clone()),
                            _ => thing.tags.remove(&tag["Key"]),
                        };
                    }
                }
                Ok(text("return", "true"))
            }
            other => refuse(400, "InvalidAction", other),
        }
    }

    fn delete(&mut self, id: &str, missing: &str) -> Result<String, Refusal> {
        match self.things.remove(id) {
            Some(_) => Ok(text("return", "true")),
            None => refuse(400, missing, id),
        }
    }

    fn run_instances(&mut self, region: &str, params: &Params) -> Result<String, Refusal> {
        let answer = |id: &str| Ok(element("instancesSet", element("item", text("instanceId", id))));
        let token = &params["ClientToken"];
        if let Some((before, id)) = self.by_client_token.get(token) {
            return if before == params { answer(id) } else { refuse(400, "IdempotentParameterMismatch", token) };
        }
        let (kind, subnet) = (&params["InstanceType"], &params["NetworkInterface.1.SubnetId"]);
        if self.no_capacity.contains(kind) || self.no_capacity.contains(&format!("{kind} {subnet}")) {
            return refuse(500, "InsufficientInstanceCapacity", format!("no {kind} in the zone of {subnet}"));
        }
        if !self.things.contains_key(&params["ImageId"]) {
            return refuse(400, "InvalidAMIID.NotFound", &params["ImageId"]);
        }
        let (tags, id) = (tags_for(params, "instance"), self.id("i"));
        let group = params.get("NetworkInterface.1.SecurityGroupId.1").cloned().unwrap_or_default();
        let facts = [("image", params["ImageId"].clone()), ("group", group), ("type", kind.clone())];
        let facts = facts.map(|(key, value)| (key.to_owned(), value)).into();
        self.by_client_token.insert(token.clone(), (params.clone(), id.clone()));
        self.add(&id, "instance", region, facts, tags);
        let asked: BTreeMap<String, String> = items(params, "BlockDeviceMapping")
            .into_iter()
            .map(|volume| (volume["DeviceName"].clone(), volume["Ebs.DeleteOnTermination"].clone()))
            .collect();
        // A volume that nobody speaks of is what the image says, and outlives its instance.
        let image = &self.things[&params["ImageId"]].facts;
        let inherited = image.keys().filter_map(|key| key.strip_prefix("Volume."));
        let mut volumes: BTreeMap<String, String> =
            inherited.map(|device| (device.to_owned(), "false".to_owned())).collect();
        volumes.extend(asked);
        for (device, ends) in volumes {
            let facts = [("of", id.clone()), ("device", device), ("DeleteOnTermination", ends)];
            let (name, facts) = (self.id("vol"), facts.map(|(key, value)| (key.to_owned(), value)).into());
            self.add(&name, "volume", region, facts, tags_for(params, "volume"));
        }
        answer(&id)
    }

    fn create_group(&mut self, region: &str, params: &Params) -> Result<String, Refusal> {
        let name = &params["GroupName"];
        if self.things.values().any(|thing| thing.kind == "security-group" && thing.fact("name") == name) {
            return refuse(400, "InvalidGroup.Duplicate", name);
        }
        let (id, facts) = (self.id("sg"), [("name".to_owned(), name.clone())].into());
        self.add(&id, "security-group", region, facts, tags_for(params, "security-group"));
        Ok(text("groupId", id))
    }

    fn create_image(&mut self, region: &str, params: &Params, fails: bool) -> Result<String, Refusal> {
        let name = &params["Name"];
        if self.things.values().any(|thing| thing.kind == "image" && thing.fact("name") == name) {
            return refuse(400, "InvalidAMIName.Duplicate", name);
        }
        let instance = params["InstanceId"].clone();
        let Some(thing) = self.things.get(&instance).cloned() else {
            return refuse(400, "InvalidInstanceID.NotFound", instance);
        };
        let still = params.get("NoReboot").is_some_and(|still| still == "true");
        if still && thing.state() != "stopped" {
            return refuse(400, "IncorrectState", format!("{instance} is {}", thing.state()));
        }
        let source = self.things.get(thing.fact("image")).cloned();
        let fact = |name: &str| source.as_ref().map(|source| source.fact(name).to_owned()).unwrap_or_default();
        let mut facts: BTreeMap<String, String> = [
            ("OwnerId", ACCOUNT.to_owned()),
            ("name", name.clone()),
            ("created", format!("2025-01-01T{:06}", self.next)),
            ("BootMode", fact("BootMode")),
            ("Tpm", fact("Tpm")),
            ("fails", fails.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let id = self.id("ami");
        let volumes: Vec<String> = self
            .things
            .values()
            .filter(|volume| volume.kind == "volume" && volume.fact("of") == instance)
            .map(|volume| volume.fact("device").to_owned())
            .collect();
        for device in volumes {
            let snapshot = self.id("snap");
            facts.insert(format!("Volume.{device}"), snapshot.clone());
            self.add(
                &snapshot,
                "snapshot",
                region,
                [("of".to_owned(), id.clone())].into(),
                tags_for(params, "snapshot"),
            );
        }
        self.add(&id, "image", region, facts, tags_for(params, "image"));
        Ok(text("imageId", id))
    }

    fn describe(&self, region: &str, params: &Params, kind: &str, set: &str) -> Result<String, Refusal> {
        let ids = list(params, if kind == "image" { "ImageId" } else { "InstanceId" });
        let own = list(params, "Owner").iter().any(|owner| owner == "self");
        let visible = |thing: &Thing| {
            thing.kind == kind && thing.region == region && thing.born.elapsed() >= LAG
                || thing.fact("OwnerId") == "amazon"
        };
        let wanted = |(id, thing): &(&String, &Thing)| {
            let asked = ids.is_empty() || ids.contains(id);
            let owned = kind != "image" || !own || thing.fact("OwnerId") == ACCOUNT;
            thing.kind == kind && visible(thing) && asked && owned && passes(id, thing, params)
        };
        let all: Vec<(&String, &Thing)> = self.things.iter().filter(wanted).collect();
        if let Some(missing) = ids.iter().find(|id| !all.iter().any(|(found, _)| found == id)) {
            return refuse(400, "InvalidAMIID.NotFound", missing);
        }
        let from: usize = params.get("NextToken").map_or(0, |token| token.parse().unwrap());
        let page = if params.contains_key("MaxResults") { PAGE } else { usize::MAX };
        let shown: String =
            all.iter().skip(from).take(page).map(|(id, thing)| show(id, thing, self.state_of(thing))).collect();
        let more = all.len() > from.saturating_add(page);
        Ok(element(set, shown) + &if more { text("nextToken", (from + page).to_string()) } else { String::new() })
    }
}
