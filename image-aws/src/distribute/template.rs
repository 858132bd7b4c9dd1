//! Launch templates: a new version with an image, based on the default one, which then becomes the default.

use super::{
    attribute::Attribute,
    kind::{OWNER, TEMPLATE_VERSION, kind},
};
use crate::{
    ec2::{
        client::Region,
        create::{again, nameless},
        undo::{absent_is_done, look_again},
    },
    error::sdk_error,
};
use aws_sdk_ec2::types::{LaunchTemplateVersion, RequestLaunchTemplateData};
use image_core::{Context, CreateError, CreateRequest, Created, Error, ErrorKind, Guard, Resource, Result, Undone};
use serde_json::{Value, json};
use std::sync::Arc;

/// What the description of a version of ours begins with; the token follows.
const DESCRIPTION: &str = "golden-image:token=";

/// A launch template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) id: String,
    pub(crate) default: i64,
}

/// Refuses what can be neither the id nor the name of a launch template:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html>.
pub(crate) fn check_template(template: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"().-/_".contains(&b);
    if (3..=128).contains(&template.len()) && template.bytes().all(good) {
        return Ok(());
    }
    let accepted = "an id as `lt-0123456789abcdef0`, or a name of 3 to 128 letters, digits and `().-/_`";
    Err(Error::invalid("launch_template", template, accepted))
}

/// A launch template by its id or its name; `None` where there is none.
pub(crate) async fn describe(region: &Region, template: &str) -> Result<Option<Template>> {
    let client = region.client().await?;
    let call = client.describe_launch_templates();
    let call = if template.starts_with("lt-") {
        call.launch_template_ids(template)
    } else {
        call.launch_template_names(template)
    };
    let found = match call.send().await.map_err(|e| sdk_error("ec2:DescribeLaunchTemplates", &region.place, e)) {
        Ok(answer) => answer.launch_templates.unwrap_or_default().into_iter().next(),
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let read = |found: aws_sdk_ec2::types::LaunchTemplate| {
        Some(Template { id: found.launch_template_id?, default: found.default_version_number? })
    };
    match found {
        None => Ok(None),
        Some(found) => match read(found) {
            Some(template) => Ok(Some(template)),
            None => Err(Error::bug("ec2:DescribeLaunchTemplates gives a template without an id or a version")),
        },
    }
}

/// Makes a version the default one.
pub(crate) async fn set_default(region: &Region, template: &str, version: &Value) -> Result<(), CreateError> {
    let client = region.client_once().await?;
    let version = version.to_string();
    let call = || client.modify_launch_template().launch_template_id(template).default_version(&version).send();
    again("ec2:ModifyLaunchTemplate", &region.place, call).await.map(drop)
}

/// Points a launch template to an image: nothing where its default version has it already.
pub(crate) async fn point(cx: &Context, region: &Arc<Region>, template: &str, image: &str) -> Result<Vec<Guard>> {
    let missing = || {
        let accepted = format!("a launch template in {}", region.place);
        Error::invalid("launch_template", template, accepted)
    };
    let Template { id, default } = cx.race(describe(region, template)).await?.ok_or_else(missing)?;
    if cx.race(image_of(region, &id, default)).await?.as_deref() == Some(image) {
        return Ok(vec![]);
    }
    let version = add_version(cx, region, &id, default, image).await?;
    let number = number(version.id())?;
    // The one that it is based on must still be the default: otherwise somebody's change would be lost.
    let move_on = |now: &Value| if *now == json!(default) { json!(number) } else { now.clone() };
    let Some(moved) = Attribute::DefaultVersion.change(cx, region, &id, move_on).await? else {
        let message = format!("the default version of {id} was {default} and changed meanwhile; run again");
        return Err(Error::new(ErrorKind::Conflict, message).with_context("place", &region.place));
    };
    Ok(vec![version, moved])
}

async fn add_version(cx: &Context, region: &Arc<Region>, template: &str, base: i64, image: &str) -> Result<Guard> {
    region.mutations.turn(cx).await?;
    let location = location(region, template);
    let (at, template, image) = (Arc::clone(region), template.to_owned(), image.to_owned());
    let call = move |request: CreateRequest| async move {
        let client = at.client_once().await?;
        let data = RequestLaunchTemplateData::builder().image_id(image).build();
        let call = || {
            let call = client.create_launch_template_version().launch_template_id(&template);
            let call = call.source_version(base.to_string()).launch_template_data(data.clone());
            call.client_token(&request.token).version_description(description(&request.token)).send()
        };
        let operation = "ec2:CreateLaunchTemplateVersion";
        let made = again(operation, &at.place, call).await?;
        let number = made.launch_template_version().and_then(LaunchTemplateVersion::version_number);
        let number = number.ok_or_else(|| nameless(operation))?;
        Ok(Created::new(format!("{template}/{number}")))
    };
    cx.create(OWNER, &region.place.scope(), kind(TEMPLATE_VERSION), &location, call).await
}

fn description(token: &str) -> String {
    format!("{DESCRIPTION}{token}")
}

/// The location of a version: with the template in it, so that the version is found where its number is not known.
fn location(region: &Region, template: &str) -> String {
    format!("{}/{template}", region.place.region)
}

/// The number in the id of a version, `lt-1/7`.
fn number(id: &str) -> Result<i64> {
    let number = id.split_once('/').and_then(|(_, number)| number.parse().ok());
    number.ok_or_else(|| Error::bug(format!("{id} is no version of a launch template")))
}

async fn image_of(region: &Region, template: &str, version: i64) -> Result<Option<String>> {
    let client = region.client().await?;
    let call = client.describe_launch_template_versions().launch_template_id(template).versions(version.to_string());
    let answer = call.send().await.map_err(|e| sdk_error("ec2:DescribeLaunchTemplateVersions", &region.place, e))?;
    let version = answer.launch_template_versions.unwrap_or_default().into_iter().next();
    Ok(version.and_then(|version| version.launch_template_data?.image_id))
}

/// The versions of a template that a create made; none where the template is gone.
pub(crate) async fn versions_of(region: &Region, template: &str, token: &str) -> Result<Vec<i64>> {
    let client = region.client().await?;
    // All versions: the description cannot be filtered by.
    let call = client.describe_launch_template_versions().launch_template_id(template);
    let (mut found, mut pages) = (vec![], call.max_results(200).into_paginator().send());
    let ours = description(token);
    while let Some(page) = pages.next().await {
        let page = match page.map_err(|e| sdk_error("ec2:DescribeLaunchTemplateVersions", &region.place, e)) {
            Ok(page) => page,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(vec![]),
            Err(e) => return Err(e),
        };
        let versions = page.launch_template_versions.unwrap_or_default().into_iter();
        let of_create = versions.filter(|version| version.version_description.as_deref() == Some(&ours));
        found.extend(of_create.filter_map(|version| version.version_number));
    }
    Ok(found)
}

/// Deletes a version that a create made. EC2 refuses that while it is the default.
pub(crate) async fn undo(region: &Region, created: &Resource) -> Result<Undone> {
    let template = created.location.split_once('/').map(|(_, template)| template);
    let template = template.ok_or_else(|| Error::bug(format!("{created} is in no launch template")))?;
    let versions = versions_of(region, template, &created.token).await?;
    if versions.is_empty() {
        return Ok(Undone::Absent);
    }
    let operation = "ec2:DeleteLaunchTemplateVersions";
    let numbers: Vec<String> = versions.iter().map(i64::to_string).collect();
    let call = region.client().await?.delete_launch_template_versions().launch_template_id(template);
    let answer = call.set_versions(Some(numbers.clone())).send().await;
    if let Ok(answer) = &answer
        && let Some(refused) = answer.unsuccessfully_deleted_launch_template_versions().first()
    {
        let why = refused.response_error().and_then(|error| error.message()).unwrap_or("without a reason");
        let message = format!("version {} of {template} is not deleted: {why}", numbers.join(", "));
        return Err(Error::new(ErrorKind::Conflict, message).with_operation(operation));
    }
    absent_is_done(answer.map(drop).map_err(|e| sdk_error(operation, &region.place, e)))?;
    let left = versions_of(region, template, &created.token).await?;
    Ok(if left.is_empty() { Undone::Gone } else { look_again() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_named_by_id_or_name() {
        for (template, good) in
            [("lt-0123456789abcdef0", true), ("web (blue)", false), ("web/(blue)", true), ("ab", false), ("", false)]
        {
            assert_eq!(check_template(template).is_ok(), good, "{template}");
        }
    }

    #[test]
    fn a_version_is_a_template_and_a_number() {
        assert_eq!(number("lt-1/12").unwrap(), 12);
        assert_eq!(number("lt-1").unwrap_err().kind(), ErrorKind::Internal);
    }
}
