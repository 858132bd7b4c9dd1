//! A resource of a section.

use super::{Fault, GossfileError, Lint, LintCode, Severity, lint, settings::Settings, suggest::closest};
use crate::{
    Attribute, Compat, Expectation, HttpRequest, Kind, Matcher, Position, Resource, Target, Value,
    yaml::{Content, Key, Node, Resolved, Scalar},
};

/// Reads a resource.
pub(super) fn read(
    kind: Kind,
    key: &Key,
    node: &Node,
    compat: Compat,
    lints: &mut Vec<Lint>,
) -> Result<Resource, GossfileError> {
    let settings = Settings::new(format!("{kind} `{}`", key.text), node)?;
    let fixed =
        ["title", "meta", "skip"].into_iter().chain(kind.target_setting()).chain(settings_of(kind).iter().copied());
    let attributes = kind.attributes().iter().map(|attribute| attribute.name());
    check_names(&settings, fixed.chain(attributes).chain((kind == Kind::Dns).then_some(RESOLVEABLE)).collect())?;

    let mut resource = Resource::new(&*key.text, target(kind, key, &settings, compat)?);
    resource.title = settings.text("title")?;
    resource.meta = settings.meta(compat)?;
    resource.skip = settings.flag("skip")?;
    resource.position = Some(key.position.clone());
    resource.expectations = Reader { kind, key, settings, compat, lints }.expectations(resource.skip)?;
    Ok(resource)
}

/// Refuses names that are not among those accepted.
pub(super) fn check_names(settings: &Settings<'_>, mut accepted: Vec<&'static str>) -> Result<(), GossfileError> {
    let Some((key, _)) = settings.entries.iter().find(|(key, _)| !accepted.contains(&key.text.as_str())) else {
        return Ok(());
    };
    accepted.sort_unstable();
    let fault = Fault::UnknownAttribute {
        of: settings.of.clone(),
        attribute: key.text.clone(),
        suggestion: closest(&key.text, accepted.iter().copied()),
        accepted,
    };
    Err(GossfileError::at(&key.position, fault))
}

/// Settings beside those that every resource has, and the target.
fn settings_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Addr => &["local-address", "timeout"],
        Kind::Command => &["retry_count", "retry_delay", "timeout"],
        Kind::Dns => &["retry_count", "retry_delay", "server", "timeout"],
        Kind::Http => &[
            "allow-insecure",
            "ca-file",
            "cert-file",
            "key-file",
            "method",
            "no-follow-redirects",
            "password",
            "proxy",
            "request-body",
            "request-headers",
            "timeout",
            "username",
        ],
        Kind::Matching => &["as-reader", "content"],
        Kind::Mount => &["timeout"],
        Kind::Package => &["retry_count", "retry_delay"],
        _ => &[],
    }
}

/// The old name of `resolvable`.
const RESOLVEABLE: &str = "resolveable";

fn target(kind: Kind, key: &Key, settings: &Settings<'_>, compat: Compat) -> Result<Target, GossfileError> {
    let name = match kind.target_setting() {
        Some(setting) => settings.text(setting)?,
        None => None,
    };
    let name = name.unwrap_or_else(|| key.text.clone());
    Ok(match kind {
        Kind::Addr => Target::Addr {
            address: name,
            timeout: settings.millis("timeout")?,
            local_address: settings.text("local-address")?,
        },
        Kind::Command => Target::Command { exec: name, timeout: settings.millis("timeout")?, retry: settings.retry()? },
        Kind::Dns => Target::Dns {
            resolve: name,
            server: settings.text("server")?,
            timeout: settings.millis("timeout")?,
            retry: settings.retry()?,
        },
        Kind::File => Target::File(name),
        Kind::Group => Target::Group(name),
        Kind::Http => Target::Http(Box::new(HttpRequest {
            url: name,
            method: settings.text("method")?,
            allow_insecure: settings.flag("allow-insecure")?,
            no_follow_redirects: settings.flag("no-follow-redirects")?,
            timeout: settings.millis("timeout")?,
            headers: settings.texts("request-headers")?,
            body: settings.text("request-body")?,
            username: settings.text("username")?,
            password: settings.text("password")?,
            ca_file: settings.text("ca-file")?,
            cert_file: settings.text("cert-file")?,
            key_file: settings.text("key-file")?,
            proxy: settings.text("proxy")?,
        })),
        Kind::Interface => Target::Interface(name),
        Kind::KernelParam => Target::KernelParam(name),
        Kind::Matching => Target::Matching {
            content: settings.get("content").map_or(Value::Null, |node| node.to_value(compat)),
            as_reader: settings.flag("as-reader")?,
        },
        Kind::Mount => Target::Mount { mountpoint: name, timeout: settings.millis("timeout")? },
        Kind::Package => Target::Package { name, retry: settings.retry()? },
        Kind::Port => Target::Port(name),
        Kind::Process => Target::Process(name),
        Kind::Registry => Target::Registry(name),
        Kind::Service => Target::Service(name),
        Kind::User => Target::User(name),
    })
}

/// Reads what is expected of a resource.
struct Reader<'a> {
    kind: Kind,
    key: &'a Key,
    settings: Settings<'a>,
    compat: Compat,
    lints: &'a mut Vec<Lint>,
}

impl<'a> Reader<'a> {
    fn expectations(mut self, skip: bool) -> Result<Vec<Expectation>, GossfileError> {
        let mut expectations = vec![];
        for (order, attribute) in self.kind.attributes().iter().enumerate() {
            let required = order == 0 && self.kind.requires_first();
            let matcher = match self.node(*attribute) {
                Some(node) => self.expectation(*attribute, node, required)?.map(|matcher| (matcher, node)),
                None => None,
            };
            match matcher {
                Some((matcher, node)) => {
                    let mut expectation = Expectation::new(*attribute, matcher);
                    expectation.position = Some(node.position.clone());
                    expectations.push(expectation);
                }
                None if required => expectations.extend(self.missing(*attribute, skip)?),
                None => {}
            }
        }
        Ok(expectations)
    }

    /// What an attribute is set to, by its old name before its own.
    fn node(&mut self, attribute: Attribute) -> Option<&'a Node> {
        let (old, new) = match attribute {
            // Goss checks and reports it beside `contents`, so that it is an attribute of its own.
            Attribute::Contains => (attribute.name(), Attribute::Contents),
            Attribute::Resolvable => (RESOLVEABLE, attribute),
            _ => return self.settings.get(attribute.name()),
        };
        let Some(node) = self.settings.get(old) else { return self.settings.get(attribute.name()) };
        let message = format!("`{old}` is an old name of `{new}`");
        self.lints.push(Lint::new(&node.position, Severity::Note, LintCode::DeprecatedName, message));
        Some(node)
    }

    /// What a node expects; none where goss leaves it out.
    fn expectation(
        &mut self,
        attribute: Attribute,
        node: &Node,
        required: bool,
    ) -> Result<Option<Matcher>, GossfileError> {
        if matches!(&node.content, Content::List(items) if items.is_empty()) && !required {
            // Goss itself writes these.
            let is_usual = attribute.is_reader() || attribute == Attribute::Ip;
            let severity = if is_usual { Severity::Note } else { Severity::Warning };
            let message = format!("`{attribute}: []` expects nothing");
            self.lints.push(Lint::new(&node.position, severity, LintCode::EmptyList, message));
            // Goss leaves out only what it reads line by line; of all else it reports that nothing is missing.
            return Ok((!attribute.is_reader()).then(|| Matcher::Has(vec![])));
        }
        let matcher = self.number(attribute, node, Matcher::from_value(&node.to_value(self.compat)));
        let problem = self.problem(attribute, node, &matcher);
        lint::expectation(attribute, node, &matcher, self.lints);
        match (problem, self.compat) {
            (None, _) => Ok(Some(matcher)),
            (Some((reason, _)), Compat::Goss) => Ok(Some(Matcher::Invalid(reason))),
            (Some((message, position)), Compat::Fixed) => {
                let key = self.key.text.clone();
                Err(GossfileError::at(&position, Fault::Expectation { kind: self.kind, key, attribute, message }))
            }
        }
    }

    /// Goss takes the text `"0"` for the number, where nothing but a number can be meant.
    fn number(&mut self, attribute: Attribute, node: &Node, matcher: Matcher) -> Matcher {
        let numeric = match self.kind {
            Kind::Command => attribute == Attribute::ExitStatus,
            Kind::User | Kind::Group => matches!(attribute, Attribute::Uid | Attribute::Gid),
            _ => false,
        };
        match matcher {
            Matcher::Is(Value::String(text)) if numeric => match text.parse::<i64>() {
                Ok(number) => {
                    let message = format!("{attribute} is the text `{text}`; it should be a number");
                    self.lints.push(Lint::new(&node.position, Severity::Note, LintCode::NumberAsText, message));
                    Matcher::Is(Value::Int(number))
                }
                Err(_) => Matcher::Invalid(format!("`{text}` is not a whole number")),
            },
            matcher => matcher,
        }
    }

    /// Why an expectation can never be met by anything, and where.
    fn problem(&self, attribute: Attribute, node: &Node, matcher: &Matcher) -> Option<(String, Position)> {
        if let Some(reason) = invalid(matcher) {
            return Some((reason.to_owned(), node.position.clone()));
        }
        if let (true, Content::List(items)) = (attribute.is_reader(), &node.content)
            && let Some(item) = items.iter().find(|item| !is_text(item))
        {
            return Some((format!("a pattern must be text, and this is {}", item.describe()), item.position.clone()));
        }
        match self.compat {
            Compat::Goss => without_matcher(node).map(|node| {
                let found = node.describe();
                let reason =
                    format!("Syntax Error: Invalid 'matcher' argument. Expected map value, but received: {found}");
                (reason, node.position.clone())
            }),
            Compat::Fixed => None,
        }
    }

    fn missing(&self, attribute: Attribute, skip: bool) -> Result<Option<Expectation>, GossfileError> {
        match self.compat {
            Compat::Goss => {
                let reason = "Syntax Error: Missing required attribute".to_owned();
                let mut expectation = Expectation::new(attribute, Matcher::Invalid(reason));
                expectation.position = Some(self.key.position.clone());
                Ok(Some(expectation))
            }
            Compat::Fixed if skip => Ok(None),
            Compat::Fixed => {
                let key = self.key.text.clone();
                let fault = Fault::MissingAttribute { kind: self.kind, key, attribute };
                Err(GossfileError::at(&self.key.position, fault))
            }
        }
    }
}

/// What of an expectation has a type of Go that no matcher of goss takes: a time, or a number beyond 63 bits. `equal` takes
/// any value.
fn without_matcher(node: &Node) -> Option<&Node> {
    match &node.content {
        Content::Scalar(scalar) => {
            matches!(scalar.resolved, Resolved::Timestamp | Resolved::Unsigned(_)).then_some(node)
        }
        Content::List(items) => items.iter().find_map(without_matcher),
        Content::Map(entries) => {
            entries.iter().filter(|(key, _)| key.text != "equal").find_map(|(_, value)| without_matcher(value))
        }
    }
}

fn is_text(node: &Node) -> bool {
    matches!(&node.content, Content::Scalar(Scalar { resolved: Resolved::String | Resolved::Timestamp, .. }))
}

/// Why a matcher never matches, where any part of it is invalid.
fn invalid(matcher: &Matcher) -> Option<&str> {
    match matcher {
        Matcher::Invalid(reason) => Some(reason),
        Matcher::Has(items)
        | Matcher::ContainElements(items)
        | Matcher::ConsistOf(items)
        | Matcher::And(items)
        | Matcher::Or(items) => items.iter().find_map(invalid),
        Matcher::ContainElement(inner) | Matcher::HaveKey(inner) | Matcher::Not(inner) => invalid(inner),
        Matcher::Gjson(paths) => paths.values().find_map(invalid),
        _ => None,
    }
}
