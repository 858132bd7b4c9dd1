//! Tags, which every kind of resource has.

use std::collections::BTreeMap;

use super::action::{Action, Cx, Handler, act, done};
use super::describe::{Filters, Page};
use super::ids::Kind;
use crate::error::ApiError;
use crate::query::Params;
use crate::xml::Xml;

/// The most tags that a resource may have.
const MOST: usize = 50;

pub(crate) type Tags = BTreeMap<String, String>;

/// The tags of everything that an account has in a region. They are the tagger's: a public image has none of its owner's.
#[derive(Debug, Default)]
pub(crate) struct TagMap(BTreeMap<String, Tags>);

impl TagMap {
    pub(crate) fn of(&self, id: &str) -> &Tags {
        static NONE: Tags = Tags::new();
        self.0.get(id).unwrap_or(&NONE)
    }

    /// The tags of a new resource.
    pub(crate) fn set(&mut self, id: &str, tags: Tags) {
        if !tags.is_empty() {
            self.0.insert(id.to_owned(), tags);
        }
    }

    /// The resource is gone.
    pub(crate) fn forget(&mut self, id: &str) {
        self.0.remove(id);
    }
}

pub(crate) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "CreateTags" => act::<CreateTags>,
        "DeleteTags" => act::<DeleteTags>,
        "DescribeTags" => act::<DescribeTags>,
        _ => return None,
    })
}

/// `<tagSet>`, as every description has it.
pub(crate) fn write(xml: &mut Xml, tags: &Tags) {
    xml.items("tagSet", tags, |xml, (key, value)| {
        xml.text("key", key);
        xml.text("value", value);
    });
}

/// `TagSpecification.N` for the kinds that an action creates.
pub(crate) fn specifications(params: &Params<'_>, kinds: &[&Kind]) -> Result<BTreeMap<String, Tags>, ApiError> {
    let mut all = BTreeMap::new();
    for specification in params.list("TagSpecification")? {
        let kind = specification.required("ResourceType")?;
        if !kinds.iter().any(|known| known.name == kind) {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
            let message = format!("'{kind}' is not a valid taggable resource type for this operation: {names:?}");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        if all.insert(kind.clone(), parse(&specification)?).is_some() {
            let message = format!("Tag specifications must name each resource type once: '{kind}'");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
    }
    Ok(all)
}

/// The tags of the one kind that an action creates.
pub(crate) fn specification(params: &Params<'_>, kind: &Kind) -> Result<Tags, ApiError> {
    Ok(specifications(params, &[kind])?.remove(kind.name).unwrap_or_default())
}

/// `Tag.N.Key`, `Tag.N.Value`, by EC2's rules.
fn parse(params: &Params<'_>) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for tag in params.list("Tag")? {
        let key = tag.required("Key")?;
        let value = tag.text("Value").unwrap_or_default();
        if key.to_ascii_lowercase().starts_with("aws:") {
            let message = format!("Tag keys starting with 'aws:' are reserved for internal use: '{key}'");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        if key.chars().count() > 128 || value.chars().count() > 256 {
            let message = format!("Tag '{key}': a key has at most 128 characters, a value 256");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        if tags.insert(key.clone(), value).is_some() {
            let message = format!("Duplicate tag key '{key}' specified.");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
    }
    within_limit(&tags).map(|()| tags)
}

fn within_limit(tags: &Tags) -> Result<(), ApiError> {
    if tags.len() > MOST {
        return Err(ApiError::new("TagLimitExceeded", format!("The maximum number of tags for a resource is {MOST}")));
    }
    Ok(())
}

fn exists(cx: &mut Cx<'_>, ids: &[String]) -> Result<(), ApiError> {
    let region = cx.place.region.clone();
    for id in ids {
        let Some(kind) = Kind::of(id) else {
            return Err(ApiError::new("InvalidID", format!("The ID '{id}' is not valid")));
        };
        kind.check(id)?;
        let public = || cx.world.in_region(&region).any(|(_, other)| other.ec2.is_public(id));
        if !public() && !cx.region().ec2.exists(id) {
            return Err(kind.missing(id));
        }
    }
    Ok(())
}

struct CreateTags {
    ids: Vec<String>,
    tags: Tags,
}

impl Action for CreateTags {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let ids = params.texts("ResourceId")?;
        let tags = parse(params)?;
        match (ids.is_empty(), tags.is_empty()) {
            (true, _) => Err(params.missing("ResourceId")),
            (_, true) => Err(params.missing("Tag")),
            _ => Ok(Self { ids, tags }),
        }
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        exists(cx, &self.ids)?;
        let map = &mut cx.region().ec2.tags;
        for id in &self.ids {
            let mut tags = map.of(id).clone();
            tags.extend(self.tags.clone());
            within_limit(&tags)?;
        }
        for id in self.ids {
            map.0.entry(id).or_default().extend(self.tags.clone());
        }
        done(xml);
        Ok(())
    }
}

struct DeleteTags {
    ids: Vec<String>,
    /// With a value, only a tag that has it is removed. None at all means every tag.
    tags: Vec<(String, Option<String>)>,
}

impl Action for DeleteTags {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let ids = params.texts("ResourceId")?;
        if ids.is_empty() {
            return Err(params.missing("ResourceId"));
        }
        let tags = params.list("Tag")?;
        let tags = tags
            .iter()
            .map(|tag| Ok((tag.required("Key")?, tag.maybe_empty("Value"))))
            .collect::<Result<_, ApiError>>()?;
        Ok(Self { ids, tags })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        exists(cx, &self.ids)?;
        let map = &mut cx.region().ec2.tags;
        for id in &self.ids {
            let Some(tags) = map.0.get_mut(id) else { continue };
            let named = |key: &String, value: &String| {
                self.tags.iter().any(|(k, v)| k == key && v.as_ref().is_none_or(|v| v == value))
            };
            tags.retain(|key, value| !self.tags.is_empty() && !named(key, value));
        }
        done(xml);
        Ok(())
    }
}

struct DescribeTags {
    filters: Filters,
    page: Page,
}

impl Action for DescribeTags {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let filters = Filters::parse(params, &["key", "value", "resource-id", "resource-type"])?;
        Ok(Self { filters, page: Page::parse(params, false)? })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let mut rows = Vec::new();
        for (id, tags) in &cx.region().ec2.tags.0 {
            let kind = Kind::of(id).map_or("", |kind| kind.name);
            for (key, value) in tags {
                let field = |name: &str| match name {
                    "key" => vec![key.clone()],
                    "value" => vec![value.clone()],
                    "resource-id" => vec![id.clone()],
                    _ => vec![kind.to_owned()],
                };
                if self.filters.match_all(tags, field) {
                    rows.push((format!("{id}\n{key}"), (id, kind, key, value)));
                }
            }
        }
        let (rows, next) = self.page.cut(rows);
        xml.items("tagSet", rows, |xml, (id, kind, key, value)| {
            xml.text("resourceId", id);
            xml.text("resourceType", kind);
            xml.text("key", key);
            xml.text("value", value);
        });
        xml.optional("nextToken", next);
        Ok(())
    }
}
