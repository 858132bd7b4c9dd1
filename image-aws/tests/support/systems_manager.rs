//! An endpoint that speaks as much of Systems Manager as commands need, and runs them on this host in a directory of its
//! own. It cuts output as the service does, and can lose replies, refuse, delay and repeat.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ssm::config::{Credentials, SharedCredentialsProvider};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use image_aws::{ClientProvider, Place};
use image_core::{Result, async_trait};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::net::TcpListener;

/// What goes wrong; each number is for so many calls.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// `SendCommand` runs the command, and its reply is lost.
    pub(crate) lost_replies: u32,
    /// Any call is told to slow down.
    pub(crate) throttled: u32,
    /// `SendCommand` finds no connection to the agent.
    pub(crate) disconnected: u32,
    /// Looks at a command for which it does not exist yet.
    pub(crate) unseen: u32,
    /// Every command reaches the agent twice.
    pub(crate) twice: bool,
    /// Commands that run something wait here and do not start.
    pub(crate) held: bool,
    /// Commands end like this and do not start.
    pub(crate) ends_as: Option<(&'static str, &'static str)>,
    /// Something is replaced in every script.
    pub(crate) script: Option<(String, String)>,
    /// The first page that is fetched arrives with another byte.
    pub(crate) changed_page: bool,
}

/// A command.
#[derive(Clone, Debug)]
struct Invocation {
    at: f64,
    script: String,
    status: &'static str,
    details: &'static str,
    stdout: String,
    stderr: String,
    group: Option<u32>,
}

#[derive(Debug)]
struct State {
    root: tempfile::TempDir,
    faults: Mutex<Faults>,
    invocations: Mutex<BTreeMap<String, Invocation>>,
    calls: Mutex<Vec<String>>,
    online: Mutex<bool>,
}

/// The endpoint, for as long as the runtime of the test lives.
#[derive(Clone, Debug)]
pub(crate) struct Stub {
    state: Arc<State>,
    endpoint: String,
}

#[async_trait]
impl ClientProvider for Stub {
    async fn config(&self, place: &Place) -> Result<SdkConfig> {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        Ok(SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(place.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&self.endpoint)
            .build())
    }
}

impl Stub {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["run", "lib", "scripts"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            root,
            faults: Mutex::default(),
            invocations: Mutex::default(),
            calls: Mutex::default(),
            online: Mutex::new(true),
        };
        let stub = Self { state: Arc::new(state), endpoint };
        stub.boot("boot-1");
        let server = stub.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stub = server.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| stub.clone().serve(request));
                    let http = hyper::server::conn::http1::Builder::new();
                    // A lost reply is a connection that ends in an error.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        stub
    }

    /// What goes wrong from now on.
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.state.faults.lock().unwrap()
    }
    pub(crate) fn go_offline(&self) {
        *self.state.online.lock().unwrap() = false;
    }
    pub(crate) fn root(&self) -> &Path {
        self.state.root.path()
    }
    /// A file in a directory that is the test's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }
    /// A restart: what was in memory is gone.
    pub(crate) fn boot(&self, id: &str) {
        let run = self.path("run");
        fs::remove_dir_all(&run).unwrap();
        fs::create_dir(run).unwrap();
        fs::write(self.path("boot_id"), format!("{id}\n")).unwrap();
        let restart = "#!/bin/sh\necho boot-2 >\"$1/boot_id\"; rm -rf \"$1\"/run/*\n";
        fs::write(self.path("restart"), restart).unwrap();
    }
    /// How often a call was made.
    pub(crate) fn calls(&self, name: &str) -> usize {
        self.state.calls.lock().unwrap().iter().filter(|call| *call == name).count()
    }
    /// What commands have left, but for the guards of those that must never start.
    pub(crate) fn traces(&self) -> Vec<PathBuf> {
        let list = |dir: &str| fs::read_dir(self.path(dir)).unwrap().map(|entry| entry.unwrap().path());
        let kept = |guard: &PathBuf| guard.join("work").exists() || !guard.join("over").exists();
        list("run").filter(kept).chain(list("lib")).collect()
    }
    /// Whether nothing waits and nothing runs.
    pub(crate) fn is_idle(&self) -> bool {
        let all = self.state.invocations.lock().unwrap();
        all.values().all(|one| !matches!(one.status, "Pending" | "InProgress"))
    }
    /// Whether a command was told never to start.
    pub(crate) fn has_ended_one(&self) -> bool {
        fs::read_dir(self.path("run")).unwrap().any(|guard| guard.unwrap().path().join("over").exists())
    }
    /// Starts what was held, and holds nothing any more.
    pub(crate) fn release(&self) {
        self.faults().held = false;
        let held: Vec<String> = {
            let all = self.state.invocations.lock().unwrap();
            all.iter().filter(|(_, one)| one.status == "Pending").map(|(id, _)| id.clone()).collect()
        };
        held.into_iter().for_each(|id| self.start_command(id));
    }

    async fn serve(self, request: Request<Incoming>) -> std::result::Result<Response<Full<Bytes>>, std::io::Error> {
        let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
        let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let call = target.rsplit('.').next().unwrap().to_owned();
        self.state.calls.lock().unwrap().push(call.clone());
        let answer = if take(&mut self.faults().throttled) {
            Err("ThrottlingException")
        } else {
            match call.as_str() {
                "CancelCommand" => Ok(self.cancel(&body)),
                "DescribeInstanceInformation" => Ok(self.describe()),
                "GetCommandInvocation" => self.get(&body),
                "ListCommandInvocations" => Ok(self.list()),
                "SendCommand" => self.send(&body)?,
                other => panic!("{other}"),
            }
        };
        let (status, answer) = match answer {
            Ok(answer) => (200, answer),
            Err(code) => (400, json!({"__type": code, "message": "said the stub"})),
        };
        let bytes = Full::new(Bytes::from(answer.to_string()));
        Ok(Response::builder().status(status).header("content-type", "application/x-amz-json-1.1").body(bytes).unwrap())
    }

    fn send(&self, body: &Value) -> std::io::Result<std::result::Result<Value, &'static str>> {
        let mut script = body["Parameters"]["commands"][0].as_str().unwrap().to_owned();
        assert!(script.len() <= 48_000, "the script has {} bytes", script.len());
        assert!(body["Comment"].as_str().unwrap().len() <= 100);
        assert!(body["TimeoutSeconds"].as_i64().unwrap() >= 30);
        let (held, twice, lost) = {
            let mut faults = self.faults();
            if take(&mut faults.disconnected) {
                return Ok(Err("InvalidInstanceId"));
            }
            if let Some((from, to)) = &faults.script {
                script = script.replace(from, to);
            }
            let held = faults.held && body["Comment"].as_str().unwrap().starts_with("golden-image: run ");
            (held, faults.twice, take(&mut faults.lost_replies))
        };
        let at = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let id = uuid::Uuid::new_v4().to_string();
        let invocation = Invocation {
            at,
            script,
            status: "Pending",
            details: "Pending",
            stdout: String::new(),
            stderr: String::new(),
            group: None,
        };
        self.state.invocations.lock().unwrap().insert(id.clone(), invocation.clone());
        if !held {
            self.start_command(id.clone());
        }
        if twice {
            let other = uuid::Uuid::new_v4().to_string();
            self.state.invocations.lock().unwrap().insert(other.clone(), invocation);
            self.start_command(other);
        }
        if lost {
            return Err(std::io::Error::other("the reply is lost"));
        }
        Ok(Ok(json!({"Command": {"CommandId": id, "RequestedDateTime": at}})))
    }

    fn start_command(&self, id: String) {
        let ends_as = self.faults().ends_as;
        let mut invocations = self.state.invocations.lock().unwrap();
        let invocation = invocations.get_mut(&id).unwrap();
        if let Some((status, details)) = ends_as {
            (invocation.status, invocation.details) = (status, details);
            return;
        }
        let at = |name: &str| self.path(name).display().to_string();
        let script = invocation
            .script
            .replace("/run/golden-image", &at("run/golden-image"))
            .replace("/var/lib/golden-image", &at("lib/golden-image"))
            .replace("/proc/sys/kernel/random/boot_id", &at("boot_id"))
            .replace("systemctl reboot", &format!("sh {} {}", at("restart"), self.root().display()));
        let file = self.path("scripts").join(&id);
        fs::write(&file, script).unwrap();
        let mut command = tokio::process::Command::new("/bin/sh");
        command.arg("-c").arg(format!(". {}", file.display())).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        (invocation.status, invocation.details, invocation.group) = ("InProgress", "InProgress", child.id());
        drop(invocations);
        let stub = self.clone();
        tokio::spawn(async move {
            let output = child.wait_with_output().await.unwrap();
            let cut = |bytes: &[u8], limit| String::from_utf8_lossy(bytes).chars().take(limit).collect::<String>();
            let mut invocations = stub.state.invocations.lock().unwrap();
            let invocation = invocations.get_mut(&id).unwrap();
            invocation.group = None;
            (invocation.status, invocation.details) = match (output.status.success(), output.status.signal()) {
                (true, _) => ("Success", "Success"),
                (false, Some(_)) => ("Cancelled", "Cancelled"),
                (false, None) => ("Failed", "Failed"),
            };
            invocation.stdout = cut(&output.stdout, 24_000);
            invocation.stderr = cut(&output.stderr, 8_000);
            if invocation.stdout.contains(" page ") && std::mem::take(&mut stub.faults().changed_page) {
                let (at, was) = invocation.stdout.char_indices().nth(200).unwrap();
                invocation.stdout.replace_range(at..=at, if was == 'A' { "B" } else { "A" });
            }
        });
    }

    /// Ends a command that runs. One that is on its way arrives all the same: the service promises no more.
    fn cancel(&self, body: &Value) -> Value {
        let invocations = self.state.invocations.lock().unwrap();
        if let Some(group) = invocations[body["CommandId"].as_str().unwrap()].group {
            kill_group(&group.to_string());
        }
        json!({})
    }

    fn describe(&self) -> Value {
        if !*self.state.online.lock().unwrap() {
            return json!({"InstanceInformationList": []});
        }
        json!({"InstanceInformationList": [{"InstanceId": "i-0123456789abcdef0", "PingStatus": "Online", "AgentVersion": "3.3"}]})
    }

    fn get(&self, body: &Value) -> std::result::Result<Value, &'static str> {
        if take(&mut self.faults().unseen) {
            return Err("InvocationDoesNotExist");
        }
        let invocations = self.state.invocations.lock().unwrap();
        let invocation = invocations.get(body["CommandId"].as_str().unwrap()).ok_or("InvocationDoesNotExist")?;
        let over = matches!(invocation.status, "Success" | "Failed");
        Ok(json!({
            "Status": invocation.status,
            "StatusDetails": invocation.details,
            "StandardOutputContent": if over { &invocation.stdout } else { "" },
            "StandardErrorContent": if over { &invocation.stderr } else { "" },
        }))
    }

    fn list(&self) -> Value {
        let invocations = self.state.invocations.lock().unwrap();
        let mut all: Vec<_> = invocations.iter().collect();
        all.sort_by(|(_, one), (_, other)| other.at.total_cmp(&one.at));
        let all: Vec<Value> = all
            .into_iter()
            .take(50)
            .map(|(id, one)| json!({"CommandId": id, "InstanceId": "i-0123456789abcdef0", "Status": one.status}))
            .collect();
        json!({"CommandInvocations": all})
    }
}

/// Keepers wait half an hour for somebody who fetches the last result.
impl Drop for State {
    fn drop(&mut self) {
        let list = |dir: &str| fs::read_dir(self.root.path().join(dir)).into_iter().flatten().flatten();
        for place in list("run").map(|guard| guard.path().join("work")).chain(list("lib").map(|work| work.path())) {
            if let Ok(keeper) = fs::read_to_string(place.join("keeper.pid")) {
                kill_group(keeper.trim());
            }
        }
    }
}

fn kill_group(group: &str) {
    let mut command = std::process::Command::new("kill");
    // It may have ended in the meantime.
    let _ = command.args(["-KILL", "--", &format!("-{group}")]).stderr(Stdio::null()).status();
}

/// One of so many.
fn take(number: &mut u32) -> bool {
    let some = *number > 0;
    *number = number.saturating_sub(1);
    some
}
