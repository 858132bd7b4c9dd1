//! Instances that Systems Manager knows: those that run, may call it, and whose agent has had its time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::State;
use crate::body::Body;
use crate::clock::after;

/// An instance whose agent has registered.
#[derive(Debug)]
pub(crate) struct Managed {
    pub(crate) id: String,
    pub(crate) private_ip: String,
    pub(crate) body: Arc<dyn Body>,
}

impl State {
    /// Every managed instance, by id. Without an instance profile an agent has no credentials.
    pub(crate) fn managed(&self, now: Timestamp, agent_online: Duration) -> Vec<Managed> {
        let managed = self.instances.values().filter_map(|instance| {
            let since = instance.running_since(now).filter(|_| instance.profile.is_some())?;
            let body = instance.body.clone().filter(|_| after(since, agent_online) <= now)?;
            Some(Managed { id: instance.id.clone(), private_ip: instance.private_ip.clone(), body })
        });
        managed.collect()
    }
}
