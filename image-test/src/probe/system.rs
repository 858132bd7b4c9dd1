//! What the script tells of packages and services.

use super::record::{Kind, Records};
use crate::{
    Fact, Wanted,
    facts::{ServiceFacts, parse},
};
use std::collections::BTreeMap;

/// Whether a package manager could have a package of that name, so that it may be an argument of its tool.
pub(super) fn is_package_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._:~^@/".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(plain)
}

/// Whether systemd could have a unit of that name, so that it may be an argument of its tool.
pub(super) fn is_unit_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    !name.is_empty() && name.len() < 256 && !name.starts_with('-') && name.bytes().all(plain)
}

/// Whether a name is that of a unit, or a pattern of such names for init systems that have their services as files.
pub(super) fn is_unit_pattern(name: &str) -> bool {
    is_unit_name(&name.replace(['*', '?', '[', ']', '^'], "x"))
}

pub(super) fn packages(records: &Records<'_>, wanted: &Wanted) -> BTreeMap<String, Fact<Vec<String>>> {
    let listing = Listing::of(records);
    let fact = |name: &String| match &listing {
        _ if !is_package_name(name) => Fact::Unknown(format!("{name:?} is no name of a package")),
        Ok(listing) => listing.versions(name),
        Err(why) => Fact::Unknown(why.clone()),
    };
    wanted.packages.iter().map(|name| (name.clone(), fact(name))).collect()
}

/// What a package manager said.
struct Listing<'a> {
    manager: &'a str,
    packages: BTreeMap<String, Vec<String>>,
    text: String,
}

impl<'a> Listing<'a> {
    fn of(records: &Records<'a>) -> Result<Self, String> {
        let payload = records.get(Kind::Packages, 0)?;
        let end = payload.iter().position(|byte| *byte == b'\n').unwrap_or(payload.len());
        let (manager, text) = payload.split_at(end);
        let manager = std::str::from_utf8(manager).unwrap_or_default();
        let packages = match manager {
            "apk" => parse::apk_installed(text),
            "dpkg" => parse::dpkg_query(text),
            "pacman" => pacman_query(text),
            "rpm" => parse::rpm_query(text),
            "none" => BTreeMap::new(),
            _ => return Err("the package manager is not known".into()),
        };
        Ok(Self { manager, packages, text: String::from_utf8_lossy(text).into_owned() })
    }

    /// The versions. A package is absent only where the manager says that it is.
    fn versions(&self, name: &str) -> Fact<Vec<String>> {
        if let Some(versions) = self.packages.get(name) {
            return Fact::Known(versions.clone());
        }
        let mut lines = self.text.lines();
        let is_absent = match self.manager {
            "apk" => lines.next_back() == Some("end"),
            "none" => true,
            "dpkg" => {
                let missing = format!("dpkg-query: no packages found matching {name}");
                lines.any(|line| line == missing || dpkg_name(line, name))
            }
            "pacman" => {
                let missing = format!("error: package '{name}' was not found");
                lines.any(|line| line == missing)
            }
            "rpm" => {
                let missing = format!("package {name} is not installed");
                let failed = self.text.lines().any(|line| line.starts_with("error:"));
                !failed && lines.any(|line| line == missing)
            }
            _ => false,
        };
        if is_absent {
            return Fact::Known(vec![]);
        }
        let words =
            self.text.lines().rev().find(|line| line.contains(name) || line.contains("rror")).unwrap_or_default();
        Fact::Unknown(format!("{} does not say whether it is installed: {words}", self.manager))
    }
}

/// Whether dpkg knows the package, in whatever state: removed with its configuration kept, half installed.
fn dpkg_name(line: &str, name: &str) -> bool {
    let mut fields = line.split('\t');
    let (Some(package), Some(architecture), 2) = (fields.next(), fields.next(), fields.count()) else { return false };
    package == name || name.strip_prefix(package).and_then(|rest| rest.strip_prefix(':')) == Some(architecture)
}

/// The output of `pacman -Q NAME..`.
fn pacman_query(text: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut packages = BTreeMap::<String, Vec<String>>::new();
    for line in String::from_utf8_lossy(text).lines() {
        if let [name, version] = line.split(' ').collect::<Vec<_>>()[..] {
            packages.entry(name.into()).or_default().push(version.into());
        }
    }
    packages
}

pub(super) fn services(records: &Records<'_>, wanted: &Wanted) -> BTreeMap<String, ServiceFacts> {
    let units = records.find(Kind::Units, 0).map(|payload| {
        let units = parse::systemctl_show(payload?);
        let count = units.len();
        if count == wanted.services.len() { Ok(units) } else { Err(format!("systemctl told of {count} units")) }
    });
    let fact = |(index, name): (usize, &String)| {
        let facts = match &units {
            _ if name.contains('/') => facts(false, Fact::Known(false), vec![]),
            _ if !is_unit_pattern(name) => unknown(format!("{name:?} is no name of a service")),
            Some(_) if !is_unit_name(name) => unknown(format!("{name:?} is a pattern, and systemd is asked by name")),
            Some(Ok(units)) => match units.get(index) {
                Some(unit) => facts(parse::is_enabled(&unit.unit_file_state), Fact::Known(unit.is_active()), vec![]),
                None => unknown("systemctl told nothing of it".into()),
            },
            Some(Err(why)) => unknown(why.clone()),
            None => match records.get(Kind::Unit, index) {
                Ok(payload) => unit(&String::from_utf8_lossy(payload)),
                Err(why) => unknown(why),
            },
        };
        (name.clone(), facts)
    };
    wanted.services.iter().enumerate().map(fact).collect()
}

fn facts(enabled: bool, running: Fact<bool>, runlevels: Vec<String>) -> ServiceFacts {
    ServiceFacts { enabled: Fact::Known(enabled), running, runlevels: Fact::Known(runlevels) }
}

fn unknown(why: String) -> ServiceFacts {
    ServiceFacts {
        enabled: Fact::Unknown(why.clone()),
        running: Fact::Unknown(why.clone()),
        runlevels: Fact::Unknown(why),
    }
}

/// A unit where no systemd runs: `systemd STATE`, or `openrc RUNS LEVEL..`, `sysv RUNS LEVEL..`.
fn unit(text: &str) -> ServiceFacts {
    const STATES: [&str; 5] = ["disabled", "linked", "linked-runtime", "masked", "masked-runtime"];
    let stopped = || Fact::NotApplicable("no init system runs".into());
    let (system, rest) = text.split_once(' ').unwrap_or_default();
    if system == "systemd" {
        let state = rest.trim();
        // A unit that is not there is not enabled.
        let is_absent = state == "not-found" || state.ends_with("No such file or directory");
        return if parse::is_enabled(state) || STATES.contains(&state) || is_absent {
            facts(parse::is_enabled(state), stopped(), vec![])
        } else {
            ServiceFacts { running: stopped(), ..unknown(format!("systemctl says {state:?}")) }
        };
    }
    let mut words = rest.split_ascii_whitespace();
    let running = match words.next() {
        Some("yes") => Fact::Known(true),
        Some("no") => Fact::Known(false),
        Some("-") => stopped(),
        _ => Fact::Unknown("no tool could tell whether it runs".into()),
    };
    let levels: Vec<String> = words.map(Into::into).collect();
    match system {
        "openrc" | "sysv" => facts(!levels.is_empty(), running, levels),
        _ => unknown("the init system is not known".into()),
    }
}
