use super::{get, parse};
use crate::{Value, matcher::MatchError};
use proptest::prelude::*;

const SAMPLE: &str = include_str!("../../../tests/matcher_cases/sample.json");

/// Recorded with Go's gjson by `tests/matcher_cases/generator`.
#[derive(serde::Deserialize)]
struct Case {
    path: String,
    error: Option<String>,
    #[serde(default)]
    value: serde_json::Value,
}

#[test]
fn agrees_with_go() {
    let sample = parse(SAMPLE).unwrap();
    let mut wrong = Vec::new();
    for line in include_str!("../../../tests/matcher_cases/paths.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let expected: Value = parse(&case.value.to_string()).unwrap().into();
        match (get(&sample, &case.path), &case.error) {
            (Ok(value), None) if value == expected => {}
            (Err(MatchError::JsonPath(_)), Some(_)) => {}
            (ours, _) => wrong.push(format!("{}: {ours:?}, not {line}", case.path)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_supported_is_an_error() {
    let sample = parse(SAMPLE).unwrap();
    for path in ["@dig:age", "friends.@group", "name.@tostr"] {
        assert!(matches!(get(&sample, path), Err(MatchError::JsonPathUnsupported { .. })), "{path}");
    }
}

#[test]
fn what_would_explode_is_an_error() {
    let sample = parse(SAMPLE).unwrap();
    let doubling = ["[@this,@this]"; 40].join("|");
    let nested = format!("{}age{}", "[".repeat(10_000), "]".repeat(10_000));
    let queries = format!("{}{}", "friends.#(".repeat(10_000), ")".repeat(10_000));
    let piped = "@this|".repeat(10_000);
    for path in [doubling, nested, piped] {
        assert!(matches!(get(&sample, &path), Err(MatchError::JsonPathUnsupported { .. })));
    }
    assert!(get(&sample, &queries).is_err());
}

proptest! {
    #[test]
    fn never_panics(path in r#"([a-z0-9.#|*?@!:,~=<>%"\\(){}\[\]]|name|friends|children|@reverse|@keys|@flatten|@join|@fromstr|é|#\(){0,16}"#) {
        // Any outcome will do; what is found is found again.
        let sample = parse(SAMPLE).unwrap();
        prop_assert_eq!(get(&sample, &path), get(&sample, &path));
    }
}
