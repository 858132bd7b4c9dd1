//! What a build starts from: how it is named, and the one image that it is resolved to.

use super::{
    ami::Ami,
    client::{Region, filter},
    settings::check_id,
};
use crate::error::sdk_error;
use aws_sdk_ec2::types::{ArchitectureValues, Image};
use image_core::{Architecture, Context, Error, ErrorKind, Result, Timestamp};
use std::fmt;

/// The image that a build starts from. `check` resolves it once, so that "most recent" means one image in a whole run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AmiSource(By);

#[derive(Clone, Debug, Eq, PartialEq)]
enum By {
    Id(String),
    Newest { owners: Vec<String>, filters: Vec<(String, Vec<String>)> },
    Parameter(String),
}

impl AmiSource {
    /// An image by its id.
    pub fn id(id: impl Into<String>) -> Self {
        Self(By::Id(id.into()))
    }
    /// The newest available image of these owners that is not deprecated: account ids, `self`, `amazon` or
    /// `aws-marketplace`. Say what it is by [`filter`](Self::filter).
    pub fn newest<S: Into<String>>(owners: impl IntoIterator<Item = S>) -> Self {
        Self(By::Newest { owners: owners.into_iter().map(Into::into).collect(), filters: vec![] })
    }
    /// Narrows [`newest`](Self::newest) by a filter of `DescribeImages`, for example `name` with
    /// `al2023-ami-2023.*-x86_64`, or `product-code` with that of a product of the marketplace. Other sources ignore it.
    #[must_use]
    pub fn filter<S: Into<String>>(mut self, name: impl Into<String>, values: impl IntoIterator<Item = S>) -> Self {
        if let By::Newest { filters, .. } = &mut self.0 {
            filters.push((name.into(), values.into_iter().map(Into::into).collect()));
        }
        self
    }
    /// The image whose id is in a parameter of Systems Manager, by its name or ARN, for example
    /// `/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64`. Without the
    /// feature `ssm` it is refused.
    pub fn parameter(name: impl Into<String>) -> Self {
        Self(By::Parameter(name.into()))
    }

    /// The parameter that is read.
    pub(crate) fn parameter_name(&self) -> Option<&str> {
        if let By::Parameter(name) = &self.0 { Some(name) } else { None }
    }

    pub(crate) fn check(&self) -> Result<()> {
        match &self.0 {
            By::Id(id) => check_id("source", id, "ami"),
            By::Newest { owners, filters } => {
                let known = |owner: &String| {
                    let alias = ["self", "amazon", "aws-marketplace"].contains(&owner.as_str());
                    alias || (owner.len() == 12 && owner.bytes().all(|b| b.is_ascii_digit()))
                };
                // Anybody can publish an image under the name that somebody else filters by.
                if owners.is_empty() || !owners.iter().all(known) {
                    let accepted = "at least one of: an account id of twelve digits, self, amazon, aws-marketplace";
                    return Err(Error::invalid("source owners", owners.join(","), accepted));
                }
                let empty = filters.iter().find(|(name, values)| name.is_empty() || values.is_empty());
                if filters.is_empty() || empty.is_some() {
                    let name = empty.map_or("", |(name, _)| name);
                    return Err(Error::invalid(
                        "source filter",
                        name,
                        "at least one filter, each with a name and a value",
                    ));
                }
                Ok(())
            }
            By::Parameter(name) => {
                let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/_.:-".contains(&b);
                if (1..=1011).contains(&name.len()) && name.bytes().all(allowed) {
                    return Ok(());
                }
                Err(Error::invalid("source parameter", name, "the name or ARN of a parameter"))
            }
        }
    }

    /// The image that it means now. No side effects.
    pub(crate) async fn resolve(
        &self,
        cx: &Context,
        region: &Region,
        architecture: Option<Architecture>,
    ) -> Result<Ami> {
        match &self.0 {
            By::Id(id) => Ami::describe(region, id).await,
            By::Newest { owners, filters } => {
                let found = describe_newest(cx, region, owners, filters, architecture).await?;
                let Some(image) = found else {
                    let message = format!("no available image that is not deprecated is {self}");
                    return Err(Error::new(ErrorKind::NotFound, message).with_context("place", &region.place));
                };
                Ami::read(&image)
            }
            By::Parameter(name) => Ami::describe(region, &read_parameter(region, name).await?).await,
        }
    }
}

impl fmt::Display for AmiSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            By::Id(id) => f.write_str(id),
            By::Newest { owners, filters } => {
                write!(f, "the newest of {}", owners.join(", "))?;
                filters.iter().try_for_each(|(name, values)| write!(f, ", {name}={}", values.join("|")))
            }
            By::Parameter(name) => write!(f, "parameter {name}"),
        }
    }
}

async fn describe_newest(
    cx: &Context,
    region: &Region,
    owners: &[String],
    filters: &[(String, Vec<String>)],
    architecture: Option<Architecture>,
) -> Result<Option<Image>> {
    let client = region.client().await?;
    let call = client
        .describe_images()
        .set_owners(Some(owners.to_vec()))
        .set_filters(Some(filters.iter().map(|(name, values)| filter(name, values)).collect()))
        .filters(filter("state", ["available"]))
        .include_deprecated(false)
        .max_results(1000);
    let (mut pages, mut images) = (call.into_paginator().send(), vec![]);
    while let Some(page) = pages.next().await {
        let page = page.map_err(|e| sdk_error("ec2:DescribeImages", &region.place, e))?;
        images.extend(page.images.unwrap_or_default());
    }
    Ok(newest(images, architecture, cx.now()))
}

/// Whoever owns an image is shown it when it is deprecated, whatever was asked for.
fn newest(images: Vec<Image>, architecture: Option<Architecture>, now: Timestamp) -> Option<Image> {
    let now = now.to_string();
    let wanted = |image: &Image| {
        let deprecated = image.deprecation_time().is_some_and(|at| at <= now.as_str());
        let fits = architecture.is_none_or(|wanted| image.architecture() == Some(&architecture_value(wanted)));
        fits && !deprecated && image.image_allowed() != Some(false)
    };
    let age = |image: &Image| (image.creation_date.clone(), image.image_id.clone());
    images.into_iter().filter(wanted).max_by_key(age)
}

fn architecture_value(architecture: Architecture) -> ArchitectureValues {
    match architecture {
        Architecture::Aarch64 => ArchitectureValues::Arm64,
        Architecture::X86_64 => ArchitectureValues::X8664,
        other => ArchitectureValues::from(other.as_str()),
    }
}

#[cfg(feature = "ssm")]
async fn read_parameter(region: &Region, name: &str) -> Result<String> {
    let client = region.parameters().await?;
    let answer = client.get_parameter().name(name).send().await;
    let answer = answer.map_err(|e| sdk_error("ssm:GetParameter", &region.place, e))?;
    let value = answer.parameter().and_then(|parameter| parameter.value()).unwrap_or_default();
    check_id(&format!("the value of parameter {name}"), value, "ami")?;
    Ok(value.to_owned())
}

#[cfg(not(feature = "ssm"))]
#[expect(clippy::unused_async, reason = "with the feature it asks")]
async fn read_parameter(_region: &Region, name: &str) -> Result<String> {
    Err(Error::invalid("source parameter", name, "a parameter only where the feature ssm is compiled in"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, created: &str) -> Image {
        Image::builder().image_id(id).creation_date(created).architecture(ArchitectureValues::X8664).build()
    }

    #[test]
    fn the_newest_is_of_the_architecture_allowed_and_not_deprecated() {
        let now = Timestamp::from_millis(1_700_000_000_000); // 2023-11-14T22:13:20Z
        let newest_of = |images: Vec<Image>, architecture| newest(images, architecture, now).and_then(|i| i.image_id);
        let (old, young) = (image("ami-1", "2023-01-01T00:00:00.000Z"), image("ami-2", "2023-06-01T00:00:00.000Z"));
        let mut retired = image("ami-3", "2023-07-01T00:00:00.000Z");
        retired.deprecation_time = Some("2023-11-14T22:13:20.000Z".into());
        let mut retiring = image("ami-4", "2023-05-01T00:00:00.000Z");
        retiring.deprecation_time = Some("2025-01-01T00:00:00.000Z".into());
        let mut arm = image("ami-5", "2023-08-01T00:00:00.000Z");
        arm.architecture = Some(ArchitectureValues::Arm64);
        let mut refused = image("ami-6", "2023-09-01T00:00:00.000Z");
        refused.image_allowed = Some(false);
        let x86 = Some(Architecture::X86_64);
        let all = vec![young, old.clone(), retired.clone(), retiring.clone(), arm, refused];
        assert_eq!(newest_of(all.clone(), x86).as_deref(), Some("ami-2"));
        assert_eq!(newest_of(all, None).as_deref(), Some("ami-5"));
        assert_eq!(newest_of(vec![old, retiring], x86).as_deref(), Some("ami-4"));
        assert_eq!(newest_of(vec![retired], x86), None);
    }

    #[test]
    fn a_source_that_cannot_work_is_refused_by_its_field() {
        let name = |owners: &[&str]| AmiSource::newest(owners.iter().copied()).filter("name", ["al2023-*"]);
        for (source, field) in [
            (AmiSource::id("ami-123"), "source is `ami-123`"),
            (AmiSource::id("snap-0123456789abcdef0"), "source is"),
            (name(&[]), "source owners is ``"),
            (name(&["Amazon"]), "source owners is `Amazon`"),
            (name(&["self", "12345"]), "source owners is `self,12345`"),
            (AmiSource::newest(["self"]), "source filter is ``"),
            (AmiSource::newest(["self"]).filter("name", Vec::<String>::new()), "source filter is `name`"),
            (AmiSource(By::Parameter(String::new())), "source parameter is ``"),
            (AmiSource(By::Parameter("a b".into())), "source parameter is `a b`"),
        ] {
            let error = source.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with(field), "{error}");
        }
        for source in [AmiSource::id("ami-0123456789abcdef0"), name(&["self", "amazon", "111122223333"])] {
            source.check().unwrap();
        }
    }

    #[test]
    fn a_source_is_shown_in_words() {
        let source = AmiSource::newest(["amazon"]).filter("name", ["a*", "b*"]).filter("architecture", ["arm64"]);
        assert_eq!(source.to_string(), "the newest of amazon, name=a*|b*, architecture=arm64");
    }
}
