//! What is known of one attribute, as the type that goss gives it.

use super::quirks;
use crate::{
    Attribute::{self, *},
    Compat, Fact, Facts, Resource, Target, Text, Value,
    facts::{CommandResult, FileFacts, MountFacts, UserFacts},
    matcher,
};
use std::{borrow::Cow, collections::BTreeMap};

/// What is known of one attribute.
#[derive(Debug)]
pub(super) enum Actual<'a> {
    /// A value of the type that goss gives it.
    Value(Value),
    /// A list of strings, which Go tells from other lists.
    Strings(Vec<String>),
    /// Text of any length, on which patterns are matched by line.
    Text(Cow<'a, [u8]>),
    /// There is no such thing to look at.
    Error(String),
    /// A user or group by its number; the name could not be told.
    Nameless { id: u32, why: String },
    /// It could not be told.
    Unknown(String),
    /// It has no meaning here.
    NotApplicable(String),
}

impl<'a> Actual<'a> {
    pub(super) fn text(text: &'a Text) -> Self {
        Self::Text(text.bytes().into())
    }

    /// What a fact says, or that the facts are about something else.
    fn of<T>(fact: Option<&'a Fact<T>>, known: impl FnOnce(&'a T) -> Self) -> Self {
        match fact {
            Some(Fact::Known(value)) => known(value),
            Some(Fact::Unknown(why)) => Self::Unknown(why.clone()),
            Some(Fact::NotApplicable(why)) => Self::NotApplicable(why.clone()),
            None => Self::Unknown("it is not among the facts".into()),
        }
    }

    /// As [`of`](Self::of), for a thing that may be missing, where that is what `exists` is about.
    fn thing<T>(
        facts: &'a BTreeMap<String, Fact<Option<T>>>,
        name: &str,
        attribute: Attribute,
        known: impl FnOnce(&'a T) -> Self,
    ) -> Self {
        Self::of(facts.get(name), |thing| match thing {
            _ if attribute == Exists => Self::Value(thing.is_some().into()),
            Some(thing) => known(thing),
            None => Self::Error(format!("{name} does not exist")),
        })
    }
}

impl<T: Into<Value>> From<T> for Actual<'_> {
    fn from(value: T) -> Self {
        Self::Value(value.into())
    }
}

/// What is known of an attribute of a resource.
pub(super) fn of<'a>(resource: &'a Resource, attribute: Attribute, facts: &'a Facts, compat: Compat) -> Actual<'a> {
    let key = &resource.key;
    match &resource.target {
        Target::Addr { .. } => Actual::of(facts.addrs.get(key), |reachable| (*reachable).into()),
        Target::Command { .. } => Actual::of(facts.commands.get(key), |result| command(result, attribute, compat)),
        Target::Dns { .. } => Actual::of(facts.dns.get(key), |found| match attribute {
            Addrs => list(&found.addrs),
            _ => found.resolvable.into(),
        }),
        Target::File(path) => match quirks::no_directory(facts, path, compat) {
            Some(error) => error,
            None => Actual::thing(&facts.files, path, attribute, |found| file(found, attribute)),
        },
        Target::Group(name) => Actual::thing(&facts.groups, name, attribute, |group| i64::from(group.gid).into()),
        Target::Http(_) => Actual::of(facts.http.get(key), |response| match attribute {
            Body => Actual::text(&response.body),
            Headers => quirks::headers(&response.headers, compat),
            _ => i64::from(response.status).into(),
        }),
        Target::Interface(name) => Actual::thing(&facts.interfaces, name, attribute, |found| match attribute {
            Addrs => list(&found.addrs),
            _ => i64::from(found.mtu).into(),
        }),
        Target::KernelParam(name) => Actual::of(facts.kernel_params.get(name), |value| match value {
            Some(value) => value.as_str().into(),
            None => Actual::Error(format!("there is no kernel parameter {name}")),
        }),
        Target::Matching { content, as_reader: false } => content.clone().into(),
        Target::Matching { content, as_reader: true } => {
            Actual::Text(matcher::display(content).into_owned().into_bytes().into())
        }
        Target::Mount { mountpoint, .. } => Actual::of(facts.mounts.get(mountpoint), |found| match found {
            Some(found) => mount(found, attribute, compat),
            None => quirks::no_mount(compat),
        }),
        Target::Package { name, .. } => Actual::of(facts.packages.get(name), |versions| match attribute {
            Versions => list(versions),
            _ => (!versions.is_empty()).into(),
        }),
        Target::Port(port) => {
            let (network, number) = port.split_once(':').unwrap_or(("tcp", port));
            match quirks::listeners(facts, network, number, compat) {
                Fact::Known(addresses) if attribute == Ip => list(&addresses),
                Fact::Known(addresses) => (!addresses.is_empty()).into(),
                Fact::Unknown(why) => Actual::Unknown(why),
                Fact::NotApplicable(why) => Actual::NotApplicable(why),
            }
        }
        Target::Process(comm) => Actual::of(facts.processes.get(comm), |running| (*running).into()),
        Target::Registry(_) => Actual::NotApplicable("only Windows has a registry".into()),
        Target::Service(name) => service(facts, name, attribute),
        Target::User(name) => Actual::thing(&facts.users, name, attribute, |found| user(found, attribute)),
    }
}

fn list<'a, 'b>(items: impl IntoIterator<Item = &'a String>) -> Actual<'b> {
    Actual::Strings(items.into_iter().cloned().collect())
}

fn command(result: &CommandResult, attribute: Attribute, compat: Compat) -> Actual<'_> {
    match result {
        CommandResult::Exited { stdout, .. } if attribute == Stdout => Actual::text(stdout),
        CommandResult::Exited { stderr, .. } if attribute == Stderr => Actual::text(stderr),
        CommandResult::Exited { status, .. } => i64::from(*status).into(),
        CommandResult::TimedOut => quirks::timed_out(compat),
    }
}

fn file(file: &FileFacts, attribute: Attribute) -> Actual<'_> {
    let name = |name: &Fact<String>, id| match name {
        Fact::Known(name) => name.as_str().into(),
        Fact::Unknown(why) => Actual::Nameless { id, why: why.clone() },
        Fact::NotApplicable(why) => Actual::NotApplicable(why.clone()),
    };
    match attribute {
        Mode => format!("{:04o}", file.mode).into(),
        Owner => name(&file.owner, file.uid),
        Uid => i64::from(file.uid).into(),
        Group => name(&file.group, file.gid),
        Gid => i64::from(file.gid).into(),
        LinkedTo => match &file.linked_to {
            Some(target) => target.as_str().into(),
            None => Actual::Error("it is not a symbolic link".into()),
        },
        Filetype => file.filetype.as_str().into(),
        Contains | Contents if file.filetype == "directory" => {
            Actual::Error("it is a directory, which has no contents".into())
        }
        Contains | Contents => Actual::of(file.contents.as_ref(), Actual::text),
        Size => i64::try_from(file.size).unwrap_or(i64::MAX).into(),
        Md5 => Actual::of(file.md5.as_ref(), |digest| digest.as_str().into()),
        Sha256 => Actual::of(file.sha256.as_ref(), |digest| digest.as_str().into()),
        Sha512 => Actual::of(file.sha512.as_ref(), |digest| digest.as_str().into()),
        other => no_such(other),
    }
}

fn mount(mount: &MountFacts, attribute: Attribute, compat: Compat) -> Actual<'_> {
    match attribute {
        Exists => true.into(),
        Opts => list(&mount.opts),
        VfsOpts => Actual::of(Some(&mount.vfs_opts), list),
        Source => mount.source.as_str().into(),
        Filesystem => mount.filesystem.as_str().into(),
        Usage => Actual::of(mount.usage.as_ref(), |percent| match percent {
            Some(percent) => i64::from(*percent).into(),
            None => quirks::no_blocks(compat).into(),
        }),
        other => no_such(other),
    }
}

fn service<'a>(facts: &'a Facts, name: &str, attribute: Attribute) -> Actual<'a> {
    if name.contains('/') {
        // No init system has a service of such a name, but systemctl would take it for the path of a unit.
        return match attribute {
            Runlevels => list([]),
            _ => false.into(),
        };
    }
    let Some(service) = facts.services.get(name) else {
        return Actual::Unknown("it is not among the facts".into());
    };
    match attribute {
        Enabled => Actual::of(Some(&service.enabled), |enabled| (*enabled).into()),
        Running => Actual::of(Some(&service.running), |running| (*running).into()),
        Runlevels => Actual::of(Some(&service.runlevels), list),
        other => no_such(other),
    }
}

fn user(user: &UserFacts, attribute: Attribute) -> Actual<'_> {
    match attribute {
        Uid => i64::from(user.uid).into(),
        Gid => i64::from(user.gid).into(),
        Home => user.home.as_str().into(),
        Groups => list(&user.groups),
        Shell => user.shell.as_str().into(),
        other => no_such(other),
    }
}

/// A resource may be built with any attribute; one that its type does not have is never reached by evaluation.
fn no_such(attribute: Attribute) -> Actual<'static> {
    Actual::Error(format!("this type has no attribute {attribute}"))
}
