//! Launching an instance that nothing outside reaches, where one candidate after the other may lack capacity.

use super::{
    AmiBuilder,
    ami::Ami,
    client::Region,
    create::{adopt, again},
    kind::{Ec2Kind, OWNER},
    list::{self, Which},
    request::{InstanceRequest, Purpose, instance_tags, security_group},
    settings::{Candidate, Market},
    state,
    user_data::user_data,
};
use crate::tag;
use aws_sdk_ec2::types::InstanceStateName;
use image_core::{
    Context, CreateError, CreateRequest, Created, Error, ErrorKind, Guard, Handle, Launched, Result, Timestamp,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Beyond the deadline of the run: its unwind, and a recovery that comes soon, still find the instance.
const PAST_DEADLINE: Duration = Duration::from_secs(2 * 3600);

/// What `launch` made, for `capture`.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) instance: String,
    pub(crate) ami: Ami,
    pub(crate) stoppable: bool,
}

impl AmiBuilder {
    /// Launches an instance and waits until commands work on it.
    pub(super) async fn start(&self, cx: &Context, ami: &Ami, vpc: &str, purpose: Purpose) -> Result<Launched> {
        let region = self.region();
        let (mut guards, mut groups) = (vec![], self.settings.security_groups.clone());
        if groups.is_empty() {
            let group = self.create_group(cx, &region, vpc).await?;
            groups.push(group.id().to_owned());
            guards.push(group);
        }
        let user = self.settings.user_data.as_deref().filter(|_| purpose == Purpose::Build);
        let user_data = user_data(ends_at(cx), user);
        let request = |candidate| InstanceRequest {
            settings: &self.settings,
            ami,
            candidate,
            purpose,
            security_groups: &groups,
            user_data: &user_data,
        };
        let guard = self.run_first(cx, &region, request).await?;
        let instance = guard.id().to_owned();
        guards.push(guard);
        cx.progress(0, None, format!("instance {instance} runs; waiting for commands to work on it"));
        let machine = cx.race(self.connect.connect(cx, &self.place, &instance, &ami.platform)).await?;
        let stoppable = self.settings.market == Market::OnDemand;
        let handle = Handle::new(Build { instance, ami: ami.clone(), stoppable });
        Ok(Launched::new(machine, handle, guards))
    }

    /// Tries the candidates in order. Each is a create of its own: a token stands for one request only.
    async fn run_first<'a>(
        &'a self,
        cx: &Context,
        region: &Arc<Region>,
        request: impl Fn(&'a Candidate) -> InstanceRequest<'a> + Sync,
    ) -> Result<Guard> {
        let mut refused = vec![];
        let mut last = None;
        for candidate in &self.settings.candidates {
            let Candidate { instance_type, subnet } = candidate;
            match self.run_one(cx, region, &request(candidate)).await {
                Ok(guard) => return Ok(guard),
                Err(e) if matches!(e.kind(), ErrorKind::QuotaExceeded | ErrorKind::Unsupported) => {
                    cx.warn(format!("no {instance_type} in {subnet}: {e}"));
                    refused.push(format!("{instance_type} in {subnet}"));
                    last = Some(e);
                }
                Err(e) => return Err(e),
            }
        }
        let message = format!("no candidate could be launched: {}", refused.join(", "));
        let error = Error::new(ErrorKind::QuotaExceeded, message).with_context("place", &self.place);
        Err(match last {
            Some(last) => error.with_source(last),
            None => error,
        })
    }

    async fn run_one(&self, cx: &Context, region: &Arc<Region>, request: &InstanceRequest<'_>) -> Result<Guard> {
        region.launches.turn(cx).await?;
        let (input, market) = (request.build(), self.settings.market.clone());
        let (builder, at) = (self.clone(), Arc::clone(region));
        let call = move |create: CreateRequest| async move {
            let tags = builder.tags(tag::of(&create));
            let input = input.client_token(&create.token).set_tag_specifications(Some(instance_tags(&market, &tags)));
            let client = at.client_once().await.map_err(CreateError::Rejected)?;
            let made = again("ec2:RunInstances", &at.place, || input.clone().send_with(&client)).await?;
            let id = made.instances().first().and_then(|instance| instance.instance_id());
            id.map(Created::new).ok_or_else(|| nameless("ec2:RunInstances"))
        };
        let guard = self.create(cx, Ec2Kind::Instance, call).await?;
        match state::instance(cx, region, guard.id(), InstanceStateName::Running).await {
            Ok(instance) if instance.public_ip_address().is_some() && !self.settings.public_ip => {
                let message = format!("instance {} has a public address that nobody asked for", guard.id());
                Err(Error::new(ErrorKind::PolicyViolation, message))
            }
            Ok(_) => Ok(guard),
            Err(e) if e.kind() == ErrorKind::QuotaExceeded => {
                guard.release().await?;
                Err(e)
            }
            Err(e) => Err(e),
        }
    }

    async fn create_group(&self, cx: &Context, region: &Arc<Region>, vpc: &str) -> Result<Guard> {
        region.mutations.turn(cx).await?;
        let (builder, at, vpc) = (self.clone(), Arc::clone(region), vpc.to_owned());
        let call = move |create: CreateRequest| async move {
            let input = security_group(&vpc, &create.token, &builder.tags(tag::of(&create)));
            let client = at.client_once().await.map_err(CreateError::Rejected)?;
            let operation = "ec2:CreateSecurityGroup";
            let made = again(operation, &at.place, || input.clone().send_with(&client)).await;
            match made {
                Ok(made) => made.group_id().map(Created::new).ok_or_else(|| nameless(operation)),
                Err(CreateError::Unclear(e)) if e.kind() == ErrorKind::AlreadyExists => {
                    let first = || async {
                        let found = list::security_groups(&at, Which::Token(&create.token)).await?;
                        Ok(found.into_iter().next().and_then(|group| group.group_id))
                    };
                    adopt(e, first).await
                }
                Err(e) => Err(e),
            }
        };
        self.create(cx, Ec2Kind::SecurityGroup, call).await
    }

    /// Creates something in the builder's region through the journal.
    pub(super) async fn create<F, Fut>(&self, cx: &Context, kind: Ec2Kind, call: F) -> Result<Guard>
    where
        F: FnOnce(CreateRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Created, CreateError>> + Send + 'static,
    {
        cx.create(OWNER, &self.place.scope(), kind.kind(), &self.place.region, call).await
    }
}

/// When an instance ends itself, whatever became of us.
fn ends_at(cx: &Context) -> Timestamp {
    let left = cx.deadline().saturating_duration_since(Instant::now());
    cx.now().after(left).after(PAST_DEADLINE)
}

/// The call succeeded, and what it made is only to be found by its token.
pub(crate) fn nameless(operation: &str) -> CreateError {
    CreateError::Unclear(Error::bug(format!("{operation} gives no id")))
}
