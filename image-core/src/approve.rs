//! Approval: the one gate between building an image and anyone using it.

use crate::{
    Attestation, BuildRecord, Context, Error, ErrorKind, EvidenceVerifier, Image, ImageRecord, Report, Result,
    ScanPolicy, SeverityLimit,
};
use std::{sync::Arc, time::Duration};

/// What approval demands. An opt-out stands in the record, so that provenance shows it.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Policy {
    /// Decides over what the scanners found.
    pub scan: Arc<dyn ScanPolicy>,
    /// Set to approve images that were never validated after a boot, with the reason.
    pub without_boot_validation: Option<String>,
    /// Set to approve images that were never scanned, with the reason.
    pub without_scan: Option<String>,
    /// Set to refuse images whose content has no digest.
    pub require_digest: bool,
    /// How old an approval may be that a run reuses.
    pub approval_max_age: Duration,
}

impl Default for Policy {
    /// Boot validation and a scan are required, `HIGH` findings are refused, approvals are good for a day.
    fn default() -> Self {
        Self {
            scan: Arc::new(SeverityLimit::HIGH),
            without_boot_validation: None,
            without_scan: None,
            require_digest: false,
            approval_max_age: Duration::from_secs(24 * 3600),
        }
    }
}

impl Policy {
    /// The opt-outs, as they stand in the record.
    pub(crate) fn opted_out(&self) -> Vec<String> {
        let boot = self.without_boot_validation.as_ref().map(|why| format!("boot validation: {why}"));
        let scan = self.without_scan.as_ref().map(|why| format!("scan: {why}"));
        boot.into_iter().chain(scan).collect()
    }
}

/// An image that may be distributed.
///
/// Minted only by a run whose gates passed, by verified evidence of one, or by asking for danger by name.
#[derive(Clone, Debug)]
pub struct ApprovedImage {
    image: Image,
    record: Arc<BuildRecord>,
    attestations: Arc<[Attestation]>,
}

impl ApprovedImage {
    /// The image.
    pub fn image(&self) -> &Image {
        &self.image
    }
    /// The evidence.
    pub fn record(&self) -> &BuildRecord {
        &self.record
    }
    /// Signed statements about the evidence.
    pub fn attestations(&self) -> &[Attestation] {
        &self.attestations
    }

    /// The one gate, for a run and for evidence alike.
    pub(crate) fn mint(
        image: &Image,
        record: &Arc<BuildRecord>,
        attestations: &Arc<[Attestation]>,
        policy: &Policy,
    ) -> Result<Self> {
        judge(image, record, policy)
            .map_err(|e| if e.kind() == ErrorKind::PolicyViolation { e.with_context("image", image) } else { e })?;
        Ok(Self { image: image.clone(), record: Arc::clone(record), attestations: Arc::clone(attestations) })
    }

    /// Mints from the attestations of an earlier run, also in another process: promote last week's image, retry a failed
    /// copy. The policy of today decides, over the evidence of then.
    ///
    /// # Errors
    /// `PolicyViolation` when the evidence is not about this image or does not satisfy the policy; the verifier's own.
    pub async fn from_evidence(
        cx: &Context,
        image: &Image,
        attestations: &[Attestation],
        verifier: &dyn EvidenceVerifier,
        policy: &Policy,
    ) -> Result<Self> {
        let record = Arc::new(verifier.verify(cx, attestations).await?);
        Self::mint(image, &record, &attestations.into(), policy)
    }

    /// Approves without evidence. The reason stands in the record in place of it, and the pipeline is called
    /// `unreviewed`, so that distributors, which name images after their pipeline, keep such an image apart.
    pub fn dangerous_unreviewed(image: Image, reason: &str) -> Self {
        let images = vec![ImageRecord { image: image.clone(), booted: vec![], scans: vec![] }];
        let opted_out = vec![format!("unreviewed: {reason}")];
        let pipeline = "unreviewed".to_owned();
        let record = BuildRecord { format: 1, pipeline, images, opted_out, ..BuildRecord::default() };
        Self { image, record: Arc::new(record), attestations: Arc::new([]) }
    }
}

fn judge(image: &Image, record: &BuildRecord, policy: &Policy) -> Result<()> {
    let refuse = |why: &str| Err(Error::new(ErrorKind::PolicyViolation, why));
    let Some(ImageRecord { booted, scans, .. }) = record.images.iter().find(|found| found.image == *image) else {
        return refuse("this is not the image that the evidence is about");
    };
    record.build_reports.iter().chain(booted).try_for_each(Report::require)?;
    if booted.is_empty() && policy.without_boot_validation.is_none() {
        return refuse("the image was never validated after a boot");
    }
    if scans.is_empty() && policy.without_scan.is_none() {
        return refuse("the image was never scanned");
    }
    if policy.require_digest && matches!(image.digest, crate::ContentDigest::Unavailable { .. }) {
        return refuse("the content of the image has no digest");
    }
    scans.iter().try_for_each(crate::ScanReport::require_coverage)?;
    policy.scan.decide(scans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Architecture, BootMode, ImageKind, Platform, Scope};

    #[test]
    fn an_unreviewed_image_has_a_name_that_distributors_can_use() {
        let platform = Platform::linux(Architecture::X86_64, BootMode::None);
        let image = Image::new(ImageKind::Disk, "local", Scope::new("local:1"), "here", "image-1", platform);
        let approved = ApprovedImage::dangerous_unreviewed(image, "a test");
        assert_eq!(approved.record().pipeline, "unreviewed");
        assert_eq!(approved.record().opted_out, ["unreviewed: a test"]);
    }
}
