//! Gossfiles against what goss makes of them, and what we say of them.

use super::*;
use crate::{Attribute, Compat, Kind, Matcher, Value, yaml};
use proptest::prelude::*;
use std::{collections::BTreeMap, fmt::Write as _, path::Path};

mod arbitrary;
mod fuzz;
mod messages;

/// The files of a case, the first being `goss.yaml`.
fn write_case(text: &str, directory: &Path) {
    write_files(text, directory).unwrap();
}

fn write_files(text: &str, directory: &Path) -> std::io::Result<()> {
    let mut path = directory.join("goss.yaml");
    let mut content = String::new();
    for line in text.lines() {
        match line.strip_prefix("--- ") {
            Some(name) => {
                std::fs::write(&path, std::mem::take(&mut content))?;
                path = directory.join(name);
                std::fs::create_dir_all(path.parent().unwrap())?;
            }
            None => writeln!(content, "{line}").unwrap(),
        }
    }
    std::fs::write(&path, content)
}

/// Resources by section and key, without what says nothing.
fn normalized(root: &Value) -> BTreeMap<(String, String), BTreeMap<String, String>> {
    let map = |value: &Value| match value {
        Value::Map(map) => map.clone(),
        _ => BTreeMap::new(),
    };
    let mut resources = BTreeMap::new();
    for (section, entries) in map(root) {
        for (key, resource) in map(&entries) {
            let mut attributes = BTreeMap::new();
            for (name, value) in map(&resource) {
                let is_expected = Kind::ALL
                    .iter()
                    .any(|kind| kind.section() == section && kind.attributes().iter().any(|a| a.name() == name));
                let is_unset = match &value {
                    Value::Null => true,
                    Value::Bool(false) | Value::Int(0) => !is_expected,
                    Value::String(text) => text.is_empty() && !is_expected,
                    Value::List(items) => items.is_empty(),
                    _ => false,
                };
                // Old names, and texts that stand for numbers, have been read for what they mean.
                let (name, value) = match (name.as_str(), value) {
                    ("resolveable", value) => ("resolvable".to_owned(), value),
                    ("exit-status" | "uid" | "gid", Value::String(text)) => (name, Value::Int(text.parse().unwrap())),
                    (_, value) => (name, value),
                };
                if !is_unset {
                    attributes.insert(name, plain(&value));
                }
            }
            resources.insert((section.clone(), key), attributes);
        }
    }
    resources
}

fn read(text: &str) -> Value {
    yaml::parse(text, &yaml::Origin::verbatim("text", text)).unwrap().root.to_value(Compat::Fixed)
}

/// A value as text, in which 1 and 1.0 are the same.
fn plain(value: &Value) -> String {
    match value {
        Value::Int(number) => format!("{:?}", *number as f64),
        Value::Float(number) => format!("{number:?}"),
        Value::List(items) => format!("{:?}", items.iter().map(plain).collect::<Vec<_>>()),
        Value::Map(entries) => {
            format!("{:?}", entries.iter().map(|(key, value)| (key, plain(value))).collect::<Vec<_>>())
        }
        value => format!("{value:?}"),
    }
}

/// What can never match has no form in a gossfile; goss renders it as it was.
const NEVER_MATCHES: [&str; 4] =
    ["output with numbers in the list", "unknown matcher", "two matchers", "wrong argument"];

/// Goss does not look at duplicates where it does not look at all.
const REFUSED: [&str; 1] = ["duplicate in an unknown section"];

#[test]
fn gossfiles_are_read_as_goss_reads_them() {
    let recorded: BTreeMap<String, Option<String>> =
        serde_json::from_str(include_str!("../../tests/gossfile_cases/recorded.json")).unwrap();
    let mut wrong = String::new();
    let mut count = 0;
    for case in include_str!("../../tests/gossfile_cases/cases.txt").split("=== ").skip(1) {
        let (name, text) = case.split_once('\n').unwrap();
        let directory = tempfile::tempdir().unwrap();
        write_case(text, directory.path());
        let loaded = Loader::new().compat(Compat::Goss).load(directory.path().join("goss.yaml"));
        count += 1;
        match (loaded, &recorded[name]) {
            (Ok(loaded), Some(rendered)) => {
                let expected = normalized(&read(rendered));
                let actual = normalized(&read(&loaded.suite.to_yaml()));
                if (expected != actual) != NEVER_MATCHES.contains(&name) {
                    writeln!(wrong, "{name}\n  goss: {expected:?}\n  we:   {actual:?}").unwrap();
                }
            }
            (Err(_), None) => {}
            (Err(_), Some(_)) if REFUSED.contains(&name) => {}
            (Ok(_), None) => writeln!(wrong, "{name}: goss refuses it").unwrap(),
            (Err(error), Some(_)) => writeln!(wrong, "{name}: goss takes it, we say {error}").unwrap(),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(count, recorded.len());
    assert!(count >= 120);
}

#[test]
fn json_says_what_yaml_says() {
    let text =
        "file: {x: {exists: true, size: {gt: 1.5}, title: t}}\ncommand: {y: {exec: z, exit-status: 0, timeout: 5}}\n";
    let suite = Loader::new().load_str(text, "goss.yaml", ".").unwrap().suite;
    assert_eq!(read(&suite.to_json().to_string()), read(&suite.to_yaml()));
    assert_eq!(Loader::new().load_str(&suite.to_json().to_string(), "goss.json", ".").unwrap().suite.len(), 2);
}

#[test]
fn files_named_json_are_json_and_so_is_what_goss_includes_from_them() {
    let yaml = "file: {/x: {exists: true}}\n";
    let json = "{\"file\": {\"/x\": {\"exists\": true}}}\n";
    // What is loaded with what it includes, and whether goss and we take it.
    for (name, text, included, other, goss, fixed) in [
        ("a.json", json, "b.yaml", yaml, true, true),
        ("a.json", yaml, "b.yaml", yaml, false, false),
        ("a.json", "{\"file\": {\"/x\": {\"exists\": true},}}", "b.yaml", yaml, false, false),
        ("a.json", "{\"gossfile\": {\"b.yaml\": {}}}", "b.yaml", yaml, false, true),
        ("a.json", "{\"gossfile\": {\"b.yaml\": {}}}", "b.yaml", json, true, true),
        ("a.json", "{\"gossfile\": {\"b.json\": {}}}", "b.json", yaml, false, false),
        ("a.yaml", "gossfile: {b.json: {}}\n", "b.json", yaml, true, true),
        ("a.yaml", json, "b.json", yaml, true, true),
    ] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(name), text).unwrap();
        std::fs::write(directory.path().join(included), other).unwrap();
        for (compat, expected) in [(Compat::Goss, goss), (Compat::Fixed, fixed)] {
            let loaded = Loader::new().compat(compat).load(directory.path().join(name));
            assert_eq!(loaded.is_ok(), expected, "{compat:?}: {name} {text} with {included} {other}: {loaded:?}");
        }
    }
    let error = Loader::new().load_str("{\"file\":\n [}", "<stdin>", ".").unwrap_err();
    assert!(error.position().is_some_and(|position| position.line == 2), "{error}");
}

#[test]
fn values_without_a_matcher_in_go_are_told_apart_by_goss_alone() {
    let content = |text: &str, compat| {
        let loaded = Loader::new().compat(compat).load_str(text, "goss", ".").unwrap();
        match &loaded.suite.get(Kind::Matching, "x").unwrap().target {
            crate::Target::Matching { content, .. } => content.clone(),
            other => panic!("{other:?}"),
        }
    };
    for (text, goss, fixed) in [
        (
            "matching: {x: {content: 2001-1-2, matches: a}}",
            Value::from("2001-01-02 00:00:00 +0000 UTC"),
            "2001-1-2".into(),
        ),
        (
            "matching: {x: {content: 18446744073709551615, matches: a}}",
            "18446744073709551615".into(),
            Value::Float(2f64.powi(64)),
        ),
        (
            "{\"matching\": {\"x\": {\"content\": 12345678, \"matches\": 1}}}",
            Value::Float(12_345_678.0),
            12_345_678.into(),
        ),
    ] {
        assert_eq!((content(text, Compat::Goss), content(text, Compat::Fixed)), (goss, fixed), "{text}");
    }
    for (matcher, is_invalid) in [
        ("18446744073709551615", true),
        ("[a, 2001-01-02]", true),
        ("{not: {contain-element: 2001-01-02}}", true),
        ("{equal: 2001-01-02}", false),
        ("{not: {equal: 18446744073709551615}}", false),
        ("9223372036854775807", false),
    ] {
        let text = format!("matching: {{x: {{content: a, matches: {matcher}}}}}");
        let expectation = |compat| {
            let loaded = Loader::new().compat(compat).load_str(&text, "goss.yaml", ".").unwrap();
            loaded.suite.get(Kind::Matching, "x").unwrap().expectation(Attribute::Matches).cloned().unwrap()
        };
        assert_eq!(matches!(expectation(Compat::Goss), Matcher::Invalid(_)), is_invalid, "{matcher}");
        assert!(!matches!(expectation(Compat::Fixed), Matcher::Invalid(_)), "{matcher}");
    }
}

#[test]
fn contents_by_their_old_name_are_an_attribute_of_their_own() {
    let text = "file: {x: {exists: true, contains: [a], contents: [b]}, y: {exists: true, contains: []}}";
    let loaded = Loader::new().load_str(text, "goss.yaml", ".").unwrap();
    let file = |key| loaded.suite.get(Kind::File, key).unwrap();
    let attributes: Vec<_> = file("x").expectations.iter().map(|expectation| expectation.attribute).collect();
    assert_eq!(attributes, [Attribute::Exists, Attribute::Contains, Attribute::Contents]);
    assert_eq!(file("y").expectations.len(), 1, "an empty list expects nothing");
    let wanted = crate::Wanted::of(&loaded.suite);
    assert!(wanted.files["x"].contents && !wanted.files["y"].contents);
}

#[test]
fn variables_reach_templates_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let loader = Loader::new()
        .vars_file(file("a.yaml", "a: {x: 1, y: 2}\nb: {x: 1}\nc: 1\n"))
        .vars_inline("b: {z: 9}")
        .var("c", 3)
        .vars_file(file("b.json", "{\"a\": {\"y\": 0}}"));
    let vars = loader.vars().unwrap();
    let json = serde_json::to_string(&vars).unwrap();
    assert_eq!(json, r#"{"a":{"x":1,"y":0},"b":{"z":9},"c":3}"#);
    let error = Loader::new().vars_inline("[1]").load_str("file: {}", "goss.yaml", ".").unwrap_err();
    assert_eq!(error.to_string(), "<inline vars>:1:1: the text is a list or scalar; accepted: a map of variables");
}

/// Recorded of goss 0.4.10: all files of a run have the same variables, and are read in the order of their keys.
#[test]
fn what_a_file_sets_is_seen_by_those_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let matching =
        |name: &str, content: &str| format!("matching: {{{name}: {{content: \"{content}\", matches: x}}}}\n");
    let text = [
        "{{ $_ := set .Vars \"x\" \"root\" }}{{ $_ := set .Vars.m \"k\" \"deep\" }}\n",
        "gossfile: {b.yaml: {}, a.yaml: {}}\n",
        &matching("root", "{{ .Vars.x }}"),
        "--- a.yaml\n",
        &matching("a", "{{ .Vars.x }} {{ .Vars.m }}"),
        "{{ $_ := set .Vars \"y\" \"from a\" }}{{ $_ := set .Vars \"x\" \"a\" }}\n",
        "--- b.yaml\n",
        &matching("b", "{{ .Vars.x }} {{ .Vars.y }} {{ .Vars.m.k }}"),
    ];
    write_case(&text.concat(), directory.path());
    let loader = Loader::new().vars_inline("m: {z: 1}");
    // Not longer than one load.
    for _ in 0..2 {
        let suite = loader.load(directory.path().join("goss.yaml")).unwrap().suite;
        let content = |key| match &suite.get(Kind::Matching, key).unwrap().target {
            crate::Target::Matching { content: Value::String(text), .. } => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(["root", "a", "b"].map(content), ["root", "root map[k:deep z:1]", "a from a deep"]);
    }
}

#[test]
fn all_templates_of_a_load_are_bounded_together() {
    let directory = tempfile::tempdir().unwrap();
    let mut text = "gossfile: {\"d/*\": {}}\n".to_owned();
    for number in 0..9 {
        write!(text, "--- d/{number}.yaml\n{{{{ range 900000 }}}}{{{{ end }}}}\n").unwrap();
    }
    write_case(&text, directory.path());
    let error = Loader::new().load(directory.path().join("goss.yaml")).unwrap_err();
    assert!(error.to_string().contains("all templates together"), "{error}");
}
