//! What a command did on an instance, as the agent reports it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::seconds;
use crate::body::{BodyError, ExecOutput};

/// What `GetCommandInvocation` gives of standard output, in characters.
const STDOUT_LIMIT: usize = 24_000;
/// What it gives of standard error.
const STDERR_LIMIT: usize = 8_000;
/// What `ListCommandInvocations` gives of both.
const LISTED_LIMIT: usize = 2_500;
const CUT: &str = "\n--output truncated--";

/// Where an invocation is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    Pending,
    InProgress,
    Success,
    Failed,
    /// It ran into `executionTimeout`.
    ExecutionTimedOut,
    Cancelled,
    /// The instance went away under it.
    Terminated,
}

impl Status {
    pub(super) fn over(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress)
    }

    fn status(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Success => "Success",
            Self::Failed | Self::Terminated => "Failed",
            Self::ExecutionTimedOut => "TimedOut",
            Self::Cancelled => "Cancelled",
        }
    }

    fn details(self) -> &'static str {
        match self {
            Self::ExecutionTimedOut => "Execution Timed Out",
            Self::Terminated => "Terminated",
            other => other.status(),
        }
    }
}

/// A command on one instance.
#[derive(Clone, Debug)]
pub(super) struct Invocation {
    pub(super) status: Status,
    pub(super) started: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    /// -1: it has not ended.
    code: i32,
    stdout: String,
    stderr: String,
}

impl Invocation {
    pub(super) fn pending() -> Self {
        Self {
            status: Status::Pending,
            started: None,
            ended: None,
            code: -1,
            stdout: String::new(),
            stderr: String::new(),
        }
    }

    pub(super) fn start(&mut self, now: Timestamp) {
        self.status = Status::InProgress;
        self.started = Some(now);
    }

    /// Ends it without a result.
    pub(super) fn end(&mut self, status: Status, now: Timestamp) {
        self.status = status;
        self.ended = Some(now);
    }

    /// Ends it with what the command did.
    pub(super) fn finish(&mut self, result: Result<ExecOutput, BodyError>, now: Timestamp) {
        match result {
            // What a command wrote before it was killed is lost.
            Ok(output) if output.timed_out => self.end(Status::ExecutionTimedOut, now),
            Ok(output) => {
                self.code = output.exit;
                self.stdout = String::from_utf8_lossy(&output.stdout).into_owned();
                self.stderr = String::from_utf8_lossy(&output.stderr).into_owned();
                if output.exit != 0 {
                    self.stderr.push_str(&format!("failed to run commands: exit status {}", output.exit));
                }
                self.end(if output.exit == 0 { Status::Success } else { Status::Failed }, now);
            }
            Err(error) => {
                self.stderr = error.to_string();
                self.end(Status::Terminated, now);
            }
        }
    }

    /// As `GetCommandInvocation` has it, without the names of command and instance.
    pub(super) fn full(&self) -> Value {
        let time = |time: Option<Timestamp>| time.map_or_else(String::new, crate::clock::iso);
        json!({
            "PluginName": "aws:runShellScript",
            "ResponseCode": self.code,
            "ExecutionStartDateTime": time(self.started),
            "ExecutionElapsedTime": "PT0S",
            "ExecutionEndDateTime": time(self.ended),
            "Status": self.status.status(),
            "StatusDetails": self.status.details(),
            "StandardOutputContent": cut(&self.stdout, STDOUT_LIMIT),
            "StandardErrorContent": cut(&self.stderr, STDERR_LIMIT),
        })
    }

    /// As `ListCommandInvocations` has it; its plugin only where details are asked for.
    pub(super) fn listed(&self, details: bool) -> Value {
        let mut value = json!({
            "Status": self.status.status(),
            "StatusDetails": self.status.details(),
            "StandardOutputUrl": "",
            "StandardErrorUrl": "",
            "CommandPlugins": [],
        });
        if details {
            let mut output = self.stdout.clone();
            if !self.stderr.is_empty() {
                output.push_str("\n----------ERROR-------\n");
                output.push_str(&self.stderr);
            }
            let mut plugin = json!({
                "Name": "aws:runShellScript",
                "Status": self.status.status(),
                "StatusDetails": self.status.details(),
                "ResponseCode": self.code,
                "Output": cut(&output, LISTED_LIMIT),
            });
            for (name, time) in [("ResponseStartDateTime", self.started), ("ResponseFinishDateTime", self.ended)] {
                if let Some(time) = time {
                    plugin[name] = seconds(time);
                }
            }
            value["CommandPlugins"] = json!([plugin]);
        }
        value
    }
}

/// The first characters, the last of them a remark where any are missing.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - CUT.len()).chain(CUT.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_at_the_services_limits() {
        let now = Timestamp::now();
        let mut invocation = Invocation::pending();
        invocation.start(now);
        let long = "ö".repeat(30_000);
        invocation.finish(Ok(ExecOutput::new(0, long.clone().into_bytes(), long.into_bytes())), now);
        let full = invocation.full();
        assert_eq!(full["StandardOutputContent"].as_str().unwrap().chars().count(), 24_000);
        assert_eq!(full["StandardErrorContent"].as_str().unwrap().chars().count(), 8_000);
        let listed = invocation.listed(true);
        assert_eq!(listed["CommandPlugins"][0]["Output"].as_str().unwrap().chars().count(), 2_500);
        assert_eq!(invocation.listed(false)["CommandPlugins"], json!([]));
    }

    #[test]
    fn a_command_that_timed_out_gives_no_output() {
        let now = Timestamp::now();
        let mut invocation = Invocation::pending();
        invocation.finish(Ok(ExecOutput::new(-1, b"much".to_vec(), vec![]).timed_out()), now);
        let full = invocation.full();
        assert_eq!(
            (full["Status"].as_str(), full["StatusDetails"].as_str()),
            (Some("TimedOut"), Some("Execution Timed Out"))
        );
        assert_eq!((full["StandardOutputContent"].as_str(), full["ResponseCode"].as_i64()), (Some(""), Some(-1)));
    }
}
