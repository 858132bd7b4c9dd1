//! Settings of fixed types, read as Go decodes YAML into them.

use super::{Fault, GossfileError, duration};
use crate::{
    Compat, Value,
    suite::Retry,
    yaml::{Content, Key, Node, Resolved, Scalar},
};
use std::{collections::BTreeMap, time::Duration};

/// The entries of a resource.
pub(super) struct Settings<'a> {
    /// The resource, in words.
    pub(super) of: String,
    pub(super) entries: &'a [(Key, Node)],
}

impl<'a> Settings<'a> {
    /// The entries of a map of attributes.
    pub(super) fn new(of: String, node: &'a Node) -> Result<Self, GossfileError> {
        match &node.content {
            Content::Map(entries) => Ok(Self { of, entries }),
            _ => Err(wrong_type(of, node, "a map of attributes")),
        }
    }

    /// What a name is set to. Null is not set.
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    fn wrong(&self, name: &str, node: &Node, accepted: &'static str) -> GossfileError {
        wrong_type(format!("{name} of {}", self.of), node, accepted)
    }

    /// A text: any scalar, as it is written. The empty text is not set.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, GossfileError> {
        match self.get(name) {
            None => Ok(None),
            Some(Node { content: Content::Scalar(scalar), .. }) => {
                Ok(Some(scalar.text.clone()).filter(|text| !text.is_empty()))
            }
            Some(node) => Err(self.wrong(name, node, "text")),
        }
    }

    /// Texts in a list.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, GossfileError> {
        let items = match self.get(name) {
            None => return Ok(vec![]),
            Some(Node { content: Content::List(items), .. }) => items,
            Some(node) => return Err(self.wrong(name, node, "a list of texts")),
        };
        let text = |item: &Node| match &item.content {
            Content::Scalar(scalar) => Ok(scalar.text.clone()),
            _ => Err(self.wrong(name, item, "a list of texts")),
        };
        items.iter().filter(|item| !item.is_null()).map(text).collect()
    }

    /// True or false, with the words of YAML 1.1; false unless set.
    pub(super) fn flag(&self, name: &str) -> Result<bool, GossfileError> {
        let Some(node) = self.get(name) else { return Ok(false) };
        if let Content::Scalar(Scalar { text, resolved }) = &node.content {
            match (resolved, text.as_str()) {
                (Resolved::Bool(flag), _) => return Ok(*flag),
                (Resolved::String, "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON") => return Ok(true),
                (Resolved::String, "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF") => return Ok(false),
                _ => {}
            }
        }
        Err(self.wrong(name, node, "true or false"))
    }

    /// A whole number; what is behind the point does not count.
    fn whole(&self, name: &str, accepted: &'static str) -> Result<Option<i64>, GossfileError> {
        let Some(node) = self.get(name) else { return Ok(None) };
        match &node.content {
            Content::Scalar(Scalar { resolved: Resolved::Int(number), .. }) => Ok(Some(*number)),
            Content::Scalar(Scalar { resolved: Resolved::Float(number), .. }) if number.abs() < 9e18 => {
                Ok(Some(*number as i64))
            }
            _ => Err(self.wrong(name, node, accepted)),
        }
    }

    /// Milliseconds; zero is not set.
    pub(super) fn millis(&self, name: &str) -> Result<Option<Duration>, GossfileError> {
        const ACCEPTED: &str = "a whole number of milliseconds";
        match self.whole(name, ACCEPTED)? {
            None | Some(0) => Ok(None),
            Some(number) => match (u64::try_from(number), self.get(name)) {
                (Ok(millis), _) => Ok(Some(Duration::from_millis(millis))),
                (Err(_), Some(node)) => Err(self.wrong(name, node, ACCEPTED)),
                (Err(_), None) => Ok(None),
            },
        }
    }

    /// `retry_count` and `retry_delay`: a number is milliseconds, a text a duration of Go.
    pub(super) fn retry(&self) -> Result<Retry, GossfileError> {
        let count = self.whole("retry_count", "a whole number")?.unwrap_or(0).max(0);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let millis = |number: f64| Duration::try_from_secs_f64((number / 1000.0).max(0.0)).ok();
        let Some(node) = self.get("retry_delay") else { return Ok(Retry::new(count, Duration::ZERO)) };
        let delay = match &node.content {
            Content::Scalar(Scalar { resolved: Resolved::Int(number), .. }) => {
                Some(Duration::from_millis(u64::try_from(*number).unwrap_or(0)))
            }
            Content::Scalar(Scalar { resolved: Resolved::Float(number), .. }) => millis(*number),
            Content::Scalar(Scalar { resolved: Resolved::String, text }) => match text.trim() {
                "" => Some(Duration::ZERO),
                text => duration::parse(text).or_else(|| millis(text.parse().ok()?)),
            },
            _ => None,
        };
        match delay {
            Some(delay) => Ok(Retry::new(count, delay)),
            None => Err(self.wrong("retry_delay", node, "milliseconds, or a duration such as `1m30s`")),
        }
    }

    /// `meta`: free values by name.
    pub(super) fn meta(&self, compat: Compat) -> Result<BTreeMap<String, Value>, GossfileError> {
        match self.get("meta").map(|node| (node, node.to_value(compat))) {
            None => Ok(BTreeMap::new()),
            Some((_, Value::Map(meta))) => Ok(meta),
            Some((node, _)) => Err(self.wrong("meta", node, "a map")),
        }
    }
}

pub(super) fn wrong_type(what: String, node: &Node, accepted: &'static str) -> GossfileError {
    GossfileError::at(&node.position, Fault::Setting { what, found: node.describe(), accepted })
}
