//! Holding what is expected against what is known. No system is touched here.

mod actual;
mod outcome;
mod quirks;

use crate::{Attribute, Compat, Expectation, Facts, Matcher, Resource, Suite, Target, Value};
use actual::Actual;

pub use outcome::{Finding, Outcome};
pub(crate) use quirks::listeners;

/// Holds a suite against facts: one outcome for each expectation, in the order of the suite.
///
/// A resource whose first expectation fails, or holds of a thing that is not there, has its others skipped; services and
/// commands do not. With [`Compat::Fixed`] what could not be told stays unknown; with [`Compat::Goss`] it fails, as it
/// does under goss.
pub fn evaluate(suite: &Suite, facts: &Facts, compat: Compat) -> Vec<Outcome> {
    suite.resources().flat_map(|resource| evaluate_resource(resource, facts, compat)).collect()
}

/// Holds one resource against facts.
pub(crate) fn evaluate_resource(resource: &Resource, facts: &Facts, compat: Compat) -> Vec<Outcome> {
    let kind = resource.kind();
    let mut skip = resource.skip;
    let mut outcomes = vec![];
    for (index, attribute) in kind.attributes().iter().copied().enumerate() {
        let first = index == 0 && kind.requires_first();
        let expectation = resource.expectations.iter().find(|expectation| expectation.attribute == attribute);
        let finding = match expectation {
            Some(expectation) if asserts_nothing(expectation) => continue,
            None if !first => continue,
            _ if skip => Finding::Skip,
            None => Finding::Error("Syntax Error: Missing required attribute".into()),
            Some(expectation) => look(resource, expectation, facts, compat),
        };
        skip |= first && kind.skips_after_first() && ends_the_look(&finding);
        let position = expectation.and_then(|e| e.position.clone()).or_else(|| resource.position.clone());
        outcomes.push(Outcome::new(resource, attribute, position, finding));
    }
    outcomes
}

/// Patterns over lines without a pattern: goss leaves such an attribute out, and its own `add` writes them.
fn asserts_nothing(expectation: &Expectation) -> bool {
    expectation.attribute.is_reader()
        && match &expectation.matcher {
            Matcher::Has(list) => list.is_empty(),
            Matcher::HavePatterns(patterns) => patterns.is_empty(),
            _ => false,
        }
}

/// Whether nothing else of a resource can be looked at after this.
fn ends_the_look(first: &Finding) -> bool {
    match first {
        Finding::Pass(found) => found.actual == Value::Bool(false),
        Finding::Fail(_) | Finding::Error(_) | Finding::Skip => true,
        // All other attributes are as unknown or as meaningless, and say so themselves.
        Finding::Unknown(_) | Finding::NotApplicable(_) => false,
    }
}

fn look(resource: &Resource, expectation: &Expectation, facts: &Facts, compat: Compat) -> Finding {
    let Expectation { attribute, matcher, .. } = expectation;
    let matched = match actual::of(resource, *attribute, facts, compat) {
        Actual::Value(value) => matcher.matches(&value, compat),
        Actual::Strings(list) => matcher.matches_strings(&list, compat),
        Actual::Text(text) => matcher.matches_text(&text, compat),
        Actual::Error(why) => return Finding::Error(why),
        Actual::Nameless { id, why } => return quirks::nameless(matcher, id, why, compat),
        Actual::Unknown(why) => return quirks::untold(Finding::Unknown(why), compat),
        Actual::NotApplicable(why) => return quirks::untold(Finding::NotApplicable(why), compat),
    };
    match matched {
        Ok(found) if found.passed => Finding::Pass(found.into()),
        Ok(found) => Finding::Fail(found.into()),
        Err(error) => Finding::Error(error.to_string()),
    }
}

/// What goss prints before a result: the key, and what it stands for where it is only a label.
fn id(resource: &Resource) -> String {
    match resource.target.name() {
        Some(name) if !matches!(resource.target, Target::Command { .. }) && name != resource.key => {
            format!("{}: {name}", resource.key)
        }
        _ => resource.key.clone(),
    }
}

impl Attribute {
    /// Its name in reports, which for some is not the one in gossfiles.
    pub fn report_name(self) -> &'static str {
        match self {
            Self::Body => "Body",
            Self::Headers => "Headers",
            Self::LinkedTo => "linkedto",
            Self::Versions => "version",
            other => other.name(),
        }
    }
}

#[cfg(test)]
mod tests;
