//! The direction of dependencies between the crates of this workspace.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use serde_json::Value;
use std::{collections::BTreeMap, path::Path, process::Command};

/// Packages that are not published and may depend on everything.
const TOOLS: [&str; 3] = ["benches", "examples", "xtask"];
/// Test kits: whoever is tested may depend on them for its tests.
const KITS: [&str; 2] = ["image-conformance", "image-sim"];

/// Which of our crates each of our crates depends on, for its library and for its tests.
struct Edges {
    normal: BTreeMap<String, Vec<String>>,
    dev: BTreeMap<String, Vec<String>>,
}

fn edges() -> Edges {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(root).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ours: Vec<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let mut edges = Edges { normal: BTreeMap::new(), dev: BTreeMap::new() };
    for package in packages {
        let name = text(&package["name"]);
        edges.normal.entry(name.clone()).or_default();
        edges.dev.entry(name.clone()).or_default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = text(&dependency["name"]);
            if ours.contains(&to) {
                let kind = if dependency["kind"] == "dev" { &mut edges.dev } else { &mut edges.normal };
                kind.entry(name.clone()).or_default().push(to);
            }
        }
    }
    edges
}

fn libraries(edges: &BTreeMap<String, Vec<String>>) -> impl Iterator<Item = (&String, &Vec<String>)> {
    edges.iter().filter(|(name, _)| !TOOLS.contains(&name.as_str()))
}

#[test]
fn the_core_depends_on_none_of_ours() {
    let edges = edges();
    assert_eq!(edges.normal["image-core"], Vec::<String>::new());
    let for_tests: Vec<&String> = edges.dev["image-core"].iter().filter(|to| !KITS.contains(&to.as_str())).collect();
    assert!(for_tests.is_empty(), "{for_tests:?}");
}

#[test]
fn every_library_depends_on_the_core() {
    // The simulator speaks the protocols of clouds and knows nothing of pipelines.
    let apart = ["image-core", "image-sim"];
    for (name, to) in libraries(&edges().normal).filter(|(name, _)| !apart.contains(&name.as_str())) {
        assert!(to.contains(&"image-core".to_owned()), "{name} depends on {to:?}");
    }
}

/// So that whoever uses one provider compiles no other one.
#[test]
fn no_provider_depends_on_another() {
    let shared = ["image-core", "image-ssh"];
    for (name, to) in libraries(&edges().normal).filter(|(name, _)| !KITS.contains(&name.as_str())) {
        let other: Vec<&String> = to.iter().filter(|to| !shared.contains(&to.as_str())).collect();
        assert!(other.is_empty(), "{name} depends on {other:?}");
    }
}

#[test]
fn no_library_depends_on_a_tool_or_a_kit() {
    for (name, to) in libraries(&edges().normal) {
        let wrong: Vec<&String> =
            to.iter().filter(|to| TOOLS.contains(&to.as_str()) || KITS.contains(&to.as_str())).collect();
        assert!(wrong.is_empty(), "{name} depends on {wrong:?}");
    }
}
