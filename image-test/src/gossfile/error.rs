//! Why a gossfile cannot be used.

use super::Lint;
use crate::{Attribute, Kind, Position, template::TemplateError, yaml::YamlError};
use std::{fmt, io, path::PathBuf};

/// A gossfile that cannot be used: what is wrong, where, and how it came to be read.
#[derive(Debug)]
pub struct GossfileError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    fault: Fault,
    position: Option<Position>,
    included_from: Vec<Position>,
}

/// What is wrong with a gossfile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A file that includes itself, by way of others or not.
    #[error("`{}` includes itself", path.display())]
    Cycle {
        /// The file.
        path: PathBuf,
    },
    /// Nothing is expected, so nothing could fail.
    #[error("there is no resource in any section")]
    Empty,
    /// An expectation that nothing can meet. Not an error in [`Compat::Goss`](crate::Compat::Goss), where it fails.
    #[error("{attribute} of {kind} `{key}` cannot be checked: {message}")]
    Expectation {
        /// Type of the resource.
        kind: Kind,
        /// Its key.
        key: String,
        /// What the expectation is of.
        attribute: Attribute,
        /// Why.
        message: String,
    },
    /// A pattern of an include that is no pattern, or no file's.
    #[error("`{pattern}` {problem}")]
    Include {
        /// The path or pattern.
        pattern: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More than the [`Limits`](super::Limits) allow.
    #[error("more than {most} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much there may be.
        most: u64,
    },
    /// What a strict loader does not let pass.
    #[error("{}", lints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Lints {
        /// All lints, at least one of which is a warning or an error.
        lints: Vec<Lint>,
    },
    /// A required attribute is not there. Not an error in [`Compat::Goss`](crate::Compat::Goss), where it fails.
    #[error("{kind} `{key}` does not say `{attribute}`")]
    MissingAttribute {
        /// Type of the resource.
        kind: Kind,
        /// Its key.
        key: String,
        /// What it lacks.
        attribute: Attribute,
    },
    /// A file that is not UTF-8.
    #[error("not UTF-8 text")]
    NotUtf8,
    /// A file that cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A value of the wrong type.
    #[error("{what} is {found}; accepted: {accepted}")]
    Setting {
        /// What is set.
        what: String,
        /// What it is set to.
        found: String,
        /// What it can be set to.
        accepted: &'static str,
    },
    /// A template that cannot be rendered.
    #[error("{message}")]
    Template {
        /// Why.
        message: String,
    },
    /// An attribute that no resource of this type has.
    #[error("unknown attribute `{attribute}` of {of}{}; accepted: {}", did_you_mean(*suggestion), accepted.join(", "))]
    UnknownAttribute {
        /// The resource.
        of: String,
        /// The attribute.
        attribute: String,
        /// Those it can have.
        accepted: Vec<&'static str>,
        /// The one that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// A file by whose name one cannot tell what it holds.
    #[error("`{}` ends in none of .yaml, .yml and .json", path.display())]
    UnknownExtension {
        /// The file.
        path: PathBuf,
    },
    /// Text that is not YAML, or repeats a key, or has too many aliases.
    #[error("{message}")]
    Yaml {
        /// What is wrong with it.
        message: String,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default()
}

impl GossfileError {
    pub(super) fn new(fault: Fault, position: Option<Position>) -> Self {
        Self(Box::new(Inner { fault, position, included_from: vec![] }))
    }

    pub(super) fn at(position: &Position, fault: Fault) -> Self {
        Self::new(fault, Some(position.clone()))
    }

    /// Tells which entry includes the file; what has no place in that file is the fault of the entry.
    pub(super) fn included_from(mut self, position: &Position) -> Self {
        match self.0.position {
            None => self.0.position = Some(position.clone()),
            Some(_) => self.0.included_from.push(position.clone()),
        }
        self
    }

    /// What is wrong.
    pub fn fault(&self) -> &Fault {
        &self.0.fault
    }

    /// Where it is wrong; none where no text is at fault. That of a file that cannot be included is the entry.
    pub fn position(&self) -> Option<&Position> {
        self.0.position.as_ref()
    }

    /// The entries by which the file was included, the innermost first.
    pub fn include_chain(&self) -> &[Position] {
        &self.0.included_from
    }
}

impl fmt::Display for GossfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.0.position {
            write!(f, "{position}: ")?;
        }
        write!(f, "{}", self.0.fault)?;
        for position in &self.0.included_from {
            write!(f, ", included from {position}")?;
        }
        Ok(())
    }
}

impl std::error::Error for GossfileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.fault {
            Fault::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<YamlError> for GossfileError {
    fn from(error: YamlError) -> Self {
        Self::new(Fault::Yaml { message: error.message }, Some(error.position))
    }
}

impl From<TemplateError> for GossfileError {
    fn from(error: TemplateError) -> Self {
        Self::new(Fault::Template { message: error.message }, Some(error.position))
    }
}

impl From<GossfileError> for image_core::Error {
    fn from(error: GossfileError) -> Self {
        Self::new(image_core::ErrorKind::InvalidInput, error.to_string()).with_source(error)
    }
}
