//! The simulated cloud behind the wire: configuration, state, and the way of a call through both.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::body::Bodies;
use crate::buckets::Buckets;
use crate::call::{Call, Reply, Request};
use crate::clock::{Clock, Timings};
use crate::consistency::EventualConsistency;
use crate::error::{ApiError, Protocol};
use crate::fault::{Effect, Faults, server_error, throttled};
use crate::identity::{Identities, Identity, Refusal};
use crate::log::{CallRecord, Log};
use crate::service::Service;
use crate::signature::Signed;
use crate::world::{ResourceState, World};

/// What a cloud is configured with.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) clock: Clock,
    pub(crate) timings: Timings,
    pub(crate) consistency: EventualConsistency,
    pub(crate) regions: Vec<String>,
    /// Instance types that an availability zone has no capacity for: (type, zone).
    pub(crate) no_capacity: Vec<(String, String)>,
    pub(crate) bodies: Arc<dyn Bodies>,
    /// Whether EC2's request buckets run dry.
    pub(crate) throttling: bool,
}

/// The simulated cloud.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) config: Config,
    pub(crate) identities: Identities,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) buckets: Buckets,
    services: Vec<Box<dyn Service>>,
    world: Mutex<World>,
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Reply),
    /// The connection closes without one.
    None,
}

/// Where a request is going: read before it is believed.
struct Target<'a> {
    service: &'a dyn Service,
    region: String,
    signed: Option<Signed>,
}

impl Cloud {
    pub(crate) fn new(config: Config, services: Vec<Box<dyn Service>>, world: World) -> Self {
        Self {
            config,
            identities: Identities::default(),
            faults: Faults::default(),
            log: Log::default(),
            buckets: Buckets::default(),
            services,
            world: Mutex::new(world),
        }
    }

    /// Everything that exists. Held for the length of one action, never across an `await`.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        // A handler that panicked answered nothing; its half-done change is a test's own problem to see.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The simulated time.
    pub(crate) fn now(&self) -> Timestamp {
        self.config.clock.now()
    }

    /// Every resource of every service, by account, region, service, kind and id.
    pub(crate) fn resources(&self) -> Vec<ResourceState> {
        let (mut world, now) = (self.world(), self.now());
        for (_, region) in world.places_mut() {
            region.ec2.settle(now, self.config.timings.instance_linger);
        }
        let mut all: Vec<_> = self.services.iter().flat_map(|service| service.resources(&world, now)).collect();
        all.sort_by(|a, b| {
            let key = |r: &ResourceState| {
                (r.account.clone(), r.region.clone(), r.service.clone(), r.kind.clone(), r.id.clone())
            };
            key(a).cmp(&key(b))
        });
        all
    }

    /// Runs `work` to its end: here, when it does not have to wait, else in a task of its own.
    ///
    /// So what needs no waiting is over before the call that began it is answered.
    pub(crate) fn run(work: impl Future<Output = ()> + Send + 'static) {
        let mut work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
        if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(work);
        }
    }

    /// Answers a request, with the faults that are scripted for it.
    pub(crate) async fn answer(self: &Arc<Self>, request: Request) -> Answer {
        let id = Uuid::new_v4().to_string();
        let Some(target) = self.target(&request) else {
            let error = ApiError::unsupported("this service, or a request that is not signed");
            return Answer::Reply(finish(Protocol::RestJson.encode(&error, &id), &id));
        };
        let protocol = target.service.protocol();
        let mut record = CallRecord {
            time: crate::log::time(self.now()),
            request_id: id.clone(),
            account: String::new(),
            principal: String::new(),
            service: target.service.name().to_owned(),
            region: target.region.clone(),
            action: String::new(),
            parameters: target.service.parameters(&request),
            status: 0,
            error: None,
            answered: true,
        };
        let outcome = self.carry_out(&target, request, &id, &mut record).await;
        let (reply, error) = match outcome {
            Ok(Some(reply)) => (Some(reply), None),
            Ok(None) => (None, None),
            Err(error) => (Some(protocol.encode(&error, &id)), Some(error.code)),
        };
        record.status = reply.as_ref().map_or(record.status, |reply| reply.status);
        record.error = error.or(record.error);
        record.answered = reply.is_some();
        self.log.add(record);
        reply.map_or(Answer::None, |reply| Answer::Reply(finish(reply, &id)))
    }

    fn target(&self, request: &Request) -> Option<Target<'_>> {
        let signed = Signed::of(request);
        let service = match &signed {
            Some(signed) => self.services.iter().find(|service| service.name() == signed.service)?,
            None => self.services.iter().find(|service| service.takes_unsigned(request))?,
        };
        let region = signed.as_ref().map_or_else(|| "us-east-1".to_owned(), |signed| signed.region.clone());
        Some(Target { service: service.as_ref(), region, signed })
    }

    /// `None`: it gets no reply.
    async fn carry_out(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: Request,
        id: &str,
        record: &mut CallRecord,
    ) -> Result<Option<Reply>, ApiError> {
        let protocol = target.service.protocol();
        let action = target.service.action(&request)?;
        record.action.clone_from(&action);
        let identity = match &target.signed {
            Some(signed) => self
                .identities
                .verify(signed, &request, Timestamp::now(), self.now())
                .map_err(|refusal| refusal.error(protocol))?,
            None if target.service.takes_unsigned(&request) => Identity::anonymous(),
            None => return Err(Refusal::Unsigned.error(protocol)),
        };
        record.account.clone_from(&identity.account);
        record.principal.clone_from(&identity.arn);
        if !self.config.regions.contains(&target.region) {
            let message = format!("the simulator has no region {}: {}", target.region, self.config.regions.join(", "));
            return Err(ApiError::new("InvalidRegion", message));
        }
        let fault = self.faults.next(target.service.name(), &action, &target.region, &identity.account);
        if let Some(error) = fault.as_ref().and_then(|effect| effect.refusal(protocol)) {
            return Err(error);
        }
        if fault == Some(Effect::ConnectionReset) {
            return Ok(None);
        }
        if let Some(delay) = fault.as_ref().and_then(Effect::delay) {
            tokio::time::sleep(delay).await;
        }
        if self.config.throttling && protocol == Protocol::Ec2Query {
            let params = request.form().flat();
            let narrowed = params.keys().any(|name| name.starts_with("Filter.") || name == "MaxResults");
            if !self.buckets.take(&identity.account, &target.region, &action, narrowed, self.now()) {
                return Err(throttled(protocol));
            }
        }
        let call =
            Call { id: id.to_owned(), region: target.region.clone(), identity, action, now: self.now(), request };
        let result = target.service.handle(self, &call).await;
        match fault {
            Some(Effect::ReplyLost) => {
                record.status = result.as_ref().map_or_else(|error| error.status, |reply| reply.status);
                record.error = result.err().map(|error| error.code);
                Ok(None)
            }
            Some(Effect::ErrorAfter { status }) => Err(server_error(status)),
            _ => result.map(Some),
        }
    }

    /// What the log has, as JSON.
    pub(crate) fn calls_json(&self) -> Value {
        serde_json::to_value(self.log.calls()).unwrap_or_default()
    }
}

fn finish(reply: Reply, id: &str) -> Reply {
    reply.header("x-amzn-requestid", id)
}

#[cfg(test)]
mod tests;
