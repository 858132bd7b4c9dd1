//! Suites made of what a system is like: goss's `add` and `autoadd`.

use crate::{
    Attribute::{self, *},
    Compat, Fact, Facts, HttpRequest, Kind, Matcher, Resource, Retry, Suite, Target, Text, Value,
    evaluate::listeners,
    facts::CommandResult,
    wildcard::{Dialect, Pattern},
};
use std::{borrow::Cow, collections::BTreeMap};

/// A suite that a system passes, and what of the facts could not go into it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Baseline {
    /// Expects what was found: of what is missing, that it is.
    pub suite: Suite,
    /// What has no expectation, because it is not known: `service cron: running: nothing runs here`.
    pub left_out: Vec<String>,
}

/// Expects of a system what was found there, as goss's `add` does.
///
/// Contents, digests, sizes and the use of mounts are left out, as goss leaves them, because they change. `exclude` are
/// names of attributes that are left out too, or patterns of them: `*`, `?`, `[a-c]`. `compat` is whose semantics the suite is
/// meant for: whether a port is one that listens differs.
pub fn suite_from_facts(facts: &Facts, exclude: &[&str], compat: Compat) -> Baseline {
    let exclude: Vec<_> = exclude.iter().filter_map(|pattern| Pattern::parse(pattern, Dialect::Go).ok()).collect();
    let mut adder = Adder { exclude: &exclude, baseline: Baseline::default() };
    let ports = facts.ports.keys().filter_map(|port| Some((port.clone(), port.split_once(':')?)));
    let ports = ports.map(|(key, (network, number))| (key, listeners(facts, network, number, compat))).collect();
    adder.known(Kind::Port, &ports, |expect, addresses| {
        expect.first(Listening, !addresses.is_empty());
        expect.set(Ip, addresses.iter().map(String::as_str).collect::<Vec<_>>());
    });
    adder.live(facts);
    adder.things(facts);
    for (key, service) in &facts.services {
        adder.add(Kind::Service, key, |expect| {
            expect.fact(Enabled, &service.enabled, |enabled| Value::from(*enabled).into());
            expect.fact(Running, &service.running, |running| Value::from(*running).into());
        });
    }
    adder.baseline
}

/// What is looked at where only its name is given: the key that goss's `add` makes of the name, and what it names.
///
/// Ports and addresses are given their protocol: `80` is `tcp:80`, `host:80` is `tcp://host:80`. None for types that
/// nothing can be added of by name.
pub fn resource(kind: Kind, name: &str) -> Option<Resource> {
    let name = match kind {
        Kind::Addr if !name.contains("://") => Cow::Owned(format!("tcp://{name}")),
        Kind::Port if !name.contains(':') => Cow::Owned(format!("tcp:{name}")),
        _ => Cow::Borrowed(name),
    };
    let owned = name.to_string();
    let target = match kind {
        Kind::Addr => Target::Addr { address: owned, timeout: None, local_address: None },
        Kind::Command => Target::Command { exec: owned, timeout: None, retry: Retry::default() },
        Kind::Dns => Target::Dns { resolve: owned, server: None, timeout: None, retry: Retry::default() },
        Kind::File => Target::File(owned),
        Kind::Group => Target::Group(owned),
        Kind::Http => Target::Http(Box::new(HttpRequest::new(owned))),
        Kind::Interface => Target::Interface(owned),
        Kind::KernelParam => Target::KernelParam(owned),
        Kind::Mount => Target::Mount { mountpoint: owned, timeout: None },
        Kind::Package => Target::Package { name: owned, retry: Retry::default() },
        Kind::Port => Target::Port(owned),
        Kind::Process => Target::Process(owned),
        Kind::Service => Target::Service(owned),
        Kind::User => Target::User(owned),
        Kind::Matching | Kind::Registry => return None,
    };
    Some(Resource::new(name, target))
}

/// What goss's `autoadd` looks for under a name: a file if it is a path, and anything else that may be called so.
pub fn candidates(name: &str) -> Suite {
    let kinds = [Kind::File, Kind::Group, Kind::Package, Kind::Port, Kind::Process, Kind::Service, Kind::User];
    let mut suite = Suite::new();
    for kind in kinds.into_iter().filter(|kind| *kind != Kind::File || name.contains('/')) {
        suite.extend(resource(kind, name));
    }
    suite
}

/// The resources of a suite that say something is there, which is what `autoadd` keeps.
pub fn present(suite: &Suite) -> Suite {
    let there = |matcher: &Matcher| *matcher == Matcher::Is(Value::Bool(true));
    let expects = |resource: &&Resource| match resource.kind() {
        // A service has no attribute that says it is there; goss asks the init system.
        Kind::Service => resource.expectations.iter().any(|expectation| there(&expectation.matcher)),
        kind => kind.attributes().first().and_then(|first| resource.expectation(*first)).is_some_and(there),
    };
    let mut found = Suite::new();
    found.extend(suite.resources().filter(expects).cloned());
    found
}

impl Extend<Resource> for Suite {
    fn extend<T: IntoIterator<Item = Resource>>(&mut self, resources: T) {
        for resource in resources {
            self.insert(resource);
        }
    }
}

struct Adder<'a> {
    exclude: &'a [Pattern],
    baseline: Baseline,
}

/// What one resource comes to expect.
struct Expect<'a> {
    exclude: &'a [Pattern],
    resource: Resource,
    left_out: &'a mut Vec<String>,
}

impl Expect<'_> {
    fn set(&mut self, attribute: Attribute, matcher: impl Into<Matcher>) {
        if !self.exclude.iter().any(|pattern| pattern.matches(attribute.name())) {
            self.resource.expect(attribute, matcher);
        }
    }
    /// The first attribute cannot be excluded, because without it the others cannot be evaluated.
    fn first(&mut self, attribute: Attribute, matcher: impl Into<Matcher>) {
        self.resource.expect(attribute, matcher);
    }
    fn fact<T>(&mut self, attribute: Attribute, fact: &Fact<T>, matcher: impl FnOnce(&T) -> Matcher) {
        match fact {
            Fact::Known(value) => self.set(attribute, matcher(value)),
            Fact::Unknown(why) | Fact::NotApplicable(why) => self.leave_out(&format!("{attribute}: {why}")),
        }
    }
    fn leave_out(&mut self, why: &str) {
        self.left_out.push(format!("{} {}: {why}", self.resource.kind().section(), self.resource.key));
    }
}

impl Adder<'_> {
    fn add(&mut self, kind: Kind, key: &str, fill: impl FnOnce(&mut Expect<'_>)) {
        let Some(resource) = resource(kind, key) else {
            return;
        };
        let mut expect = Expect { exclude: self.exclude, resource, left_out: &mut self.baseline.left_out };
        fill(&mut expect);
        let resource = expect.resource;
        if !resource.expectations.is_empty() {
            self.baseline.suite.insert(resource);
        }
    }

    /// What is known under each key of a map.
    fn known<T>(&mut self, kind: Kind, facts: &BTreeMap<String, Fact<T>>, fill: impl Fn(&mut Expect<'_>, &T)) {
        for (key, fact) in facts {
            match fact {
                Fact::Known(value) => self.add(kind, key, |expect| fill(expect, value)),
                Fact::Unknown(why) | Fact::NotApplicable(why) => {
                    self.baseline.left_out.push(format!("{} {key}: {why}", kind.section()));
                }
            }
        }
    }

    /// Things that may be missing, which is then what is expected.
    fn thing<T>(&mut self, kind: Kind, facts: &BTreeMap<String, Fact<Option<T>>>, fill: impl Fn(&mut Expect<'_>, &T)) {
        self.known(kind, facts, |expect, thing| {
            expect.first(Exists, thing.is_some());
            if let Some(thing) = thing {
                fill(expect, thing);
            }
        });
    }

    /// What answers or runs.
    fn live(&mut self, facts: &Facts) {
        self.known(Kind::Addr, &facts.addrs, |expect, reachable| expect.first(Reachable, *reachable));
        self.known(Kind::Command, &facts.commands, |expect, result| {
            let CommandResult::Exited { status, stdout, stderr } = result else {
                return expect.leave_out("it did not end in time");
            };
            expect.first(ExitStatus, i64::from(*status));
            expect.set(Stdout, lines(stdout));
            expect.set(Stderr, lines(stderr));
        });
        self.known(Kind::Dns, &facts.dns, |expect, found| {
            expect.first(Resolvable, found.resolvable);
            expect.set(Addrs, found.addrs.clone());
        });
        self.known(Kind::Http, &facts.http, |expect, response| expect.first(Status, i64::from(response.status)));
        self.known(Kind::KernelParam, &facts.kernel_params, |expect, value| match value {
            Some(value) => expect.first(Value, value.as_str()),
            None => expect.leave_out("there is none"),
        });
        self.known(Kind::Process, &facts.processes, |expect, running| expect.first(Running, *running));
    }

    /// What is installed and set up.
    fn things(&mut self, facts: &Facts) {
        self.thing(Kind::File, &facts.files, |expect, file| {
            expect.set(Mode, format!("{:04o}", file.mode));
            expect.fact(Owner, &file.owner, |name| name.as_str().into());
            expect.fact(Group, &file.group, |name| name.as_str().into());
            if let Some(target) = &file.linked_to {
                expect.set(LinkedTo, target.as_str());
            }
            expect.set(Filetype, file.filetype.as_str());
        });
        self.thing(Kind::Group, &facts.groups, |expect, group| expect.set(Gid, i64::from(group.gid)));
        self.thing(Kind::Interface, &facts.interfaces, |expect, interface| {
            expect.set(Addrs, interface.addrs.clone());
            expect.set(Mtu, i64::from(interface.mtu));
        });
        self.thing(Kind::Mount, &facts.mounts, |expect, mount| {
            expect.set(Opts, mount.opts.clone());
            expect.fact(VfsOpts, &mount.vfs_opts, |opts| opts.clone().into());
            expect.set(Source, mount.source.as_str());
            expect.set(Filesystem, mount.filesystem.as_str());
        });
        self.known(Kind::Package, &facts.packages, |expect, versions| {
            expect.first(Installed, !versions.is_empty());
            if !versions.is_empty() {
                expect.set(Versions, versions.clone());
            }
        });
        self.thing(Kind::User, &facts.users, |expect, user| {
            expect.set(Uid, i64::from(user.uid));
            expect.set(Gid, i64::from(user.gid));
            expect.set(Groups, user.groups.clone());
            expect.set(Home, user.home.as_str());
            expect.set(Shell, user.shell.as_str());
        });
    }
}

/// Output as patterns, one for each line that is not blank; or that there is none.
fn lines(text: &Text) -> Matcher {
    let text = text.to_str();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let escaped = |line: &str| if line.starts_with(['!', '/']) { format!(r"\{line}") } else { line.to_owned() };
    let patterns: Vec<String> = lines.map(escaped).collect();
    if patterns.is_empty() { "".into() } else { Matcher::HavePatterns(patterns) }
}

#[cfg(test)]
mod tests;
