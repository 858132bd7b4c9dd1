//! Restarting a machine in the middle of a layer.

use crate::{
    Command, Context, Error, ErrorKind, Fingerprint, Machine, Provisioner, Requirements, Result, async_trait,
    wait::{self, Poll, WaitPolicy},
};
use std::time::Duration;

/// How long one look at the machine may take.
const LOOK: Duration = Duration::from_secs(30);

/// Restarts the machine, proves by the kernel's boot id that it restarted, and waits until commands work again.
///
/// Needs a machine that can restart; a pipeline on one that cannot is refused before anything is created.
#[derive(Clone, Debug)]
pub struct Reboot {
    policy: WaitPolicy,
}

impl Default for Reboot {
    fn default() -> Self {
        Self::new()
    }
}

impl Reboot {
    /// A restart that may take ten minutes.
    pub fn new() -> Self {
        Self { policy: WaitPolicy::new(Duration::from_secs(600)) }
    }
    /// Sets how long it may take until commands work again.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.policy.timeout = timeout;
        self
    }
}

async fn boot_id(cx: &Context, machine: &dyn Machine) -> Result<String> {
    let command = Command::sh("cat /proc/sys/kernel/random/boot_id").timeout(LOOK);
    let output = cx.race(machine.exec(cx, command)).await?;
    let id = output.stdout_text().trim().to_owned();
    if output.success() && !id.is_empty() {
        return Ok(id);
    }
    let message = format!("the boot id cannot be read: {} {}", output.exit, output.tail());
    Err(Error::new(ErrorKind::CommandFailed, message))
}

#[async_trait]
impl Provisioner for Reboot {
    fn id(&self) -> &str {
        "reboot"
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        Fingerprint::of("reboot", "").map(Some)
    }
    fn requirements(&self) -> Requirements {
        Requirements::REBOOT
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        let before = boot_id(cx, machine).await?;
        cx.race(machine.reboot(cx)).await?;
        let look = async || match boot_id(cx, machine).await {
            Ok(id) if id != before => Ok(Poll::Ready(())),
            Ok(_) => Ok(Poll::Pending("it has not restarted".into())),
            // A system that goes down or comes up fails commands as well as channels.
            Err(e) if e.kind() == ErrorKind::CommandFailed => Ok(Poll::Pending(e.to_string())),
            Err(e) => Err(e),
        };
        wait::until(cx, self.policy, "the restarted machine", look).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_machine::{HostMachine, context};

    fn quick() -> Reboot {
        let mut reboot = Reboot::new().timeout(Duration::from_millis(200));
        reboot.policy = reboot.policy.interval(Duration::from_millis(5), Duration::from_millis(5));
        reboot
    }

    #[tokio::test]
    async fn a_restart_is_proven_by_the_boot_id() {
        let (mut machine, (cx, _)) = (HostMachine::new(), context().await);
        quick().provision(&cx, &machine).await.unwrap();
        assert_eq!(machine.read("boot_id"), "boot 1\n");
        assert_eq!(quick().requirements(), Requirements::REBOOT);

        machine.restarts = false;
        let error = quick().provision(&cx, &machine).await.unwrap_err();
        insta::assert_snapshot!(error, @"the restarted machine was not there after 0 s: it has not restarted");
    }

    #[tokio::test]
    async fn a_channel_that_comes_back_late_is_waited_for() {
        let (machine, (cx, _)) = (HostMachine::new(), context().await);
        let late = Late(machine);
        quick().provision(&cx, &late).await.unwrap();
    }

    /// Loses the channel a few times after its restart.
    #[derive(Debug)]
    struct Late(HostMachine);

    #[async_trait]
    impl Machine for Late {
        fn info(&self) -> &crate::MachineInfo {
            self.0.info()
        }
        async fn exec(&self, cx: &Context, command: Command) -> Result<crate::ExecOutput> {
            self.0.exec(cx, command).await
        }
        async fn upload(&self, cx: &Context, upload: crate::Upload) -> Result<()> {
            self.0.upload(cx, upload).await
        }
        async fn download(&self, cx: &Context, source: &str, destination: &std::path::Path) -> Result<()> {
            self.0.download(cx, source, destination).await
        }
        async fn reboot(&self, cx: &Context) -> Result<()> {
            self.0.lose(3);
            self.0.reboot(cx).await
        }
    }
}
