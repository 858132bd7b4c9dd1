//! Idempotency tokens: the same token with the same parameters is the same call.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::signature::hex;

/// The tokens that one account used in one region.
#[derive(Debug, Default)]
pub(crate) struct Tokens(BTreeMap<(String, String), Used>);

#[derive(Debug)]
struct Used {
    fingerprint: String,
    ids: Vec<String>,
}

impl Tokens {
    /// The ids that `action` gave under this token, where it was used before.
    ///
    /// # Errors
    /// `IdempotentParameterMismatch` when it was used with other parameters.
    pub(crate) fn used(&self, action: &str, token: &str, fingerprint: &str) -> Result<Option<Vec<String>>, ApiError> {
        match self.0.get(&(action.to_owned(), token.to_owned())) {
            None => Ok(None),
            Some(used) if used.fingerprint == fingerprint => Ok(Some(used.ids.clone())),
            Some(_) => Err(ApiError::new(
                "IdempotentParameterMismatch",
                format!(
                    "The client token {token} was used before with other parameters. \
                     If you retry a request with a client token, use the same parameters."
                ),
            )),
        }
    }

    /// Remembers what `action` gave.
    pub(crate) fn remember(&mut self, action: &str, token: &str, fingerprint: &str, ids: Vec<String>) {
        let used = Used { fingerprint: fingerprint.to_owned(), ids };
        self.0.insert((action.to_owned(), token.to_owned()), used);
    }
}

/// What two requests share when they ask for the same: every parameter but the token itself and what does not matter.
pub(crate) fn fingerprint<'a>(parameters: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut hash = Sha256::new();
    for (name, value) in parameters {
        if !matches!(name.as_str(), "ClientToken" | "DryRun" | "Action" | "Version") {
            for part in [name, value] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
        }
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(pairs: &[(&str, &str)]) -> String {
        let map: BTreeMap<_, _> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        fingerprint(&map)
    }

    #[test]
    fn a_token_is_one_call() {
        let mut tokens = Tokens::default();
        let same = print(&[("ImageId", "ami-1"), ("ClientToken", "t")]);
        assert_eq!(tokens.used("RunInstances", "t", &same), Ok(None));
        tokens.remember("RunInstances", "t", &same, vec!["i-1".to_owned()]);
        assert_eq!(tokens.used("RunInstances", "t", &same), Ok(Some(vec!["i-1".to_owned()])));
        assert_eq!(tokens.used("CopyImage", "t", &same), Ok(None), "each action has its own");
        let error = tokens.used("RunInstances", "t", &print(&[("ImageId", "ami-2")])).unwrap_err();
        assert_eq!(error.code, "IdempotentParameterMismatch");
    }

    #[test]
    fn fingerprints_tell_names_from_values() {
        assert_eq!(print(&[("A", "b"), ("DryRun", "true")]), print(&[("A", "b"), ("ClientToken", "x")]));
        assert_ne!(print(&[("A", "bc")]), print(&[("Ab", "c")]));
    }
}
