//! Kernel parameters, as configuration files set them.

use super::Root;
use crate::facts::{
    Fact, Facts, Wanted,
    parse::{InitSystem, SysctlSettings, sysctl_path},
};
use std::collections::BTreeMap;

/// Where a file hides those of the same name in later directories. Rule of `sysctl.d(5)`.
const DIRECTORIES: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];

/// Finds out which values parameters get when the system boots.
pub(super) fn gather(root: &Root, init: InitSystem, wanted: &Wanted, facts: &mut Facts) {
    if wanted.kernel_params.is_empty() {
        return;
    }
    let settings = settings(root, init);
    for name in &wanted.kernel_params {
        let value = match &settings {
            Ok(settings) => settings.value(&sysctl_path(name)).map(|value| Fact::Known(Some(value.into()))),
            Err(why) => Some(Fact::Unknown(why.clone())),
        };
        let unset = || Fact::NotApplicable("no sysctl configuration sets it, so the running kernel decides".into());
        facts.kernel_params.insert(name.clone(), value.unwrap_or_else(unset));
    }
}

fn settings(root: &Root, init: InitSystem) -> Result<SysctlSettings, String> {
    let mut files = BTreeMap::new();
    for directory in DIRECTORIES {
        for (name, _) in root.list(directory).map_err(|error| format!("{directory}: {error}"))? {
            if let Some(name) = name.to_str().filter(|name| name.ends_with(".conf")) {
                files.entry(name.to_owned()).or_insert_with(|| format!("{directory}/{name}"));
            }
        }
    }
    let mut paths: Vec<_> = files.into_values().collect();
    // The older tool reads this one last; systemd only where it is linked into a directory.
    if !matches!(init, InitSystem::Systemd | InitSystem::SystemdLegacy) {
        paths.push("/etc/sysctl.conf".into());
    }
    let mut settings = SysctlSettings::default();
    for path in paths {
        // A link to /dev/null hides what is in later directories, and sets nothing.
        let is_hidden = root.readlink(&path).is_ok_and(|target| target == "/dev/null");
        if let (false, Some(text)) = (is_hidden, root.read_if_there(&path)?) {
            settings.add(&text);
        }
    }
    Ok(settings)
}
