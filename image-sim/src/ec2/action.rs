//! How an action is carried out: parse everything, refuse what was not read, then change the world under its lock.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard};

use jiff::Timestamp;

use crate::call::{Call, Reply};
use crate::cloud::Cloud;
use crate::error::ApiError;
use crate::query::Params;
use crate::tokens;
use crate::world::{Place, Region, World};
use crate::xml::Xml;

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// Carries out one action.
pub(crate) type Handler = fn(&Arc<Cloud>, &Call) -> Result<Reply, ApiError>;

/// One action: its parameters as a value, and what it does.
pub(crate) trait Action: Sized {
    /// Reads the parameters, all of them: those it does not read are refused with `UnknownParameter`.
    fn parse(params: &Params<'_>) -> Result<Self, ApiError>;

    /// Does it, and writes the reply's elements.
    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError>;
}

/// Work that waits, done when the world is no longer locked.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What an action has at hand.
pub(crate) struct Cx<'a> {
    pub(crate) cloud: &'a Arc<Cloud>,
    pub(crate) world: MutexGuard<'a, World>,
    pub(crate) place: Place,
    pub(crate) now: Timestamp,
    action: &'a str,
    fingerprint: String,
    later: Vec<Work>,
}

impl Cx<'_> {
    /// What the caller has in the region.
    pub(crate) fn region(&mut self) -> &mut Region {
        self.world.region(&self.place, self.now)
    }

    /// Makes sure that the images which are in every region are in this one.
    pub(crate) fn open(&mut self, region: &str) {
        self.world.open(region, self.now);
    }

    /// Does `work` after the action. What need not wait is over before the reply.
    pub(crate) fn later(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.later.push(Box::pin(work));
    }

    /// What this action gave under this token, where it was used before.
    pub(crate) fn replay(&mut self, token: Option<&str>) -> Result<Option<Vec<String>>, ApiError> {
        let Some(token) = token else { return Ok(None) };
        let (action, fingerprint) = (self.action, self.fingerprint.clone());
        self.region().tokens.used(action, token, &fingerprint)
    }

    /// Remembers what this action gave under this token.
    pub(crate) fn remember(&mut self, token: Option<&str>, ids: Vec<String>) {
        let Some(token) = token else { return };
        let (action, fingerprint) = (self.action, self.fingerprint.clone());
        self.region().tokens.remember(action, token, &fingerprint, ids);
    }

    /// A resource was created: under eventual consistency it is not visible yet.
    pub(crate) fn created(&mut self, id: &str) {
        let (consistency, now) = (self.cloud.config.consistency, self.now);
        self.region().unsettled.created(id, consistency, now);
    }
}

/// The handler of an action.
pub(crate) fn act<A: Action>(cloud: &Arc<Cloud>, call: &Call) -> Result<Reply, ApiError> {
    let form = call.request.form();
    let params = form.params();
    params.text("Action");
    params.text("Version");
    let dry_run = params.bool("DryRun")?.unwrap_or(false);
    let action = A::parse(&params)?;
    form.finish()?;
    if dry_run {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(ApiError::new("DryRunOperation", message).with_status(412));
    }
    let mut cx = Cx {
        cloud,
        world: cloud.world(),
        place: Place::new(&call.identity.account, &call.region),
        now: call.now,
        action: &call.action,
        fingerprint: tokens::fingerprint(&form.flat()),
        later: Vec::new(),
    };
    let (region, linger) = (cx.place.region.clone(), cloud.config.timings.instance_linger);
    cx.open(&region);
    cx.region().ec2.settle(call.now, linger);
    let mut inside = Xml::default();
    let result = action.run(&mut cx, &mut inside);
    let Cx { world, later, .. } = cx;
    drop(world);
    later.into_iter().for_each(Cloud::run);
    result?;
    let mut xml = Xml::document();
    xml.root(&format!("{}Response", call.action), NAMESPACE, |xml| {
        xml.text("requestId", &call.id);
        xml.append(inside);
    });
    Ok(Reply::xml(xml))
}

/// `<return>true</return>`: all that many actions answer.
pub(crate) fn done(xml: &mut Xml) {
    xml.text("return", true);
}
