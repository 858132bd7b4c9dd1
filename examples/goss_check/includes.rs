//! The `gossfile` section of a file that is added to, which stays as it is written while all else is written anew.

use image_test::Suite;
use serde_json::{Map, Value};

/// The entries of a `gossfile` section.
pub(crate) enum Includes {
    /// The lines of the section without its heading.
    Yaml(Vec<String>),
    Json(Map<String, Value>),
}

/// Parts a gossfile into what it says itself and its includes.
pub(crate) fn of_yaml(text: &str) -> Result<(String, Includes), String> {
    let (mut own, mut section) = (String::new(), vec![]);
    let mut inside = false;
    for line in text.lines() {
        if line.trim_end() == "gossfile:" {
            inside = true;
        } else if inside && (line.is_empty() || line.starts_with([' ', '#'])) {
            section.push(line.to_owned());
        } else {
            inside = false;
            own.push_str(line);
            own.push('\n');
        }
    }
    // Written in any other way, the section would be followed and lost.
    match own.contains("gossfile") {
        true => Err("the section `gossfile` has no line of its own; add to a file without it, and include that".into()),
        false => Ok((own, Includes::Yaml(section))),
    }
}

/// Parts a gossfile in JSON into what it says itself and its includes.
pub(crate) fn of_json(text: &str) -> Result<(String, Includes), String> {
    if text.trim().is_empty() {
        return Ok((String::new(), Includes::Json(Map::new())));
    }
    let mut sections: Map<String, Value> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let included = match sections.remove("gossfile") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(included)) => included,
        Some(_) => return Err("the section `gossfile` is no object".into()),
    };
    let own = if sections.is_empty() { String::new() } else { Value::Object(sections).to_string() };
    Ok((own, Includes::Json(included)))
}

impl Includes {
    /// Adds a path or pattern, which need not be there yet.
    pub(crate) fn add(&mut self, path: &str) -> Result<(), String> {
        match self {
            Self::Json(included) => {
                included.entry(path).or_insert_with(|| Value::Object(Map::new()));
            }
            Self::Yaml(lines) => {
                let key = serde_json::to_string(path).map_err(|e| e.to_string())?;
                let is_path = |line: &&String| {
                    let line = line.trim_start();
                    [path, &key, &format!("'{path}'")]
                        .iter()
                        .any(|key| line.strip_prefix(*key).is_some_and(|rest| rest == ":" || rest.starts_with(": ")))
                };
                if lines.iter().any(|line| is_path(&line)) {
                    return Ok(());
                }
                let first = lines.iter().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
                let indent = first.map_or(2, |line| line.len() - line.trim_start().len());
                let end = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
                lines.insert(end, format!("{:indent$}{key}: {{}}", ""));
            }
        }
        Ok(())
    }

    /// The gossfile with these resources and what it includes.
    pub(crate) fn with(self, suite: &Suite) -> Result<String, String> {
        match self {
            Self::Yaml(lines) if lines.is_empty() => Ok(suite.to_yaml()),
            Self::Yaml(lines) => Ok(format!("{}gossfile:\n{}\n", suite.to_yaml(), lines.join("\n").trim_end())),
            Self::Json(included) => {
                let mut json = suite.to_json();
                if let (Value::Object(sections), false) = (&mut json, included.is_empty()) {
                    sections.insert("gossfile".into(), Value::Object(included));
                }
                serde_json::to_string_pretty(&json).map(|text| text + "\n").map_err(|e| e.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_stays_as_it_is() {
        let text = "file:\n  /x: {exists: true}\ngossfile:\n    # ours\n    a.yaml: {skip: true}\n\ngroup:\n  x: {exists: true}\n";
        let (own, mut included) = of_yaml(text).unwrap();
        assert_eq!(own, "file:\n  /x: {exists: true}\ngroup:\n  x: {exists: true}\n");
        ["a.yaml", "d/*.yaml", "d/*.yaml"].into_iter().for_each(|path| included.add(path).unwrap());
        let expected = "gossfile:\n    # ours\n    a.yaml: {skip: true}\n    \"d/*.yaml\": {}\n";
        assert_eq!(included.with(&Suite::new()).unwrap(), expected);
    }

    #[test]
    fn a_section_without_a_line_of_its_own_is_refused() {
        for text in ["{gossfile: {a.yaml: {}}}", "gossfile: {a.yaml: {}}\n", "\"gossfile\":\n  a.yaml: {}\n"] {
            assert!(of_yaml(text).is_err(), "{text}");
        }
        assert!(of_json("{\"gossfile\": []}").is_err());
        assert!(of_json("[").is_err());
    }
}
