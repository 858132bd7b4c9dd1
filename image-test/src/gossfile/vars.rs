//! Template variables.

use super::{Fault, GossfileError};
use crate::{
    Compat, Position, Value,
    yaml::{Origin, parse},
};
use std::collections::BTreeMap;

/// Reads variables: JSON where the text is JSON, else YAML.
pub(super) fn read(text: &str, name: &str, compat: Compat) -> Result<BTreeMap<String, Value>, GossfileError> {
    let value = match serde_json::from_str::<Value>(text) {
        Ok(value) if compat == Compat::Goss => as_floats(value),
        Ok(value) => value,
        Err(_) => parse(text, &Origin::verbatim(name, text))?.root.to_value(compat),
    };
    match value {
        Value::Map(vars) => Ok(vars),
        Value::Null => Ok(BTreeMap::new()),
        _ => {
            let fault = Fault::Setting {
                what: "the text".into(),
                found: "a list or scalar".into(),
                accepted: "a map of variables",
            };
            Err(GossfileError::at(&Position::new(name, 1, 1), fault))
        }
    }
}

/// Go reads all numbers of JSON as floats, and prints large ones as such.
fn as_floats(value: Value) -> Value {
    match value {
        Value::Int(number) => Value::Float(number as f64),
        Value::List(items) => Value::List(items.into_iter().map(as_floats).collect()),
        Value::Map(entries) => Value::Map(entries.into_iter().map(|(key, value)| (key, as_floats(value))).collect()),
        value => value,
    }
}

/// Merges maps into maps; anything else replaces what was, be it empty or not.
pub(super) fn merge(into: &mut BTreeMap<String, Value>, from: BTreeMap<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Map(old)), Value::Map(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What mergo v1.0.2 makes of `k` in a first and a second file with `mergo.WithOverride`.
    #[test]
    fn merges_as_mergo_does() {
        let recording = include_str!("../../tests/gossfile_cases/mergo.tsv");
        assert!(recording.lines().count() > 200);
        for case in recording.lines() {
            let mut columns = case.split('\t');
            let mut column = || columns.next().unwrap();
            let (first, second, expected) = (column(), column(), column());
            let map = |text: &str| match text {
                "absent" => BTreeMap::new(),
                text => read(&format!("k: {text}"), "vars", Compat::Fixed).unwrap(),
            };
            let mut vars = map(first);
            merge(&mut vars, map(second));
            assert_eq!(Value::Map(vars), serde_json::from_str::<Value>(expected).unwrap(), "{case}");
        }
    }

    #[test]
    fn numbers_of_json_are_floats_in_go() {
        let vars = |text, compat| read(text, "vars", compat).unwrap()["a"].clone();
        assert_eq!(vars("{\"a\": 1}", Compat::Goss), Value::Float(1.0));
        assert_eq!(vars("{\"a\": 1}", Compat::Fixed), Value::Int(1));
        assert_eq!(vars("{a: 1}", Compat::Goss), Value::Int(1));
        assert_eq!(
            read("[1]", "vars", Compat::Fixed).unwrap_err().to_string(),
            "vars:1:1: the text is a list or scalar; accepted: a map of variables"
        );
    }
}
