//! The simulator as a process: prints its endpoint and serves until it is killed.

use std::io::Write;
use std::process::ExitCode;

use image_sim::{Clock, Rule, Simulator, Timings};
use lexopt::prelude::*;

const HELP: &str = "\
A simulated cloud on loopback, for testing image pipelines.

Usage: image-sim [OPTIONS]

Options:
  --port PORT          listen on this port of 127.0.0.1 [a free one]
  --account ID         an account; the first has key and secret `test`, others their id [111122223333]
  --region NAME        a region, may be repeated
  --manual-clock       time stands still until POST /_sim/clock
  --realistic-timings  transitions take what they take on EC2
  --throttling         refuse calls above EC2's documented request rates
  --seed-file FILE     JSON: {\"faults\": [RULE, ...]}, as for POST /_sim/faults
  -h, --help           this text

The first line printed is the endpoint. See /_sim/calls, /_sim/state, /_sim/faults.
";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    #[serde(default)]
    faults: Vec<Rule>,
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

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = Simulator::builder();
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        builder = match arg {
            Long("port") => builder.port(args.value()?.parse()?),
            Long("account") => builder.account(args.value()?.string()?),
            Long("region") => builder.region(args.value()?.string()?),
            Long("manual-clock") => builder.clock(Clock::manual()),
            Long("realistic-timings") => builder.timings(Timings::realistic()),
            Long("throttling") => builder.throttling(true),
            Long("seed-file") => {
                let path = args.value()?.string()?;
                let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
                let seed: Seed = serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
                seed.faults.into_iter().fold(builder, image_sim::Builder::fault)
            }
            Short('h') | Long("help") => {
                write!(std::io::stdout(), "{HELP}")?;
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        };
    }
    let simulator = builder.start().await?;
    writeln!(std::io::stdout(), "{}", simulator.endpoint())?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
