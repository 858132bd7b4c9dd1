//! Instances whose bodies take their time, fail, and shut themselves down.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};

use super::Bench;
use crate::body::{Bodies, Body, BodyError, Content, Exec, ExecOutput, Start};
use crate::{DEFAULT_ACCOUNT, SeedImage, Simulator};

/// Bodies that start when they are let, and change what their root holds.
#[derive(Debug)]
struct Scripted {
    starts: Arc<Semaphore>,
    shut_down: Arc<Notify>,
    fails: bool,
}

#[derive(Debug)]
struct ScriptedBody {
    start: Start,
    shut_down: Arc<Notify>,
}

#[async_trait]
impl Bodies for Scripted {
    async fn start(&self, start: Start) -> Result<Arc<dyn Body>, BodyError> {
        self.starts.acquire().await.unwrap().forget();
        if self.fails {
            return Err(BodyError::new("no bootable device"));
        }
        Ok(Arc::new(ScriptedBody { start, shut_down: Arc::clone(&self.shut_down) }))
    }
}

impl ScriptedBody {
    /// The root with one file more.
    fn content(&self) -> BTreeMap<String, Content> {
        let mut devices = self.start.devices.clone();
        if let Some(Content::Tree(path)) = devices.get_mut(&self.start.root_device) {
            path.push("provisioned");
        }
        devices
    }
}

#[async_trait]
impl Body for ScriptedBody {
    async fn exec(&self, _command: Exec) -> Result<ExecOutput, BodyError> {
        Ok(ExecOutput::default())
    }

    async fn capture(&self) -> Result<BTreeMap<String, Content>, BodyError> {
        Ok(self.content())
    }

    async fn stop(&self) -> Result<BTreeMap<String, Content>, BodyError> {
        Ok(self.content())
    }

    async fn terminate(&self) {}

    async fn reboot(&self) -> Result<(), BodyError> {
        Ok(())
    }

    async fn shut_down(&self) {
        self.shut_down.notified().await;
    }
}

struct Script {
    bench: Bench,
    starts: Arc<Semaphore>,
    shut_down: Arc<Notify>,
    image: String,
}

async fn script(fails: bool) -> Script {
    let (starts, shut_down) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let seed = SeedImage::new("base", DEFAULT_ACCOUNT, "x86_64").content(Content::Tree("/base".into()));
    let image = seed.id("us-east-1");
    let bodies = Scripted { starts: Arc::clone(&starts), shut_down: Arc::clone(&shut_down), fails };
    let bench = Bench::with(Simulator::builder().image(seed).bodies(bodies)).await;
    Script { bench, starts, shut_down, image }
}

impl Script {
    async fn run(&self, more: &[(&str, &str)]) -> String {
        let mut parameters = self.bench.launch();
        parameters[0] = ("ImageId", &self.image);
        parameters.extend(more);
        self.bench.rig.ok("RunInstances", &parameters).await.text("instanceId")
    }

    /// Asks until the instance is in this state, for bodies work in tasks of their own.
    async fn reaches(&self, id: &str, state: &str) {
        for _ in 0..10_000 {
            if self.bench.state(id).await == state {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{id} is {} and not {state}", self.bench.state(id).await);
    }
}

#[tokio::test]
async fn an_instance_is_pending_until_its_body_is_up() {
    let script = script(false).await;
    let id = script.run(&[]).await;
    assert_eq!(script.bench.state(&id).await, "pending");
    script.starts.add_permits(1);
    script.reaches(&id, "running").await;
}

#[tokio::test]
async fn what_was_provisioned_is_in_the_image() {
    let script = script(false).await;
    let id = script.run(&[]).await;
    script.starts.add_permits(1);
    script.reaches(&id, "running").await;
    script.bench.rig.ok("StopInstances", &[("InstanceId.1", &id)]).await;
    script.reaches(&id, "stopped").await;
    let image = script.bench.rig.ok("CreateImage", &[("InstanceId", &id), ("Name", "golden")]).await.text("imageId");
    let cloud = script.bench.rig.simulator.cloud();
    let mut world = cloud.world();
    let region = world.region(&crate::world::Place::new(DEFAULT_ACCOUNT, "us-east-1"), cloud.now());
    let snapshot = region.ec2.images[&image].snapshots().next().unwrap().to_owned();
    assert_eq!(region.ec2.snapshots[&snapshot].content, Some(Content::Tree("/base/provisioned".into())));
}

#[tokio::test]
async fn a_body_that_does_not_start_terminates_its_instance() {
    let script = script(true).await;
    let id = script.run(&[]).await;
    script.starts.add_permits(1);
    script.reaches(&id, "terminated").await;
    let described = script.bench.rig.ok("DescribeInstances", &[("InstanceId.1", &id)]).await;
    assert!(described.has("Server.InternalError: no bootable device"));
}

#[tokio::test]
async fn an_instance_that_shuts_itself_down_follows_its_behaviour() {
    for (behaviour, state) in [("terminate", "terminated"), ("stop", "stopped")] {
        let script = script(false).await;
        let id = script.run(&[("InstanceInitiatedShutdownBehavior", behaviour)]).await;
        script.starts.add_permits(1);
        script.reaches(&id, "running").await;
        script.shut_down.notify_one();
        script.reaches(&id, state).await;
    }
}

#[tokio::test]
async fn an_instance_that_was_terminated_while_it_started_stays_so() {
    let script = script(false).await;
    let id = script.run(&[]).await;
    script.bench.rig.ok("TerminateInstances", &[("InstanceId.1", &id)]).await;
    script.starts.add_permits(1);
    script.reaches(&id, "terminated").await;
    assert_eq!(script.bench.state(&id).await, "terminated");
}
