//! The parameter store: names that point to values, with versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Cx, seconds};
use crate::error::ApiError;
use crate::world::{Place, ResourceState};

/// How many names one `GetParameters` takes.
const NAMES_LIMIT: usize = 10;
/// How long a value of the standard tier may be, in bytes.
const VALUE_LIMIT: usize = 4096;
/// The data type whose values must be ids of images.
const IMAGE: &str = "aws:ec2:image";

/// Every parameter of an account in a region.
pub(super) type Parameters = BTreeMap<String, Parameter>;

#[derive(Debug)]
pub(super) struct Parameter {
    /// Oldest first; never empty.
    versions: Vec<Version>,
    tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Version {
    number: u64,
    value: String,
    kind: String,
    data_type: String,
    description: String,
    at: Timestamp,
    by: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Put {
    name: String,
    value: String,
    #[serde(default, rename = "Type")]
    kind: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    overwrite: bool,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tier: Option<String>,
    #[serde(default)]
    data_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Get {
    name: String,
    #[serde(default)]
    #[expect(dead_code, reason = "all values are kept in the clear")]
    with_decryption: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetMany {
    names: Vec<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "all values are kept in the clear")]
    with_decryption: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Delete {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct OfResource {
    resource_type: String,
    resource_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct AddTags {
    resource_type: String,
    resource_id: String,
    tags: Vec<Tag>,
}

impl Parameter {
    fn latest(&self) -> Option<&Version> {
        self.versions.last()
    }
}

impl Version {
    fn json(&self, cx: &Cx<'_>, name: &str) -> Value {
        let Place { account, region } = &cx.place;
        json!({
            "Name": name,
            "Type": self.kind,
            "Value": self.value,
            "Version": self.number,
            "LastModifiedDate": seconds(self.at),
            "ARN": format!("arn:aws:ssm:{region}:{account}:parameter/{}", name.trim_start_matches('/')),
            "DataType": self.data_type,
        })
    }
}

fn absent(name: &str) -> ApiError {
    ApiError::new("ParameterNotFound", format!("{name} does not exist"))
}

/// `PutParameter`. A value of the type `aws:ec2:image` is validated after the reply: one that names no image the caller
/// sees never arrives, and only a look at the parameter shows it.
pub(super) fn put(cx: &Cx<'_>, input: Put) -> Result<Value, ApiError> {
    let Put { name, value, kind, description, overwrite, tags, tier, data_type } = input;
    check_name(&name)?;
    let invalid = |message: &str| Err(ApiError::new("ValidationException", message));
    if value.is_empty() || value.len() > VALUE_LIMIT {
        return invalid("a value has 1 to 4096 bytes");
    }
    if tier.is_some_and(|tier| tier != "Standard") {
        return Err(ApiError::unsupported("tiers other than Standard"));
    }
    if overwrite && !tags.is_empty() {
        return invalid("tags and overwrite can't be used together");
    }
    let mut world = cx.cloud.world();
    let region = world.region(&cx.place, cx.now);
    let old = region.ssm.parameters.get(&name).and_then(Parameter::latest).cloned();
    if old.is_some() && !overwrite {
        let message =
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
        return Err(ApiError::new("ParameterAlreadyExists", message));
    }
    let Some(kind) = kind.or_else(|| old.as_ref().map(|old| old.kind.clone())) else {
        return invalid("a parameter type is required when you create a parameter");
    };
    if !matches!(kind.as_str(), "String" | "StringList" | "SecureString") {
        return Err(ApiError::new("UnsupportedParameterType", kind));
    }
    let data_type = data_type.unwrap_or_else(|| "text".to_owned());
    if !matches!(data_type.as_str(), "text" | IMAGE) || (data_type == IMAGE && kind != "String") {
        return invalid("the data type is text, or aws:ec2:image of a String");
    }
    let number = old.map_or(1, |old| old.number + 1);
    let answer = json!({ "Version": number, "Tier": "Standard" });
    if data_type == IMAGE && !world.image_visible(&cx.place, &value, cx.now) {
        return Ok(answer);
    }
    let by = format!("arn:aws:iam::{}:root", cx.place.account);
    let version = Version { number, value, kind, data_type, description, at: cx.now, by };
    let parameters = &mut world.region(&cx.place, cx.now).ssm.parameters;
    let parameter = parameters.entry(name).or_insert_with(|| Parameter { versions: vec![], tags: BTreeMap::new() });
    parameter.versions.push(version);
    parameter.tags.extend(tags.into_iter().map(|tag| (tag.key, tag.value)));
    Ok(answer)
}

/// Letters, digits and `._-`, in levels; the names below `/aws` are AWS's own.
fn check_name(name: &str) -> Result<(), ApiError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    if name.is_empty() || name.len() > 1011 || !name.chars().all(fits) {
        return Err(ApiError::new("ValidationException", format!("{name} is no name of a parameter")));
    }
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    if first.starts_with("aws") || first.starts_with("ssm") {
        return Err(ApiError::new("AccessDeniedException", format!("No access to reserved parameter name: {name}.")));
    }
    Ok(())
}

/// What `NAME` or `NAME:VERSION` names.
fn find<'a>(parameters: &'a Parameters, selector: &str) -> Result<(&'a str, &'a Version), ApiError> {
    let (name, version) = match selector.split_once(':') {
        Some((name, version)) => (name, Some(version)),
        None => (selector, None),
    };
    let (name, parameter) = parameters.get_key_value(name).ok_or_else(|| absent(selector))?;
    let found = match version {
        None => parameter.latest(),
        Some(number) => parameter.versions.iter().find(|version| version.number.to_string() == number),
    };
    let missing = || ApiError::new("ParameterVersionNotFound", selector);
    Ok((name, found.ok_or_else(missing)?))
}

/// `GetParameter`.
pub(super) fn get(cx: &Cx<'_>, input: Get) -> Result<Value, ApiError> {
    let Get { name, .. } = input;
    let mut world = cx.cloud.world();
    let (name, version) = find(&world.region(&cx.place, cx.now).ssm.parameters, &name)?;
    Ok(json!({ "Parameter": version.json(cx, name) }))
}

/// `GetParameters`.
pub(super) fn get_many(cx: &Cx<'_>, input: GetMany) -> Result<Value, ApiError> {
    let GetMany { names, .. } = input;
    if names.is_empty() || names.len() > NAMES_LIMIT {
        return Err(ApiError::new("ValidationException", "1 to 10 names"));
    }
    let mut world = cx.cloud.world();
    let parameters = &world.region(&cx.place, cx.now).ssm.parameters;
    let (mut found, mut invalid) = (vec![], vec![]);
    for selector in names {
        match find(parameters, &selector) {
            Ok((name, version)) => found.push(version.json(cx, name)),
            Err(_) => invalid.push(selector),
        }
    }
    Ok(json!({ "Parameters": found, "InvalidParameters": invalid }))
}

/// `GetParameterHistory`: all versions in one page.
pub(super) fn history(cx: &Cx<'_>, input: Get) -> Result<Value, ApiError> {
    let Get { name, .. } = input;
    let mut world = cx.cloud.world();
    let parameter = world.region(&cx.place, cx.now).ssm.parameters.get(&name).ok_or_else(|| absent(&name))?;
    let versions = parameter.versions.iter().map(|version| {
        let mut value = version.json(cx, &name);
        if let Some(fields) = value.as_object_mut() {
            fields.remove("ARN");
        }
        value["LastModifiedUser"] = json!(version.by);
        value["Description"] = json!(version.description);
        value["Labels"] = json!([]);
        value["Tier"] = json!("Standard");
        value
    });
    Ok(json!({ "Parameters": versions.collect::<Vec<_>>() }))
}

/// `DeleteParameter`.
pub(super) fn delete(cx: &Cx<'_>, input: Delete) -> Result<Value, ApiError> {
    let mut world = cx.cloud.world();
    let parameters = &mut world.region(&cx.place, cx.now).ssm.parameters;
    parameters.remove(&input.name).map(|_| json!({})).ok_or_else(|| absent(&input.name))
}

/// `AddTagsToResource`, of a parameter.
pub(super) fn add_tags(cx: &Cx<'_>, input: AddTags) -> Result<Value, ApiError> {
    let AddTags { resource_type, resource_id, tags } = input;
    with_parameter(cx, &resource_type, &resource_id, |parameter| {
        parameter.tags.extend(tags.into_iter().map(|tag| (tag.key, tag.value)));
        json!({})
    })
}

/// `ListTagsForResource`, of a parameter.
pub(super) fn list_tags(cx: &Cx<'_>, input: OfResource) -> Result<Value, ApiError> {
    with_parameter(cx, &input.resource_type, &input.resource_id, |parameter| {
        let tags = parameter.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
        json!({ "TagList": tags.collect::<Vec<_>>() })
    })
}

fn with_parameter(
    cx: &Cx<'_>,
    resource_type: &str,
    name: &str,
    work: impl FnOnce(&mut Parameter) -> Value,
) -> Result<Value, ApiError> {
    if resource_type != "Parameter" {
        return Err(ApiError::new("InvalidResourceType", resource_type));
    }
    let mut world = cx.cloud.world();
    let parameter = world.region(&cx.place, cx.now).ssm.parameters.get_mut(name);
    parameter.map(work).ok_or_else(|| ApiError::new("InvalidResourceId", name))
}

/// What exists, for leak tests.
pub(super) fn resources(place: &Place, parameters: &Parameters) -> Vec<ResourceState> {
    let state = |(name, parameter): (&String, &Parameter)| ResourceState {
        account: place.account.clone(),
        region: place.region.clone(),
        service: "ssm".to_owned(),
        kind: "parameter".to_owned(),
        id: name.clone(),
        state: parameter.latest().map(|version| version.value.clone()).unwrap_or_default(),
        seeded: false,
        tags: parameter.tags.clone(),
    };
    parameters.iter().map(state).collect()
}
