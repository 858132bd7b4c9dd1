//! What two looks at systems found different.

use crate::{Facts, Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, fmt};

/// One thing that two looks found different.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Drift {
    /// The section of a gossfile that it would be tested in: `file`, `package`.
    pub section: String,
    /// What was looked at.
    pub key: String,
    /// What of it differs; none where the whole thing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was found first; none where it was not looked for.
    pub before: Option<Value>,
    /// What was found then; none where it was not looked for.
    pub after: Option<Value>,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { section, key, field, before, after } = self;
        write!(f, "{section} {key}: ")?;
        if let Some(field) = field {
            write!(f, "{field}: ")?;
        }
        let octal = field.as_deref() == Some("mode");
        write!(f, "{} -> {}", Shown { value: before.as_ref(), octal }, Shown { value: after.as_ref(), octal })
    }
}

/// A fact in words, and no more of it than fits a line.
struct Shown<'a> {
    value: Option<&'a Value>,
    octal: bool,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 120;
        let Some(value) = self.value else {
            return f.write_str("not looked for");
        };
        match value {
            Value::Null => return f.write_str("absent"),
            Value::Number(mode) if self.octal => {
                return match mode.as_u64() {
                    Some(mode) => write!(f, "{mode:04o}"),
                    None => write!(f, "{mode}"),
                };
            }
            Value::Object(map) => {
                for (state, words) in [("unknown", "unknown"), ("not-applicable", "not applicable")] {
                    if let (Some(Value::String(why)), 1) = (map.get(state), map.len()) {
                        return write!(f, "{words} ({why})");
                    }
                }
            }
            _ => {}
        }
        let text = value.to_string();
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => write!(f, "{}… ({} bytes)", &text[..end], text.len()),
            None => f.write_str(&text),
        }
    }
}

/// What differs between two looks, sorted by section, key and field.
///
/// A change to or from unknown is a difference too: what could be seen before and cannot now is worth a look.
pub fn diff(before: &Facts, after: &Facts) -> Vec<Drift> {
    let mut drifts = vec![];
    for ((kind, before), (_, after)) in sections(before).into_iter().zip(sections(after)) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            compare(kind.section(), key, before.get(key).map(known), after.get(key).map(known), &mut drifts);
        }
    }
    drifts
}

fn compare(section: &str, key: &str, before: Option<Value>, after: Option<Value>, drifts: &mut Vec<Drift>) {
    let mut push = |field: Option<&String>, before: Option<Value>, after: Option<Value>| {
        if before != after {
            drifts.push(Drift { section: section.into(), key: key.into(), field: field.cloned(), before, after });
        }
    };
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) if same_shape(&before, &after) => {
            let fields: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for field in fields {
                push(Some(field), before.get(field).map(known), after.get(field).map(known));
            }
        }
        (before, after) => push(None, before, after),
    }
}

/// Whether two objects are facts of one thing, and not two states of knowledge or two endings of a command.
fn same_shape(before: &Map<String, Value>, after: &Map<String, Value>) -> bool {
    let tag = |map: &Map<String, Value>| match map.len() {
        1 => map.keys().next().cloned(),
        _ => None,
    };
    tag(before) == tag(after)
}

/// What is known, without the word that says so.
fn known(fact: &Value) -> Value {
    match fact {
        Value::Object(map) if map.len() == 1 => {
            // A command's end is tagged like a fact.
            let inner = map.get("known").or_else(|| map.get("Exited"));
            inner.map_or_else(|| fact.clone(), known)
        }
        other => other.clone(),
    }
}

/// The maps of the facts, under the names that gossfiles give them.
fn sections(facts: &Facts) -> Vec<(Kind, Map<String, Value>)> {
    let Facts { format: _, addrs, commands, dns, files, groups, http, interfaces, kernel_params, .. } = facts;
    let Facts { mounts, packages, ports, processes, services, users, .. } = facts;
    let sections = [
        (Kind::Addr, json!(addrs)),
        (Kind::Command, json!(commands)),
        (Kind::Dns, json!(dns)),
        (Kind::File, json!(files)),
        (Kind::Group, json!(groups)),
        (Kind::Http, json!(http)),
        (Kind::Interface, json!(interfaces)),
        (Kind::KernelParam, json!(kernel_params)),
        (Kind::Mount, json!(mounts)),
        (Kind::Package, json!(packages)),
        (Kind::Port, json!(ports)),
        (Kind::Process, json!(processes)),
        (Kind::Service, json!(services)),
        (Kind::User, json!(users)),
    ];
    let map = |value| match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    sections.into_iter().map(|(kind, value)| (kind, map(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Fact,
        facts::{CommandResult, GroupFacts, ServiceFacts, UserFacts},
    };

    fn system() -> Facts {
        let mut facts = Facts::default();
        facts.packages.insert("bash".into(), Fact::Known(vec!["5.1".into()]));
        facts.groups.insert("adm".into(), Fact::Known(Some(GroupFacts { gid: 4 })));
        let user = UserFacts { uid: 1, gid: 1, home: "/".into(), groups: vec!["adm".into()], shell: "/bin/sh".into() };
        facts.users.insert("bin".into(), Fact::Known(Some(user)));
        let service =
            ServiceFacts { enabled: Fact::Known(true), running: Fact::Known(true), runlevels: Fact::Known(vec![]) };
        facts.services.insert("cron".into(), service);
        let exited = CommandResult::Exited { status: 0, stdout: "a\n".into(), stderr: "".into() };
        facts.commands.insert("run".into(), Fact::Known(exited));
        facts
    }

    #[test]
    fn each_difference_is_named() {
        let (before, mut after) = (system(), system());
        assert_eq!(diff(&before, &after), []);
        after.packages.insert("bash".into(), Fact::Known(vec!["5.2".into()]));
        after.packages.insert("vim".into(), Fact::Known(vec![]));
        after.groups.insert("adm".into(), Fact::Known(None));
        if let Some(Fact::Known(Some(user))) = after.users.get_mut("bin") {
            (user.shell, user.groups) = ("/bin/false".into(), vec![]);
        }
        if let Some(service) = after.services.get_mut("cron") {
            service.running = Fact::Unknown("systemctl is not there".into());
        }
        after.commands.insert("run".into(), Fact::Known(CommandResult::TimedOut));
        let text: Vec<_> = diff(&before, &after).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(text.join("\n"), @r#"
        command run: {"status":0,"stderr":"","stdout":"a\n"} -> "TimedOut"
        group adm: {"gid":4} -> absent
        package bash: ["5.1"] -> ["5.2"]
        package vim: not looked for -> []
        service cron: running: true -> unknown (systemctl is not there)
        user bin: groups: ["adm"] -> []
        user bin: shell: "/bin/sh" -> "/bin/false"
        "#);
    }

    #[test]
    fn long_texts_are_cut_and_modes_are_octal() {
        let drift = |field: &str, before: Value, after| Drift {
            section: "file".into(),
            key: "/x".into(),
            field: Some(field.into()),
            before: Some(before),
            after,
        };
        assert_eq!(drift("mode", json!(0o644), Some(json!(0o4755))).to_string(), "file /x: mode: 0644 -> 4755");
        let text = drift("contents", json!("é".repeat(500)), None).to_string();
        assert!(text.ends_with("é… (1002 bytes) -> not looked for") && text.len() < 400, "{text}");
    }

    #[test]
    fn a_report_survives_json() {
        let (before, mut after) = (system(), system());
        after.packages.clear();
        let drifts = diff(&before, &after);
        let json = serde_json::to_string(&drifts).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Drift>>(&json).unwrap(), drifts);
    }
}
