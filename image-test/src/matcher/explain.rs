//! What to tell of a value that does not match.

use super::{
    Match, MatchError, Matcher,
    evaluate::{Actual, Evaluation, elements},
    form::named,
    gjson, patterns, transform,
};
use crate::Value;
use std::{borrow::Cow, collections::BTreeMap};

impl Evaluation {
    /// The report on a value that the matcher failed on, or, negated, matched although it should not.
    pub(super) fn explain(&self, matcher: &Matcher, actual: Actual<'_>, negated: bool) -> Result<Match, MatchError> {
        match matcher {
            Matcher::Not(inner) => return self.explain(inner, actual.deeper(), !negated),
            Matcher::Is(value @ (Value::List(_) | Value::Map(_) | Value::Null)) => {
                return self.explain(&Matcher::from_value(value), actual.deeper(), negated);
            }
            Matcher::And(all) if !negated => {
                if let Some(failing) = self.first_failing(all, actual)? {
                    return self.explain(failing, actual.deeper(), false);
                }
            }
            Matcher::Or(some) if negated => {
                for matcher in some {
                    if self.test(matcher, actual.deeper())? {
                        return self.explain(matcher, actual.deeper(), true);
                    }
                }
            }
            Matcher::Gjson(paths) if !negated => {
                if let Some(report) = self.explain_path(paths, actual)? {
                    return Ok(report);
                }
            }
            _ => {}
        }
        self.report(matcher, actual, negated)
    }

    /// The report on the first path whose value does not match.
    fn explain_path(&self, paths: &BTreeMap<String, Matcher>, actual: Actual<'_>) -> Result<Option<Match>, MatchError> {
        let document = self.json(actual)?;
        for (path, inner) in paths {
            let value = gjson::get(&document, path)?;
            if !self.test(inner, actual.part(&value))? {
                let mut report = self.explain(inner, actual.part(&value), false)?;
                let step = named("gjson", named("Path", path.as_str().into()));
                // A matcher that is not transformed itself keeps the chain of its own inner ones to itself.
                let inner_steps = if transform_name(inner).is_some() { report.transforms } else { Vec::new() };
                report.transforms = std::iter::once(step).chain(inner_steps).collect();
                report.raw = Some(actual.value.clone());
                return Ok(Some(report));
            }
        }
        Ok(None)
    }

    fn report(&self, matcher: &Matcher, actual: Actual<'_>, negated: bool) -> Result<Match, MatchError> {
        let shown = |matchers: &[Matcher]| Value::List(matchers.iter().map(Matcher::shown).collect());
        let (message, expected) = match matcher {
            Matcher::Is(value @ (Value::Int(_) | Value::Float(_))) => ("to be numerically eq", value.clone()),
            Matcher::Is(value) | Matcher::Equal(value) => ("to equal", value.clone()),
            Matcher::HavePrefix(text) => ("to have prefix", text.as_str().into()),
            Matcher::HaveSuffix(text) => ("to have suffix", text.as_str().into()),
            Matcher::ContainSubstring(text) => ("to contain substring", text.as_str().into()),
            Matcher::MatchRegexp(text) => ("to match regular expression", text.as_str().into()),
            Matcher::Numeric(comparison, number) => (comparison.message(), number.clone()),
            Matcher::HaveLen(length) => ("to have length", (*length).into()),
            Matcher::ContainElement(element) => ("to contain element matching", element.shown()),
            Matcher::Has(all) | Matcher::ContainElements(all) => ("to contain elements matching", shown(all)),
            Matcher::ConsistOf(all) => ("to consist of", shown(all)),
            Matcher::HaveKey(key) => ("to have key matching", key.shown()),
            Matcher::HavePatterns(patterns) => ("to have patterns", patterns.clone().into()),
            Matcher::And(all) => ("to satisfy all of these matchers", shown(all)),
            Matcher::Gjson(paths) => {
                ("to satisfy all of these matchers", Value::List(paths.values().map(Matcher::shown).collect()))
            }
            Matcher::Or(some) => ("to satisfy at least one of these matchers", shown(some)),
            Matcher::SemverConstraint(range) => ("to satisfy semver constraint", range.as_str().into()),
            Matcher::Xml { result, .. } => ("to give this result of the XPath expression", result.as_str().into()),
            Matcher::Not(inner) => ("to match", inner.shown()),
            Matcher::Invalid(message) => return Err(MatchError::Invalid(message.clone())),
        };
        let mut report = Match {
            message: if negated { format!("not {message}") } else { message.to_owned() },
            actual: actual.value.clone(),
            expected,
            ..Match::default()
        };
        if let Some(name) = transform_name(matcher) {
            let transformed = match name {
                "to-numeric" => Cow::Owned(self.numeric(actual)?),
                "to-array" => transform::to_array(actual.value),
                _ => Cow::Owned(transform::to_string(actual.value).into_owned().into()),
            };
            // Go's list of strings is not the same type as the list that is made of a text, but equal to itself.
            if !transform::same(&transformed, actual.value) {
                report.transforms.push(named(name, Value::Map(BTreeMap::new())));
            }
            report.actual = transformed.into_owned();
            report.raw = Some(actual.value.clone());
        }
        if !negated {
            self.add_elements(matcher, actual, &mut report)?;
        }
        Ok(report)
    }

    /// Adds which elements are missing, found and too many.
    fn add_elements(&self, matcher: &Matcher, actual: Actual<'_>, report: &mut Match) -> Result<(), MatchError> {
        match matcher {
            Matcher::Has(expected) | Matcher::ContainElements(expected) | Matcher::ConsistOf(expected) => {
                let assignment = self.assignment("contain-elements", expected, &report.actual, actual)?;
                for (element, found) in expected.iter().zip(&assignment.expected) {
                    if found.is_some() { &mut report.found } else { &mut report.missing }.push(element.shown());
                }
                if matches!(matcher, Matcher::ConsistOf(_)) {
                    let values = elements(actual.value).unwrap_or_default();
                    let extra = values.into_iter().zip(&assignment.actual).filter(|(_, owner)| owner.is_none());
                    report.extra = extra.map(|(value, _)| value.clone()).collect();
                }
            }
            Matcher::HavePatterns(expected) => {
                let search = patterns::search(expected, &transform::to_string(actual.value), self.compat)?;
                (report.missing, report.found) = (search.missing(), search.found());
            }
            _ => {}
        }
        Ok(())
    }
}

/// The transformation a matcher begins with.
fn transform_name(matcher: &Matcher) -> Option<&'static str> {
    match matcher {
        Matcher::Is(Value::String(_))
        | Matcher::HavePrefix(_)
        | Matcher::HaveSuffix(_)
        | Matcher::ContainSubstring(_)
        | Matcher::MatchRegexp(_)
        | Matcher::HavePatterns(_) => Some("to-string"),
        Matcher::Is(Value::Int(_) | Value::Float(_)) | Matcher::Numeric(..) => Some("to-numeric"),
        Matcher::ContainElement(_) | Matcher::ContainElements(_) => Some("to-array"),
        _ => None,
    }
}

impl super::Comparison {
    fn message(self) -> &'static str {
        match self {
            Self::Ge => "to be numerically ge",
            Self::Gt => "to be numerically gt",
            Self::Le => "to be numerically le",
            Self::Lt => "to be numerically lt",
        }
    }
}
