//! Whether units of systemd are enabled, from their files alone, as `systemctl is-enabled` finds it.

use super::Root;
use crate::facts::parse::{Install, install_section};
use rustix::fs::FileType;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Kinds of directories with units.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scope {
    /// Of the administrator.
    Persistent,
    /// Of the administrator, until the next boot.
    Runtime,
    Transient,
    Generated,
    /// Of packages.
    Vendor,
}

/// Where systemd looks for units of the system, in this order. A file hides those of its name in later directories.
const DIRECTORIES: [(&str, Scope); 13] = [
    ("/etc/systemd/system.control", Scope::Persistent),
    ("/run/systemd/system.control", Scope::Runtime),
    ("/run/systemd/transient", Scope::Transient),
    ("/run/systemd/generator.early", Scope::Generated),
    ("/etc/systemd/system", Scope::Persistent),
    ("/etc/systemd/system.attached", Scope::Persistent),
    ("/run/systemd/system", Scope::Runtime),
    ("/run/systemd/system.attached", Scope::Runtime),
    ("/run/systemd/generator", Scope::Generated),
    ("/usr/local/lib/systemd/system", Scope::Vendor),
    ("/usr/lib/systemd/system", Scope::Vendor),
    ("/lib/systemd/system", Scope::Vendor),
    ("/run/systemd/generator.late", Scope::Generated),
];

const SUFFIXES: [&str; 11] = [
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".mount",
    ".automount",
    ".swap",
    ".path",
    ".slice",
    ".scope",
    ".device",
];

/// As many aliases of aliases as are followed.
const MOST_ALIASES: u32 = 16;

/// The unit files of a system.
#[derive(Debug)]
pub(super) struct Units<'a> {
    root: &'a Root,
    directories: Vec<Directory>,
}

#[derive(Debug)]
struct Directory {
    path: &'static str,
    scope: Scope,
    /// By name, with the target of those that are links.
    files: HashMap<String, Option<String>>,
    /// Names in `*.wants` and the like: what other units pull in.
    dependencies: BTreeSet<String>,
    /// Drop-ins by unit.
    drop_ins: BTreeMap<String, Vec<String>>,
}

/// The file that a name leads to.
struct Found {
    /// The name in the end: another one where there were aliases.
    name: String,
    /// The name of its file: a template for an instance.
    file_name: String,
    scope: Scope,
    text: Vec<u8>,
}

enum Discovery {
    Found(Found),
    Masked,
    Missing,
}

impl<'a> Units<'a> {
    /// The units below a root.
    ///
    /// # Errors
    ///
    /// Says which directory or link cannot be read.
    pub(super) fn new(root: &'a Root) -> Result<Self, String> {
        let directories = DIRECTORIES.into_iter().map(|(path, scope)| Directory::new(root, path, scope));
        Ok(Self { root, directories: directories.collect::<Result<_, _>>()? })
    }

    /// Whether there is a file for a unit that no generator made.
    pub(super) fn has_native(&self, name: &str) -> bool {
        let own = self.directories.iter().filter(|directory| directory.scope != Scope::Generated);
        let names = [Some(name.to_owned()), template_of(name)];
        own.into_iter().any(|directory| names.iter().flatten().any(|name| directory.files.contains_key(name)))
    }

    /// The state of a unit in the words of `systemctl is-enabled`. Of states that are of no consequence, such as `enabled`
    /// and `indirect` for templates, it may be the other one.
    ///
    /// # Errors
    ///
    /// Says which file cannot be read.
    pub(super) fn state(&self, name: &str) -> Result<&'static str, String> {
        let found = match self.discover(name)? {
            Discovery::Missing => return Ok("not-found"),
            Discovery::Masked => return Ok("masked"),
            Discovery::Found(found) => found,
        };
        let is_instance = template_of(&found.name).is_some();
        if name != found.file_name && !is_instance {
            return Ok("alias");
        }
        match found.scope {
            Scope::Generated => return Ok("generated"),
            Scope::Transient => return Ok("transient"),
            Scope::Persistent | Scope::Runtime | Scope::Vendor => {}
        }
        let install = self.install(&found);
        let in_scope = |scope| self.directories.iter().filter(move |directory| directory.scope == scope);
        if in_scope(Scope::Persistent).any(|directory| directory.enables(&found.name, &install)) {
            return Ok("enabled");
        }
        if in_scope(Scope::Runtime).any(|directory| directory.enables(&found.name, &install)) {
            return Ok("enabled-runtime");
        }
        if is_instance && in_scope(Scope::Vendor).any(|directory| directory.enables(&found.name, &install)) {
            return Ok("static");
        }
        let mut configured = in_scope(Scope::Persistent).chain(in_scope(Scope::Runtime));
        if configured.clone().any(|directory| directory.files.get(&found.name).is_some_and(Option::is_some)) {
            return Ok("linked");
        }
        if configured.any(|directory| directory.is_known_otherwise(&found.name)) {
            return Ok("indirect");
        }
        Ok(match install {
            install if install.has_rules() => "disabled",
            Install { has_also: true, .. } => "indirect",
            _ => "static",
        })
    }

    /// Follows a name to its file.
    fn discover(&self, name: &str) -> Result<Discovery, String> {
        let mut name = name.to_owned();
        for _ in 0..MOST_ALIASES {
            let at = |file_name: &str| {
                let known = |directory: &'_ Directory| directory.files.contains_key(file_name);
                self.directories
                    .iter()
                    .find(|directory| known(directory))
                    .map(|directory| (directory, file_name.to_owned()))
            };
            let Some((directory, file_name)) = at(&name).or_else(|| at(&template_of(&name)?)) else {
                return Ok(Discovery::Missing);
            };
            let path = format!("{}/{file_name}", directory.path);
            let target = directory.files.get(&file_name).and_then(Option::as_deref);
            if target == Some("/dev/null") {
                return Ok(Discovery::Masked);
            }
            let aliased = target.map(base_name).filter(|base| *base != file_name);
            if let Some(base) = aliased
                && self.directories.iter().any(|directory| directory.files.contains_key(base))
            {
                name = instantiated(base, &name);
                continue;
            }
            let text = match self.root.read_if_there(&path)? {
                None => return Ok(Discovery::Missing),
                // An empty file is another way to mask a unit.
                Some(text) if text.is_empty() => return Ok(Discovery::Masked),
                Some(text) => text,
            };
            return Ok(Discovery::Found(Found { name, file_name, scope: directory.scope, text }));
        }
        Ok(Discovery::Missing)
    }

    /// What the unit's file and its drop-ins say of its installation. Drop-ins that cannot be read say nothing.
    fn install(&self, found: &Found) -> Install {
        let mut install = install_section(&found.text);
        for unit in BTreeSet::from([&found.name, &found.file_name]) {
            for path in self.directories.iter().filter_map(|directory| directory.drop_ins.get(unit)).flatten() {
                if let Ok(text) = self.root.read(path) {
                    install.extend(install_section(&text));
                }
            }
        }
        install
    }
}

impl Directory {
    fn new(root: &Root, path: &'static str, scope: Scope) -> Result<Self, String> {
        let mut directory =
            Self { path, scope, files: HashMap::new(), dependencies: BTreeSet::new(), drop_ins: BTreeMap::new() };
        for (name, file_type) in list(root, path)? {
            let full = format!("{path}/{name}");
            if [".wants", ".requires", ".upholds"].into_iter().any(|suffix| name.ends_with(suffix)) {
                let dependencies = list(root, &full)?.into_iter();
                let links = dependencies.filter(|(_, file_type)| *file_type == FileType::Symlink);
                directory.dependencies.extend(links.map(|(name, _)| name));
            } else if let Some(unit) = name.strip_suffix(".d") {
                let parts = list(root, &full)?.into_iter().filter(|(name, _)| name.ends_with(".conf"));
                let parts = parts.map(|(part, _)| format!("{full}/{part}")).collect();
                directory.drop_ins.insert(unit.into(), parts);
            } else if file_type == FileType::Symlink {
                let target = root.readlink(&full).map_err(|error| format!("{full}: {error}"))?;
                directory.files.insert(name, Some(target.to_string_lossy().into_owned()));
            } else if file_type == FileType::RegularFile {
                directory.files.insert(name, None);
            }
        }
        Ok(directory)
    }

    /// Whether this directory holds what enabling a unit creates.
    fn enables(&self, name: &str, install: &Install) -> bool {
        let is_alias = |alias: &String| {
            let target = self.files.get(alias).and_then(Option::as_deref);
            target.is_some_and(|target| alias != name && base_name(target) == name)
        };
        self.dependencies
            .iter()
            .any(|dependency| dependency == name || template_of(dependency).as_deref() == Some(name))
            || install.aliases.iter().any(is_alias)
    }

    /// Whether a link of another name leads to a unit.
    fn is_known_otherwise(&self, name: &str) -> bool {
        let links = self.files.iter().filter_map(|(link, target)| Some((link, target.as_deref()?)));
        links.into_iter().any(|(link, target)| link != name && base_name(target) == name)
    }
}

/// A directory's names that are UTF-8, as those of units are.
fn list(root: &Root, path: &str) -> Result<Vec<(String, FileType)>, String> {
    let listed = root.list(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(listed.into_iter().filter_map(|(name, file_type)| Some((name.into_string().ok()?, file_type))).collect())
}

/// The name of a unit in full: of a service, unless it says otherwise.
pub(super) fn unit_name(name: &str) -> String {
    if SUFFIXES.into_iter().any(|suffix| name.ends_with(suffix)) { name.into() } else { format!("{name}.service") }
}

/// The template of an instance: `getty@.service` for `getty@tty1.service`, none for anything else.
fn template_of(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
}

/// The instance of a template that another name is an instance of, or the name as it is.
fn instantiated(name: &str, like: &str) -> String {
    let instance = like.split_once('@').and_then(|(_, rest)| Some(rest.rsplit_once('.')?.0));
    match (instance, name.split_once("@.")) {
        (Some(instance), Some((prefix, suffix))) => format!("{prefix}@{instance}.{suffix}"),
        _ => name.into(),
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests;
