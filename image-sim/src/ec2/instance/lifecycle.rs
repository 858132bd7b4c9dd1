//! Start, stop, reboot and termination, and the bodies behind them.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use base64::Engine;
use jiff::Timestamp;

use super::super::State;
use super::super::action::{Action, Cx, Handler, act, done};
use super::super::ids::INSTANCE;
use super::{Goal, Instance, Reason, Watch, write_state};
use crate::body::{Body, Content, Start};
use crate::clock::{after, iso};
use crate::cloud::Cloud;
use crate::error::{ApiError, Protocol};
use crate::fault::throttled;
use crate::query::Params;
use crate::world::{Place, World};
use crate::xml::Xml;

pub(super) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "StartInstances" => act::<StartInstances>,
        "StopInstances" => act::<Stop>,
        "TerminateInstances" => act::<Terminate>,
        "RebootInstances" => act::<Reboot>,
        _ => return None,
    })
}

/// Boots the body of an instance whose phase is new.
pub(super) fn start_body(cx: &mut Cx<'_>, id: &str) {
    let (cloud, place, now) = (Arc::clone(cx.cloud), cx.place.clone(), cx.now);
    let ec2 = &cx.region().ec2;
    let Some(instance) = ec2.instances.get(id) else { return };
    let generation = instance.phase.generation;
    let decode = |text: &String| base64::engine::general_purpose::STANDARD.decode(text.trim()).ok();
    let start = Start {
        instance_id: id.to_owned(),
        account: place.account.clone(),
        region: place.region.clone(),
        architecture: instance.architecture.clone(),
        user_data: instance.user_data.as_ref().and_then(decode).map(Into::into),
        instance_profile: instance.profile.clone(),
        devices: ec2.attached_to(id).map(|(device, volume)| (device.to_owned(), volume.content.clone())).collect(),
        root_device: instance.root_device.clone(),
    };
    let id = id.to_owned();
    cx.later(async move {
        let started = cloud.config.bodies.start(start).await;
        let unwanted = {
            let mut world = cloud.world();
            started_body(&cloud, &mut world, &place, (&id, generation), started, now)
        };
        if let Some(body) = unwanted {
            body.terminate().await;
        }
    });
}

/// Gives an instance its body, or gives back a body that nobody wants any more.
fn started_body(
    cloud: &Arc<Cloud>,
    world: &mut World,
    place: &Place,
    (id, generation): (&str, u32),
    started: Result<Arc<dyn Body>, crate::body::BodyError>,
    now: Timestamp,
) -> Option<Arc<dyn Body>> {
    let instance = world.region(place, now).ec2.instances.get_mut(id);
    let Some(instance) = instance.filter(|instance| instance.phase.generation == generation) else {
        return started.ok();
    };
    match started {
        Ok(body) => {
            instance.phase.working = false;
            instance.watch = Some(watch(cloud, place, id, generation, &body));
            instance.body = Some(body);
        }
        Err(error) => {
            instance.enter(Goal::Terminated, cloud.now(), false);
            instance.reason = Some(Reason { code: "Server.InternalError", message: error.message });
        }
    }
    None
}

/// Waits for an instance to shut itself down, and then stops or terminates it.
fn watch(cloud: &Arc<Cloud>, place: &Place, id: &str, generation: u32, body: &Arc<dyn Body>) -> Arc<Watch> {
    let (cloud, place, id, body) = (Arc::downgrade(cloud), place.clone(), id.to_owned(), Arc::clone(body));
    let task = tokio::spawn(async move {
        body.shut_down().await;
        // In a task of its own, because ending the instance ends this one.
        tokio::spawn(shut_down_by_itself(cloud, place, id, generation));
    });
    Arc::new(Watch(task.abort_handle()))
}

async fn shut_down_by_itself(cloud: Weak<Cloud>, place: Place, id: String, generation: u32) {
    let Some(cloud) = cloud.upgrade() else { return };
    let ending = {
        let mut world = cloud.world();
        let now = cloud.now();
        let timings = &cloud.config.timings;
        let instance = world.region(&place, now).ec2.instances.get_mut(&id);
        let Some(instance) = instance.filter(|instance| instance.phase.generation == generation) else { return };
        let (goal, time) = match instance.shutdown_terminates || one_time(instance) {
            true => (Goal::Terminated, timings.instance_terminate),
            false => (Goal::Stopped, timings.instance_stop),
        };
        let message = "Instance initiated shutdown".to_owned();
        instance.reason = Some(Reason { code: "Client.InstanceInitiatedShutdown", message });
        end(instance, goal, after(now, time))
    };
    finish(&cloud, &place, &id, ending).await;
}

/// Whether it is a Spot instance that cannot be stopped.
fn one_time(instance: &Instance) -> bool {
    instance.spot.as_ref().is_some_and(|spot| !spot.persistent)
}

/// What is left to do for an instance that ends: its body, the goal, the number of the phase.
type Ending = (Option<Arc<dyn Body>>, Goal, u32);

fn end(instance: &mut Instance, goal: Goal, at: Timestamp) -> Ending {
    let body = instance.body.take();
    instance.watch = None;
    let working = body.is_some() && goal == Goal::Stopped;
    (body, goal, instance.enter(goal, at, working))
}

/// Ends the body, and keeps what the volumes of a stopped instance hold.
async fn finish(cloud: &Arc<Cloud>, place: &Place, id: &str, (body, goal, generation): Ending) {
    let Some(body) = body else { return };
    if goal == Goal::Terminated {
        body.terminate().await;
        return;
    }
    let stopped = body.stop().await;
    let mut world = cloud.world();
    let ec2 = &mut world.region(place, cloud.now()).ec2;
    match stopped {
        Ok(contents) => keep(ec2, id, contents),
        Err(error) => {
            if let Some(instance) = ec2.instances.get_mut(id) {
                instance.reason = Some(Reason { code: "Server.InternalError", message: error.message });
            }
        }
    }
    if let Some(instance) = ec2.instances.get_mut(id).filter(|instance| instance.phase.generation == generation) {
        instance.phase.working = false;
    }
}

fn keep(ec2: &mut State, id: &str, contents: BTreeMap<String, Content>) {
    for volume in ec2.volumes.values_mut() {
        let attached = volume.attachment.as_ref().filter(|at| at.instance_id == id);
        if let Some(content) = attached.and_then(|at| contents.get(&at.device)) {
            volume.content = content.clone();
        }
    }
}

/// `InstanceId.N`, at least one.
fn ids(params: &Params<'_>) -> Result<Vec<String>, ApiError> {
    let mut ids = INSTANCE.list(params, "InstanceId")?;
    ids.dedup();
    if ids.is_empty() { Err(params.missing("InstanceId")) } else { Ok(ids) }
}

/// The states of the instances, before any is changed; all must be there.
fn states(cx: &mut Cx<'_>, ids: &[String]) -> Result<BTreeMap<String, &'static str>, ApiError> {
    let now = cx.now;
    let instances = &cx.region().ec2.instances;
    let missing: Vec<_> = ids.iter().filter(|id| !instances.contains_key(*id)).cloned().collect();
    if !missing.is_empty() {
        return Err(INSTANCE.missing(&missing.join(", ")));
    }
    Ok(ids.iter().filter_map(|id| Some((id.clone(), instances.get(id)?.state(now)))).collect())
}

fn refuse(id: &str, verb: &str) -> ApiError {
    let message = format!("The instance '{id}' is not in a state from which it can be {verb}.");
    ApiError::new("IncorrectInstanceState", message)
}

/// The reply: where each instance was, and where it is going.
fn write(xml: &mut Xml, before: &BTreeMap<String, &'static str>, current: impl Fn(&'static str) -> &'static str) {
    xml.items("instancesSet", before, |xml, (id, before)| {
        xml.text("instanceId", id);
        write_state(xml, "currentState", current(before));
        write_state(xml, "previousState", before);
    });
}

fn ending(cx: &mut Cx<'_>, id: &str, goal: Goal, time: std::time::Duration) {
    let (cloud, place, at) = (Arc::clone(cx.cloud), cx.place.clone(), after(cx.now, time));
    let message = format!("User initiated ({})", iso(cx.now));
    let Some(instance) = cx.region().ec2.instances.get_mut(id) else { return };
    instance.reason = Some(Reason { code: "Client.UserInitiatedShutdown", message });
    let ending = end(instance, goal, at);
    let id = id.to_owned();
    cx.later(async move { finish(&cloud, &place, &id, ending).await });
}

struct StartInstances {
    ids: Vec<String>,
}

impl Action for StartInstances {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.text("AdditionalInfo");
        ids(params).map(|ids| Self { ids })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let before = states(cx, &self.ids)?;
        if let Some((id, _)) = before.iter().find(|(_, state)| !matches!(**state, "stopped" | "running" | "pending")) {
            return Err(refuse(id, "started"));
        }
        spend(cx, "StartInstances", self.ids.len())?;
        let at = after(cx.now, cx.cloud.config.timings.instance_start);
        for (id, _) in before.iter().filter(|(_, state)| **state == "stopped") {
            let now = cx.now;
            if let Some(instance) = cx.region().ec2.instances.get_mut(id) {
                instance.enter(Goal::Running, at, true);
                instance.reason = None;
                instance.launched = now;
            }
            start_body(cx, id);
        }
        write(xml, &before, |state| if state == "stopped" { "pending" } else { state });
        Ok(())
    }
}

/// Takes the tokens that instances cost, besides the request.
fn spend(cx: &Cx<'_>, action: &str, count: usize) -> Result<(), ApiError> {
    let Place { account, region } = &cx.place;
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    match !cx.cloud.config.throttling || cx.cloud.buckets.take_instances(account, region, action, count, cx.now) {
        true => Ok(()),
        false => Err(throttled(Protocol::Ec2Query)),
    }
}

struct Stop {
    ids: Vec<String>,
}

impl Action for Stop {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.bool("Force")?;
        params.bool("SkipOsShutdown")?;
        if params.bool("Hibernate")? == Some(true) {
            return Err(ApiError::new(
                "UnsupportedHibernationConfiguration",
                "The instance was not launched for hibernation",
            ));
        }
        ids(params).map(|ids| Self { ids })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let before = states(cx, &self.ids)?;
        if let Some((id, _)) = before.iter().find(|(_, state)| !matches!(**state, "running" | "stopping" | "stopped")) {
            return Err(refuse(id, "stopped"));
        }
        let instances = &cx.region().ec2.instances;
        if let Some(id) = before.keys().find(|id| instances.get(*id).is_some_and(one_time)) {
            let message = format!(
                "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance request. \
                 You can only stop Spot Instances associated with persistent Spot Instance requests."
            );
            return Err(ApiError::new("UnsupportedOperation", message));
        }
        let time = cx.cloud.config.timings.instance_stop;
        for (id, _) in before.iter().filter(|(_, state)| **state == "running") {
            ending(cx, id, Goal::Stopped, time);
        }
        write(xml, &before, |state| if state == "running" { "stopping" } else { state });
        Ok(())
    }
}

struct Terminate {
    ids: Vec<String>,
}

impl Action for Terminate {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.bool("Force")?;
        params.bool("SkipOsShutdown")?;
        ids(params).map(|ids| Self { ids })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let before = states(cx, &self.ids)?;
        let instances = &cx.region().ec2.instances;
        if let Some(id) = before.keys().find(|id| instances.get(*id).is_some_and(|i| i.disable_api_termination)) {
            let message = format!(
                "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and \
                 try again."
            );
            return Err(ApiError::new("OperationNotPermitted", message));
        }
        spend(cx, "TerminateInstances", self.ids.len())?;
        let time = cx.cloud.config.timings.instance_terminate;
        for (id, _) in before.iter().filter(|(_, state)| !matches!(**state, "terminated" | "shutting-down")) {
            ending(cx, id, Goal::Terminated, time);
        }
        write(xml, &before, |state| if state == "terminated" { state } else { "shutting-down" });
        Ok(())
    }
}

struct Reboot {
    ids: Vec<String>,
}

impl Action for Reboot {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        ids(params).map(|ids| Self { ids })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let before = states(cx, &self.ids)?;
        if let Some((id, _)) = before.iter().find(|(_, state)| **state != "running") {
            return Err(refuse(id, "rebooted"));
        }
        for id in &self.ids {
            let body = cx.region().ec2.instances.get(id).and_then(|instance| instance.body.clone());
            if let Some(body) = body {
                // A reboot that fails leaves an instance that answers nothing, as it would on EC2.
                cx.later(async move { drop(body.reboot().await) });
            }
        }
        done(xml);
        Ok(())
    }
}
