//! Conditions: an operator, a key, and the values of the policy.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::pattern::{arn_matches, matches};
use super::policy::PolicyError;

/// The condition keys of one evaluation, in lower case, and their values.
pub(super) type Context = BTreeMap<String, Vec<String>>;

/// One key under one operator.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    /// In lower case.
    pub(super) key: String,
    set: Set,
    if_exists: bool,
    negated: bool,
    test: Test,
}

/// How several values of a key count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    One,
    Any,
    All,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Text {
        values: Vec<String>,
        like: bool,
        fold: bool,
    },
    Arn(Vec<String>),
    Number(&'static [Ordering], Vec<f64>),
    Time(&'static [Ordering], Vec<Timestamp>),
    Bool(Vec<bool>),
    /// Whether the key must be absent.
    Null(Vec<bool>),
}

/// What the names of comparisons end with: which orders hold, and whether they are turned around.
const ORDERS: [(&str, &[Ordering], bool); 6] = [
    ("Equals", &[Ordering::Equal], false),
    ("NotEquals", &[Ordering::Equal], true),
    ("LessThan", &[Ordering::Less], false),
    ("LessThanEquals", &[Ordering::Less, Ordering::Equal], false),
    ("GreaterThan", &[Ordering::Greater], false),
    ("GreaterThanEquals", &[Ordering::Greater, Ordering::Equal], false),
];

impl Condition {
    /// Reads `"OPERATOR": { "KEY": VALUES }`; `at` is where the operator stands.
    pub(super) fn parse(at: &str, operator: &str, key: &str, values: &Value) -> Result<Self, PolicyError> {
        let unknown = || PolicyError::UnknownOperator { at: at.to_owned(), operator: operator.to_owned() };
        let (set, name) = match operator.split_once(':') {
            None => (Set::One, operator),
            Some(("ForAnyValue", name)) => (Set::Any, name),
            Some(("ForAllValues", name)) => (Set::All, name),
            Some(_) => return Err(unknown()),
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let at = format!("{at}.{operator}.{key}");
        let texts = texts(&at, values)?;
        let (test, negated) = match name {
            "Null" if set == Set::One && !if_exists => (Test::Null(read(&at, texts, "true or false", boolean)?), false),
            "Bool" => (Test::Bool(read(&at, texts, "true or false", boolean)?), false),
            "StringEquals" | "StringNotEquals" => {
                (Test::Text { values: texts, like: false, fold: false }, name.contains("Not"))
            }
            "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => {
                (Test::Text { values: texts, like: false, fold: true }, name.contains("Not"))
            }
            "StringLike" | "StringNotLike" => {
                (Test::Text { values: texts, like: true, fold: false }, name.contains("Not"))
            }
            "ArnEquals" | "ArnLike" | "ArnNotEquals" | "ArnNotLike" => (Test::Arn(texts), name.contains("Not")),
            _ => {
                let order = |rest: &str| ORDERS.iter().find(|(name, ..)| *name == rest).ok_or_else(unknown);
                if let Some(rest) = name.strip_prefix("Numeric") {
                    let (_, orders, negated) = order(rest)?;
                    (Test::Number(orders, read(&at, texts, "a number", number)?), *negated)
                } else if let Some(rest) = name.strip_prefix("Date") {
                    let (_, orders, negated) = order(rest)?;
                    (
                        Test::Time(orders, read(&at, texts, "a date as in ISO 8601, or seconds since 1970", time)?),
                        *negated,
                    )
                } else {
                    return Err(unknown());
                }
            }
        };
        Ok(Self { key: key.to_ascii_lowercase(), set, if_exists, negated, test })
    }

    /// Whether it holds.
    pub(super) fn holds(&self, context: &Context) -> bool {
        let found = context.get(&self.key);
        if let Test::Null(wanted) = &self.test {
            return wanted.contains(&found.is_none());
        }
        let Some(found) = found else {
            return self.if_exists
                || match self.set {
                    Set::One => self.negated,
                    Set::Any => false,
                    Set::All => true,
                };
        };
        let holds = |value: &String| self.test.matches(value) != self.negated;
        match self.set {
            // Several values under an operator for one: none may be what is excluded.
            Set::One if self.negated => found.iter().all(holds),
            Set::One | Set::Any => found.iter().any(holds),
            Set::All => found.iter().all(holds),
        }
    }
}

impl Test {
    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Text { values, like: true, .. } => values.iter().any(|pattern| matches(pattern, value)),
            Self::Text { values, fold: true, .. } => {
                values.iter().any(|wanted| wanted.to_lowercase() == value.to_lowercase())
            }
            Self::Text { values, .. } => values.iter().any(|wanted| wanted == value),
            Self::Arn(patterns) => patterns.iter().any(|pattern| arn_matches(pattern, value)),
            Self::Number(orders, values) => number(value).is_some_and(|value| {
                values.iter().any(|wanted| value.partial_cmp(wanted).is_some_and(|order| orders.contains(&order)))
            }),
            Self::Time(orders, values) => {
                time(value).is_some_and(|value| values.iter().any(|wanted| orders.contains(&value.cmp(wanted))))
            }
            Self::Bool(values) => boolean(value).is_some_and(|value| values.contains(&value)),
            Self::Null(_) => false,
        }
    }
}

/// A value or a list of them. Numbers and booleans of JSON stand for their texts.
fn texts(at: &str, values: &Value) -> Result<Vec<String>, PolicyError> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(PolicyError::value(at, other, "a text, a number, a boolean or a list of them")),
    };
    let texts = match values {
        Value::Array(values) if values.is_empty() => {
            return Err(PolicyError::value(at, values_text(values), "at least one value"));
        }
        Value::Array(values) => values.iter().map(one).collect::<Result<Vec<_>, _>>()?,
        value => vec![one(value)?],
    };
    match texts.iter().find(|text| text.contains("${")) {
        Some(text) => Err(PolicyError::Variable { at: at.to_owned(), value: text.clone() }),
        None => Ok(texts),
    }
}

fn values_text(values: &[Value]) -> String {
    Value::from(values.to_vec()).to_string()
}

fn read<T>(
    at: &str,
    texts: Vec<String>,
    expected: &'static str,
    parse: fn(&str) -> Option<T>,
) -> Result<Vec<T>, PolicyError> {
    texts.into_iter().map(|text| parse(&text).ok_or_else(|| PolicyError::value(at, &text, expected))).collect()
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn time(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse() {
        return Timestamp::from_second(seconds).ok();
    }
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    text.parse().ok().or_else(|| day().map(|start| start.timestamp()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(operator: &str, values: Value, found: Option<&[&str]>) -> bool {
        let condition = Condition::parse("Condition", operator, "K", &values).unwrap();
        let found = found.map(|values| ("k".to_owned(), values.iter().map(|v| (*v).to_owned()).collect()));
        condition.holds(&found.into_iter().collect())
    }

    #[test]
    fn each_operator_both_ways() {
        let arn = "arn:aws:ec2:us-east-1:1:vpc/vpc-1";
        for (operator, values, yes, no) in [
            ("StringEquals", json!(["a", "b"]), "b", "B"),
            ("StringNotEquals", json!(["a", "b"]), "c", "a"),
            ("StringEqualsIgnoreCase", json!("Straße"), "straße", "strasse"),
            ("StringNotEqualsIgnoreCase", json!("A"), "b", "a"),
            ("StringLike", json!("a*c?"), "abcd", "abc"),
            ("StringNotLike", json!("a*"), "ba", "ab"),
            ("ArnEquals", json!(arn), arn, "arn:aws:ec2:us-east-1:1:vpc/vpc-2"),
            ("ArnLike", json!("arn:*:ec2:*:*:vpc/*"), arn, "arn:aws:ec2:us-east-1:1:subnet/s"),
            ("ArnNotEquals", json!("arn:aws:ec2:*:*:subnet/*"), arn, "arn:aws:ec2:us-east-1:1:subnet/s"),
            ("ArnNotLike", json!("arn:aws:ec2:*:*:subnet/*"), arn, "arn:aws:ec2:us-east-1:1:subnet/s"),
            ("NumericEquals", json!(8), "8.0", "9"),
            ("NumericNotEquals", json!("8"), "9", "8"),
            ("NumericLessThan", json!("8"), "7.5", "8"),
            ("NumericLessThanEquals", json!("8"), "8", "9"),
            ("NumericGreaterThan", json!("8"), "9", "8"),
            ("NumericGreaterThanEquals", json!("8"), "8", "7"),
            ("NumericEquals", json!("8"), "8", "eight"),
            ("DateEquals", json!("2026-01-01T00:00:00Z"), "1767225600", "1767225601"),
            ("DateNotEquals", json!("2026-01-01"), "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("DateLessThan", json!("2026-01-01T00:00:00Z"), "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"),
            ("DateGreaterThanEquals", json!(1_767_225_600), "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z"),
            ("Bool", json!(true), "True", "false"),
            ("Bool", json!("false"), "false", "true"),
        ] {
            assert!(holds(operator, values.clone(), Some(&[yes])), "{operator} {values} {yes}");
            assert!(!holds(operator, values.clone(), Some(&[no])), "{operator} {values} {no}");
        }
    }

    #[test]
    fn a_key_that_is_absent() {
        for (operator, values, expected) in [
            ("StringEquals", json!("a"), false),
            ("StringNotEquals", json!("a"), true),
            ("StringEqualsIfExists", json!("a"), true),
            ("StringNotEqualsIfExists", json!("a"), true),
            ("NumericLessThan", json!(1), false),
            ("NumericLessThanIfExists", json!(1), true),
            ("Bool", json!(false), false),
            ("Null", json!(true), true),
            ("Null", json!("false"), false),
            ("ForAnyValue:StringEquals", json!("a"), false),
            ("ForAnyValue:StringNotEquals", json!("a"), false),
            ("ForAllValues:StringEquals", json!("a"), true),
            ("ForAnyValue:StringEqualsIfExists", json!("a"), true),
        ] {
            assert_eq!(holds(operator, values.clone(), None), expected, "{operator} {values}");
        }
        assert!(!holds("Null", json!(true), Some(&["x"])));
        assert!(holds("Null", json!("false"), Some(&["x"])));
        assert!(!holds("StringEqualsIfExists", json!("a"), Some(&["b"])));
    }

    #[test]
    fn sets_of_values() {
        for (operator, found, expected) in [
            ("ForAnyValue:StringEquals", &["a", "x"][..], true),
            ("ForAnyValue:StringEquals", &["x", "y"], false),
            ("ForAllValues:StringEquals", &["a", "b"], true),
            ("ForAllValues:StringEquals", &["a", "x"], false),
            ("ForAnyValue:StringNotEquals", &["a", "x"], true),
            ("ForAnyValue:StringNotEquals", &["a", "b"], false),
            ("ForAllValues:StringNotEquals", &["x", "y"], true),
            ("ForAllValues:StringNotEquals", &["a", "x"], false),
            ("StringEquals", &["x", "a"], true),
            ("StringNotEquals", &["x", "a"], false),
        ] {
            assert_eq!(holds(operator, json!(["a", "b"]), Some(found)), expected, "{operator} {found:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (operator, values) in [
            ("StringEqual", json!("a")),
            ("IpAddress", json!("10.0.0.0/8")),
            ("ForSomeValues:StringEquals", json!("a")),
            ("ForAnyValue:Null", json!(true)),
            ("NullIfExists", json!(true)),
            ("NumericLike", json!(1)),
            ("Numeric", json!(1)),
            ("NumericEquals", json!("many")),
            ("Bool", json!("yes")),
            ("DateEquals", json!("tomorrow")),
            ("StringEquals", json!([])),
            ("StringEquals", json!({})),
            ("StringEquals", json!([null])),
            ("StringLike", json!("${aws:username}")),
        ] {
            let error = Condition::parse("Statement[0].Condition", operator, "K", &values).unwrap_err().to_string();
            assert!(error.starts_with("Statement[0].Condition"), "{operator}: {error}");
            assert!(error.contains(operator), "{operator}: {error}");
        }
    }
}
