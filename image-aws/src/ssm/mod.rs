//! Machines that only Systems Manager reaches: no inbound port, no public IP, no key.
//!
//! Run Command (`ssm:SendCommand` with `AWS-RunShellScript`) starts a script as root and passes on the first 24,000
//! characters that it prints, once it has ended. Everything else that a machine needs is a protocol between the scripts of
//! `machine_side` and this module. It leaves nothing to install, and needs no bucket.
//!
//! **Guard.** `SendCommand` has no idempotency token, and a lost reply may hide a command that runs. So every command has a
//! token of ours, a UUID, and its script begins by making the directory `/run/golden-image.TOKEN/started`. Only one can;
//! any other delivery of the same script waits for the first one's reply and gives it again. Hence every script may be sent
//! again whenever its answer was lost. The other scripts read, or write the same bytes to the same place.
//!
//! **Boot.** Every script names the boot id it is meant for. One that arrives after a restart does nothing and says so;
//! agents run a script again that a restart has interrupted.
//!
//! **Request.** What runs, the user's script and standard input are one stream: compressed, in base64, so that neither a
//! byte nor a `{{parameter}}` in it means anything to the service. It is part of the script when it is short. Otherwise it
//! is sent ahead in pieces, a few at a time, each a file of its own. Its SHA-256 is checked before it is run.
//!
//! **Keeper.** The first script starts a keeper, in a session of its own, and waits. The keeper runs the command in a
//! third session, with pipes that keep as much of each stream as is wanted and swallow the rest. It kills the command's
//! session when its time is up, and when the last script that waits is gone: that is what `ssm:CancelCommand` does. Then it
//! writes the reply: exit code or signal, lengths, packing and SHA-256 of the payload, and the payload's first page.
//!
//! **Answer.** Two lines around one line of base64; the first has the protocol's version and the question's nonce, the last
//! the nonce again. Whatever is cut or belongs to another question is no answer. A payload (standard output, then standard
//! error, compressed when it is longer than a page) that is longer than one answer is fetched in pages, a few at a time.
//! Its SHA-256 is checked when it is whole.
//!
//! **Traces.** All of a command is in `/run/golden-image.TOKEN`, in memory, or in `/var/lib/golden-image.TOKEN` where it may
//! be large; only root can read either. Which results have arrived is part of the next script, and with it their
//! directories go. A keeper that hears of nobody for half an hour ends by itself and removes them. What is left in two
//! cases, until the next restart, is an empty directory in memory: of a command that was cancelled and of one that may have
//! been sent twice, so that a late delivery finds it.
//!
//! **Limits.** No output while a command runs: lines become events when it has ended. No secrets: the service keeps the
//! text of commands for thirty days for everybody who may list them. About 32 kB a script, two seconds a script, and four
//! scripts at a time is what files take; the large ones belong in the base image or behind a URL.

mod channel;
#[cfg(feature = "ec2")]
mod connect;
mod frame;
mod job;
mod machine;
mod reply;
mod request;
mod script;
mod watch;

use crate::{ClientProvider, Place, client::Clients};
use channel::Channel;
use image_core::{Capabilities, Context, Machine, Platform, Result, wait::WaitPolicy};
use machine::SsmMachine;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use watch::Watch;

/// How long an instance has from `running` to an agent that answers, unless said otherwise.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Systems Manager as the way to instances, for all machines of a process that share the clients of one
/// [`ClientProvider`]. Clones are the same.
///
/// Machines that are made of the same value wait together: one look sees what all of them run.
///
/// The identity needs `ssm:SendCommand` on the instances and on the document `AWS-RunShellScript`, `ssm:CancelCommand`,
/// `ssm:DescribeInstanceInformation`, `ssm:GetCommandInvocation` and `ssm:ListCommandInvocations`. The instances need a
/// profile with what `AmazonSSMManagedInstanceCore` allows.
#[derive(Clone, Debug)]
pub struct SystemsManager {
    clients: Clients,
    watches: Arc<Mutex<BTreeMap<Place, Arc<Watch>>>>,
    answers_within: Duration,
}

impl SystemsManager {
    /// With the clients of a provider.
    pub fn new(provider: impl ClientProvider) -> Self {
        Self { clients: Clients::new(Arc::new(provider)), watches: Arc::default(), answers_within: ANSWERS_WITHIN }
    }

    /// How long an instance has until its agent answers; 15 minutes unless set. Boots from snapshots that were never read
    /// before are slow.
    #[must_use]
    pub fn answers_within(mut self, time: Duration) -> Self {
        self.answers_within = time;
        self
    }

    /// Waits until the agent of an instance takes commands, and gives the machine.
    ///
    /// The machine needs a POSIX shell, coreutils, `grep`, and `setsid` of util-linux 2.32 or later; `setpriv` for commands
    /// of other users than root; `gzip` is used where it is.
    ///
    /// # Errors
    /// `InvalidInput` for what is no id of an instance; `Unsupported` when it does not run Linux, or lacks what commands are
    /// run with; `TimedOut` when the agent does not come in time; those of the calls.
    pub async fn connect(
        &self,
        cx: &Context,
        place: &Place,
        instance: &str,
        platform: &Platform,
    ) -> Result<Arc<dyn Machine>> {
        let channel = Channel::new(self.clients.clone(), self.watch(place), place.clone(), instance.to_owned());
        SsmMachine::connect(cx, channel, platform.clone(), WaitPolicy::new(self.answers_within)).await
    }

    /// What the machines can do.
    pub fn capabilities() -> Capabilities {
        let mut capabilities = Capabilities::default();
        (capabilities.reboot, capabilities.kills_group) = (true, true);
        capabilities
    }

    fn watch(&self, place: &Place) -> Arc<Watch> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Watch::new(self.clients.clone(), place.clone()));
        Arc::clone(watches.entry(place.clone()).or_insert_with(make))
    }
}
