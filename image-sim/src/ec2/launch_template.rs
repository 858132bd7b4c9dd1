//! Launch templates and their versions.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::State;
use super::action::{Action, Cx, Handler, act};
use super::describe::{Query, one};
use super::ids::TEMPLATE;
use super::instance::launch_data::LaunchData;
use super::tags::{self, Tags};
use crate::clock::iso;
use crate::error::ApiError;
use crate::query::Params;
use crate::world::{Region, new_id};
use crate::xml::Xml;

pub(crate) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "CreateLaunchTemplate" => act::<Create>,
        "CreateLaunchTemplateVersion" => act::<CreateVersion>,
        "ModifyLaunchTemplate" => act::<Modify>,
        "DeleteLaunchTemplate" => act::<Delete>,
        "DeleteLaunchTemplateVersions" => act::<DeleteVersions>,
        "DescribeLaunchTemplates" => act::<Describe>,
        "DescribeLaunchTemplateVersions" => act::<DescribeVersions>,
        _ => return None,
    })
}

/// A launch template.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) id: String,
    pub(crate) name: String,
    created: Timestamp,
    default: u64,
    latest: u64,
    versions: BTreeMap<u64, Version>,
}

#[derive(Debug, Clone)]
struct Version {
    number: u64,
    created: Timestamp,
    description: Option<String>,
    data: LaunchData,
}

/// A template by id or name, and a version of it.
#[derive(Debug, Clone)]
pub(crate) struct TemplateRef {
    id: Option<String>,
    name: Option<String>,
    version: Option<String>,
}

impl TemplateRef {
    /// `None` when the parameters name no template.
    pub(crate) fn parse(params: &Params<'_>) -> Result<Option<Self>, ApiError> {
        if params.is_empty() {
            return Ok(None);
        }
        Self::required(params).map(Some)
    }

    fn required(params: &Params<'_>) -> Result<Self, ApiError> {
        let this = Self {
            id: TEMPLATE.optional(params, "LaunchTemplateId")?,
            name: params.text("LaunchTemplateName"),
            version: params.text("Version"),
        };
        match (&this.id, &this.name) {
            (None, None) => Err(params.missing("LaunchTemplateId")),
            (Some(_), Some(_)) => {
                let message = "A launch template is named either by its id or by its name";
                Err(ApiError::new("InvalidParameterCombination", message))
            }
            _ => Ok(this),
        }
    }

    fn id(&self, ec2: &State) -> Result<String, ApiError> {
        match (&self.id, &self.name) {
            (Some(id), _) if ec2.templates.contains_key(id) => Ok(id.clone()),
            (Some(id), _) => Err(TEMPLATE.missing(id)),
            (None, name) => {
                let name = name.as_deref().unwrap_or_default();
                let found = ec2.templates.values().find(|template| template.name == name);
                found.map(|template| template.id.clone()).ok_or_else(|| {
                    let message = format!("The specified launch template, with template name {name}, does not exist.");
                    ApiError::new("InvalidLaunchTemplateName.NotFoundException", message)
                })
            }
        }
    }
}

impl Template {
    /// `$Default`, `$Latest` or a number; the default one when absent.
    fn version(&self, asked: Option<&str>) -> Result<&Version, ApiError> {
        let number = match asked {
            None | Some("$Default" | "") => Some(self.default),
            Some("$Latest") => Some(self.latest),
            Some(number) => number.parse().ok(),
        };
        number.and_then(|number| self.versions.get(&number)).ok_or_else(|| {
            let message = format!(
                "Could not find the specified version {} for the launch template with ID {}.",
                asked.unwrap_or_default(),
                self.id
            );
            ApiError::new("InvalidLaunchTemplateId.VersionNotFound", message)
        })
    }

    fn write(&self, xml: &mut Xml, tags: &Tags, principal: &str) {
        xml.text("launchTemplateId", &self.id);
        xml.text("launchTemplateName", &self.name);
        xml.text("createTime", iso(self.created));
        xml.text("createdBy", principal);
        xml.text("defaultVersionNumber", self.default);
        xml.text("latestVersionNumber", self.latest);
        tags::write(xml, tags);
    }

    fn write_version(&self, xml: &mut Xml, version: &Version, principal: &str) {
        xml.text("launchTemplateId", &self.id);
        xml.text("launchTemplateName", &self.name);
        xml.text("versionNumber", version.number);
        xml.optional("versionDescription", version.description.as_ref());
        xml.text("createTime", iso(version.created));
        xml.text("createdBy", principal);
        xml.text("defaultVersion", version.number == self.default);
        xml.element("launchTemplateData", |xml| version.data.write(xml));
    }
}

/// The launch data of a template's version.
pub(crate) fn find(ec2: &State, template: &TemplateRef) -> Result<LaunchData, ApiError> {
    let id = template.id(ec2)?;
    let found = ec2.templates.get(&id).ok_or_else(|| TEMPLATE.missing(&id))?;
    found.version(template.version.as_deref()).map(|version| version.data.clone())
}

fn principal(cx: &Cx<'_>) -> String {
    format!("arn:aws:iam::{}:root", cx.place.account)
}

struct Create {
    name: String,
    description: Option<String>,
    data: LaunchData,
    token: Option<String>,
    tags: Tags,
}

impl Action for Create {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let name = params.required("LaunchTemplateName")?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "()./_-".contains(c);
        if !(3..=128).contains(&name.len()) || !name.chars().all(allowed) {
            let message = format!("Launch template name '{name}' must have 3 to 128 letters, numbers and ()./_-");
            return Err(ApiError::new("InvalidLaunchTemplateName.MalformedException", message));
        }
        Ok(Self {
            name,
            description: params.text("VersionDescription"),
            data: LaunchData::parse(&params.sub("LaunchTemplateData"))?,
            token: params.text("ClientToken"),
            tags: tags::specification(params, &TEMPLATE)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (now, principal) = (cx.now, principal(cx));
        let id = match cx.replay(self.token.as_deref())?.and_then(|ids| ids.into_iter().next()) {
            Some(id) => id,
            None => {
                let ec2 = &mut cx.region().ec2;
                if ec2.templates.values().any(|template| template.name == self.name) {
                    let message = format!("Launch template name already in use: {}", self.name);
                    return Err(ApiError::new("InvalidLaunchTemplateName.AlreadyExistsException", message));
                }
                let version = Version { number: 1, created: now, description: self.description, data: self.data };
                let versions = [(1, version)].into();
                let template =
                    Template { id: new_id("lt"), name: self.name, created: now, default: 1, latest: 1, versions };
                let id = template.id.clone();
                ec2.tags.set(&id, self.tags);
                ec2.templates.insert(id.clone(), template);
                cx.created(&id);
                cx.remember(self.token.as_deref(), vec![id.clone()]);
                id
            }
        };
        let ec2 = &cx.region().ec2;
        let template = ec2.templates.get(&id).ok_or_else(|| TEMPLATE.missing(&id))?;
        xml.element("launchTemplate", |xml| template.write(xml, ec2.tags.of(&id), &principal));
        Ok(())
    }
}

struct CreateVersion {
    template: TemplateRef,
    source: Option<String>,
    description: Option<String>,
    data: LaunchData,
    token: Option<String>,
}

impl Action for CreateVersion {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            template: TemplateRef::required(params)?,
            source: params.text("SourceVersion"),
            description: params.text("VersionDescription"),
            data: LaunchData::parse(&params.sub("LaunchTemplateData"))?,
            token: params.text("ClientToken"),
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (now, principal) = (cx.now, principal(cx));
        let replayed = cx.replay(self.token.as_deref())?.and_then(|ids| ids.first()?.parse::<u64>().ok());
        let ec2 = &mut cx.region().ec2;
        let id = self.template.id(ec2)?;
        let template = ec2.templates.get_mut(&id).ok_or_else(|| TEMPLATE.missing(&id))?;
        let number = match replayed {
            Some(number) => number,
            None => {
                let source = self.source.as_deref().map(|source| template.version(Some(source))).transpose()?;
                let base = source.map(|version| version.data.clone()).unwrap_or_default();
                let number = template.latest + 1;
                let data = self.data.over(base);
                template.versions.insert(number, Version { number, created: now, description: self.description, data });
                template.latest = number;
                number
            }
        };
        let version = template.version(Some(&number.to_string()))?;
        xml.element("launchTemplateVersion", |xml| template.write_version(xml, version, &principal));
        cx.remember(self.token.as_deref(), vec![number.to_string()]);
        Ok(())
    }
}

struct Modify {
    template: TemplateRef,
    default: String,
}

impl Action for Modify {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        params.text("ClientToken");
        Ok(Self { template: TemplateRef::required(params)?, default: params.required("SetDefaultVersion")? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let principal = principal(cx);
        let ec2 = &mut cx.region().ec2;
        let id = self.template.id(ec2)?;
        let template = ec2.templates.get_mut(&id).ok_or_else(|| TEMPLATE.missing(&id))?;
        template.default = template.version(Some(&self.default))?.number;
        xml.element("launchTemplate", |xml| template.write(xml, ec2.tags.of(&id), &principal));
        Ok(())
    }
}

struct Delete(TemplateRef);

impl Action for Delete {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        TemplateRef::required(params).map(Self)
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let principal = principal(cx);
        let ec2 = &mut cx.region().ec2;
        let id = self.0.id(ec2)?;
        if let Some(template) = ec2.templates.remove(&id) {
            xml.element("launchTemplate", |xml| template.write(xml, ec2.tags.of(&id), &principal));
        }
        ec2.tags.forget(&id);
        Ok(())
    }
}

struct DeleteVersions {
    template: TemplateRef,
    versions: Vec<u64>,
}

impl Action for DeleteVersions {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let versions = params.texts("LaunchTemplateVersion")?;
        let versions: Option<Vec<u64>> = versions.iter().map(|version| version.parse().ok()).collect();
        let versions = versions.filter(|versions| !versions.is_empty());
        let versions = versions.ok_or_else(|| params.invalid("LaunchTemplateVersion", "not a list of numbers"))?;
        Ok(Self { template: TemplateRef::required(params)?, versions })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let ec2 = &mut cx.region().ec2;
        let id = self.template.id(ec2)?;
        let template = ec2.templates.get_mut(&id).ok_or_else(|| TEMPLATE.missing(&id))?;
        let (mut deleted, mut kept) = (Vec::new(), Vec::new());
        for number in self.versions {
            let reason = if number == template.default {
                Some(("unexpectedError", "the default version cannot be deleted"))
            } else if template.versions.remove(&number).is_none() {
                Some(("launchTemplateVersionDoesNotExist", "there is no such version"))
            } else {
                None
            };
            match reason {
                None => deleted.push(number),
                Some(reason) => kept.push((number, reason)),
            }
        }
        let identify = |xml: &mut Xml, number: u64| {
            xml.text("launchTemplateId", &template.id);
            xml.text("launchTemplateName", &template.name);
            xml.text("versionNumber", number);
        };
        xml.items("successfullyDeletedLaunchTemplateVersionSet", deleted, identify);
        xml.items("unsuccessfullyDeletedLaunchTemplateVersionSet", kept, |xml, (number, (code, message))| {
            identify(xml, number);
            xml.element("responseError", |xml| {
                xml.text("code", code);
                xml.text("message", message);
            });
        });
        Ok(())
    }
}

struct Describe {
    query: Query,
    names: Vec<String>,
}

impl Action for Describe {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            query: Query::parse(params, &TEMPLATE, "LaunchTemplateId", &["launch-template-name", "create-time"])?,
            names: params.texts("LaunchTemplateName")?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let (now, principal) = (cx.now, principal(cx));
        let Region { ec2, unsettled, .. } = cx.region();
        let templates = &ec2.templates;
        if let Some(name) = self.names.iter().find(|name| !templates.values().any(|template| template.name == **name)) {
            let message = format!("The specified launch template, with template name {name}, does not exist.");
            return Err(ApiError::new("InvalidLaunchTemplateName.NotFoundException", message));
        }
        let items = templates.iter().filter(|(_, t)| self.names.is_empty() || self.names.contains(&t.name));
        let (shown, next) = self.query.select(items, &ec2.tags, unsettled, now, |template, name| match name {
            "create-time" => one(iso(template.created)),
            _ => one(&template.name),
        })?;
        xml.items("launchTemplates", shown, |xml, template| {
            template.write(xml, ec2.tags.of(&template.id), &principal);
        });
        xml.optional("nextToken", next);
        Ok(())
    }
}

struct DescribeVersions {
    template: TemplateRef,
    versions: Vec<String>,
    least: Option<u64>,
    most: Option<u64>,
}

impl Action for DescribeVersions {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            template: TemplateRef::required(params)?,
            versions: params.texts("LaunchTemplateVersion")?,
            least: params.parse("MinVersion")?,
            most: params.parse("MaxVersion")?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let principal = principal(cx);
        let ec2 = &cx.region().ec2;
        let id = self.template.id(ec2)?;
        let template = ec2.templates.get(&id).ok_or_else(|| TEMPLATE.missing(&id))?;
        let mut shown = Vec::new();
        for version in &self.versions {
            shown.push(template.version(Some(version))?);
        }
        if self.versions.is_empty() {
            let range = self.least.unwrap_or(0)..=self.most.unwrap_or(u64::MAX);
            // The newest first.
            shown.extend(template.versions.values().rev().filter(|version| range.contains(&version.number)));
        }
        xml.items("launchTemplateVersionSet", shown, |xml, version| template.write_version(xml, version, &principal));
        Ok(())
    }
}
