//! Questions to one machine: a script is sent, its end is waited for, its answer is found in its output.

use super::{
    frame::Frame,
    script::{Acknowledged, Script},
    watch::{Ended, Sent, Watch, jittered},
};
use crate::{
    Place,
    client::Clients,
    error::{create_error, sdk_error},
};
use aws_sdk_ssm::types::CommandInvocationStatus as Status;
use image_core::{CreateError, Error, ErrorKind, Result};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long the service may take to hand a command to the agent; thirty seconds is the least it takes.
const DELIVERY: Duration = Duration::from_secs(60);
/// The longest that an agent lets a script run: `executionTimeout` of the document.
const LONGEST_RUN: Duration = Duration::from_secs(172_800);
/// After all its times have passed, how long the service may take to say how a command ended.
const SILENCE: Duration = Duration::from_secs(120);
/// How often a script is sent whose answer cannot be had. All scripts may arrive twice.
const ATTEMPTS: u32 = 4;
/// How often a busy service is asked again, with pauses that grow to half a minute: about five minutes.
const THROTTLED_ATTEMPTS: u32 = 15;
/// The document that takes POSIX shell.
const DOCUMENT: &str = "AWS-RunShellScript";

/// The way to one instance.
#[derive(Debug)]
pub(crate) struct Channel {
    clients: Clients,
    place: Place,
    instance: String,
    watch: Arc<Watch>,
    acknowledged: Mutex<Acknowledged>,
}

/// What became of a script on its way.
#[derive(Debug, Default)]
pub(crate) struct Trace(Mutex<Delivery>);

#[derive(Debug, Default)]
struct Delivery {
    /// Commands that carry it.
    ids: Vec<String>,
    /// How often it was sent, heard of or not.
    sends: u32,
    /// Whether parts of it were sent ahead.
    staged: bool,
    /// Whether the machine has answered it: nothing runs any more.
    answered: bool,
}

/// What is left to do on the machine about a command that is over for us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Left {
    /// It has heard of nothing.
    Nothing,
    /// It keeps the output.
    Output,
    /// The command may run, or begin to.
    Command,
}

impl Trace {
    fn delivery(&self) -> std::sync::MutexGuard<'_, Delivery> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Parts of it are sent ahead.
    pub(crate) fn stage(&self) {
        self.delivery().staged = true;
    }
    /// The machine has answered.
    pub(crate) fn answer(&self) {
        self.delivery().answered = true;
    }
    /// What is left to do on the machine.
    pub(crate) fn left(&self) -> Left {
        let delivery = self.delivery();
        if delivery.answered {
            Left::Output
        } else if delivery.staged || delivery.sends > 0 {
            Left::Command
        } else {
            Left::Nothing
        }
    }
}

impl Channel {
    pub(crate) fn new(clients: Clients, watch: Arc<Watch>, place: Place, instance: String) -> Self {
        Self { clients, place, instance, watch, acknowledged: Mutex::default() }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Lets the machine forget a command, with the next script it gets. Until then its keeper has it.
    pub(crate) fn acknowledge(&self, token: &str, trace: &Trace) {
        let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let all = if trace.delivery().sends > 1 { &mut acknowledged.retire } else { &mut acknowledged.forget };
        all.push(token.to_owned());
    }

    fn take_acknowledged(&self) -> Acknowledged {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Asks the machine, for one boot of it where one is named, and waits for the answer. A script whose answer is lost is
    /// sent again, so scripts must bear that.
    ///
    /// # Errors
    /// `Unavailable` when the answer cannot be had, and whatever the service refuses with.
    pub(crate) async fn ask(&self, script: &Script, boot: Option<&str>, trace: &Trace) -> Result<Frame> {
        let text = script.text(boot, &self.take_acknowledged());
        let mut attempt = 1;
        loop {
            match self.ask_once(script, &text, trace).await {
                Ok(frame) => return Ok(frame),
                Err(Failed::Lost(_)) if attempt < ATTEMPTS => tokio::time::sleep(pause(attempt)).await,
                Err(Failed::Lost(e) | Failed::ForGood(e)) => return Err(self.about(e)),
            };
            attempt += 1;
        }
    }

    async fn ask_once(&self, script: &Script, text: &str, trace: &Trace) -> Result<Frame, Failed> {
        let sent = self.send(script, text, trace).await?;
        let within = DELIVERY + script.runs_for.min(LONGEST_RUN) + SILENCE;
        let ended = tokio::select! {
            ended = self.watch.ended(&sent) => ended.map_err(Failed::ForGood)?,
            () = tokio::time::sleep(within) => {
                let message = format!("Systems Manager does not say how command {} ended", sent.id);
                return Err(Failed::ForGood(Error::new(ErrorKind::Unavailable, message)));
            }
        };
        outcome(script, &sent, &ended)
    }

    /// Sends a script without waiting for its end.
    ///
    /// # Errors
    /// Why it was not sent, or may not have been.
    pub(crate) async fn tell(&self, script: &Script, boot: Option<&str>) -> Result<()> {
        let text = script.text(boot, &self.take_acknowledged());
        match self.send(script, &text, &Trace::default()).await {
            Ok(_) => Ok(()),
            Err(Failed::Lost(e) | Failed::ForGood(e)) => Err(self.about(e)),
        }
    }

    /// Asks the service not to deliver the commands of a script any more, and to end those that run. That may come too late.
    pub(crate) async fn cancel(&self, trace: &Trace) -> Result<()> {
        let ids = trace.delivery().ids.clone();
        let client = self.clients.ssm(&self.place).await?;
        for id in ids {
            let call = client.cancel_command().command_id(id).instance_ids(&self.instance).send().await;
            call.map_err(|e| self.about(sdk_error("ssm:CancelCommand", &self.place, e)))?;
        }
        Ok(())
    }

    /// A busy service has taken nothing, so it is asked again. Any other failure without a clear answer is a loss.
    async fn send(&self, script: &Script, text: &str, trace: &Trace) -> Result<Sent, Failed> {
        let mut attempt = 1;
        loop {
            match self.send_once(script, text, trace).await {
                Err(CreateError::Rejected(e)) if e.kind() == ErrorKind::RateLimited && attempt < THROTTLED_ATTEMPTS => {
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                Err(CreateError::Rejected(e)) => return Err(Failed::ForGood(e)),
                Err(CreateError::Unclear(e)) => return Err(Failed::Lost(e)),
                Err(other) => return Err(Failed::Lost(Error::bug(format!("{other:?}")))),
                Ok(sent) => return Ok(sent),
            }
        }
    }

    async fn send_once(&self, script: &Script, text: &str, trace: &Trace) -> Result<Sent, CreateError> {
        const OPERATION: &str = "ssm:SendCommand";
        let client = self.clients.ssm_once(&self.place).await.map_err(CreateError::Rejected)?;
        let runs_for = script.runs_for.min(LONGEST_RUN).as_secs().to_string();
        trace.delivery().sends += 1;
        let call = client
            .send_command()
            .document_name(DOCUMENT)
            .instance_ids(&self.instance)
            .comment(format!("golden-image: {} {}", script.verb, script.nonce))
            .timeout_seconds(i32::try_from(DELIVERY.as_secs()).unwrap_or(i32::MAX))
            .parameters("commands", vec![text.to_owned()])
            .parameters("executionTimeout", vec![runs_for])
            .send()
            .await;
        let command = call.map_err(|e| match create_error(OPERATION, &self.place, e) {
            CreateError::Rejected(e) => {
                trace.delivery().sends -= 1;
                CreateError::Rejected(unreachable_instance(e))
            }
            unclear => unclear,
        })?;
        let command = command.command().cloned();
        let (id, at) = command.map(|command| (command.command_id, command.requested_date_time)).unwrap_or_default();
        let id = id.ok_or_else(|| CreateError::Unclear(Error::bug("ssm:SendCommand names no command")))?;
        trace.delivery().ids.push(id.clone());
        Ok(Sent { id, instance: self.instance.clone(), at })
    }

    fn about(&self, e: Error) -> Error {
        e.with_context("instance", &self.instance)
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Failed {
    /// The next try may have one.
    Lost(Error),
    ForGood(Error),
}

/// The service refuses commands for instances whose agent it has not heard of for a while.
fn unreachable_instance(e: Error) -> Error {
    if e.chain().contains("InvalidInstanceId") {
        let message = "Systems Manager has no connection to the instance's agent now";
        return Error::new(ErrorKind::Unavailable, message).with_source(e);
    }
    e
}

fn pause(attempt: u32) -> Duration {
    jittered(Duration::from_secs(1 << attempt.min(5)).min(Duration::from_secs(30)))
}

/// What the end of a command means. See
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html>.
fn outcome(script: &Script, sent: &Sent, ended: &Ended) -> Result<Frame, Failed> {
    let (verb, id) = (script.verb, &sent.id);
    let details: String = ended.details.chars().filter(|c| !c.is_whitespace()).collect();
    let unavailable = |message: String| Error::new(ErrorKind::Unavailable, message);
    let error = match (&ended.status, details.as_str()) {
        (Status::Success | Status::Failed, _) => match Frame::find(&ended.stdout, &script.nonce) {
            Ok(frame) => return Ok(frame),
            Err(e) => {
                let said = image_core::ExecOutput::new(
                    image_core::Exit::Code(0),
                    ended.stdout.clone().into_bytes(),
                    ended.stderr.clone().into_bytes(),
                );
                let message = format!("command {id} ({verb}) is {details} without an answer: {}", said.tail());
                return Err(Failed::Lost(unavailable(message).with_source(e)));
            }
        },
        (Status::TimedOut, "ExecutionTimedOut") => {
            let seconds = script.runs_for.min(LONGEST_RUN).as_secs();
            let message = format!("the agent ended command {id} ({verb}) after {seconds} s");
            Error::new(ErrorKind::TimedOut, message).with_retryable(false)
        }
        (Status::TimedOut, _) => {
            let seconds = DELIVERY.as_secs();
            unavailable(format!("command {id} ({verb}) did not reach the agent in {seconds} s, and has not run"))
        }
        (Status::Cancelled, _) => {
            unavailable(format!("somebody cancelled command {id} ({verb}) in Systems Manager")).with_retryable(false)
        }
        (status, details) => unavailable(format!("command {id} ({verb}) is {status}: {details}")),
    };
    Err(Failed::ForGood(error))
}
