//! Cases of verifiers.

use crate::{CaseResult, Failure, failure::ensure, stage::open};
use image_core::{ErrorClass, Verifier};
use std::{fmt, sync::Arc};

/// A verifier with good inputs, and others with bad ones.
pub trait VerifierFixture: fmt::Debug + Send + Sync {
    /// Set up so that all of its inputs are good.
    fn good(&self) -> Arc<dyn Verifier>;
    /// Each set up with one thing wrong: changed bytes, a missing or foreign signature, an identity that was not asked
    /// for, an absent file.
    fn bad(&self) -> Vec<Arc<dyn Verifier>>;
}

/// Good inputs are named and pinned by digest, the same ones every time.
pub async fn good_input_is_pinned(fixture: &dyn VerifierFixture) -> CaseResult {
    let (cx, _) = open().await?;
    let inputs = fixture.good().verify(&cx).await.map_err(Failure::at("good input"))?;
    ensure(!inputs.is_empty(), "good input", || "it verified nothing".into())?;
    for input in &inputs {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let digest = input.sha256.len() == 64 && input.sha256.bytes().all(hex);
        ensure(digest, &input.name, || format!("`{}` is not a lowercase hexadecimal SHA-256", input.sha256))?;
        let named = !input.name.is_empty() && !input.signer.is_empty();
        ensure(named, &input.name, || format!("without a name or without who vouches for it: {input:?}"))?;
    }
    let again = fixture.good().verify(&cx).await.map_err(Failure::at("good input, again"))?;
    ensure(again == inputs, "good input, again", || format!("it was {inputs:?} and is {again:?}"))?;
    Ok(inputs.len() as u64)
}

/// What cannot be verified is an error that no retry mends, never an empty answer.
pub async fn bad_input_is_refused(fixture: &dyn VerifierFixture) -> CaseResult {
    let ((cx, _), bad) = (open().await?, fixture.bad());
    ensure(!bad.is_empty(), "bad input", || "the fixture has none".into())?;
    for (n, verifier) in bad.iter().enumerate() {
        let moment = format!("bad input {}", n + 1);
        let Err(error) = verifier.verify(&cx).await else { return Err(Failure::new(moment, "it was accepted")) };
        let class = error.class();
        let wrong = matches!(class, ErrorClass::Bug | ErrorClass::Cancelled | ErrorClass::Retryable);
        ensure(!wrong, moment, || format!("class {class:?}: {}", error.chain()))?;
    }
    Ok(bad.len() as u64)
}
