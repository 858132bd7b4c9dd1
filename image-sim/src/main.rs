//! The simulator as a process: prints its endpoint and serves until it is interrupted or terminated.

mod sandboxed;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use image_sim::iam::{Policy, Principal};
use image_sim::{Builder, Clock, Rule, Simulator, Timings};
use lexopt::prelude::*;
use tokio::signal::unix::{SignalKind, signal};

use sandboxed::Sandboxed;

const HELP: &str = "\
A simulated cloud on loopback, for testing image pipelines.

Usage: image-sim [OPTIONS]

Options:
  --port PORT          listen on this port of 127.0.0.1 [a free one]
  --account ID         an account; the first has key and secret `test`, others their id [111122223333]
  --region NAME        a region, may be repeated
  --manual-clock       time stands still until POST /_sim/clock
  --realistic-timings  transitions take what they take on EC2
  --sandbox ROOTFS     instances run commands in sandboxes; public images hold this tree (a directory, or a plain tar)
  --throttling         refuse calls above EC2's documented request rates
  --seed-file FILE     JSON: {\"faults\": [RULE, ...], \"policies\": [POLICY, ...]},
                       as for POST /_sim/faults and POST /_sim/policies
  -h, --help           this text

The first line printed is the endpoint. See /_sim/calls, /_sim/state, /_sim/faults, /_sim/iam.
";

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    #[serde(default)]
    faults: Vec<Rule>,
    #[serde(default)]
    policies: Vec<Attached>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Attached {
    principal: Principal,
    name: String,
    policy: serde_json::Value,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when this fails.
            drop(writeln!(std::io::stderr(), "image-sim: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let mut builder = Simulator::builder();
    let (mut rootfs, mut policies) = (None, Vec::new());
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        builder = match arg {
            Long("port") => builder.port(args.value()?.parse()?),
            Long("account") => builder.account(args.value()?.string()?),
            Long("region") => builder.region(args.value()?.string()?),
            Long("manual-clock") => builder.clock(Clock::manual()),
            Long("sandbox") => {
                rootfs = Some(PathBuf::from(args.value()?));
                builder
            }
            Long("realistic-timings") => builder.timings(Timings::realistic()),
            Long("throttling") => builder.throttling(true),
            Long("seed-file") => {
                let path = args.value()?.string()?;
                let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
                let seed: Seed = serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
                for Attached { principal, name, policy } in seed.policies {
                    let policy =
                        Policy::from_json(&policy).map_err(|error| format!("{path}: the policy {name}: {error}"))?;
                    policies.push((principal, name, policy));
                }
                seed.faults.into_iter().fold(builder, Builder::fault)
            }
            Short('h') | Long("help") => {
                write!(std::io::stdout(), "{HELP}")?;
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        };
    }
    let sandboxes = match &rootfs {
        Some(rootfs) => Some(Sandboxed::new(rootfs).await?),
        None => None,
    };
    if let Some(sandboxes) = &sandboxes {
        builder = sandboxes.give(builder);
    }
    let served = serve(builder, policies).await;
    let removed = match sandboxes {
        Some(sandboxes) => sandboxes.remove().await,
        None => Ok(()),
    };
    served.and(removed)
}

async fn serve(builder: Builder, policies: Vec<(Principal, String, Policy)>) -> Result<(), Error> {
    let mut terminated = signal(SignalKind::terminate())?;
    let simulator = builder.start().await?;
    for (principal, name, policy) in policies {
        simulator.attach_policy(&principal, name, policy)?;
    }
    writeln!(std::io::stdout(), "{}", simulator.endpoint())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    Ok(())
}
