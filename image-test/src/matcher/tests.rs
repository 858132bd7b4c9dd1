use super::*;
use proptest::prelude::*;
use serde_json::Value as Json;

/// Recorded with goss 0.4.10 by `tests/matcher_cases/generator`.
#[derive(serde::Deserialize)]
struct Case {
    kind: String,
    matcher: Value,
    actual: Value,
    outcome: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    expected: Json,
    #[serde(default)]
    missing: Json,
    #[serde(default)]
    found: Json,
    #[serde(default)]
    extra: Json,
    #[serde(default)]
    transforms: Json,
    shown: Option<Json>,
}

fn decide(case: &Case, compat: Compat) -> Result<Match, MatchError> {
    let matcher = Matcher::from_value(&case.matcher);
    match (case.kind.as_str(), &case.actual) {
        ("value", actual) => matcher.matches(actual, compat),
        ("strings", Value::List(list)) => {
            let strings = list.iter().map(|item| match item {
                Value::String(text) => text.clone(),
                other => panic!("{other:?}"),
            });
            matcher.matches_strings(&strings.collect::<Vec<_>>(), compat)
        }
        ("text", Value::String(text)) => matcher.matches_text(text.as_bytes(), compat),
        other => panic!("{other:?}"),
    }
}

/// JSON with every number a floating-point one, as Go and Rust do not write `10.0` alike.
fn plain(json: &Json) -> Json {
    match json {
        Json::Number(number) => number.as_f64().map_or(Json::Null, |number| format!("{number}").into()),
        Json::Array(list) => list.iter().map(plain).collect(),
        Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        other => other.clone(),
    }
}

fn differs(ours: &impl serde::Serialize, go: &Json) -> bool {
    let ours = serde_json::to_value(ours).unwrap();
    // Go's absent list is null, and so is what JSON cannot tell.
    let go = if go.is_null() && ours.is_array() { Json::Array(vec![]) } else { go.clone() };
    plain(&ours) != plain(&go)
}

#[test]
fn agrees_with_goss() {
    let mut wrong = Vec::new();
    for line in include_str!("../../tests/matcher_cases/matchers.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let ours = decide(&case, Compat::Goss);
        let problem = match (&ours, case.outcome.as_str()) {
            // Where goss panics there is an error.
            (Err(_), "error" | "panic") => None,
            (Ok(ours), "pass") if ours.passed => None,
            (Ok(ours), "fail") if !ours.passed => [
                ("message", ours.message != case.message),
                ("expected", differs(&ours.expected, &case.expected)),
                ("missing", differs(&ours.missing, &case.missing)),
                ("found", differs(&ours.found, &case.found)),
                ("extra", differs(&ours.extra, &case.extra)),
                ("transforms", differs(&ours.transforms, &case.transforms)),
                ("shown", case.shown.as_ref().is_some_and(|shown| differs(&ours.actual, shown))),
            ]
            .into_iter()
            .find_map(|(name, differs)| differs.then_some(name)),
            _ => Some("outcome"),
        };
        if let Some(problem) = problem {
            wrong.push(format!("{problem}: {line}\n    ours: {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn fixed_differs_from_goss_only_where_goss_is_wrong() {
    for (matcher, actual, kind, goss, fixed) in [
        (r#"{"equal": 10}"#, "10.0", "value", Ok(false), Ok(true)),
        (r#"{"equal": ["1"]}"#, r#"["1"]"#, "strings", Ok(false), Ok(true)),
        (r#"["/FOO/i"]"#, r#""foo""#, "text", Ok(false), Ok(true)),
        (r#"{"equal": "10"}"#, "10", "value", Ok(false), Ok(false)),
        ("true", r#""true""#, "value", Ok(false), Ok(false)),
        (r#"{"not": {"xml": {"xpath": "1", "result": "2"}}}"#, r#""<a/>""#, "value", Err(()), Ok(true)),
        (r#"{"not": {"match-regexp": "("}}"#, "1", "value", Err(()), Err(())),
    ] {
        let case = serde_json::from_value(serde_json::json!({
            "kind": kind,
            "matcher": serde_json::from_str::<Json>(matcher).unwrap(),
            "actual": serde_json::from_str::<Json>(actual).unwrap(),
            "outcome": "",
        }))
        .unwrap();
        for (compat, expected) in [(Compat::Goss, goss), (Compat::Fixed, fixed)] {
            let ours = decide(&case, compat).map(|outcome| outcome.passed).map_err(|_| ());
            assert_eq!(ours, expected, "{matcher} on {actual}, {compat:?}");
        }
    }
}

#[test]
fn what_is_not_utf8_is_still_matched() {
    let matches = |matcher: Matcher| matcher.matches_text(b"a\xff\xfe\n", Compat::Fixed).unwrap().passed;
    assert!(matches(Matcher::HaveLen(4)));
    assert!(matches(Matcher::MatchRegexp("^a..\n$".into())));
    assert!(matches(Matcher::Has(vec!["/^a..$/".into()])));
    assert!(!matches("a".into()));
}

#[test]
fn errors_say_what_was_found() {
    let error = Matcher::HaveLen(1).matches(&Value::Int(7), Compat::Fixed).unwrap_err();
    assert_eq!(error.to_string(), "have-len: expected a string, list or map, found the number \"7\"");
    let error = Matcher::from_value(&form::named("have-lenght", 1.into())).matches(&Value::Null, Compat::Fixed);
    assert_eq!(error.unwrap_err().to_string(), "Syntax Error: Unknown matcher: have-lenght");
}

#[test]
fn nesting_ends() {
    let mut value = Value::Bool(true);
    let mut matcher = Matcher::from_value(&value);
    for _ in 0..500 {
        value = form::named("not", value);
        matcher = Matcher::Not(matcher.into());
    }
    assert!(matches!(Matcher::from_value(&value), Matcher::Invalid(_)));
    assert!(matches!(matcher.matches(&value, Compat::Goss), Err(MatchError::TooDeep { .. })));
}

#[test]
fn many_elements_take_no_exponential_time() {
    let list: Value = (0..300).map(|n| format!("element {n}")).collect::<Vec<_>>().into();
    let any = Matcher::MatchRegexp("^element [0-9]+$".into());
    assert!(Matcher::ConsistOf(vec![any.clone(); 300]).matches(&list, Compat::Fixed).unwrap().passed);
    let report = Matcher::ConsistOf(vec![any; 301]).matches(&list, Compat::Fixed).unwrap();
    assert_eq!((report.passed, report.missing.len(), report.found.len()), (false, 1, 300));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("is equal to itself", |float| !float.is_nan()).prop_map(Value::from),
        "[a-z0-9./!\\\\\"{}\\[\\]:<>= \n-]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map("[a-z]{0,3}", inner, 0..4).prop_map(Value::Map),
        ]
    })
}

fn matchers() -> impl Strategy<Value = Matcher> {
    let text = || "[a-z0-9.*+?()|!/\\\\\\[\\]{}<>= -]{0,10}";
    let number = || prop_oneof![any::<i64>().prop_map(Value::from), (-1e9..1e9).prop_map(Value::from)];
    let comparison =
        prop_oneof![Just(Comparison::Ge), Just(Comparison::Gt), Just(Comparison::Le), Just(Comparison::Lt)];
    let leaf = prop_oneof![
        text().prop_map(Matcher::from),
        any::<bool>().prop_map(Matcher::from),
        number().prop_map(Matcher::Is),
        values().prop_map(Matcher::Equal),
        text().prop_map(Matcher::HavePrefix),
        text().prop_map(Matcher::HaveSuffix),
        text().prop_map(Matcher::ContainSubstring),
        text().prop_map(Matcher::MatchRegexp),
        text().prop_map(Matcher::SemverConstraint),
        (comparison, number()).prop_map(|(comparison, number)| Matcher::Numeric(comparison, number)),
        any::<i64>().prop_map(Matcher::HaveLen),
        prop::collection::vec(text(), 0..3).prop_map(Matcher::HavePatterns),
        (text(), text()).prop_map(|(xpath, result)| Matcher::Xml { xpath, result }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..4);
        let element = inner.clone().prop_filter("contain-element takes no bare list or boolean", |matcher| {
            !matches!(matcher, Matcher::Has(_) | Matcher::Is(Value::Bool(_)))
        });
        prop_oneof![
            list().prop_map(Matcher::Has),
            element.prop_map(|matcher| Matcher::ContainElement(matcher.into())),
            list().prop_map(Matcher::ContainElements),
            list().prop_map(Matcher::ConsistOf),
            inner.clone().prop_map(|matcher| Matcher::HaveKey(matcher.into())),
            inner.clone().prop_map(|matcher| Matcher::Not(matcher.into())),
            list().prop_map(Matcher::And),
            list().prop_map(Matcher::Or),
            prop::collection::btree_map("[a-z.#@*|]{0,6}", inner.clone(), 0..3).prop_map(Matcher::Gjson),
        ]
    })
}

proptest! {
    #[test]
    fn a_matcher_survives_being_written(matcher in matchers()) {
        prop_assert_eq!(Matcher::from_value(&matcher.to_value()), matcher);
    }

    #[test]
    fn any_value_means_a_matcher(value in values(), actual in values()) {
        let matcher = Matcher::from_value(&value);
        if !matches!(matcher, Matcher::Invalid(_)) {
            prop_assert_eq!(Matcher::from_value(&matcher.to_value()), matcher);
        } else {
            prop_assert!(matcher.matches(&actual, Compat::Goss).is_err());
        }
    }

    /// Whatever is tried on whatever: the same outcome each time, and the opposite of its negation.
    #[test]
    fn not_reverses_all_but_errors(matcher in matchers(), actual in values(), text in any::<Vec<u8>>()) {
        let not = Matcher::Not(matcher.clone().into());
        for compat in [Compat::Fixed, Compat::Goss] {
            let passed = |outcome: Result<Match, MatchError>| outcome.map(|outcome| outcome.passed);
            let straight = passed(matcher.matches(&actual, compat));
            prop_assert_eq!(passed(not.matches(&actual, compat)), straight.map(|passed| !passed));
            let text = matcher.matches_text(&text, compat);
            prop_assert!(text.is_err() || text.is_ok_and(|outcome| !outcome.message.is_empty()));
        }
    }
}
