//! What came of one expectation.

use crate::{Attribute, Kind, Position, Resource, Value, matcher::Match};
use image_core::Verdict;
use std::collections::BTreeMap;

/// What came of one expectation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The type of the resource.
    pub kind: Kind,
    /// Its key in the suite.
    pub key: String,
    /// Its key as goss prints it: with what was looked at, where the key is only a label.
    pub id: String,
    /// The title of the resource.
    pub title: Option<String>,
    /// The free data of the resource.
    pub meta: BTreeMap<String, Value>,
    /// Where the expectation is written.
    pub position: Option<Position>,
    /// What was looked at.
    pub attribute: Attribute,
    /// What was found.
    pub finding: Finding,
}

/// What was found where something was expected.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// It is as expected.
    Pass(Box<Match>),
    /// It is not as expected.
    Fail(Box<Match>),
    /// There is nothing that could be as expected, or the expectation makes no sense. A failure.
    Error(String),
    /// It was not looked at: the suite says so, or an earlier attribute of the resource makes it pointless.
    Skip,
    /// It could not be told, and why. Never a pass.
    Unknown(String),
    /// It has no meaning for what was looked at, and why.
    NotApplicable(String),
}

impl Outcome {
    pub(crate) fn new(resource: &Resource, attribute: Attribute, position: Option<Position>, finding: Finding) -> Self {
        Self {
            kind: resource.kind(),
            key: resource.key.clone(),
            id: super::id(resource),
            title: resource.title.clone(),
            meta: resource.meta.clone(),
            position,
            attribute,
            finding,
        }
    }

    /// Whether it passed, failed, or why neither.
    pub fn verdict(&self) -> Verdict {
        self.finding.verdict()
    }

    /// What identifies the check among those of its suite: `file /etc/passwd: mode`.
    pub fn check_id(&self) -> String {
        format!("{} {}: {}", self.kind.section(), self.key, self.attribute)
    }
}

impl Finding {
    /// Whether it passed, failed, or why neither.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Pass(_) => Verdict::Pass,
            Self::Fail(_) | Self::Error(_) => Verdict::Fail,
            Self::Skip => Verdict::Skip,
            Self::Unknown(_) => Verdict::Unknown,
            Self::NotApplicable(_) => Verdict::NotApplicable,
        }
    }

    /// What was compared, where something was.
    pub fn matched(&self) -> Option<&Match> {
        match self {
            Self::Pass(found) | Self::Fail(found) => Some(found),
            _ => None,
        }
    }

    /// Why nothing was compared, where there is more to say than that it was skipped.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Error(why) | Self::Unknown(why) | Self::NotApplicable(why) => Some(why),
            _ => None,
        }
    }
}
