//! Suites as gossfiles.

use crate::{
    Matcher, Resource, Suite, Target, Value,
    suite::Retry,
    yaml::{block, emit_key},
};
use std::time::Duration;

impl Suite {
    /// The gossfile that says the same. Positions and comments are lost, and so is what is not valid in a gossfile:
    /// a [`Matcher::Invalid`], and an empty list, which goss takes for nothing.
    ///
    /// Resources are sorted, and attributes stand in the order they are checked.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        let mut section = None;
        for resource in self.resources() {
            if section.replace(resource.kind()) != Some(resource.kind()) {
                emit_key(&mut text, resource.kind().section(), 0);
                text.push('\n');
            }
            text.push_str("  ");
            emit_key(&mut text, &resource.key, 2);
            let entries = entries(resource);
            text.push_str(if entries.is_empty() { " {}\n" } else { "\n" });
            for (name, value) in entries {
                text.push_str("    ");
                emit_key(&mut text, name, 4);
                block(&mut text, &value, 4);
            }
        }
        text
    }

    /// The same in JSON. A number that JSON has no word for becomes null, and `{{` would begin a template action if it
    /// were loaded.
    pub fn to_json(&self) -> serde_json::Value {
        let mut sections = serde_json::Map::new();
        for resource in self.resources() {
            let section = sections.entry(resource.kind().section()).or_insert_with(|| serde_json::Map::new().into());
            if let serde_json::Value::Object(section) = section {
                let entries = entries(resource).into_iter().map(|(name, value)| (name.to_owned(), json(value)));
                section.insert(resource.key.clone(), serde_json::Value::Object(entries.collect()));
            }
        }
        serde_json::Value::Object(sections)
    }
}

fn json(value: Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Float(value) => value.into(),
        Value::String(value) => value.into(),
        Value::List(items) => items.into_iter().map(json).collect(),
        Value::Map(entries) => entries.into_iter().map(|(key, value)| (key, json(value))).collect(),
    }
}

/// What a resource says, by name.
fn entries(resource: &Resource) -> Vec<(&'static str, Value)> {
    let mut entries = Entries(vec![]);
    entries.text("title", resource.title.as_deref());
    if !resource.meta.is_empty() {
        entries.0.push(("meta", Value::Map(resource.meta.clone())));
    }
    entries.flag("skip", resource.skip);
    let name = resource.target.name().filter(|name| *name != resource.key);
    if let (Some(setting), Some(name)) = (resource.kind().target_setting(), name) {
        entries.text(setting, Some(name));
    }
    entries.settings(&resource.target);
    for expectation in &resource.expectations {
        let is_nothing = match &expectation.matcher {
            Matcher::Invalid(_) => true,
            Matcher::Has(items) => {
                items.is_empty() && resource.kind().attributes().first() != Some(&expectation.attribute)
            }
            _ => false,
        };
        if !is_nothing {
            entries.0.push((expectation.attribute.name(), expectation.matcher.to_value()));
        }
    }
    entries.0
}

struct Entries(Vec<(&'static str, Value)>);

impl Entries {
    fn text(&mut self, name: &'static str, text: Option<&str>) {
        self.0.extend(text.filter(|text| !text.is_empty()).map(|text| (name, text.into())));
    }

    fn flag(&mut self, name: &'static str, flag: bool) {
        self.0.extend(flag.then_some((name, Value::Bool(true))));
    }

    /// In milliseconds, rounded up: zero is not set.
    fn timeout(&mut self, timeout: Option<Duration>) {
        let millis = timeout.map(|timeout| whole(timeout.as_nanos().div_ceil(1_000_000)));
        self.0.extend(millis.map(|millis| ("timeout", Value::Int(millis))));
    }

    fn retry(&mut self, retry: Retry) {
        if retry.count > 0 {
            self.0.push(("retry_count", Value::Int(retry.count.into())));
        }
        let nanos = retry.delay.as_nanos();
        match nanos % 1_000_000 {
            _ if nanos == 0 => {}
            0 => self.0.push(("retry_delay", Value::Int(whole(nanos / 1_000_000)))),
            _ => self.0.push(("retry_delay", format!("{nanos}ns").into())),
        }
    }

    fn settings(&mut self, target: &Target) {
        match target {
            Target::Addr { timeout, local_address, .. } => {
                self.text("local-address", local_address.as_deref());
                self.timeout(*timeout);
            }
            Target::Command { timeout, retry, .. } => {
                self.timeout(*timeout);
                self.retry(*retry);
            }
            Target::Dns { server, timeout, retry, .. } => {
                self.text("server", server.as_deref());
                self.timeout(*timeout);
                self.retry(*retry);
            }
            Target::Http(request) => {
                self.text("method", request.method.as_deref());
                self.flag("allow-insecure", request.allow_insecure);
                self.flag("no-follow-redirects", request.no_follow_redirects);
                self.timeout(request.timeout);
                if !request.headers.is_empty() {
                    self.0.push(("request-headers", request.headers.clone().into()));
                }
                self.text("request-body", request.body.as_deref());
                self.text("username", request.username.as_deref());
                self.text("password", request.password.as_deref());
                self.text("ca-file", request.ca_file.as_deref());
                self.text("cert-file", request.cert_file.as_deref());
                self.text("key-file", request.key_file.as_deref());
                self.text("proxy", request.proxy.as_deref());
            }
            Target::Matching { content, as_reader } => {
                if *content != Value::Null {
                    self.0.push(("content", content.clone()));
                }
                self.flag("as-reader", *as_reader);
            }
            Target::Mount { timeout, .. } => self.timeout(*timeout),
            Target::Package { retry, .. } => self.retry(*retry),
            Target::File(_)
            | Target::Group(_)
            | Target::Interface(_)
            | Target::KernelParam(_)
            | Target::Port(_)
            | Target::Process(_)
            | Target::Registry(_)
            | Target::Service(_)
            | Target::User(_) => {}
        }
    }
}

fn whole(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
