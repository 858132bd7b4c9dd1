//! One thing that is looked at, and what is expected of it.

use super::{Attribute, Kind};
use crate::{Matcher, Position, Value};
use std::{collections::BTreeMap, time::Duration};

/// One thing that is looked at, and what is expected of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Resource {
    /// Its key in the gossfile: what is looked at, or a label where `target` says otherwise.
    pub key: String,
    /// What is looked at.
    pub target: Target,
    /// What is expected, in the order of [`Kind::attributes`].
    pub expectations: Vec<Expectation>,
    /// Words for reports.
    pub title: Option<String>,
    /// Free data for reports.
    pub meta: BTreeMap<String, Value>,
    /// Every attribute is reported as skipped.
    pub skip: bool,
    /// Where it is written.
    pub position: Option<Position>,
}

impl Resource {
    /// A resource without expectations.
    pub fn new(key: impl Into<String>, target: Target) -> Self {
        Self {
            key: key.into(),
            target,
            expectations: vec![],
            title: None,
            meta: BTreeMap::new(),
            skip: false,
            position: None,
        }
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        self.target.kind()
    }

    /// What is expected of an attribute.
    pub fn expectation(&self, attribute: Attribute) -> Option<&Matcher> {
        self.expectations.iter().find(|e| e.attribute == attribute).map(|e| &e.matcher)
    }

    /// Sets what is expected of an attribute, in place of what was, and keeps the order of evaluation.
    pub fn expect(&mut self, attribute: Attribute, matcher: impl Into<Matcher>) {
        self.expectations.retain(|e| e.attribute != attribute);
        self.expectations.push(Expectation { attribute, matcher: matcher.into(), position: None });
        let order = self.kind().attributes();
        self.expectations.sort_by_key(|e| order.iter().position(|a| *a == e.attribute));
    }
}

/// What is expected of one attribute.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Expectation {
    /// The attribute.
    pub attribute: Attribute,
    /// What it must be.
    pub matcher: Matcher,
    /// Where it is written.
    pub position: Option<Position>,
}

impl Expectation {
    /// An expectation without a place.
    pub fn new(attribute: Attribute, matcher: Matcher) -> Self {
        Self { attribute, matcher, position: None }
    }
}

/// How often a resource is looked at until all of its expectations hold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Retry {
    /// Further tries after the first.
    pub count: u32,
    /// Pause between two tries; a second where zero.
    pub delay: Duration,
}

impl Retry {
    /// So many further tries, with this pause between two.
    pub fn new(count: u32, delay: Duration) -> Self {
        Self { count, delay }
    }
}

/// What a resource looks at.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// An address to connect to.
    Addr {
        /// `[tcp://|udp://]host:port`.
        address: String,
        /// 500 ms unless set.
        timeout: Option<Duration>,
        /// The local address to connect from.
        local_address: Option<String>,
    },
    /// A command for `sh -c`.
    Command {
        /// The script.
        exec: String,
        /// 10 s unless set.
        timeout: Option<Duration>,
        /// Further tries.
        retry: Retry,
    },
    /// A name to resolve.
    Dns {
        /// `[TYPE:]host`.
        resolve: String,
        /// `host[:port]`; the system's resolver unless set.
        server: Option<String>,
        /// 500 ms unless set.
        timeout: Option<Duration>,
        /// Further tries.
        retry: Retry,
    },
    /// A file, by its path.
    File(String),
    /// A group, by its name.
    Group(String),
    /// A URL to request.
    Http(Box<HttpRequest>),
    /// A network interface, by its name.
    Interface(String),
    /// A kernel parameter, by its dotted name.
    KernelParam(String),
    /// A value to match.
    Matching {
        /// The value.
        content: Value,
        /// Whether it is taken as text of any length.
        as_reader: bool,
    },
    /// A mount point.
    Mount {
        /// Its path.
        mountpoint: String,
        /// For its usage; 1 s unless set.
        timeout: Option<Duration>,
    },
    /// A package of the distribution.
    Package {
        /// Its name.
        name: String,
        /// Further tries.
        retry: Retry,
    },
    /// A local port: `[tcp:|tcp6:|udp:|udp6:]number`.
    Port(String),
    /// A process, by its command name.
    Process(String),
    /// A value of the Windows registry.
    Registry(String),
    /// A service of the init system, by its name.
    Service(String),
    /// A user, by name.
    User(String),
}

impl Target {
    /// Its type.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Addr { .. } => Kind::Addr,
            Self::Command { .. } => Kind::Command,
            Self::Dns { .. } => Kind::Dns,
            Self::File(_) => Kind::File,
            Self::Group(_) => Kind::Group,
            Self::Http(_) => Kind::Http,
            Self::Interface(_) => Kind::Interface,
            Self::KernelParam(_) => Kind::KernelParam,
            Self::Matching { .. } => Kind::Matching,
            Self::Mount { .. } => Kind::Mount,
            Self::Package { .. } => Kind::Package,
            Self::Port(_) => Kind::Port,
            Self::Process(_) => Kind::Process,
            Self::Registry(_) => Kind::Registry,
            Self::Service(_) => Kind::Service,
            Self::User(_) => Kind::User,
        }
    }

    /// What is looked at, in one word or line; a matching resource has nothing but its key.
    pub fn name(&self) -> Option<&str> {
        Some(match self {
            Self::Addr { address: name, .. }
            | Self::Command { exec: name, .. }
            | Self::Dns { resolve: name, .. }
            | Self::Mount { mountpoint: name, .. }
            | Self::Package { name, .. }
            | Self::File(name)
            | Self::Group(name)
            | Self::Interface(name)
            | Self::KernelParam(name)
            | Self::Port(name)
            | Self::Process(name)
            | Self::Registry(name)
            | Self::Service(name)
            | Self::User(name) => name,
            Self::Http(request) => &request.url,
            Self::Matching { .. } => return None,
        })
    }

    /// Looks at something else; a matching resource has nothing to look at.
    pub(crate) fn set_name(&mut self, to: String) {
        match self {
            Self::Addr { address: name, .. }
            | Self::Command { exec: name, .. }
            | Self::Dns { resolve: name, .. }
            | Self::Mount { mountpoint: name, .. }
            | Self::Package { name, .. }
            | Self::File(name)
            | Self::Group(name)
            | Self::Interface(name)
            | Self::KernelParam(name)
            | Self::Port(name)
            | Self::Process(name)
            | Self::Registry(name)
            | Self::Service(name)
            | Self::User(name) => *name = to,
            Self::Http(request) => request.url = to,
            Self::Matching { .. } => {}
        }
    }

    /// Further tries until all expectations hold.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Command { retry, .. } | Self::Dns { retry, .. } | Self::Package { retry, .. } => *retry,
            _ => Retry::default(),
        }
    }
}

/// A request for a URL.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The URL.
    pub url: String,
    /// `GET` unless set.
    pub method: Option<String>,
    /// Accepts any certificate.
    pub allow_insecure: bool,
    /// Takes a redirection as the answer.
    pub no_follow_redirects: bool,
    /// 5 s unless set.
    pub timeout: Option<Duration>,
    /// Headers to send, each `Name: value`.
    pub headers: Vec<String>,
    /// The body to send.
    pub body: Option<String>,
    /// For basic authentication.
    pub username: Option<String>,
    /// For basic authentication.
    pub password: Option<String>,
    /// Certificate authorities in PEM, by path on the machine.
    pub ca_file: Option<String>,
    /// Client certificate in PEM, by path on the machine.
    pub cert_file: Option<String>,
    /// Key of the client certificate in PEM, by path on the machine.
    pub key_file: Option<String>,
    /// Proxy; that of the environment unless set.
    pub proxy: Option<String>,
}

impl HttpRequest {
    /// A request for this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Whether a header proves who sends it.
    pub(crate) fn is_credential(header: &str) -> bool {
        const NAMES: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
        header.split_once(':').is_some_and(|(own, _)| NAMES.iter().any(|name| own.trim().eq_ignore_ascii_case(name)))
    }
}
