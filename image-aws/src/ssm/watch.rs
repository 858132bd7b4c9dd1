//! One look at all commands and agents of a place at a time, on behalf of everybody who waits for one.

use crate::{Place, client::Clients, error::sdk_error};
use aws_sdk_ssm::{
    error::ProvideErrorMetadata,
    types::{CommandFilter, CommandFilterKey, CommandInvocationStatus, InstanceInformationStringFilter},
};
use aws_smithy_types::{DateTime, date_time::Format};
use image_core::{Error, Result};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

/// From a command to the first look at it; most are done by then.
const FIRST_LOOK: Duration = Duration::from_millis(400);
/// Between two looks at a command that takes long.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);
/// Between two looks at agents.
const AGENTS: Duration = Duration::from_secs(1);
/// The first pause when the service is busy; it doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Lists hold what others of the account run, too. Beyond so many pages, of fifty each, commands are asked for one by one.
const MOST_PAGES: usize = 10;
/// Instances that one filter may name.
const MOST_INSTANCES: usize = 50;

/// A command that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) instance: String,
    /// When, by the service's clock.
    pub(crate) at: Option<DateTime>,
}

/// How a command ended, in the words of the service.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) status: CommandInvocationStatus,
    pub(crate) details: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What the service knows of an instance's agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Agent {
    pub(crate) online: bool,
    /// For people.
    pub(crate) text: String,
}

/// Looks on behalf of everybody who waits in one place. Nothing runs while nobody waits.
#[derive(Debug)]
pub(crate) struct Watch {
    clients: Clients,
    place: Place,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    commands: HashMap<u64, Command>,
    agents: Vec<(String, oneshot::Sender<Result<Agent>>)>,
    agents_seen: Option<Instant>,
    number: u64,
    running: bool,
}

#[derive(Debug)]
struct Command {
    sent: Sent,
    interval: Duration,
    due: Instant,
    answer: oneshot::Sender<Result<Ended>>,
}

/// What one look at a command saw.
type Look = Result<Option<Ended>>;

impl Watch {
    pub(crate) fn new(clients: Clients, place: Place) -> Self {
        Self { clients, place, state: Mutex::default(), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a command has ended, however long that takes: the caller has a deadline.
    ///
    /// # Errors
    /// What the service answers for good.
    pub(crate) async fn ended(self: &Arc<Self>, sent: &Sent) -> Result<Ended> {
        loop {
            if let Ok(ended) = self.add_command(sent).await {
                return ended;
            }
            // The runtime that the looks were made on is gone; this one makes its own.
        }
    }

    /// Looks at the agent of an instance, together with all others that are asked for within a second.
    ///
    /// # Errors
    /// What the service answers, also for now.
    pub(crate) async fn agent(self: &Arc<Self>, instance: &str) -> Result<Agent> {
        loop {
            if let Ok(agent) = self.add_agent(instance).await {
                return agent;
            }
        }
    }

    fn add_command(self: &Arc<Self>, sent: &Sent) -> oneshot::Receiver<Result<Ended>> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        state.number += 1;
        let (number, due) = (state.number, Instant::now() + FIRST_LOOK);
        state.commands.insert(number, Command { sent: sent.clone(), interval: FIRST_LOOK, due, answer });
        self.start(&mut state);
        answered
    }

    fn add_agent(self: &Arc<Self>, instance: &str) -> oneshot::Receiver<Result<Agent>> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        state.agents.push((instance.to_owned(), answer));
        self.start(&mut state);
        answered
    }

    fn start(self: &Arc<Self>, state: &mut State) {
        if std::mem::replace(&mut state.running, true) {
            self.changed.notify_one();
        } else {
            tokio::spawn(Arc::clone(self).look());
        }
    }

    /// When to look next; nothing when nobody waits any more.
    fn next(&self) -> Option<Instant> {
        let mut state = self.state();
        state.commands.retain(|_, command| !command.answer.is_closed());
        state.agents.retain(|(_, answer)| !answer.is_closed());
        let commands = state.commands.values().map(|command| command.due).min();
        let agents = state.agents_seen.map_or_else(Instant::now, |seen| seen + AGENTS);
        let agents = (!state.agents.is_empty()).then_some(agents);
        let next = commands.into_iter().chain(agents).min();
        state.running = next.is_some();
        next
    }

    async fn look(self: Arc<Self>) {
        let ended = EndsWithItsRuntime(&self);
        let (mut pause, mut not_before) = (PAUSE, Instant::now());
        while let Some(next) = self.next() {
            tokio::select! {
                () = sleep_until(next.max(not_before)) => {}
                // Somebody may be due earlier; but a busy service is left alone.
                () = self.changed.notified() => continue,
            }
            let calm = self.look_at_agents().await & self.look_at_commands().await;
            if calm {
                pause = PAUSE;
            } else {
                not_before = Instant::now() + jittered(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        std::mem::forget(ended);
    }

    /// Whether the service had the time.
    async fn look_at_agents(&self) -> bool {
        let waiting = {
            let mut state = self.state();
            if state.agents.is_empty() || state.agents_seen.is_some_and(|seen| Instant::now() < seen + AGENTS) {
                return true;
            }
            state.agents_seen = Some(Instant::now());
            std::mem::take(&mut state.agents)
        };
        let mut names: Vec<&str> = waiting.iter().map(|(instance, _)| instance.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut seen = BTreeMap::new();
        let mut failure = None;
        for some in names.chunks(MOST_INSTANCES) {
            match self.describe(some).await {
                Ok(agents) => seen.extend(agents),
                Err(e) => failure = Some(e),
            }
        }
        let unknown = || Agent { online: false, text: "it has not registered with Systems Manager".into() };
        for (instance, answer) in waiting {
            let agent = match (seen.get(&instance), &failure) {
                (Some(agent), _) => Ok(agent.clone()),
                (None, Some(e)) => Err(again(e)),
                (None, None) => Ok(unknown()),
            };
            // Whoever asked may have gone.
            let _ = answer.send(agent);
        }
        failure.is_none_or(|e| !e.is_retryable())
    }

    async fn describe(&self, instances: &[&str]) -> Result<BTreeMap<String, Agent>> {
        const OPERATION: &str = "ssm:DescribeInstanceInformation";
        let client = self.clients.ssm(&self.place).await?;
        let filter = InstanceInformationStringFilter::builder()
            .key("InstanceIds")
            .set_values(Some(instances.iter().map(|&instance| instance.to_owned()).collect()))
            .build()
            .map_err(|e| Error::bug(e.to_string()))?;
        let mut pages = client.describe_instance_information().filters(filter).into_paginator().items().send();
        let mut seen = BTreeMap::new();
        while let Some(item) = pages.next().await {
            match item {
                Ok(item) => {
                    let status = item.ping_status().map_or("unknown", |status| status.as_str());
                    let text = format!("its agent {} is {status}", item.agent_version().unwrap_or_default());
                    let agent = Agent { online: status == "Online", text };
                    seen.insert(item.instance_id().unwrap_or_default().to_owned(), agent);
                }
                // One instance that it does not know yet is reason enough for this.
                Err(e) if e.code() == Some("InvalidInstanceId") => return Ok(seen),
                Err(e) => return Err(sdk_error(OPERATION, &self.place, e)),
            }
        }
        Ok(seen)
    }

    /// Whether the service had the time.
    async fn look_at_commands(&self) -> bool {
        let now = Instant::now();
        let waiting: HashMap<u64, Sent> = {
            let state = self.state();
            if !state.commands.values().any(|command| command.due <= now) {
                return true;
            }
            // One list shows all of them: those that are not due yet cost nothing.
            state.commands.iter().map(|(number, command)| (*number, command.sent.clone())).collect()
        };
        let mut looks: HashMap<u64, Look> = HashMap::new();
        match self.candidates(&waiting).await {
            Err(e) => looks.extend(waiting.keys().map(|number| (*number, Err(again(&e))))),
            Ok(candidates) => {
                for number in candidates {
                    if let Some(sent) = waiting.get(&number) {
                        looks.insert(number, self.invocation(sent).await);
                    }
                }
            }
        }
        let mut calm = true;
        let mut state = self.state();
        let now = Instant::now();
        for (number, look) in looks {
            let answer = match look {
                Ok(None) => continue,
                Err(e) if e.is_retryable() => {
                    calm = false;
                    continue;
                }
                Ok(Some(ended)) => Ok(ended),
                Err(e) => Err(e),
            };
            if let Some(command) = state.commands.remove(&number) {
                // Whoever waited may have gone.
                let _ = command.answer.send(answer);
            }
        }
        for command in state.commands.values_mut().filter(|command| command.due <= now) {
            command.due = now + command.interval;
            command.interval = (command.interval + command.interval / 2).min(LONGEST_INTERVAL);
        }
        calm
    }

    /// Those that are worth a call of their own: a single one always, others when a list shows that they have ended.
    async fn candidates(&self, waiting: &HashMap<u64, Sent>) -> Result<Vec<u64>> {
        let times: Option<Vec<i64>> = waiting.values().map(|sent| sent.at.as_ref().map(DateTime::secs)).collect();
        let first = times.and_then(|times| times.into_iter().min());
        let (Some(first), true) = (first, waiting.len() > 1) else { return Ok(waiting.keys().copied().collect()) };
        const OPERATION: &str = "ssm:ListCommandInvocations";
        let client = self.clients.ssm(&self.place).await?;
        // The filter knows no fractions of a second.
        let after = DateTime::from_secs(first - 1).fmt(Format::DateTime).map_err(|e| Error::bug(e.to_string()))?;
        let filter = CommandFilter::builder().key(CommandFilterKey::InvokedAfter).value(after).build();
        let mut call =
            client.list_command_invocations().filters(filter.map_err(|e| Error::bug(e.to_string()))?).max_results(50);
        let mut instances = waiting.values().map(|sent| &sent.instance);
        if let Some(one) = instances.next().filter(|one| instances.all(|other| other == *one)) {
            call = call.instance_id(one);
        }
        let mut numbers: HashMap<&str, u64> =
            waiting.iter().map(|(number, sent)| (sent.id.as_str(), *number)).collect();
        let (mut ended, mut pages) = (vec![], call.into_paginator().send());
        for _ in 0..MOST_PAGES {
            let Some(page) = pages.next().await else { return Ok(ended) };
            let page = page.map_err(|e| sdk_error(OPERATION, &self.place, e))?;
            for item in page.command_invocations() {
                if let Some(number) = numbers.remove(item.command_id().unwrap_or_default())
                    && item.status().is_some_and(is_final)
                {
                    ended.push(number);
                }
            }
            if numbers.is_empty() {
                return Ok(ended);
            }
        }
        ended.extend(numbers.into_values());
        Ok(ended)
    }

    /// One command with its output, where it has ended.
    async fn invocation(&self, sent: &Sent) -> Look {
        let client = self.clients.ssm(&self.place).await?;
        let call = client.get_command_invocation().command_id(&sent.id).instance_id(&sent.instance).send().await;
        let seen = match call {
            Ok(seen) => seen,
            // Right after the command was sent that only means that the news has not spread.
            Err(e) if e.code() == Some("InvocationDoesNotExist") => return Ok(None),
            Err(e) => return Err(sdk_error("ssm:GetCommandInvocation", &self.place, e)),
        };
        let Some(status) = seen.status().filter(|status| is_final(status)).cloned() else { return Ok(None) };
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Ok(Some(Ended {
            status,
            details: text(seen.status_details()),
            stdout: text(seen.standard_output_content()),
            stderr: text(seen.standard_error_content()),
        }))
    }
}

fn is_final(status: &CommandInvocationStatus) -> bool {
    use CommandInvocationStatus::{Cancelled, Failed, Success, TimedOut};
    matches!(status, Cancelled | Failed | Success | TimedOut)
}

/// The same error once more, for the next one who waits.
fn again(e: &Error) -> Error {
    Error::new(e.kind(), e.chain()).with_retryable(e.is_retryable())
}

/// Between half of it and all of it, so that processes which were turned away together do not come back together.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let part = uuid::Uuid::new_v4().as_bytes().first().copied().unwrap_or_default();
    pause / 2 + pause / 2 * u32::from(part) / 255
}

/// When the runtime is shut down in the middle of a look, those who wait on another one must hear of it.
struct EndsWithItsRuntime<'a>(&'a Watch);

impl Drop for EndsWithItsRuntime<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running = false;
        state.commands.clear();
        state.agents.clear();
    }
}
