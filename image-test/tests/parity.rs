//! Our outcomes beside those of goss, in the same system: live where goss is on the `PATH`, recorded elsewhere.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[path = "parity/case.rs"]
mod case;
#[path = "parity/dns.rs"]
mod dns;
#[path = "parity/http.rs"]
mod http;
#[path = "parity/network.rs"]
mod network;
#[path = "parity/outcome.rs"]
mod outcome;
#[path = "parity/sandbox.rs"]
mod sandbox;
#[path = "parity/tls.rs"]
mod tls;

use case::Case;
use image_test::Kind;
use outcome::{GOSS, Recording, Run, compare, listed};
use sandbox::Sandbox;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

/// The goss on the `PATH`, where it is the one we compare with.
fn goss() -> Option<PathBuf> {
    let path =
        std::env::split_paths(&std::env::var_os("PATH")?).map(|place| place.join("goss")).find(|p| p.is_file())?;
    let output = Command::new(&path).arg("--version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).contains(GOSS).then_some(path)
}

/// Our checker, built as it is now.
fn ours() -> PathBuf {
    // As the tests of the workspace are built, so that there is nothing left to build then.
    let build = ["build", "--quiet", "--workspace", "--features", "examples/network", "--example", "goss-check"];
    let status = Command::new(env!("CARGO")).args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
    assert!(status.success(), "goss-check does not build");
    // We are `target/debug/deps/parity-*`, it is `target/debug/examples/goss-check`.
    let target = std::env::current_exe().unwrap();
    target.ancestors().nth(2).map(|target| target.join("examples/goss-check")).unwrap()
}

/// The cases of each flavour.
fn by_flavour(cases: &[Case]) -> BTreeMap<&str, Vec<&Case>> {
    let mut by_flavour = BTreeMap::<&str, Vec<&Case>>::new();
    for case in cases {
        for flavour in &case.flavours {
            by_flavour.entry(flavour).or_default().push(case);
        }
    }
    by_flavour
}

fn run(sandbox: &Sandbox, case: &Case, checker: &str, further: &[&str]) -> Run {
    let run = || Run::of(&sandbox.run(&case.command(checker, further), &case.env, &case.input).unwrap());
    if checker == "goss" && case.name.starts_with("panic-") {
        // Its panic races with its report: it may end first with any exit code and without a word of the panic.
        return (0..50).map(|_| run()).find(|run| run.exit == 2).expect("goss panics here");
    }
    run()
}

#[test]
fn outcomes_are_those_of_goss() {
    if let Some(lacking) = sandbox::lacking() {
        eprintln!("SKIPPED: the comparison with goss: {lacking}");
        return;
    }
    let goss = goss();
    if goss.is_none() {
        eprintln!("no goss {GOSS} on the PATH (`cargo xtask peers` builds it): comparing with what it said before");
    }
    let checkers: Vec<PathBuf> = goss.iter().cloned().chain([ours()]).collect();
    let (cases, mut live, mut recorded, mut differences, mut outdated) = (case::all(), 0, 0, BTreeSet::new(), vec![]);
    for (flavour, cases) in by_flavour(&cases) {
        let sandbox = Sandbox::start(flavour, &checkers).unwrap();
        for case in cases {
            let at = format!("{flavour}/{}", case.name);
            let before = Recording::read(&case.name).and_then(|recording| recording.runs.get(flavour).cloned());
            let before = before.unwrap_or_else(|| panic!("{at} has no recording: `cargo xtask record-goss`"));
            let theirs = goss.as_ref().map(|_| run(&sandbox, case, "goss", &[]));
            let our = run(&sandbox, case, "goss-check", &["--compat", "goss"]);
            let (count, found) = compare(&at, theirs.as_ref().unwrap_or(&before), &our);
            *(if goss.is_some() { &mut live } else { &mut recorded }) += count;
            differences.extend(found.iter().map(ToString::to_string));
            outdated.extend(theirs.filter(|theirs| *theirs != before).map(|_| at));
        }
    }
    let listed = listed();
    println!(
        "goss {GOSS}: {live} outcomes compared live, {recorded} with recordings, {} differ, {} of them are listed",
        differences.len(),
        differences.intersection(&listed).count()
    );
    let unlisted: Vec<_> = differences.difference(&listed).cloned().collect();
    assert!(unlisted.is_empty(), "flavour/case | what | goss | ours\n{}", unlisted.join("\n"));
    let stale: Vec<_> = listed.difference(&differences).cloned().collect();
    assert!(stale.is_empty(), "listed, but they do not differ:\n{}", stale.join("\n"));
    assert!(outdated.is_empty(), "goss says otherwise than recorded (`cargo xtask record-goss`): {outdated:?}");
}

/// `cargo xtask record-goss`.
#[test]
#[ignore = "writes the recordings"]
fn record() {
    let goss = goss().expect("goss on the PATH");
    assert_eq!(sandbox::lacking(), None);
    let cases = case::all();
    let mut recordings = BTreeMap::<&str, Recording>::new();
    for (flavour, cases) in by_flavour(&cases) {
        let sandbox = Sandbox::start(flavour, std::slice::from_ref(&goss)).unwrap();
        for case in cases {
            let (first, again) = (run(&sandbox, case, "goss", &[]), run(&sandbox, case, "goss", &[]));
            let (_, differences) = compare(&format!("{flavour}/{}", case.name), &first, &again);
            assert!(differences.is_empty(), "it depends on luck: {differences:?}");
            let recording = recordings.entry(&case.name).or_default();
            recording.goss = GOSS.into();
            recording.runs.insert(flavour.into(), first);
        }
    }
    for name in Recording::names() {
        if !recordings.contains_key(name.as_str()) {
            eprintln!("{name} is not in the corpus any more; remove its recording");
        }
    }
    recordings.iter().for_each(|(name, recording)| recording.write(name));
    let outcomes = recordings.values().flat_map(|recording| recording.runs.values()).map(|run| run.outcomes.len());
    println!("{} cases, {} outcomes", recordings.len(), outcomes.sum::<usize>());
}

#[test]
fn every_case_has_a_recording_and_every_recording_a_case() {
    let cases = case::all();
    assert_eq!(cases.iter().map(|case| case.name.clone()).collect::<BTreeSet<_>>(), Recording::names());
    for case in &cases {
        let recording = Recording::read(&case.name).unwrap();
        assert_eq!(recording.goss, GOSS, "{}", case.name);
        let flavours: BTreeSet<_> = case.flavours.iter().cloned().collect();
        assert_eq!(recording.runs.into_keys().collect::<BTreeSet<_>>(), flavours, "{}", case.name);
    }
}

/// All outcomes of the corpus: what, and how it ended.
fn outcomes() -> Vec<(String, String)> {
    let recordings = Recording::names().into_iter().filter_map(|name| Recording::read(&name));
    recordings.flat_map(|recording| recording.runs.into_values()).flat_map(|run| run.outcomes).collect()
}

#[test]
fn every_attribute_passes_and_fails_and_is_skipped() {
    let outcomes = outcomes();
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Registry) {
        for attribute in kind.attributes() {
            // As goss prints them.
            let property = match attribute.name() {
                "linked-to" => "linkedto",
                "versions" => "version",
                "headers" => "Headers",
                "body" => "Body",
                name => name,
            };
            let (start, end) = (format!("{}: ", kind.name()), format!(": {property}"));
            let of: BTreeSet<&str> = outcomes
                .iter()
                .filter(|(what, _)| what.starts_with(&start) && what.ends_with(&end))
                .map(|(_, outcome)| outcome.as_str())
                .collect();
            assert_eq!(of, BTreeSet::from(["fail", "pass", "skip"]), "{kind} {attribute}");
        }
    }
}

#[test]
fn every_matcher_passes_and_fails() {
    let outcomes = outcomes();
    // All but xml, which goss 0.4.10 does not have yet.
    for matcher in [
        "and",
        "consist-of",
        "contain-element",
        "contain-elements",
        "contain-substring",
        "equal",
        "ge",
        "gjson",
        "gt",
        "have-key",
        "have-len",
        "have-patterns",
        "have-prefix",
        "have-suffix",
        "le",
        "list",
        "lt",
        "match-regexp",
        "not",
        "number",
        "or",
        "semver-constraint",
        "string",
        "boolean",
    ] {
        // The keys of these cases are `matcher: what of it`.
        let of = outcomes.iter().filter(|(what, _)| what.starts_with(&format!("Matching: {matcher}: ")));
        let of: BTreeSet<&str> = of.map(|(_, outcome)| outcome.as_str()).collect();
        assert!(of.contains("pass") && of.contains("fail"), "{matcher}: {of:?}");
    }
}

#[test]
fn the_list_of_differences_names_cases() {
    let cases = case::all();
    let names: BTreeSet<String> = by_flavour(&cases)
        .into_iter()
        .flat_map(|(flavour, cases)| cases.into_iter().map(move |case| format!("{flavour}/{}", case.name)))
        .collect();
    for difference in listed() {
        let at = difference.split(" | ").next().unwrap();
        assert!(names.contains(at), "there is no {}", Path::new(at).display());
    }
}
