//! The parameters of query protocols: `Filter.1.Value.2` as a tree, read with the errors of the API.
//!
//! Each leaf remembers whether it was read. A parameter that no code reads is answered with `UnknownParameter`, so the
//! simulator never drops an attribute in silence.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::ApiError;

/// The decoded pairs of a query string or a form.
pub(crate) fn decode(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_one(key), decode_one(value))
    })
}

fn decode_one(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// All parameters of one request.
#[derive(Debug, Default)]
pub(crate) struct Form {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    value: Option<String>,
    read: AtomicBool,
    children: BTreeMap<String, Self>,
}

impl Form {
    pub(crate) fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut root = Node::default();
        for (key, value) in pairs {
            let node = key.split('.').fold(&mut root, |node, part| node.children.entry(part.to_owned()).or_default());
            node.value = Some(value);
        }
        Self { root }
    }

    /// The top of the tree.
    pub(crate) fn params(&self) -> Params<'_> {
        Params { node: Some(&self.root), path: String::new() }
    }

    /// Every parameter, by its full name.
    pub(crate) fn flat(&self) -> BTreeMap<String, String> {
        let mut flat = BTreeMap::new();
        self.root.walk("", &mut |path, node| {
            if let Some(value) = &node.value {
                flat.insert(path.to_owned(), value.clone());
            }
        });
        flat
    }

    /// Refuses what nobody read.
    pub(crate) fn finish(&self) -> Result<(), ApiError> {
        let mut unread = None;
        self.root.walk("", &mut |path, node| {
            if node.value.is_some() && !node.read.load(Ordering::Relaxed) && unread.is_none() {
                unread = Some(path.to_owned());
            }
        });
        unread.map_or(Ok(()), |name| {
            Err(ApiError::new("UnknownParameter", format!("The parameter {name} is not recognized")))
        })
    }
}

impl Node {
    fn walk(&self, path: &str, visit: &mut impl FnMut(&str, &Self)) {
        visit(path, self);
        for (name, child) in &self.children {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            child.walk(&path, visit);
        }
    }
}

/// The parameters below one name. Absent and empty are the same.
#[derive(Debug, Clone)]
pub(crate) struct Params<'a> {
    node: Option<&'a Node>,
    path: String,
}

impl<'a> Params<'a> {
    fn full(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn child(&self, name: &str) -> Option<&'a Node> {
        self.node?.children.get(name)
    }

    /// Whether nothing was sent here.
    pub(crate) fn is_empty(&self) -> bool {
        self.node.is_none_or(|node| node.value.is_none() && node.children.is_empty())
    }

    /// The parameters below `name`.
    pub(crate) fn sub(&self, name: &str) -> Self {
        Self { node: self.child(name), path: self.full(name) }
    }

    /// A text, where sent. An empty one counts as absent, because clients send `KmsKeyId=` for "no key".
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.maybe_empty(name).filter(|value| !value.is_empty())
    }

    /// A text, where sent, for what has a meaning when it is empty: the value of a tag, `NoDevice`.
    pub(crate) fn maybe_empty(&self, name: &str) -> Option<String> {
        let node = self.child(name)?;
        node.read.store(true, Ordering::Relaxed);
        node.value.clone()
    }

    /// A text that must be sent and not be empty.
    pub(crate) fn required(&self, name: &str) -> Result<String, ApiError> {
        self.text(name).ok_or_else(|| missing(&self.full(name)))
    }

    /// A number, or whatever else is read from text.
    pub(crate) fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.text(name).map(|value| value.parse().map_err(|_| invalid(&self.full(name), &value))).transpose()
    }

    /// `true` or `false`, in any case.
    pub(crate) fn bool(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let parse = |value: String| match value.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(invalid(&self.full(name), &value)),
        };
        self.text(name).map(parse).transpose()
    }

    /// A text that is one of `accepted`.
    pub(crate) fn one_of(&self, name: &str, accepted: &[&str]) -> Result<Option<String>, ApiError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        if accepted.contains(&value.as_str()) {
            return Ok(Some(value));
        }
        let message =
            format!("Value ({value}) for parameter {} is invalid. Accepted: {}.", self.full(name), accepted.join(", "));
        Err(ApiError::new("InvalidParameterValue", message))
    }

    /// The texts of a list, `Name.1`, `Name.2` or `Name.member.1`, by their numbers.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let items = self.list(name)?;
        items
            .into_iter()
            .map(|item| {
                let node = item.node.filter(|node| node.children.is_empty());
                node.and_then(|node| {
                    node.read.store(true, Ordering::Relaxed);
                    node.value.clone()
                })
                .ok_or_else(|| ApiError::new("UnknownParameter", format!("{} is not a plain value", item.path)))
            })
            .collect()
    }

    /// The structures of a list, by their numbers.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<Self>, ApiError> {
        let mut list = self.sub(name);
        if list.child("member").is_some() {
            list = list.sub("member");
        }
        let Some(node) = list.node else { return Ok(Vec::new()) };
        let mut items = Vec::with_capacity(node.children.len());
        for (key, child) in &node.children {
            let path = format!("{}.{key}", list.path);
            let index: u32 = key.parse().map_err(|_| {
                ApiError::new("UnknownParameter", format!("The parameter {path} is not recognized: not a number"))
            })?;
            items.push((index, Self { node: Some(child), path }));
        }
        items.sort_by_key(|(index, _)| *index);
        Ok(items.into_iter().map(|(_, item)| item).collect())
    }

    /// An `InvalidParameterValue` that names this parameter.
    pub(crate) fn invalid(&self, name: &str, value: impl std::fmt::Display) -> ApiError {
        invalid(&self.full(name), &value.to_string())
    }

    /// A `MissingParameter` that names this parameter.
    pub(crate) fn missing(&self, name: &str) -> ApiError {
        missing(&self.full(name))
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::new("MissingParameter", format!("The request must contain the parameter {name}"))
}

fn invalid(name: &str, value: &str) -> ApiError {
    ApiError::new("InvalidParameterValue", format!("Value ({value}) for parameter {name} is invalid."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        Form::new(decode(text))
    }

    #[test]
    fn structures_and_lists_are_a_tree() {
        let form =
            form("Filter.1.Name=tag%3Aa+b&Filter.1.Value.2=y&Filter.1.Value.1=x&Filter.10.Name=z&Filter.2.Name=q");
        let filters = form.params().list("Filter").unwrap();
        let names: Vec<_> = filters.iter().map(|filter| filter.required("Name").unwrap()).collect();
        assert_eq!(names, ["tag:a b", "q", "z"]);
        assert_eq!(filters[0].texts("Value").unwrap(), ["x", "y"]);
        form.finish().unwrap();
    }

    #[test]
    fn members_are_lists_too() {
        assert_eq!(form("Tags.member.1=a&Tags.member.2=b").params().texts("Tags").unwrap(), ["a", "b"]);
    }

    #[test]
    fn an_empty_text_is_absent_unless_it_means_something() {
        let form = form("KmsKeyId=&NoDevice=&Encrypted=&Size=");
        let params = form.params();
        assert_eq!((params.text("KmsKeyId"), params.bool("Encrypted").unwrap()), (None, None));
        assert_eq!(params.parse::<u32>("Size").unwrap(), None);
        assert_eq!(params.maybe_empty("NoDevice").as_deref(), Some(""));
        form.finish().unwrap();
    }

    #[test]
    fn what_nobody_reads_is_refused() {
        let form = form("ImageId=ami-1&Ebs.Shiny=1");
        form.params().text("ImageId");
        let error = form.finish().unwrap_err();
        assert_eq!(error.code, "UnknownParameter");
        assert!(error.message.contains("Ebs.Shiny"), "{error}");
    }

    #[test]
    fn wrong_values_are_named() {
        let form = form("A.Count=many&A.Flag=perhaps&A.Kind=c&A.Empty=&L.x=1");
        let a = form.params().sub("A");
        for (error, code, name) in [
            (a.parse::<u32>("Count").unwrap_err(), "InvalidParameterValue", "A.Count"),
            (a.bool("Flag").unwrap_err(), "InvalidParameterValue", "A.Flag"),
            (a.one_of("Kind", &["a", "b"]).unwrap_err(), "InvalidParameterValue", "A.Kind"),
            (a.required("Empty").unwrap_err(), "MissingParameter", "A.Empty"),
            (a.required("None").unwrap_err(), "MissingParameter", "A.None"),
            (form.params().list("L").unwrap_err(), "UnknownParameter", "L.x"),
        ] {
            assert_eq!(error.code, code);
            assert!(error.message.contains(name), "{error}");
        }
    }
}
