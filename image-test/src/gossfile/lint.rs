//! What is allowed in a gossfile, but likely not meant.

use crate::{
    Attribute, Matcher, Position, Value,
    matcher::Comparison,
    yaml::{Content, Node, Resolved, Scalar},
};
use std::fmt;

/// Something that is allowed, but likely not meant.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Lint {
    /// Where.
    pub position: Position,
    /// How likely it is a mistake.
    pub severity: Severity,
    /// What it is, for programs.
    pub code: LintCode,
    /// What it is, for people.
    pub message: String,
    /// Another place that has to do with it.
    pub related: Option<Position>,
}

/// How likely a lint is a mistake.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Severity {
    /// Usual, and worth knowing.
    Note,
    /// A check that does not do what it looks like. A strict [`Loader`](super::Loader) refuses it.
    Warning,
    /// Something written is not checked at all. A strict [`Loader`](super::Loader) refuses it.
    Error,
}

/// What a lint is about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum LintCode {
    /// An expectation that everything meets.
    AlwaysTrue,
    /// An old name.
    DeprecatedName,
    /// A section without resources.
    EmptySection,
    /// A list without elements, which goss leaves out.
    EmptyList,
    /// An expectation that nothing meets.
    NeverTrue,
    /// A number in quotes where goss wants a number.
    NumberAsText,
    /// A number with a leading zero: octal for YAML, and then printed as decimal.
    OctalMode,
    /// A resource that an included file replaces.
    Overwritten,
    /// A second document, which is not read.
    SecondDocument,
    /// A word such as `yes` that is text in YAML 1.2.
    TextAsBoolean,
    /// A date without quotes, which goss cannot compare with anything.
    Timestamp,
    /// A section of no known name, which is not read.
    UnknownSection,
}

impl LintCode {
    /// Its name: `always-true`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlwaysTrue => "always-true",
            Self::DeprecatedName => "deprecated-name",
            Self::EmptySection => "empty-section",
            Self::EmptyList => "empty-list",
            Self::NeverTrue => "never-true",
            Self::NumberAsText => "number-as-text",
            Self::OctalMode => "octal-mode",
            Self::Overwritten => "overwritten",
            Self::SecondDocument => "second-document",
            Self::TextAsBoolean => "text-as-boolean",
            Self::Timestamp => "timestamp",
            Self::UnknownSection => "unknown-section",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {} [{}]", self.position, self.severity, self.message, self.code.name())?;
        match &self.related {
            Some(related) => write!(f, " (see {related})"),
            None => Ok(()),
        }
    }
}

impl Lint {
    pub(super) fn new(position: &Position, severity: Severity, code: LintCode, message: impl Into<String>) -> Self {
        Self { position: position.clone(), severity, code, message: message.into(), related: None }
    }
}

/// What looks wrong with an expectation.
pub(super) fn expectation(attribute: Attribute, node: &Node, matcher: &Matcher, lints: &mut Vec<Lint>) {
    let mut add = |position: &Position, code, message: String| {
        lints.push(Lint::new(position, Severity::Warning, code, message));
    };
    let scalar = |holds: fn(&Scalar) -> bool| {
        node.find(&move |node| matches!(&node.content, Content::Scalar(scalar) if holds(scalar)))
    };
    if attribute == Attribute::Mode
        && let Some(node) = scalar(is_octal)
    {
        let message = format!("mode is {}, octal in YAML and never equal to a mode; quote it", node.describe());
        add(&node.position, LintCode::OctalMode, message);
    }
    if is_boolean(attribute)
        && let Matcher::Is(Value::String(text)) | Matcher::Equal(Value::String(text)) = matcher
    {
        let message = format!("{attribute} is the text `{text}`, never equal to a boolean; say true or false");
        add(&node.position, LintCode::TextAsBoolean, message);
    }
    if let Some(node) = scalar(|scalar| scalar.resolved == Resolved::Timestamp) {
        let message = format!("{attribute} is {}, which goss compares with nothing; quote it", node.describe());
        add(&node.position, LintCode::Timestamp, message);
    }
    match outcome(matcher, is_never_negative(attribute)) {
        Some(true) => {
            add(&node.position, LintCode::AlwaysTrue, format!("anything meets this expectation of {attribute}"))
        }
        Some(false) => {
            add(&node.position, LintCode::NeverTrue, format!("nothing meets this expectation of {attribute}"))
        }
        None => {}
    }
}

/// `0644`: octal for YAML, and 420 for goss.
fn is_octal(scalar: &Scalar) -> bool {
    matches!(scalar.resolved, Resolved::Int(_)) && scalar.text.len() > 1 && scalar.text.starts_with('0')
}

fn is_boolean(attribute: Attribute) -> bool {
    use Attribute::*;
    matches!(attribute, Enabled | Exists | Installed | Listening | Reachable | Resolvable | Running)
}

fn is_never_negative(attribute: Attribute) -> bool {
    use Attribute::*;
    matches!(attribute, Gid | Mtu | Size | Status | Uid | Usage)
}

/// What a matcher says of anything, where that can be told without looking.
fn outcome(matcher: &Matcher, never_negative: bool) -> Option<bool> {
    let of = |matcher: &Matcher| outcome(matcher, never_negative);
    match matcher {
        Matcher::HavePrefix(text) | Matcher::HaveSuffix(text) | Matcher::ContainSubstring(text) => {
            text.is_empty().then_some(true)
        }
        Matcher::MatchRegexp(pattern) => matches!(pattern.as_str(), "" | ".*" | "^" | "$").then_some(true),
        Matcher::Numeric(comparison, number) if never_negative => {
            let number = match number {
                Value::Int(number) => *number as f64,
                Value::Float(number) => *number,
                _ => return None,
            };
            match comparison {
                Comparison::Ge => (number <= 0.0).then_some(true),
                Comparison::Gt => (number < 0.0).then_some(true),
                Comparison::Lt => (number <= 0.0).then_some(false),
                Comparison::Le => (number < 0.0).then_some(false),
            }
        }
        Matcher::ContainElements(items) | Matcher::Has(items) => items.is_empty().then_some(true),
        Matcher::HavePatterns(items) => items.is_empty().then_some(true),
        Matcher::Gjson(paths) => paths.is_empty().then_some(true),
        Matcher::Not(inner) => of(inner).map(|outcome| !outcome),
        Matcher::And(items) if items.iter().any(|item| of(item) == Some(false)) => Some(false),
        Matcher::And(items) => items.iter().all(|item| of(item) == Some(true)).then_some(true),
        Matcher::Or(items) if items.iter().any(|item| of(item) == Some(true)) => Some(true),
        Matcher::Or(items) => items.iter().all(|item| of(item) == Some(false)).then_some(false),
        _ => None,
    }
}
