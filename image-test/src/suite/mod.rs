//! What is expected of a system: the tree that gossfiles and the typed API both build.

mod attribute;
mod kind;
mod resource;
pub mod typed;

use std::collections::BTreeMap;

pub use attribute::Attribute;
pub use kind::Kind;
pub use resource::{Expectation, HttpRequest, Resource, Retry, Target};

/// What is expected of a system. Resources are unique by type and key, and sorted by both.
///
/// ```
/// use image_test::{Suite, matcher::{ge, have_patterns}};
///
/// let suite = Suite::new()
///     .file("/etc/passwd", |f| f.exists(true).mode(0o644).owner("root"))
///     .file("/etc/ssh/sshd_config", |f| f.exists(true).contents(have_patterns(["PermitRootLogin no"])))
///     .service("sshd", |s| s.enabled(true).running(true))
///     .user("app", |u| u.exists(true).uid(ge(1000)).skip())
///     .command("kernel", |c| c.target("uname -r").exit_status(0).stdout(["/^6/"]));
/// assert_eq!(suite.len(), 5);
/// print!("{}", suite.to_yaml());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suite {
    resources: BTreeMap<(Kind, String), Resource>,
}

impl Suite {
    /// Expects nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a resource. One of the same type and key is replaced and given back.
    pub fn insert(&mut self, resource: Resource) -> Option<Resource> {
        self.resources.insert((resource.kind(), resource.key.clone()), resource)
    }

    /// The resources, sorted by type and key.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values()
    }

    /// A resource by its type and key.
    pub fn get(&self, kind: Kind, key: &str) -> Option<&Resource> {
        self.resources.get(&(kind, key.to_owned()))
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }
}
