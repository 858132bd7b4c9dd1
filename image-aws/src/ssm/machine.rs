//! The machine.

use super::{
    channel::{Channel, Trace},
    job::{Boot, Job, Link},
    request::Request,
    script::Script,
};
use image_core::{
    Command, Context, DEFAULT_OUTPUT_LIMIT, Error, ErrorKind, ExecOutput, Machine, MachineInfo, Output, Platform,
    Result, Upload, UploadSource, async_trait,
    wait::{self, Poll, WaitPolicy},
};
use std::{path::Path, sync::Arc, time::Duration};

/// How long a restart may take where the run has more time.
const REBOOT_WITHIN: Duration = Duration::from_secs(600);
/// How long one look at a machine that goes down or comes up may take. Its agent may have taken a script down with it.
const LOOK: Duration = Duration::from_secs(45);
/// What an agent that never comes is missing.
const HINT: &str = "the image needs a running amazon-ssm-agent, the instance a profile with AmazonSSMManagedInstanceCore, and \
                    its network a way to the endpoints ssm, ssmmessages and ec2messages";

/// A Linux instance that is reached through the agent of Systems Manager.
#[derive(Debug)]
pub(crate) struct SsmMachine {
    info: MachineInfo,
    link: Arc<Link>,
}

impl SsmMachine {
    /// Waits until the agent of an instance takes commands.
    ///
    /// # Errors
    /// `Unsupported` when it does not run Linux, or lacks what commands are run with; `TimedOut` when the agent does not
    /// come within the policy's time.
    pub(crate) async fn connect(
        cx: &Context,
        channel: Channel,
        platform: Platform,
        policy: WaitPolicy,
    ) -> Result<Arc<dyn Machine>> {
        if platform.os != "linux" {
            let message = format!("machines behind Systems Manager run linux here, not {}", platform.os);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let (place, instance) = (channel.place(), channel.instance());
        let number = instance.strip_prefix("i-").or_else(|| instance.strip_prefix("mi-")).unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Error::invalid("instance", instance, "the id of an instance, for example i-0123456789abcdef0"));
        }
        let shell = format!("aws ssm start-session --region {} --target {instance}", place.region);
        let look = async || {
            let agent = channel.watch().agent(channel.instance()).await?;
            if agent.online { hello(&channel).await } else { Ok(Poll::Pending(agent.text)) }
        };
        let what = format!("the Systems Manager agent of {} in {}", channel.instance(), channel.place());
        let boot = wait::until(cx, policy, &what, look).await.map_err(|e| match e.kind() {
            ErrorKind::TimedOut => e.with_context("hint", HINT),
            _ => e,
        })?;
        let info = MachineInfo::new(channel.instance(), platform, true).with_shell(shell);
        Ok(Arc::new(Self { info, link: Arc::new(Link::new(channel, boot)) }))
    }
}

/// Which boot of the machine answers, and what it can do.
async fn hello(channel: &Channel) -> Result<Poll<Boot>> {
    let (script, trace) = (Script::hello(), Trace::default());
    let frame = tokio::select! {
        frame = channel.ask(&script, None, &trace) => frame?,
        () = tokio::time::sleep(LOOK) => return Ok(Poll::Pending("its agent is online, but does not answer".into())),
    };
    match (frame.kind.as_str(), frame.word(0), frame.word(1)) {
        ("hello", Some(id), Some(packing)) => Ok(Poll::Ready(Boot { id: id.to_owned(), gzip: packing == "gzip" })),
        ("failed", ..) => {
            let error = Error::new(ErrorKind::Unsupported, format!("the machine cannot be used: {}", frame.text()));
            Err(error.with_context("instance", channel.instance()))
        }
        _ => Err(Error::bug(format!("the machine answered `{} {}`", frame.kind, frame.text()))),
    }
}

#[async_trait]
impl Machine for SsmMachine {
    fn info(&self) -> &MachineInfo {
        &self.info
    }

    async fn exec(&self, cx: &Context, command: Command) -> Result<ExecOutput> {
        cx.check()?;
        let request = Request::of(&command)?;
        let mut job = Job { timeout: command.timeout, lines: true, ..Job::internal(request) };
        let discarded = matches!(command.output, Output::Discard);
        match command.output {
            Output::Capture(limit) => (job.out_limit, job.err_limit) = (Some(limit as u64), limit as u64),
            Output::Discard => (job.out_limit, job.err_limit) = (Some(0), 0),
            Output::Spool(path) => (job.out_limit, job.into) = (None, Some(path)),
            other => return Err(Error::new(ErrorKind::Unsupported, format!("cannot write output to {other:?}"))),
        }
        let output = self.link.run(cx, job).await?;
        let truncated = output.truncated && !discarded;
        Ok(output.with_truncated(truncated))
    }

    async fn upload(&self, cx: &Context, upload: Upload) -> Result<()> {
        cx.check()?;
        let sha256 = match &upload.source {
            UploadSource::Bytes(bytes) => image_core::sha256(bytes),
            UploadSource::File(path) => image_core::sha256_file(path).await?,
            other => return Err(Error::new(ErrorKind::Unsupported, format!("cannot upload {other:?}"))),
        };
        let job = Job::internal(Request::upload(&upload, &sha256)?);
        succeeded("upload", &upload.destination, &self.link.run(cx, job).await?)
    }

    async fn download(&self, cx: &Context, source: &str, destination: &Path) -> Result<()> {
        cx.check()?;
        let job = Job {
            out_limit: None,
            err_limit: DEFAULT_OUTPUT_LIMIT as u64,
            into: Some(destination.to_owned()),
            into_on_success: true,
            ..Job::internal(Request::download(source)?)
        };
        succeeded("download", source, &self.link.run(cx, job).await?)
    }

    async fn reboot(&self, cx: &Context) -> Result<()> {
        cx.check()?;
        let before = self.link.boot();
        let channel = &self.link.channel;
        let (script, trace) = (Script::restart(), Trace::default());
        let restart = channel.ask(&script, Some(&before.id), &trace);
        let asked = async {
            tokio::select! {
                answer = restart => answer.map(drop),
                // It went down before its agent could say so.
                () = tokio::time::sleep(LOOK) => Ok(()),
            }
        };
        cx.race(asked).await?;
        // What the service says of the connection is minutes old. A command to an agent that is away waits for it.
        let look = async || match hello(channel).await? {
            Poll::Ready(boot) if boot.id == before.id => Ok(Poll::Pending("it has not restarted".into())),
            seen => Ok(seen),
        };
        let policy = WaitPolicy::new(REBOOT_WITHIN).interval(Duration::from_secs(3), Duration::from_secs(10));
        let boot = cx.race(wait::until(cx, policy, "the restarted machine", look)).await?;
        self.link.set_boot(boot);
        Ok(())
    }
}

fn succeeded(action: &str, path: &str, output: &ExecOutput) -> Result<()> {
    if output.success() && !output.truncated {
        return Ok(());
    }
    let message = format!("cannot {action} {path}: {} {}", output.exit, output.tail());
    Err(Error::new(ErrorKind::CommandFailed, message))
}
