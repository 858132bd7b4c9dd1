//! Approvals of earlier runs, filed in the journal store by what they are good for.

use crate::{
    Attestation, BuildRecord, Context, Fingerprint, Image, Policy, Record, Result, Timestamp, journal::FORMAT_VERSION,
};
use crate::{Entry, Error};
use serde::{Deserialize, Serialize};

const STAGE: &str = "approved";

/// What an approval rests on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Evidence {
    pub(super) at: Timestamp,
    pub(super) record: BuildRecord,
    pub(super) attestations: Vec<Attestation>,
}

impl Evidence {
    /// The latest evidence under this key that is about this image and not too old.
    pub(super) async fn find(cx: &Context, key: &Fingerprint, image: &Image, policy: &Policy) -> Result<Option<Self>> {
        let Some(store) = cx.store() else { return Ok(None) };
        for entry in store.entries(&file(key)).await?.into_iter().rev() {
            let Record::Stage { name, output } = entry.record else { continue };
            // Evidence of another version of the library is no evidence: the image is tested again.
            let Some(evidence) = serde_json::from_value::<Self>(output).ok().filter(|_| name == STAGE) else {
                continue;
            };
            let about = evidence.record.images.first().is_some_and(|found| found.image == *image);
            let age = cx.now().since(evidence.at);
            // A clock that was turned back does not make old evidence young.
            let fresh = age <= policy.approval_max_age && evidence.at <= cx.now();
            return Ok(Some(evidence).filter(|_| about && fresh));
        }
        Ok(None)
    }

    /// Files this evidence.
    pub(super) async fn file(&self, cx: &Context, key: &Fingerprint) -> Result<()> {
        let Some(store) = cx.store() else { return Ok(()) };
        let output = serde_json::to_value(self).map_err(|e| Error::bug("evidence").with_source(e))?;
        let mut journal = store.claim(&file(key)).await?;
        if journal.entries().await?.is_empty() {
            let started = Record::Started { version: FORMAT_VERSION, pipeline: self.record.pipeline.clone() };
            journal.append(&Entry::new(cx.now(), started)).await?;
        }
        journal.append(&Entry::new(cx.now(), Record::Stage { name: STAGE.into(), output })).await
    }
}

fn file(key: &Fingerprint) -> String {
    format!("approval-{key}")
}
