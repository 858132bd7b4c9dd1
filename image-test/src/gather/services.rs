//! Services, as far as files tell: whether they are enabled.

use super::{
    Root,
    units::{Units, unit_name},
};
use crate::{
    facts::{
        Fact, Facts, ServiceFacts, Wanted,
        parse::{InitSystem, is_enabled},
    },
    wildcard::{Dialect, Pattern},
};
use std::collections::BTreeSet;

/// Finds out what files tell of services. Whether one runs is not applicable, for `why_not_running`.
pub(super) fn gather(root: &Root, init: InitSystem, wanted: &Wanted, why_not_running: &str, facts: &mut Facts) {
    if wanted.services.is_empty() {
        return;
    }
    let services = Services::new(root, init);
    for name in &wanted.services {
        let (enabled, runlevels) = services.look(name);
        let enabled = enabled.map_or_else(Fact::Unknown, Fact::Known);
        let runlevels = runlevels.map_or_else(Fact::Unknown, Fact::Known);
        let running = Fact::NotApplicable(why_not_running.into());
        facts.services.insert(name.clone(), ServiceFacts { enabled, running, runlevels });
    }
}

/// Whether a name can be that of a service. Goss takes others for services that are neither enabled nor running.
pub(super) fn is_service(name: &str) -> bool {
    !name.contains('/')
}

struct Services<'a> {
    root: &'a Root,
    init: InitSystem,
    units: Result<Option<Units<'a>>, String>,
    /// Names of start links, `S10ssh`, by directory `/etc/rcN.d`.
    start_links: Result<Vec<(String, BTreeSet<String>)>, String>,
    /// Names by OpenRC runlevel.
    runlevels: Result<Vec<(String, BTreeSet<String>)>, String>,
}

impl<'a> Services<'a> {
    fn new(root: &'a Root, init: InitSystem) -> Self {
        let none = || Ok(vec![]);
        let units = match init {
            InitSystem::Systemd | InitSystem::SystemdLegacy => Units::new(root).map(Some),
            InitSystem::OpenRc | InitSystem::SystemV | InitSystem::Upstart => Ok(None),
        };
        let (start_links, runlevels) = match init {
            InitSystem::OpenRc => (none(), directories(root, "/etc/runlevels", |name| Some(name.into()))),
            _ => (directories(root, "/etc", |name| Some(name.strip_prefix("rc")?.strip_suffix(".d")?.into())), none()),
        };
        Self { root, init, units, start_links, runlevels }
    }

    /// Whether a service is enabled, and in which runlevels.
    fn look(&self, name: &str) -> (Result<bool, String>, Result<Vec<String>, String>) {
        if !is_service(name) {
            return (Ok(false), Ok(vec![]));
        }
        match self.init {
            InitSystem::Systemd => (self.enabled_unit(name), Ok(vec![])),
            InitSystem::SystemdLegacy => {
                let is_enabled = self.enabled_unit(name).and_then(|native| Ok(native || self.starts(name)?));
                (is_enabled, Ok(vec![]))
            }
            InitSystem::SystemV => (self.starts(name), self.start_levels(name)),
            InitSystem::OpenRc => {
                let levels = pattern(name).and_then(|pattern| {
                    let is_it = |names: &BTreeSet<String>| names.iter().any(|name| pattern.matches(name));
                    Ok(holding(self.runlevels.clone()?, is_it))
                });
                (levels.clone().map(|levels| !levels.is_empty()), levels)
            }
            InitSystem::Upstart => (self.enabled_job(name), self.start_levels(name)),
        }
    }

    fn enabled_unit(&self, name: &str) -> Result<bool, String> {
        let Some(units) = self.units.as_ref().map_err(Clone::clone)? else { return Ok(false) };
        let unit = unit_name(name);
        // A script of System V without a unit is asked for in its own way, though a generator makes a unit of it.
        if let Some(script) = unit.strip_suffix(".service")
            && !units.has_native(&unit)
            && self.root.exists(&format!("/etc/init.d/{script}"))
        {
            let levels = self.links_of(script)?;
            return Ok(levels.iter().any(|level| level == "S" || level == "5"));
        }
        units.state(&unit).map(is_enabled)
    }

    /// By `start on` in the job, unless an override says `manual`; else as System V.
    fn enabled_job(&self, name: &str) -> Result<bool, String> {
        let has_line = |path: String, test: fn(&[u8]) -> bool| {
            let text = self.root.read_if_there(&path)?.unwrap_or_default();
            Ok::<_, String>(text.split(|byte| *byte == b'\n').any(test))
        };
        if has_line(format!("/etc/init/{name}.override"), |line| line.starts_with(b"manual"))? {
            return Ok(false);
        }
        let starts_on = |line: &[u8]| line.trim_ascii_start().starts_with(b"start on");
        Ok(has_line(format!("/etc/init/{name}.conf"), starts_on)? || self.starts(name)?)
    }

    fn starts(&self, name: &str) -> Result<bool, String> {
        self.start_levels(name).map(|levels| !levels.is_empty())
    }

    /// The numbered runlevels with a start link.
    fn start_levels(&self, name: &str) -> Result<Vec<String>, String> {
        let mut levels = self.links_of(name)?;
        levels.retain(|level| !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit()));
        Ok(levels)
    }

    /// All runlevels with a start link, that of the start of the system too.
    fn links_of(&self, name: &str) -> Result<Vec<String>, String> {
        let pattern = pattern(name)?;
        let is_start = |link: &String| {
            let numbered = link.strip_prefix('S').and_then(|rest| rest.split_at_checked(2));
            numbered
                .is_some_and(|(order, name)| order.bytes().all(|byte| byte.is_ascii_digit()) && pattern.matches(name))
        };
        Ok(holding(self.start_links.clone()?, |names| names.iter().any(is_start)))
    }
}

/// The name of a service, which may be a pattern where links are looked at, as in goss.
fn pattern(name: &str) -> Result<Pattern, String> {
    Pattern::parse(name, Dialect::Go).map_err(|error| format!("{name}: {error}"))
}

fn holding(all: Vec<(String, BTreeSet<String>)>, test: impl Fn(&BTreeSet<String>) -> bool) -> Vec<String> {
    all.into_iter().filter(|(_, names)| test(names)).map(|(level, _)| level).collect()
}

/// The names in those directories below a path that have a level.
fn directories(
    root: &Root,
    path: &str,
    level: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, BTreeSet<String>)>, String> {
    let list = |path: &str| root.list(path).map_err(|error| format!("{path}: {error}"));
    let mut found = vec![];
    for (name, _) in list(path)? {
        let Some((name, level)) = name.to_str().and_then(|name| Some((name, level(name)?))) else { continue };
        let inside = list(&format!("{path}/{name}"))?.into_iter();
        found.push((level, inside.filter_map(|(name, _)| name.into_string().ok()).collect()));
    }
    Ok(found)
}
