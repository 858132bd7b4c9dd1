//! Gossfiles that were damaged at random: each is read or says where it is wrong, and what is read can be written.
//!
//! `GOSSFILE_FUZZ_ITERATIONS` and `GOSSFILE_FUZZ_SEED` are those of the long run.

use super::{arbitrary::placeless, *};
use crate::{
    Suite,
    fuzz::{Corpus, Random, files, long, watched},
};

/// The gossfiles that goss is compared on, and the recorded cases without what belongs to other files.
fn corpus() -> Corpus {
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).ok();
    let cases = include_str!("../../../tests/gossfile_cases/cases.txt").split("=== ").skip(1);
    let cases = cases.filter_map(|case| Some(case.split_once('\n')?.1.split("--- ").next()?.to_owned()));
    let marks = [
        " ",
        "  ",
        "\n",
        "\n  ",
        "\n    ",
        "\t",
        "\r\n",
        ":",
        ": ",
        "- ",
        "-",
        "?",
        "? ",
        "#",
        "&a ",
        "*a",
        "<<: *a",
        "!",
        "!!str ",
        "!!binary ",
        "!!float ",
        "!!set",
        "|",
        ">",
        "|-",
        ">+2",
        "'",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        "%",
        "@",
        "`",
        "---",
        "...",
        "~",
        "null",
        "true",
        "yes",
        "0644",
        "0x1F",
        ".inf",
        ".nan",
        "1e400",
        "-0",
        "1_000",
        "2001-01-01",
        "é",
        "\u{feff}",
        "\u{0}",
        "\u{85}",
        "{{",
        "}}",
        "{{ .Vars.x }}",
        "gossfile",
        "file",
        "path",
        "exec",
        "skip",
        "title",
        "meta",
        "timeout",
        "retry_delay",
        "not",
        "and",
        "or",
        "equal",
        "contain-element",
        "contain-elements",
        "consist-of",
        "have-len",
        "have-key",
        "have-patterns",
        "match-regexp",
        "gjson",
        "semver-constraint",
        "gt",
        "le",
        "xml",
        "\\Q",
        "9223372036854775808",
    ];
    let words = Kind::ALL.into_iter().flat_map(|kind| {
        kind.attributes().iter().map(|attribute| attribute.name()).chain([kind.section()]).chain(kind.target_setting())
    });
    let texts = ["cases", "include"]
        .into_iter()
        .flat_map(|name| files(&format!("tests/parity/corpus/{name}")))
        .filter_map(read);
    Corpus { texts: texts.chain(cases).collect(), words: words.chain(marks).collect() }
}

/// What became of the inputs.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// With nothing lost when it was written and read again.
    accepted: u64,
    refused: u64,
    /// Of both, those whose includes were there.
    with_includes: u64,
}

/// What a gossfile can say of it: without places, and without empty lists, which goss takes for nothing.
fn writable(suite: &Suite) -> Suite {
    let mut writable = Suite::new();
    for mut resource in placeless(suite).resources().cloned() {
        let first = resource.kind().attributes().first().copied();
        let says = |e: &crate::Expectation| e.matcher != Matcher::Has(vec![]) || Some(e.attribute) == first;
        resource.expectations.retain(says);
        writable.insert(resource);
    }
    writable
}

fn check(loaded: Result<Loaded, GossfileError>, tally: &mut Tally) {
    let suite = match loaded {
        Ok(loaded) => loaded.suite,
        Err(error) => {
            tally.refused += 1;
            let position = error.position().unwrap_or_else(|| panic!("no place: {error}"));
            assert!(position.line >= 1 && position.column >= 1, "{error}");
            assert!(error.to_string().len() < 1 << 20, "a message of {} bytes", error.to_string().len());
            return;
        }
    };
    tally.accepted += 1;
    let text = suite.to_yaml();
    let again = Loader::new().load_str(&text, "again.yaml", "/nonexistent");
    let again = again.unwrap_or_else(|error| panic!("{error}\n{text}")).suite;
    assert_eq!(again.to_yaml(), text);
    let (was, is) = (writable(&suite), writable(&again));
    // What is not a number is not equal to itself, but looks the same.
    assert!(was == is || format!("{was:?}") == format!("{is:?}"), "{was:#?}\n{is:#?}\n{text}");
}

/// Loads that see some variables and nothing of the host.
fn loader(compat: Compat) -> Loader {
    let vars = include_str!("../../../tests/parity/corpus/vars/all.yaml");
    let limits = Limits { file_bytes: 1 << 18, total_bytes: 1 << 20, files: 20 };
    Loader::new().vars_inline(vars).limits(limits).compat(compat)
}

fn fuzz(seed: u64, iterations: u64) -> Tally {
    let corpus = corpus();
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    let (fixed, goss) = (loader(Compat::Fixed), loader(Compat::Goss));
    for iteration in 0..iterations {
        let mut text = corpus.mutant(&mut random);
        let included = random.below(32) == 0;
        if included {
            let other = corpus.mutant(&mut random);
            text =
                format!("gossfile: {{a.yaml: {{}}, \"d/*\": {{}}}}\n{text}\n--- a.yaml\n{other}\n--- d/b.yaml\n{text}");
        }
        watched(seed, iteration, &text, || {
            if included {
                let directory = tempfile::tempdir().unwrap();
                // Names are damaged too: some cannot be of files, and none may lead out of the directory.
                if is_inside(&text) && write_files(&text, directory.path()).is_ok() {
                    tally.with_includes += 1;
                    check(fixed.load(directory.path().join("goss.yaml")), &mut tally);
                }
            } else {
                check(fixed.load_str(&text, "goss.yaml", "/nonexistent"), &mut tally);
                if let Err(error) = goss.load_str(&text, "goss.yaml", "/nonexistent") {
                    assert!(error.position().is_some(), "no place: {error}");
                }
            }
        });
    }
    tally
}

fn is_inside(text: &str) -> bool {
    let names = text.lines().filter_map(|line| line.strip_prefix("--- "));
    names.map(Path::new).all(|name| {
        name.file_name().is_some() && name.components().all(|part| matches!(part, std::path::Component::Normal(_)))
    })
}

#[test]
fn damaged_gossfiles_are_read_or_say_where_they_are_wrong() {
    let tally = fuzz(1, 1_000);
    assert!(tally.accepted > 0 && tally.refused > 0 && tally.with_includes > 0, "{tally:?}");
}

#[test]
#[ignore = "takes minutes"]
fn damaged_gossfiles_are_read_or_say_where_they_are_wrong_for_long() {
    long("GOSSFILE", 1_000_000, fuzz);
}
