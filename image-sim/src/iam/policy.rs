//! Policy documents: read whole, or refused with the place of what is wrong.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::condition::{Condition, Context};
use super::pattern::{action_matches, arn_matches};
use super::{keys, table};

/// An identity-based policy.
///
/// Everything in it is enforced. What the simulator cannot enforce is refused when the policy is read: elements,
/// operators and condition keys that it does not know, and policy variables (`${...}`). Statements that are only about
/// services which are not simulated, such as `kms:*`, are never asked and may have any keys.
///
/// ```
/// let policy: image_sim::iam::Policy = r#"{
///     "Version": "2012-10-17",
///     "Statement": { "Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*" }
/// }"#
/// .parse()?;
/// # let _ = policy;
/// # Ok::<(), image_sim::iam::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) statements: Vec<Statement>,
}

/// Why a policy is not accepted. `at` is where: `Statement[2].Condition.StringEqual`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// It is not JSON.
    #[error("the policy is not JSON: {0}")]
    Syntax(String),
    /// An element has a value that it cannot have.
    #[error("{at}: {value} is not {expected}")]
    Value {
        /// Where.
        at: String,
        /// What stands there.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// An element that policies of identities do not have.
    #[error("{at}: unknown element; known are {known}")]
    UnknownElement {
        /// Where.
        at: String,
        /// What is accepted.
        known: String,
    },
    /// An element that must be there, once.
    #[error("{at}: needs exactly one of {elements}")]
    Missing {
        /// Where.
        at: String,
        /// Which.
        elements: &'static str,
    },
    /// An operator of conditions that AWS or the simulator does not have.
    #[error("{at}: the simulator has no condition operator {operator}")]
    UnknownOperator {
        /// Where.
        at: String,
        /// Which.
        operator: String,
    },
    /// A condition key that the simulator does not fill in.
    #[error("{at}: the simulator does not fill in the condition key {key}; it has {known}")]
    UnknownKey {
        /// Where.
        at: String,
        /// Which.
        key: String,
        /// Those that it fills in.
        known: String,
    },
    /// A policy variable.
    #[error("{at}: the simulator has no policy variables: {value}")]
    Variable {
        /// Where.
        at: String,
        /// What stands there.
        value: String,
    },
}

impl PolicyError {
    pub(super) fn value(at: &str, value: impl ToString, expected: &'static str) -> Self {
        Self::Value { at: at.to_owned(), value: value.to_string(), expected }
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    /// The `Sid`, or `Statement[N]`.
    pub(super) name: String,
    pub(super) allow: bool,
    pub(super) actions: Patterns,
    resources: Patterns,
    conditions: Vec<Condition>,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Patterns {
    pub(super) not: bool,
    pub(super) patterns: Vec<String>,
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let value = serde_json::from_str(text).map_err(|error| PolicyError::Syntax(error.to_string()))?;
        Self::from_json(&value)
    }
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// [`PolicyError`], with the place of what is wrong.
    pub fn from_json(document: &Value) -> Result<Self, PolicyError> {
        let policy = object("the policy", document)?;
        only("the policy", policy, &["Version", "Id", "Statement"])?;
        if let Some(version) = policy.get("Version")
            && !matches!(version.as_str(), Some("2012-10-17" | "2008-10-17"))
        {
            return Err(PolicyError::value("Version", version, "\"2012-10-17\" or \"2008-10-17\""));
        }
        let statements = match policy.get("Statement") {
            Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            Some(other) => return Err(PolicyError::value("Statement", other, "a statement or a list of them")),
            None => return Err(PolicyError::Missing { at: "the policy".to_owned(), elements: "Statement" }),
        };
        let statements: Vec<_> = statements.into_iter().enumerate().map(Statement::parse).collect::<Result<_, _>>()?;
        let mut names = BTreeSet::new();
        match statements.iter().find(|statement| !names.insert(&statement.name)) {
            Some(twice) => Err(PolicyError::value("Statement", &twice.name, "a Sid that no other statement has")),
            None => Ok(Self { statements }),
        }
    }
}

impl Statement {
    fn parse((index, value): (usize, &Value)) -> Result<Self, PolicyError> {
        let at = format!("Statement[{index}]");
        let statement = object(&at, value)?;
        let known = ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"];
        only(&at, statement, &known)?;
        let name = match statement.get("Sid") {
            None => at.clone(),
            Some(Value::String(sid)) if !sid.is_empty() && sid.chars().all(|c| c.is_ascii_alphanumeric()) => {
                sid.clone()
            }
            Some(other) => return Err(PolicyError::value(&format!("{at}.Sid"), other, "letters and digits")),
        };
        let allow = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => {
                let effect = statement.get("Effect").unwrap_or(&Value::Null);
                return Err(PolicyError::value(&format!("{at}.Effect"), effect, "\"Allow\" or \"Deny\""));
            }
        };
        let actions = Patterns::parse(&at, statement, ["Action", "NotAction"], "Action and NotAction", is_action)?;
        let resources =
            Patterns::parse(&at, statement, ["Resource", "NotResource"], "Resource and NotResource", is_resource)?;
        let mut conditions = Vec::new();
        if let Some(all) = statement.get("Condition") {
            let at = format!("{at}.Condition");
            for (operator, all) in object(&at, all)? {
                for (key, values) in object(&format!("{at}.{operator}"), all)? {
                    let condition = Condition::parse(&at, operator, key, values)?;
                    if actions.simulated() && !keys::known(&condition.key) {
                        let (at, key) = (format!("{at}.{operator}"), key.clone());
                        return Err(PolicyError::UnknownKey { at, key, known: keys::list() });
                    }
                    conditions.push(condition);
                }
            }
        }
        Ok(Self { name, allow, actions, resources, conditions })
    }

    /// Whether it is about this action on this resource.
    pub(super) fn applies(&self, action: &str, resource: &str, context: &Context) -> bool {
        self.actions.contain(action, action_matches)
            && self.resources.contain(resource, arn_matches)
            && self.conditions.iter().all(|condition| condition.holds(context))
    }
}

impl Patterns {
    fn parse(
        at: &str,
        statement: &Map<String, Value>,
        names: [&str; 2],
        elements: &'static str,
        accepts: fn(&str) -> Option<&'static str>,
    ) -> Result<Self, PolicyError> {
        let mut found = names.iter().filter_map(|name| Some((*name, statement.get(*name)?)));
        let (Some((name, value)), None) = (found.next(), found.next()) else {
            return Err(PolicyError::Missing { at: at.to_owned(), elements });
        };
        let at = format!("{at}.{name}");
        let values = match value {
            Value::Array(values) if !values.is_empty() => values.iter().collect(),
            value => vec![value],
        };
        let mut patterns = Vec::new();
        for value in values {
            let text = value.as_str().ok_or_else(|| PolicyError::value(&at, value, "a text or a list of texts"))?;
            if text.contains("${") {
                return Err(PolicyError::Variable { at, value: text.to_owned() });
            }
            if let Some(expected) = accepts(text) {
                return Err(PolicyError::value(&at, text, expected));
            }
            patterns.push(text.to_owned());
        }
        Ok(Self { not: name.starts_with("Not"), patterns })
    }

    /// Whether it is about a text.
    pub(super) fn contain(&self, text: &str, matches: fn(&str, &str) -> bool) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern, text)) != self.not
    }

    /// Whether any of these actions can be one of a service that is simulated.
    fn simulated(&self) -> bool {
        let simulated = |pattern: &String| {
            let service = pattern.split(':').next().unwrap_or_default();
            table::SERVICES.iter().any(|known| action_matches(service, known))
        };
        self.not || self.patterns.iter().any(simulated)
    }
}

/// What an action must be, where a text is none.
fn is_action(text: &str) -> Option<&'static str> {
    let fits = text == "*"
        || text
            .split_once(':')
            .is_some_and(|(service, action)| !service.is_empty() && !action.is_empty() && !action.contains(':'));
    (!fits).then_some("an action such as ec2:RunInstances or *")
}

/// What a resource must be, where a text is none.
fn is_resource(text: &str) -> Option<&'static str> {
    let fits = text == "*" || text.starts_with("arn:");
    (!fits).then_some("an ARN or *")
}

fn object<'a>(at: &str, value: &'a Value) -> Result<&'a Map<String, Value>, PolicyError> {
    value.as_object().ok_or_else(|| PolicyError::value(at, value, "an object"))
}

fn only(at: &str, object: &Map<String, Value>, known: &[&str]) -> Result<(), PolicyError> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(PolicyError::UnknownElement { at: format!("{at}: {name}"), known: known.join(", ") }),
        None => Ok(()),
    }
}
