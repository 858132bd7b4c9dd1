use super::{RegexProblem, translate};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Recorded with Go's regexp by `tests/matcher_cases/generator`.
#[derive(serde::Deserialize)]
struct Case {
    pattern: String,
    error: Option<String>,
    #[serde(default)]
    matches: BTreeMap<String, Option<Vec<String>>>,
}

#[test]
fn agrees_with_go() {
    let mut wrong = Vec::new();
    for line in include_str!("../../../tests/matcher_cases/regexes.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let regex = match (translate(&case.pattern), &case.error) {
            (Ok(regex), None) => regex,
            (Err(_), Some(_)) => continue,
            // Known differences.
            (Err(error), None) if ["(?P<1>a)", "(?P<n>a)(?P<n>b)"].contains(&case.pattern.as_str()) => {
                assert!(matches!(error.problem, RegexProblem::GroupName(_)), "{error}");
                continue;
            }
            (ours, go) => {
                wrong.push(format!("{}: {ours:?}, not {go:?}", case.pattern));
                continue;
            }
        };
        for (text, expected) in &case.matches {
            let ours = regex
                .captures(text)
                .map(|found| found.iter().map(|group| group.map_or("", |m| m.as_str()).to_owned()).collect::<Vec<_>>());
            if &ours != expected {
                wrong.push(format!("{} on {text:?}: {ours:?}, not {expected:?}", case.pattern));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn refuses_what_would_explode() {
    let deep = format!("{}a{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(translate(&deep).unwrap_err().problem, RegexProblem::TooDeep);
    let deepest = format!("{}a{}", "(".repeat(super::MAX_DEPTH), ")*".repeat(super::MAX_DEPTH));
    assert!(translate(&deepest).unwrap().is_match("aa"));
    assert_eq!(translate(&r"\pL{1000}".repeat(30)).unwrap_err().problem, RegexProblem::TooLarge);
}

#[test]
fn errors_name_the_fault() {
    for (pattern, message) in [
        ("(?=a)", "regular expression `(?=a)`: unsupported group `(?=a`"),
        ("a{1001}", "`{1001}` repeats more than 1000 times"),
        ("a**", "`**` repeats a repetition"),
        (r"\C", r"invalid escape `\C`"),
        ("[z-a]", "invalid character class or range `z-a`"),
    ] {
        let error = translate(pattern).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

proptest! {
    #[test]
    fn never_panics(pattern in r"([a-z0-9\[\](){}?*+|^$.,:&~\\-]|\\[A-Za-z]|\(\?[imsU-]{0,2}:?|\[\[:alpha:\]|\PC){0,20}", text in "\\PC*") {
        if let Ok(regex) = translate(&pattern) {
            regex.is_match(&text);
        }
    }

    /// Go does not normalize what it takes literally, and neither may the translation.
    #[test]
    fn quoted_text_is_literal(text in "\\PC*") {
        let quoted = format!(r"^\Q{text}\E$");
        if !text.contains(r"\E") && !text.ends_with('\\') {
            prop_assert!(translate(&quoted).unwrap().is_match(&text));
        }
    }
}
