use super::*;
use proptest::prelude::*;
use std::fmt::Write as _;

fn read(text: &str) -> Result<Node, YamlError> {
    parse(text, &Origin::verbatim("f", text)).map(|document| document.root)
}

/// What JSON or YAML 1.2 allow and yaml.v3 refuses; tabs that our parser refuses or allows; null keys, which Go drops.
const DEVIATIONS: [&str; 7] = ["\"\\/\"", "%YAML 1.2␤---␤a: yes", "a:␉b", "␉a: b", "a: [␤␉1,␤␉2␤]", "~: x", "null: x"];

/// One line, as the recording program writes it.
fn line(text: &str) -> String {
    let input = text.replace('␤', "\n").replace('␉', "\t");
    let Ok(node) = read(&input) else { return format!("{text}\terror\t") };
    let json = plain_numbers(serde_json::to_value(node.to_value(Compat::Fixed)).unwrap());
    let Content::Scalar(scalar) = &node.content else { return format!("{text}\ttree\t{json}") };
    match scalar.resolved {
        Resolved::Null => format!("{text}\tnull\t"),
        Resolved::Timestamp => format!("{text}\ttime\t"),
        Resolved::Float(number) => format!("{text}\tfloat\t{number:e}"),
        Resolved::Unsigned(number) => format!("{text}\tuint64\t{number}"),
        _ => format!("{text}\tscalar\t{json}"),
    }
}

/// What Go's program wrote, in our words.
fn recorded(line: &str) -> String {
    let mut parts = line.splitn(3, '\t');
    let (input, kind, value) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap_or_default());
    match kind {
        "error" => format!("{input}\terror\t"),
        "null" => format!("{input}\tnull\t"),
        "time" => format!("{input}\ttime\t"),
        "float" => {
            let value = value.trim_start_matches('+').replace("Inf", "inf");
            format!("{input}\tfloat\t{:e}", value.parse::<f64>().unwrap())
        }
        "uint64" => line.to_owned(),
        "string" | "int" | "bool" => {
            format!("{input}\tscalar\t{}", plain_numbers(serde_json::from_str(value).unwrap()))
        }
        _ => format!("{input}\ttree\t{}", plain_numbers(serde_json::from_str(value).unwrap())),
    }
}

/// Go writes 1.0 as 1.
fn plain_numbers(json: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match json {
        Json::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => Json::from(float as i64),
            _ => Json::Number(number),
        },
        Json::Array(items) => items.into_iter().map(plain_numbers).collect(),
        Json::Object(entries) => entries.into_iter().map(|(key, value)| (key, plain_numbers(value))).collect(),
        json => json,
    }
}

#[test]
fn reads_as_yaml_v3_does() {
    let mut wrong = String::new();
    let recording = include_str!("../../tests/yaml_cases/yaml_v3.tsv");
    assert!(recording.lines().count() > 150);
    for case in recording.lines() {
        let (expected, actual) = (recorded(case), line(case.split('\t').next().unwrap()));
        let input = case.split('\t').next().unwrap();
        if expected != actual && !DEVIATIONS.contains(&input) {
            writeln!(wrong, "yaml.v3: {expected}\nwe:      {actual}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn faults_are_placed() {
    let nested = format!("{}1{}", "[".repeat(120), "]".repeat(120));
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(laughs, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    let cases = [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: the key `a` is already at 1:1"),
        ("a: &a [*a]\n", "f:1:8: the anchor contains this alias to itself"),
        ("a: 1\n<<: 2\n", "f:2:5: `<<` merges a map or a list of maps"),
        ("? [a]\n: 1\n", "f:1:3: a key must be a scalar"),
        ("a: !!int x\n", "f:1:4: `x` is not a `!!int`"),
        ("a: \"\u{1}\"\n", "f:1:5: the control character U+0001 must be escaped in double quotes"),
        (nested.as_str(), "f:1:101: values nest deeper than 100"),
        (laughs.as_str(), "f:6:40: with its aliases, the text has more than 1000000 values"),
    ];
    for (text, expected) in cases {
        let error = read(text).unwrap_err();
        assert_eq!(format!("{}: {}", error.position, error.message), expected);
    }
}

#[test]
fn values_know_their_lines() {
    let text = "a:\n  - b\n  - c: d\ne:\n";
    let origin = Origin { file: "f".into(), lines: vec![10, 20, 30, 40] };
    let root = parse(text, &origin).unwrap().root;
    let Content::Map(entries) = root.content else { panic!("not a map") };
    let Content::List(items) = &entries[0].1.content else { panic!("not a list") };
    let places: Vec<String> = [&entries[0].0.position, &items[0].position, &items[1].position, &entries[1].1.position]
        .map(ToString::to_string)
        .into();
    assert_eq!(places, ["f:10:1", "f:20:5", "f:30:5", "f:40:1"]);
}

pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,8}",
        "[a-z \n\t:#-]{0,20}",
        any::<String>(),
        "[-+0-9.eExob_:]{1,8}",
        Just("yes".to_owned()),
        Just("null".to_owned()),
        Just("<<".to_owned()),
        Just("2024-01-02".to_owned()),
    ];
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("NaN is not equal to itself", |n| !n.is_nan()).prop_map(Value::Float),
        text.clone().prop_map(Value::String),
    ];
    scalar.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map(text.clone(), inner, 0..5).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in any_value()) {
        let mut text = "key:".to_owned();
        block(&mut text, &value, 0);
        let root = read(&text).map_err(|e| TestCaseError::fail(format!("{}: {}\n{text}", e.position, e.message)))?;
        let expected = Value::Map([("key".to_owned(), value)].into());
        prop_assert_eq!(root.to_value(Compat::Fixed), expected, "{}", text);
    }

    #[test]
    fn no_text_panics(text in "[-a-z0-9 \n\t:#&*!|>'\"%@`{}\\[\\],?<~.\\\\]{0,60}") {
        let _ = read(&text);
    }

    #[test]
    fn no_bytes_panic(text in any::<String>()) {
        let _ = read(&text);
    }
}
