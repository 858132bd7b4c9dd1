//! What a developer of this workspace runs, as `cargo xtask <command>`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person who called it")]

mod apt;
mod checks;
mod failure;
mod host;
mod peers;
mod run;
mod tests_of_workspace;

use failure::Failure;
use std::{ffi::OsString, process::ExitCode};

const USAGE: &str = "\
usage: cargo xtask <command>

  quickstart [args]   install what is missing, then build, test, boot and publish an image (--help for its options)
  test [args]         install what is missing, then run all tests; the args go to `cargo test`
  ci [--full]         format, lints, documentation, dependency rules, tests; --full adds the minimum Rust version,
                      each crate alone, the benches' build, bootstraps from a mirror
  bench [args]        run the benches; the args go to `cargo bench`
  peers               build goss where Go is, and show which programs the tests can compare with on this machine
  record-goss         write what goss says to the corpus of image-test, for machines without goss";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let command = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    match dispatch(&command.to_string_lossy(), &args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(command: &str, args: &[OsString]) -> Result<(), Failure> {
    match command {
        "bench" => run::cargo(["bench", "--package", "benches"]).env("PATH", peers::path()).args(args).run(),
        "ci" => checks::all(args),
        "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        "peers" => peers::print(),
        "quickstart" => quickstart(args),
        "record-goss" => record_goss(),
        "test" => tests_of_workspace::all(args),
        other => Err(Failure::usage(format!("`{other}` is not a command\n\n{USAGE}"))),
    }
}

/// Runs goss over the corpus and writes down what it says.
fn record_goss() -> Result<(), Failure> {
    if peers::find("goss").is_none() {
        return Err(Failure::usage("there is no goss: `cargo xtask peers` builds it"));
    }
    let test = ["test", "--package", "image-test", "--test", "parity", "--", "--ignored", "--nocapture", "record"];
    run::cargo(test).env("PATH", peers::path()).run()
}

/// Optimised: an image of a gigabyte is hashed and compressed several times.
fn quickstart(args: &[OsString]) -> Result<(), Failure> {
    if !args.iter().any(|arg| arg == "--help" || arg == "-h") {
        host::provide(&host::for_quickstart(args))?;
    }
    // Without the SDK of AWS, which takes minutes to compile.
    let package = ["run", "--quiet", "--release", "--package", "examples", "--no-default-features"];
    let example = package.into_iter().chain(["--example", "quickstart", "--"]);
    run::cargo(example).args(args).run()
}
