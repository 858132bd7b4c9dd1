//! One error type for every plugin and stage: what went wrong, who can act on it, and whether trying again can help.

use std::{error::Error as StdError, fmt};

/// A result whose error is an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync>;

/// What went wrong.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Something of that name exists.
    AlreadyExists,
    /// The run was cancelled.
    Cancelled,
    /// A command on a machine or on the controller ended with an exit code that counts as a failure.
    CommandFailed,
    /// Another writer holds what this one needs, or the state changed underneath it.
    Conflict,
    /// A bug in this library or in a plugin.
    Internal,
    /// A value that the caller gave cannot be used. The message names the field, the value and what is accepted.
    InvalidInput,
    /// Something that must exist does not.
    NotFound,
    /// The identity may not do this.
    PermissionDenied,
    /// A gate said no: a failed check, a finding above the limit, a refused approval.
    PolicyViolation,
    /// A quota or a capacity limit.
    QuotaExceeded,
    /// The service asked to slow down.
    RateLimited,
    /// No space is left where bytes must be written.
    StorageFull,
    /// A deadline passed.
    TimedOut,
    /// The identity could not be established.
    Unauthenticated,
    /// A service, channel or machine cannot be reached now.
    Unavailable,
    /// The plugin or the platform cannot do this.
    Unsupported,
}

/// Who can act on an error.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Nobody in production: report it.
    Bug,
    /// Nobody: it was asked for.
    Cancelled,
    /// Whoever runs the infrastructure.
    Permanent,
    /// Whoever owns the image or the policy.
    Policy,
    /// The next try.
    Retryable,
    /// Whoever wrote the pipeline.
    UserInput,
}

/// An opaque error: match on [`kind`](Self::kind) and [`class`](Self::class), print it for people.
///
/// `Display` is one line without the source; [`StdError::source`] has the source, and [`Error::chain`] the whole story.
/// Retryability is a property of the error *and* the operation, so a plugin may override the default of the kind.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    retryable: bool,
    message: String,
    operation: Option<String>,
    context: Vec<(&'static str, String)>,
    source: Option<Source>,
}

impl Error {
    /// An error of `kind`, retryable by default when the kind is `RateLimited`, `TimedOut` or `Unavailable`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        use ErrorKind::{RateLimited, TimedOut, Unavailable};
        let retryable = matches!(kind, RateLimited | TimedOut | Unavailable);
        let message = message.into();
        Self(Box::new(Inner { kind, retryable, message, operation: None, context: vec![], source: None }))
    }

    /// A bug in this library or in a plugin.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// A value that the caller gave cannot be used: the field, the value, and what is accepted.
    pub fn invalid(field: &str, value: impl fmt::Display, accepted: impl fmt::Display) -> Self {
        Self::new(ErrorKind::InvalidInput, format!("{field} is `{value}`; accepted: {accepted}"))
    }

    /// An I/O error on `path`, with its kind kept where there is one that fits.
    pub fn io(action: &str, path: impl AsRef<std::path::Path>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
            Io::QuotaExceeded => ErrorKind::QuotaExceeded,
            Io::StorageFull => ErrorKind::StorageFull,
            Io::TimedOut => ErrorKind::TimedOut,
            _ => ErrorKind::Unavailable,
        };
        let path = path.as_ref().display();
        Self::new(kind, format!("cannot {action} {path}: {source}")).with_retryable(false).with_source(source)
    }

    /// Overrides whether trying again can help.
    #[must_use]
    pub fn with_retryable(mut self, yes: bool) -> Self {
        self.0.retryable = yes;
        self
    }

    /// Names the call that failed, for example `ec2:RunInstances`. The innermost name stays.
    #[must_use]
    pub fn with_operation(mut self, operation: impl Into<String>) -> Self {
        self.0.operation.get_or_insert_with(|| operation.into());
        self
    }

    /// Adds a fact that helps to find the cause, for example the region.
    #[must_use]
    pub fn with_context(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Attaches the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with its texts replaced. A source stays as it is where nothing of it is, and becomes text otherwise.
    pub(crate) fn map_text(self, map: impl Fn(String) -> String) -> Self {
        let Inner { kind, retryable, message, operation, context, source } = *self.0;
        let source = source.map(|source| {
            let (shown, mut text) = (format!("{source:?}"), source.to_string());
            let mut next = source.source();
            while let Some(inner) = next {
                text = format!("{text}: {inner}");
                next = inner.source();
            }
            let mapped = map(text.clone());
            if mapped == text && map(shown.clone()) == shown { source } else { mapped.into() }
        });
        let context = context.into_iter().map(|(key, value)| (key, map(value))).collect();
        Self(Box::new(Inner {
            kind,
            retryable,
            message: map(message),
            operation: operation.map(&map),
            context,
            source,
        }))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Who can act on it.
    pub fn class(&self) -> ErrorClass {
        match self.0.kind {
            ErrorKind::Cancelled => ErrorClass::Cancelled,
            ErrorKind::Internal => ErrorClass::Bug,
            ErrorKind::InvalidInput | ErrorKind::Unsupported => ErrorClass::UserInput,
            ErrorKind::PolicyViolation => ErrorClass::Policy,
            _ if self.0.retryable => ErrorClass::Retryable,
            _ => ErrorClass::Permanent,
        }
    }

    /// Whether trying the same operation again can help.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The call that failed, where it was named.
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// The facts that were added on the way up.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// This error and all its sources on one line.
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut next = self.source();
        while let Some(source) = next {
            let text = source.to_string();
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            next = source.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = &self.0.operation {
            write!(f, "{operation}: ")?;
        }
        f.write_str(&self.0.message)?;
        for (n, (key, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{key}: {value}", if n == 0 { " (" } else { ", " })?;
        }
        f.write_str(if self.0.context.is_empty() { "" } else { ")" })
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}

impl From<tokio::task::JoinError> for Error {
    /// A panic is a bug; an aborted task was cancelled.
    fn from(e: tokio::task::JoinError) -> Self {
        if e.is_panic() {
            let payload = e.into_panic();
            let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            Self::bug(format!("panic: {}", text.as_deref().unwrap_or("without a message")))
        } else {
            Self::new(ErrorKind::Cancelled, "the task was cancelled")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_line_and_the_chain_tells_the_rest() {
        let error = Error::io("write", "/x", std::io::Error::from(std::io::ErrorKind::StorageFull))
            .with_operation("local:capture")
            .with_context("run", "r1");
        insta::assert_snapshot!(error, @"local:capture: cannot write /x: no storage space (run: r1)");
        assert_eq!((error.kind(), error.class()), (ErrorKind::StorageFull, ErrorClass::Permanent));
        let outer = Error::new(ErrorKind::Unavailable, "image not stored").with_source(error);
        insta::assert_snapshot!(outer.chain(), @"image not stored: local:capture: cannot write /x: no storage space (run: r1)");
        assert_eq!(outer.class(), ErrorClass::Retryable);
    }

    #[test]
    fn every_invalid_value_names_field_value_and_choice() {
        let error = Error::invalid("suite", "bokworm", "bookworm, trixie");
        insta::assert_snapshot!(error, @"suite is `bokworm`; accepted: bookworm, trixie");
        assert_eq!(error.class(), ErrorClass::UserInput);
    }
}
