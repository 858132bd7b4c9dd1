//! Values that never show: not in logs, events, errors, the journal or a report.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// A secret string. It has no `Display` and no serialisation; `Debug` shows that it is there and nothing else.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into().into())
    }

    /// The value itself, for the one place that must have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

/// Replaces the secrets it knows in text that is about to leave the process.
#[derive(Clone, Default)]
pub(crate) struct Redactor(Arc<RwLock<BTreeSet<String>>>);

/// Shorter values would blank out ordinary text and give away more than they hide.
const SHORTEST: usize = 4;

impl Redactor {
    /// Learns a secret, and each line of one with several: output reaches us line by line.
    pub(crate) fn learn(&self, secret: &Secret) {
        let value = secret.expose();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for part in std::iter::once(value).chain(value.lines()).map(str::trim) {
            if part.len() >= SHORTEST {
                known.insert(part.to_owned());
                // As it shows inside JSON or a quoted log line.
                known.insert(part.escape_default().to_string());
            }
        }
    }

    pub(crate) fn redact(&self, text: String) -> String {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // Longest first: a secret may contain another.
        let mut hits: Vec<&String> = known.iter().filter(|secret| text.contains(secret.as_str())).collect();
        hits.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        hits.into_iter().fold(text.clone(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(format!("{:?}", Secret::new("hunter22")), "Secret(***)");
        let redactor = Redactor::default();
        redactor.learn(&Secret::new("hunter22"));
        redactor.learn(&Secret::new("line one\nline \"two\"\n"));
        redactor.learn(&Secret::new("hunter22-long"));
        let shown = |text: &str| redactor.redact(text.to_owned());
        assert_eq!(shown("pw=hunter22, hunter22-long"), "pw=***, ***");
        assert_eq!(shown("got line \"two\" and line \\\"two\\\""), "got *** and ***");
        assert_eq!(shown("nothing"), "nothing");
    }
}
