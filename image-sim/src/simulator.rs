//! The simulator as a value.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use tokio::task::JoinHandle;

use crate::body::{Bodies, Content, Hollow};
use crate::clock::{Clock, Timings};
use crate::cloud::{Cloud, Config};
use crate::consistency::EventualConsistency;
use crate::ec2::SeedImage;
use crate::fault::Rule;
use crate::iam::{DeniedCall, Policy, Principal, UnknownPrincipal, UnusedAction};
use crate::identity::AccessKey;
use crate::log::CallRecord;
use crate::world::{Place, ResourceState, World};
use crate::{server, service};

/// The account that exists when none is named.
pub const DEFAULT_ACCOUNT: &str = "111122223333";

/// The regions that exist when none are named.
pub const DEFAULT_REGIONS: [&str; 6] =
    ["us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2"];

/// A simulated cloud that listens on loopback until it is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use image_sim::Simulator;
///
/// let simulator = Simulator::builder().account("111122223333").start().await?;
/// // Give this to an SDK as its endpoint, with the access key `test` and the secret `test`.
/// assert!(simulator.endpoint().starts_with("http://127.0.0.1:"));
/// assert!(simulator.calls().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Simulator {
    cloud: Arc<Cloud>,
    endpoint: String,
    server: Option<JoinHandle<()>>,
}

impl Simulator {
    /// What to simulate.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Answers a request without a socket, for clients whose transport is a function: so tests can stop tokio's clock.
    /// `None` where a fault closes the connection without a reply.
    pub async fn answer(&self, request: hyper::Request<Bytes>) -> Option<hyper::Response<Full<Bytes>>> {
        server::answer(&self.cloud, request).await
    }

    /// `http://127.0.0.1:PORT`, for the clients of every service; `http://simulator.invalid` where nothing listens.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Scripts a fault.
    pub fn inject(&self, rule: Rule) {
        self.cloud.faults.add(rule);
    }

    /// Removes every fault.
    pub fn clear_faults(&self) {
        self.cloud.faults.clear();
    }

    /// Attaches a policy under a name, or replaces the one of the principal that has this name. From then on the principal
    /// may do what its policies allow, and nothing else.
    ///
    /// # Errors
    /// When nobody has the access key, or the ARN names no role. That a role exists need not be said.
    pub fn attach_policy(
        &self,
        principal: &Principal,
        name: impl Into<String>,
        policy: Policy,
    ) -> Result<(), UnknownPrincipal> {
        self.cloud.iam.attach(principal.arn(&self.cloud)?, name.into(), policy);
        Ok(())
    }

    /// Removes every policy, and what is known of their use.
    pub fn clear_policies(&self) {
        self.cloud.iam.clear();
    }

    /// The calls that a policy did not allow, oldest first: the newest 10,000.
    pub fn denied_calls(&self) -> Vec<DeniedCall> {
        self.cloud.iam.denied()
    }

    /// What statements grant and no call needed, wildcards spelled out. A grant was needed when a call that it applies to
    /// was let through, also where another statement grants the same.
    pub fn unused_actions(&self) -> Vec<UnusedAction> {
        self.cloud.iam.unused()
    }

    /// The newest calls, oldest first: as many as [`Builder::calls_kept`] says.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.cloud.log.calls()
    }

    /// How many calls were recorded and are no longer kept.
    pub fn calls_dropped(&self) -> u64 {
        self.cloud.log.dropped()
    }

    /// Everything that exists, by account, region, service, kind and id.
    pub fn state(&self) -> Vec<ResourceState> {
        self.cloud.resources()
    }

    /// The private subnets that an account finds in a region, one in each zone; they reach Systems Manager. The ids are the
    /// same in every run.
    pub fn private_subnets(&self, account: &str, region: &str) -> Vec<String> {
        let now = self.cloud.config.clock.now();
        self.cloud.world().region(&Place::new(account, region), now).ec2.network.private_subnets()
    }

    /// What a complete snapshot holds, by its id; `None` where there is none.
    pub fn snapshot(&self, id: &str) -> Option<Content> {
        let mut world = self.cloud.world();
        world.places_mut().find_map(|(_, region)| region.ec2.snapshots.get(id)?.content.clone())
    }

    /// The clock that states are derived from.
    pub fn clock(&self) -> &Clock {
        &self.cloud.config.clock
    }

    /// What is simulated.
    #[cfg(test)]
    pub(crate) const fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    /// Moves a manual clock. Returns whether it moved.
    pub fn advance(&self, by: Duration) -> bool {
        self.cloud.config.clock.advance(by)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

/// Configures a [`Simulator`].
#[derive(Debug)]
pub struct Builder {
    port: u16,
    keys: Vec<AccessKey>,
    clock: Option<Clock>,
    timings: Timings,
    consistency: EventualConsistency,
    regions: Vec<String>,
    no_capacity: Vec<(String, String)>,
    bodies: Option<Arc<dyn Bodies>>,
    throttling: bool,
    faults: Vec<Rule>,
    images: Vec<SeedImage>,
    public_content: Content,
    roles: Vec<(String, String)>,
    calls_kept: usize,
}

/// How many calls are kept when nothing is said.
const CALLS_KEPT: usize = 100_000;

impl Default for Builder {
    fn default() -> Self {
        Self {
            port: 0,
            keys: Vec::new(),
            clock: None,
            timings: Timings::default(),
            consistency: EventualConsistency::default(),
            regions: Vec::new(),
            no_capacity: Vec::new(),
            bodies: None,
            throttling: false,
            faults: Vec::new(),
            images: Vec::new(),
            public_content: Content::Empty,
            roles: Vec::new(),
            calls_kept: CALLS_KEPT,
        }
    }
}

impl Builder {
    /// The port to listen on. A free one when not said.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// An account, twelve digits. The first has the access key `test` with the secret `test`, each further one has its
    /// id as access key and secret. [`DEFAULT_ACCOUNT`] when none is named.
    #[must_use]
    pub fn account(self, id: impl Into<String>) -> Self {
        let id = id.into();
        let key = if self.keys.is_empty() { "test".to_owned() } else { id.clone() };
        self.access_key(id, key.clone(), key)
    }

    /// An access key of a user of an account.
    #[must_use]
    pub fn access_key(mut self, account: impl Into<String>, id: impl Into<String>, secret: impl Into<String>) -> Self {
        let (account, id) = (account.into(), id.into());
        let arn = format!("arn:aws:iam::{account}:user/{id}");
        self.keys.push(AccessKey { id, secret: secret.into(), account, arn, role: None, session: None });
        self
    }

    /// The clock that states are derived from: the system's when not said.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How long transitions take: [`Timings::instant`] when not said.
    #[must_use]
    pub fn timings(mut self, timings: Timings) -> Self {
        self.timings = timings;
        self
    }

    /// How long new resources stay invisible: not at all when not said.
    #[must_use]
    pub const fn consistency(mut self, consistency: EventualConsistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// A region. [`DEFAULT_REGIONS`] when none is named.
    #[must_use]
    pub fn region(mut self, name: impl Into<String>) -> Self {
        self.regions.push(name.into());
        self
    }

    /// An instance type that an availability zone has no capacity for.
    #[must_use]
    pub fn no_capacity(mut self, instance_type: impl Into<String>, zone: impl Into<String>) -> Self {
        self.no_capacity.push((instance_type.into(), zone.into()));
        self
    }

    /// What instances are: [`Hollow`] when not said.
    #[must_use]
    pub fn bodies(mut self, bodies: impl Bodies) -> Self {
        self.bodies = Some(Arc::new(bodies));
        self
    }

    /// Whether EC2 refuses calls that come faster than its documented request buckets allow. Off when not said.
    #[must_use]
    pub const fn throttling(mut self, on: bool) -> Self {
        self.throttling = on;
        self
    }

    /// Scripts a fault from the start.
    #[must_use]
    pub fn fault(mut self, rule: Rule) -> Self {
        self.faults.push(rule);
        self
    }

    /// An image that exists from the start in every region, besides the public ones of Amazon, Debian and Canonical.
    #[must_use]
    pub fn image(mut self, image: SeedImage) -> Self {
        self.images.push(image);
        self
    }

    /// What the root volumes of the public images of Amazon, Debian and Canonical hold: nothing when not said.
    #[must_use]
    pub fn public_content(mut self, content: Content) -> Self {
        self.public_content = content;
        self
    }

    /// The role of an instance profile, by their names. A profile has a role of its own name when not said.
    #[must_use]
    pub fn instance_profile(mut self, profile: impl Into<String>, role: impl Into<String>) -> Self {
        self.roles.push((profile.into(), role.into()));
        self
    }

    /// How many calls [`Simulator::calls`] keeps, the newest: 100,000 when not said.
    #[must_use]
    pub const fn calls_kept(mut self, calls: usize) -> Self {
        self.calls_kept = calls;
        self
    }

    /// Listens, in the runtime that this is called in.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(self) -> std::io::Result<Simulator> {
        let listener = server::listen(self.port).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let cloud = self.cloud();
        let server = Some(server::serve(listener, Arc::clone(&cloud)));
        Ok(Simulator { cloud, endpoint, server })
    }

    /// Does not listen, and belongs to no runtime: only [`Simulator::answer`] reaches it.
    pub fn in_process(self) -> Simulator {
        Simulator { cloud: self.cloud(), endpoint: "http://simulator.invalid".to_owned(), server: None }
    }

    fn cloud(self) -> Arc<Cloud> {
        let this = if self.keys.is_empty() { self.account(DEFAULT_ACCOUNT) } else { self };
        let regions = match this.regions.is_empty() {
            true => DEFAULT_REGIONS.map(str::to_owned).to_vec(),
            false => this.regions,
        };
        let public = crate::ec2::public_images().into_iter().map(|image| image.content(this.public_content.clone()));
        let images = public.chain(this.images).collect();
        let config = Config {
            clock: this.clock.unwrap_or(Clock::real()),
            timings: this.timings,
            consistency: this.consistency,
            regions,
            no_capacity: this.no_capacity,
            bodies: this.bodies.unwrap_or_else(|| Arc::new(Hollow)),
            throttling: this.throttling,
            calls_kept: this.calls_kept,
        };
        let cloud = Arc::new(Cloud::new(config, service::all(), World::new(images)));
        for key in this.keys {
            cloud.identities.add(key);
        }
        for (profile, role) in this.roles {
            cloud.iam.add_role(profile, role);
        }
        for rule in this.faults {
            cloud.faults.add(rule);
        }
        cloud
    }
}
