//! What CI checks besides the tests, cheapest first.

use crate::{failure::Failure, run, tests_of_workspace};
use std::ffi::OsString;

/// What a program that only builds pipelines must never have to compile.
const FOREIGN_TO_CORE: [&str; 7] = ["aws-sdk-", "reqwest", "rustls", "openssl", "serde_yaml", "hyper", "clap"];

/// Runs every check and tells at the end which ones failed.
pub(crate) fn all(args: &[OsString]) -> Result<(), Failure> {
    let full = args.iter().any(|arg| arg == "--full");
    if let Some(unknown) = args.iter().find(|arg| *arg != "--full") {
        return Err(Failure::usage(format!(
            "`{}` is not an option of ci; accepted: --full",
            unknown.to_string_lossy()
        )));
    }
    let mut failed: Vec<String> = vec![];
    let mut check = |name: &str, result: Result<(), Failure>| {
        if let Err(failure) = result {
            failure.print();
            failed.push(name.to_owned());
        }
    };
    check("format", step(run::cargo(["fmt", "--all", "--check"])));
    check(
        "lints",
        step(run::cargo([
            "clippy",
            "--workspace",
            "--features",
            "examples/network,image-sim/sandbox",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])),
    );
    let doc = run::cargo(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    check("documentation", step(doc));
    check("tree of image-core", tree());
    check("licences and advisories", deny());
    if full {
        check("minimum Rust version", minimum_rust());
        for Package { name, .. } in published()? {
            let alone = ["check", "--package", &name, "--no-default-features", "--all-targets"];
            check(&format!("{name} alone"), step(run::cargo(alone)));
        }
        check("benches", step(run::cargo(["bench", "--package", "benches", "--no-run"])));
        let mirror = ["test", "--package", "image-local", "--lib", "debian::", "--", "--ignored"];
        check("bootstraps from a mirror", step(run::cargo(mirror)));
    }
    check("tests", tests_of_workspace::all(&[]));
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("failed: {}", failed.join(", "))))
}

fn step(program: run::Program) -> Result<(), Failure> {
    eprintln!("xtask: {}", program.line());
    program.run()
}

/// Proves what image-core does not reach.
fn tree() -> Result<(), Failure> {
    eprintln!("xtask: what image-core depends on");
    let args = ["tree", "--package", "image-core", "--edges", "normal,build", "--prefix", "none", "--all-features"];
    let tree = run::cargo(args).stdout()?;
    let foreign = |line: &&str| FOREIGN_TO_CORE.iter().any(|name| line.starts_with(name));
    let found: Vec<&str> = tree.lines().filter(foreign).collect();
    if found.is_empty() { Ok(()) } else { Err(Failure::new(format!("image-core depends on {}", found.join(", ")))) }
}

fn deny() -> Result<(), Failure> {
    if run::find("cargo-deny").is_none() {
        eprintln!("xtask: SKIPPED licences and advisories: `cargo install --locked cargo-deny` has what it takes");
        return Ok(());
    }
    step(run::cargo(["deny", "check"]))
}

/// Checks each package with the oldest Rust that it promises to work with.
fn minimum_rust() -> Result<(), Failure> {
    let installed = run::program("rustup").args(["toolchain", "list"]).stdout().unwrap_or_default();
    let mut failed = vec![];
    for Package { name, rust } in published()? {
        if !installed.lines().any(|line| line.starts_with(&rust)) {
            eprintln!("xtask: SKIPPED {name} with Rust {rust}: `rustup toolchain install {rust}` has it");
            continue;
        }
        let check = run::program("rustup").args(["run", &rust, "cargo", "check", "--package", &name]);
        if let Err(failure) = step(check) {
            failure.print();
            failed.push(format!("{name} with Rust {rust}"));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(failed.join(", "))) }
}

/// A package that is published, and the oldest Rust that it promises to work with.
struct Package {
    name: String,
    rust: String,
}

fn published() -> Result<Vec<Package>, Failure> {
    let metadata = run::cargo(["metadata", "--no-deps", "--format-version", "1"]).stdout()?;
    let broken = |what: &str| Failure::new(format!("cargo metadata: {what}"));
    let metadata: serde_json::Value = serde_json::from_str(&metadata).map_err(|e| broken(&e.to_string()))?;
    let packages = metadata["packages"].as_array().ok_or_else(|| broken("no packages"))?;
    // `publish = false` is an empty list of registries.
    let published = packages.iter().filter(|package| package["publish"].is_null());
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let package = |package: &serde_json::Value| {
        let name = text(&package["name"]).ok_or_else(|| broken("a package without a name"))?;
        let rust = text(&package["rust_version"]).ok_or_else(|| broken(&format!("{name} has no rust-version")))?;
        Ok(Package { name, rust })
    };
    published.map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_packages_say_which_rust_they_need() {
        let published = published().unwrap();
        let core = published.iter().find(|package| package.name == "image-core").unwrap();
        assert!(core.rust.starts_with("1."), "{}", core.rust);
        assert!(published.iter().all(|package| package.name != "xtask"));
    }
}
