//! Run Command: scripts sent to instances, and what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::run::{Invocation, Status};
use super::{Cx, seconds};
use crate::body::{Body, Exec};
use crate::clock::after;
use crate::cloud::Cloud;
use crate::error::ApiError;
use crate::world::Place;

const DOCUMENT: &str = "AWS-RunShellScript";
/// A document with its parameters may not be larger, in bytes.
const DOCUMENT_LIMIT: usize = 64 * 1024;

/// Every command of an account in a region.
pub(super) type Commands = BTreeMap<String, Command>;

#[derive(Debug)]
pub(super) struct Command {
    requested: Timestamp,
    expires: Timestamp,
    comment: String,
    parameters: BTreeMap<String, Vec<String>>,
    invocations: BTreeMap<String, Invocation>,
    cancel: watch::Sender<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Send {
    document_name: String,
    instance_ids: Vec<String>,
    #[serde(default)]
    document_version: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    timeout_seconds: Option<u64>,
    #[serde(default)]
    comment: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Get {
    command_id: String,
    instance_id: String,
    #[serde(default)]
    plugin_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct List {
    #[serde(default)]
    command_id: Option<String>,
    #[serde(default)]
    instance_id: Option<String>,
    #[serde(default)]
    details: bool,
    #[serde(default)]
    max_results: Option<usize>,
    #[serde(default)]
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Cancel {
    command_id: String,
    #[serde(default)]
    instance_ids: Vec<String>,
}

/// `SendCommand`. There is no idempotency token: every call is a command of its own.
pub(super) fn send(cx: &Cx<'_>, input: Send) -> Result<Value, ApiError> {
    let Send { document_name, instance_ids, document_version, parameters, timeout_seconds, comment } = input;
    let invalid = |code: &str, message: String| Err(ApiError::new(code, message));
    if document_name != DOCUMENT {
        return invalid("InvalidDocument", format!("the simulator has no document {document_name}, only {DOCUMENT}"));
    }
    if document_version.is_some_and(|version| !matches!(version.as_str(), "1" | "$DEFAULT" | "$LATEST")) {
        return invalid("InvalidDocumentVersion", format!("{DOCUMENT} has version 1"));
    }
    if instance_ids.is_empty() || instance_ids.len() > 50 || comment.chars().count() > 100 {
        return invalid("ValidationException", "1 to 50 instance ids, and a comment of up to 100 characters".into());
    }
    let delivery = timeout_seconds.unwrap_or(3600);
    if !(30..=2_592_000).contains(&delivery) {
        return invalid("ValidationException", format!("timeoutSeconds is {delivery}: 30 to 2592000"));
    }
    let size: usize = parameters.values().flatten().map(String::len).sum();
    if size > DOCUMENT_LIMIT {
        return invalid("MaxDocumentSizeExceeded", format!("{size} bytes of parameters, of {DOCUMENT_LIMIT}"));
    }
    let exec = exec(&parameters)?;

    let mut world = cx.cloud.world();
    let region = world.region(&cx.place, cx.now);
    let online = region.ec2.managed(cx.now, cx.cloud.config.timings.agent_online);
    let mut bodies = vec![];
    for id in &instance_ids {
        match online.iter().find(|instance| instance.id == *id) {
            Some(instance) => bodies.push((id.clone(), Arc::clone(&instance.body))),
            None => {
                return invalid(
                    "InvalidInstanceId",
                    format!("Instances [[{id}]] not in a valid state for account {}", cx.place.account),
                );
            }
        }
    }
    let id = Uuid::new_v4().to_string();
    let (cancel, cancelled) = watch::channel(false);
    let command = Command {
        requested: cx.now,
        expires: after(cx.now, Duration::from_secs(delivery)),
        comment,
        parameters,
        invocations: instance_ids.iter().map(|id| (id.clone(), Invocation::pending())).collect(),
        cancel,
    };
    let answer = json!({ "Command": command.described(&id) });
    region.ssm.commands.insert(id.clone(), command);
    region.unsettled.created(&id, cx.cloud.config.consistency, cx.now);
    for (instance, body) in bodies {
        let task = Task { cloud: Arc::clone(cx.cloud), place: cx.place.clone(), command: id.clone(), instance };
        tokio::spawn(task.run(body, exec.clone(), cancelled.clone()));
    }
    Ok(answer)
}

/// What the document makes of its parameters.
fn exec(parameters: &BTreeMap<String, Vec<String>>) -> Result<Exec, ApiError> {
    let invalid = |message: String| ApiError::new("InvalidParameters", message);
    let mut script = None;
    let mut directory = String::new();
    let mut timeout = Duration::from_secs(3600);
    for (name, values) in parameters {
        let one = || values.first().filter(|_| values.len() == 1);
        match name.as_str() {
            "commands" => script = Some(values.join("\n")),
            "workingDirectory" => {
                directory = one().cloned().ok_or_else(|| invalid("workingDirectory has one value".into()))?;
            }
            "executionTimeout" => {
                let seconds = one().and_then(|value| value.parse().ok()).filter(|s| (1..=172_800).contains(s));
                timeout = Duration::from_secs(
                    seconds.ok_or_else(|| invalid("executionTimeout is a number of seconds, 1 to 172800".into()))?,
                );
            }
            other => return Err(invalid(format!("{DOCUMENT} has no parameter {other}"))),
        }
    }
    let mut script = script.filter(|text| !text.is_empty()).ok_or_else(|| invalid("commands is missing".into()))?;
    if !directory.is_empty() {
        script = format!("cd -- '{}' || exit 1\n{script}", directory.replace('\'', "'\\''"));
    }
    Ok(Exec::shell(script).timeout(timeout))
}

/// One command on one instance, as the agent carries it out.
struct Task {
    cloud: Arc<Cloud>,
    place: Place,
    command: String,
    instance: String,
}

impl Task {
    async fn run(self, body: Arc<dyn Body>, exec: Exec, mut cancelled: watch::Receiver<bool>) {
        self.set(|invocation, now| invocation.start(now));
        tokio::select! {
            result = body.exec(exec) => self.set(|invocation, now| invocation.finish(result, now)),
            // Dropping the command kills it.
            _ = cancelled.wait_for(|cancelled| *cancelled) => {
                self.set(|invocation, now| invocation.end(Status::Cancelled, now));
            }
        }
    }

    fn set(&self, change: impl FnOnce(&mut Invocation, Timestamp)) {
        let now = self.cloud.now();
        let mut world = self.cloud.world();
        let commands = &mut world.region(&self.place, now).ssm.commands;
        let invocation = commands.get_mut(&self.command).and_then(|c| c.invocations.get_mut(&self.instance));
        if let Some(invocation) = invocation {
            change(invocation, now);
        }
    }
}

impl Command {
    fn described(&self, id: &str) -> Value {
        let over = self.invocations.values().filter(|invocation| invocation.status.over()).count();
        let status = if over == self.invocations.len() { "Success" } else { "Pending" };
        json!({
            "CommandId": id,
            "DocumentName": DOCUMENT,
            "DocumentVersion": "$DEFAULT",
            "Comment": self.comment,
            "Parameters": self.parameters,
            "InstanceIds": self.invocations.keys().collect::<Vec<_>>(),
            "Targets": [],
            "RequestedDateTime": seconds(self.requested),
            "ExpiresAfter": seconds(self.expires),
            "Status": status,
            "StatusDetails": status,
            "TargetCount": self.invocations.len(),
            "CompletedCount": over,
            "ErrorCount": 0,
            "DeliveryTimedOutCount": 0,
            "MaxConcurrency": "50",
            "MaxErrors": "0",
        })
    }
}

/// `GetCommandInvocation`.
pub(super) fn invocation(cx: &Cx<'_>, input: Get) -> Result<Value, ApiError> {
    let Get { command_id, instance_id, plugin_name } = input;
    if plugin_name.as_deref().is_some_and(|name| !matches!(name, "aws:runShellScript" | "awsrunShellScript")) {
        return Err(ApiError::new("InvalidPluginName", "the plugin is aws:runShellScript"));
    }
    let absent = || ApiError::new("InvocationDoesNotExist", "");
    let mut world = cx.cloud.world();
    let region = world.region(&cx.place, cx.now);
    if !region.unsettled.visible(&command_id, cx.now) {
        return Err(absent());
    }
    let command = region.ssm.commands.get(&command_id).ok_or_else(absent)?;
    let invocation = command.invocations.get(&instance_id).ok_or_else(absent)?;
    let mut answer = invocation.full();
    answer["CommandId"] = json!(command_id);
    answer["InstanceId"] = json!(instance_id);
    answer["Comment"] = json!(command.comment);
    answer["DocumentName"] = json!(DOCUMENT);
    answer["DocumentVersion"] = json!("$DEFAULT");
    Ok(answer)
}

/// `ListCommandInvocations`: newest first.
pub(super) fn list(cx: &Cx<'_>, input: List) -> Result<Value, ApiError> {
    let limit = input.max_results.unwrap_or(50);
    if !(1..=50).contains(&limit) {
        return Err(ApiError::new("ValidationException", format!("MaxResults is {limit}: 1 to 50")));
    }
    let bad_token = || ApiError::new("InvalidNextToken", "the token is not one of ours");
    let skip = input.next_token.map_or(Ok(0), |token| token.parse().map_err(|_| bad_token()))?;
    let mut world = cx.cloud.world();
    let region = world.region(&cx.place, cx.now);
    let (commands, unsettled) = (&region.ssm.commands, &mut region.unsettled);
    let wanted = |id: &str| input.command_id.as_deref().is_none_or(|wanted| wanted == id);
    if let Some(id) = input.command_id.as_deref().filter(|id| !commands.contains_key(*id)) {
        return Err(ApiError::new("InvalidCommandId", id));
    }
    let mut visible: Vec<_> = commands.iter().filter(|(id, _)| wanted(id) && unsettled.visible(id, cx.now)).collect();
    visible.sort_by_key(|(id, command)| (std::cmp::Reverse(command.requested), (*id).clone()));
    let all = visible.into_iter().flat_map(|(id, command)| {
        command.invocations.iter().map(move |(instance, invocation)| (id, command, instance, invocation))
    });
    let mut rest = all
        .filter(|(_, _, instance, _)| input.instance_id.as_ref().is_none_or(|wanted| wanted == *instance))
        .skip(skip)
        .peekable();
    let mut page = vec![];
    while page.len() < limit {
        let Some((id, command, instance, invocation)) = rest.next() else { break };
        let mut value = invocation.listed(input.details);
        value["CommandId"] = json!(id);
        value["InstanceId"] = json!(instance);
        value["InstanceName"] = json!("");
        value["Comment"] = json!(command.comment);
        value["DocumentName"] = json!(DOCUMENT);
        value["DocumentVersion"] = json!("$DEFAULT");
        value["RequestedDateTime"] = seconds(command.requested);
        page.push(value);
    }
    let mut answer = json!({ "CommandInvocations": page });
    if rest.peek().is_some() {
        answer["NextToken"] = json!((skip + limit).to_string());
    }
    Ok(answer)
}

/// `CancelCommand`: best effort, and no error where the command is over.
pub(super) fn cancel(cx: &Cx<'_>, input: Cancel) -> Result<Value, ApiError> {
    if !input.instance_ids.is_empty() {
        return Err(ApiError::unsupported("CancelCommand for some instances only"));
    }
    let mut world = cx.cloud.world();
    let commands = &world.region(&cx.place, cx.now).ssm.commands;
    let command = commands.get(&input.command_id);
    let command = command.ok_or_else(|| ApiError::new("InvalidCommandId", input.command_id))?;
    command.cancel.send_replace(true);
    Ok(json!({}))
}
