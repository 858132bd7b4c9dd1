//! Before anything is copied: what EC2 would refuse in hours is found now.

use super::{
    AmiDistributor, parameter,
    source::check_image_name,
    target::{Encryption, Target},
    tasks::{self, Job, Others},
    template,
};
use crate::{Place, ec2::client::Region, error::sdk_error};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use image_core::{Context, Error, ErrorKind, Result};
use std::{collections::BTreeSet, time::Duration};

/// As an id of an image has it: the dry run asks who may copy, not what.
const NO_IMAGE: &str = "ami-00000000000000000";
/// The longest id of an image, without its prefix: it becomes part of a name.
const ID_DIGITS: usize = 17;

impl AmiDistributor {
    pub(super) async fn check_all(&self, cx: &Context) -> Result<()> {
        self.check_settings(cx.pipeline())?;
        let mut jobs: Vec<Job<()>> = vec![];
        let mut accounts = BTreeSet::new();
        for place in self.targets.iter().map(|target| &target.place).chain([&self.source]) {
            if accounts.insert(place.scope()) {
                let (this, cx, asked) = (self.clone(), cx.clone(), place.clone());
                let check = async move { cx.race(this.check_identity(&asked)).await };
                jobs.push((place.clone(), Box::pin(check)));
            }
        }
        for target in &self.targets {
            let (this, cx, target) = (self.clone(), cx.clone(), target.clone());
            let place = target.place.clone();
            jobs.push((place, Box::pin(async move { cx.race(this.check_target(&target)).await })));
        }
        tasks::all("checking", self.at_once, Others::Finish, jobs).await.map(drop)
    }

    /// Without a call.
    fn check_settings(&self, pipeline: &str) -> Result<()> {
        if self.targets.is_empty() {
            return Err(Error::invalid("targets", "none", "one target at least"));
        }
        let mut places = BTreeSet::new();
        if let Some(twice) = self.targets.iter().find(|target| !places.insert(&target.place)) {
            return Err(Error::invalid("target", &twice.place, "each account and region once"));
        }
        let prefix = self.name_prefix.as_deref().unwrap_or(pipeline);
        check_image_name(&format!("{prefix}-{}", "0".repeat(ID_DIGITS)))?;
        if self.copy_timeout < Duration::from_secs(60) {
            return Err(Error::invalid("copy_timeout", format!("{:?}", self.copy_timeout), "one minute at least"));
        }
        self.targets.iter().try_for_each(|target| target.check(&self.source))
    }

    /// The credentials must be those of the account, before anything is made there that only they can undo.
    async fn check_identity(&self, place: &Place) -> Result<()> {
        let actual = crate::identity(self.ec2.clients().provider(), place).await?;
        if actual == place.scope() {
            return Ok(());
        }
        let message = format!("the credentials for {place} reach {actual}, not {}", place.scope());
        Err(Error::new(ErrorKind::PermissionDenied, message))
    }

    async fn check_target(&self, target: &Target) -> Result<()> {
        let region = self.region(&target.place);
        if !target.is_in_place(&self.source) {
            self.may_copy(&region, target).await?;
        }
        if target.is_shared() && target.encryption == Encryption::AsSource && encrypts_by_default(&region).await? {
            let accepted = "a KMS key of your own: this account encrypts by default, and what is encrypted with the \
                            default key cannot be shared";
            return Err(Error::invalid("encryption", "as the image", accepted));
        }
        for name in &target.parameters {
            parameter::read(&region, name).await?;
        }
        for name in &target.templates {
            if template::describe(&region, name).await?.is_none() {
                return Err(Error::invalid("launch_template", name, format!("one that is in {}", target.place)));
            }
        }
        Ok(())
    }

    /// A dry run of the copy. EC2 may look at the image first, which does not exist yet: only a refusal for want of
    /// permission says something.
    async fn may_copy(&self, region: &Region, target: &Target) -> Result<()> {
        let client = region.client().await?;
        let call = client.copy_image().dry_run(true).source_image_id(NO_IMAGE).source_region(&self.source.region);
        let call = call.name("dry-run").client_token(uuid::Uuid::new_v4().to_string());
        let call = match &target.encryption {
            Encryption::AsSource => call,
            Encryption::Default => call.encrypted(true),
            Encryption::Key(key) => call.encrypted(true).kms_key_id(key),
        };
        let Err(error) = call.send().await else { return Ok(()) };
        if error.code() == Some("DryRunOperation") {
            return Ok(());
        }
        let error = sdk_error("ec2:CopyImage", &region.place, error);
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidInput => Ok(()),
            _ => Err(error),
        }
    }
}

async fn encrypts_by_default(region: &Region) -> Result<bool> {
    let client = region.client().await?;
    let answer = client.get_ebs_encryption_by_default().send().await;
    let answer = answer.map_err(|e| sdk_error("ec2:GetEbsEncryptionByDefault", &region.place, e))?;
    Ok(answer.ebs_encryption_by_default() == Some(true))
}
