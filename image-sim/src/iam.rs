//! IAM: what policies allow, what they refuse, and what of them nobody needed.
//!
//! Who has no policy may do everything. Who has one may do what it allows: every action of a call on every resource that
//! it is about must be allowed by a statement, and denied by none. Calls are evaluated before they take effect, dry runs
//! too.
//!
//! # Enforced
//! - Identity-based policies of access keys and roles: `Action`, `NotAction`, `Resource`, `NotResource` with wildcards,
//!   `Condition` with every operator but `IpAddress` and `Binary`; an explicit deny wins.
//! - The resources and condition keys that the Service Authorization Reference has for each simulated action, as far as
//!   the simulator has them; `ec2:CreateTags` of what is created with tags, and `iam:PassRole` of launches.
//!
//! # Not enforced
//! - Permission boundaries, session policies, service control policies, resource-based policies (keys of KMS, trust
//!   policies of roles, which trust everybody), and policy variables. Documents with variables, or with operators and
//!   condition keys that are not known, are refused rather than half obeyed.
//! - What AWS services ask on the caller's behalf: `kms:*` of encrypted volumes, snapshots and parameters.
//! - How EC2 answers calls about what is gone or never was: here it has no tags, and is denied where a policy wants some.
//! - Where the reference leaves open which keys a resource has, the simulator is the stricter: tags of a request are those
//!   of the kind of resource that is asked about, and options of metadata that a launch does not name have the values
//!   that it gets.

mod condition;
mod keys;
mod pattern;
mod policy;
mod request;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

pub use policy::{Policy, PolicyError};

use crate::call::Call;
use crate::cloud::Cloud;
use crate::error::{ApiError, Protocol};
use policy::Statement;
use request::Check;

/// How many denials are kept; the oldest go first.
const DENIALS_KEPT: usize = 10_000;

/// Who a policy is for.
///
/// As JSON: `{"access_key": "test"}`, `{"role": "arn:aws:iam::111122223333:role/builder"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Principal {
    /// The user whose access key this is: `test`.
    AccessKey(String),
    /// The sessions of a role, by the role's ARN.
    Role(String),
}

/// There is nobody whom a policy could be attached to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownPrincipal {
    /// No user has the access key.
    #[error("the simulator has no access key {0}")]
    AccessKey(String),
    /// The ARN names no role.
    #[error("{0} is no role: arn:aws:iam::ACCOUNT:role/NAME")]
    Role(String),
}

/// A call that was denied.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DeniedCall {
    /// When, by the simulated clock.
    pub time: String,
    /// The id that the reply had.
    pub request_id: String,
    /// Who called.
    pub principal: String,
    /// What was not allowed: `ec2:RunInstances`, or what goes with it, such as `iam:PassRole`.
    pub action: String,
    /// The ARN of what it was not allowed on, or `*`. What is yet to be created has `*` for an id.
    pub resource: String,
    /// The statement that denied it, as `POLICY/SID`; `None` when no statement allowed it.
    pub denied_by: Option<String>,
    /// The condition keys that it was evaluated with, in lower case.
    pub context: BTreeMap<String, Vec<String>>,
}

/// An action that a statement grants and that no call needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct UnusedAction {
    /// Who has the policy, as an ARN.
    pub principal: String,
    /// The policy's name.
    pub policy: String,
    /// The statement's `Sid`, or `Statement[N]`.
    pub statement: String,
    /// The action, `ec2:RunInstances`; as the policy has it where the simulator knows none of its actions.
    pub action: String,
    /// Whether the simulator has the action. It cannot tell whether others are needed.
    pub simulated: bool,
}

#[derive(Debug)]
struct Attached {
    name: String,
    policy: Policy,
    /// Statement and action of each grant that a call needed.
    used: BTreeSet<(usize, String)>,
}

/// The policies of everybody.
#[derive(Debug, Default)]
pub(crate) struct Iam(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By the ARN of the principal.
    attached: BTreeMap<String, Vec<Attached>>,
    denied: VecDeque<DeniedCall>,
    /// The roles of instance profiles that do not have the name of their role.
    roles: BTreeMap<String, String>,
}

/// What the policies of a principal say of one check.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// By these statements: the number of the policy and of the statement in it.
    Allowed(Vec<(usize, usize)>),
    /// By this statement, or by none that allows it.
    Denied(Option<String>),
}

impl Iam {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attaches a policy, or replaces the one of the principal that has its name.
    pub(crate) fn attach(&self, principal: String, name: String, policy: Policy) {
        let mut state = self.state();
        let policies = state.attached.entry(principal).or_default();
        policies.retain(|attached| attached.name != name);
        policies.push(Attached { name, policy, used: BTreeSet::new() });
    }

    /// Removes the policies of everybody, and what is known of their use.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.attached.clear();
        state.denied.clear();
    }

    pub(crate) fn add_role(&self, profile: String, role: String) {
        self.state().roles.insert(profile, role);
    }

    /// The role of an instance profile: the one of its name unless another was said.
    pub(crate) fn role_of(&self, profile: &str) -> String {
        self.state().roles.get(profile).cloned().unwrap_or_else(|| profile.to_owned())
    }

    pub(crate) fn denied(&self) -> Vec<DeniedCall> {
        self.state().denied.iter().cloned().collect()
    }

    pub(crate) fn unused(&self) -> Vec<UnusedAction> {
        let state = self.state();
        let mut unused = Vec::new();
        for (principal, policies) in &state.attached {
            for Attached { name, policy, used } in policies {
                for (index, statement) in policy.statements.iter().enumerate().filter(|(_, s)| s.allow) {
                    for (action, simulated) in granted(statement) {
                        if !used.contains(&(index, action.clone())) {
                            let (principal, policy) = (principal.clone(), name.clone());
                            let statement = statement.name.clone();
                            unused.push(UnusedAction { principal, policy, statement, action, simulated });
                        }
                    }
                }
            }
        }
        unused.sort();
        unused.dedup();
        unused
    }

    /// Whether the caller may do what it asks for.
    pub(crate) fn authorize(
        &self,
        cloud: &Cloud,
        service: &str,
        protocol: Protocol,
        call: &Call,
    ) -> Result<(), ApiError> {
        let principal = call.identity.principal();
        if !self.state().attached.contains_key(principal) {
            return Ok(());
        }
        let checks = request::checks(cloud, service, call)?;
        let mut state = self.state();
        let Some(policies) = state.attached.get_mut(principal) else { return Ok(()) };
        let mut used = Vec::new();
        for check in checks {
            match decide(policies, &check) {
                Decision::Allowed(by) => {
                    used.extend(by.into_iter().map(|(policy, statement)| (policy, (statement, check.action.clone()))));
                }
                // Who one is can always be asked.
                Decision::Denied(_) if check.action == "sts:GetCallerIdentity" => {}
                Decision::Denied(by) => {
                    let error = refusal(protocol, &call.identity.arn, &check, by.is_some());
                    if state.denied.len() == DENIALS_KEPT {
                        state.denied.pop_front();
                    }
                    state.denied.push_back(DeniedCall {
                        time: crate::log::time(call.now),
                        request_id: call.id.clone(),
                        principal: call.identity.arn.clone(),
                        action: check.action,
                        resource: check.resource,
                        denied_by: by,
                        context: check.context,
                    });
                    return Err(error);
                }
            }
        }
        for (policy, grant) in used {
            if let Some(attached) = policies.get_mut(policy) {
                attached.used.insert(grant);
            }
        }
        Ok(())
    }
}

impl Principal {
    /// The ARN that policies are kept under.
    pub(crate) fn arn(&self, cloud: &Cloud) -> Result<String, UnknownPrincipal> {
        match self {
            Self::AccessKey(id) => {
                cloud.identities.principal(id).ok_or_else(|| UnknownPrincipal::AccessKey(id.clone()))
            }
            Self::Role(arn) => {
                let role = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/"));
                match role {
                    Some((account, name)) if account.len() == 12 && !name.is_empty() => Ok(arn.clone()),
                    _ => Err(UnknownPrincipal::Role(arn.clone())),
                }
            }
        }
    }
}

/// A deny wins, then an allow; without either it is denied.
fn decide(policies: &[Attached], check: &Check) -> Decision {
    let mut allowed = Vec::new();
    for (number, attached) in policies.iter().enumerate() {
        for (index, statement) in attached.policy.statements.iter().enumerate() {
            if !statement.applies(&check.action, &check.resource, &check.context) {
                continue;
            }
            if !statement.allow {
                return Decision::Denied(Some(format!("{}/{}", attached.name, statement.name)));
            }
            allowed.push((number, index));
        }
    }
    if allowed.is_empty() { Decision::Denied(None) } else { Decision::Allowed(allowed) }
}

/// The actions that a statement grants, and whether the simulator knows them.
fn granted(statement: &Statement) -> Vec<(String, bool)> {
    let actions = &statement.actions;
    let known = table::actions().filter(|action| actions.contain(action, pattern::action_matches));
    let mut granted: Vec<_> = known.map(|action| (action.to_owned(), true)).collect();
    if !actions.not {
        let unknown = |pattern: &&String| !table::actions().any(|action| pattern::action_matches(pattern, action));
        granted.extend(actions.patterns.iter().filter(unknown).map(|pattern| (pattern.clone(), false)));
    }
    granted
}

/// The answer to a call that is denied, with the code of the service's protocol.
fn refusal(protocol: Protocol, caller: &str, check: &Check, explicit: bool) -> ApiError {
    let Check { action, resource, .. } = check;
    let because = match explicit {
        true => "with an explicit deny in an identity-based policy".to_owned(),
        false => format!("because no identity-based policy allows the {action} action"),
    };
    let message = format!("User: {caller} is not authorized to perform: {action} on resource: {resource} {because}");
    match protocol {
        Protocol::Ec2Query => {
            let message = format!("You are not authorized to perform this operation. {message}");
            ApiError::new("UnauthorizedOperation", message).with_status(403)
        }
        Protocol::Query | Protocol::RestXml => ApiError::new("AccessDenied", message).with_status(403),
        Protocol::Json => ApiError::new("AccessDeniedException", message),
        Protocol::RestJson => ApiError::new("AccessDeniedException", message).with_status(403),
    }
}
