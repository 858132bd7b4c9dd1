//! Packages, from the databases of their managers.

use super::{Root, has_command};
use crate::facts::{
    Fact, Facts, PackageManager, Wanted,
    parse::{self, Packages},
};

/// Whether a system has neither the command nor the database of a package manager, and so no packages of it. A database
/// alone may have been left out on purpose, or lie on another file system.
pub(super) fn is_absent(root: &Root, manager: PackageManager) -> bool {
    !has_command(root, manager.name()) && !has_database(root, manager)
}

fn has_database(root: &Root, manager: PackageManager) -> bool {
    manager.databases().iter().any(|path| root.exists(path))
}

/// The package manager whose database is there.
pub(super) fn by_database(root: &Root) -> Option<PackageManager> {
    [PackageManager::Dpkg, PackageManager::Apk, PackageManager::Pacman, PackageManager::Rpm]
        .into_iter()
        .find(|manager| has_database(root, *manager))
}

/// The installed packages of a root file system by its database, or why they are not known.
pub(super) fn installed(root: &Root, manager: PackageManager) -> Result<Packages, String> {
    match manager {
        _ if is_absent(root, manager) => Ok(Packages::new()),
        PackageManager::Apk => apk(root),
        PackageManager::Dpkg => dpkg(root),
        PackageManager::Pacman => pacman(root),
        PackageManager::Rpm => Err("the database of rpm can only be read by rpm itself".into()),
    }
}

/// Adds what is wanted of packages.
pub(super) fn record(installed: Result<Packages, String>, wanted: &Wanted, facts: &mut Facts) {
    for name in &wanted.packages {
        let versions = match &installed {
            Ok(packages) => Fact::Known(packages.get(name).cloned().unwrap_or_default()),
            Err(why) => Fact::Unknown(why.clone()),
        };
        facts.packages.insert(name.clone(), versions);
    }
}

fn dpkg(root: &Root) -> Result<Packages, String> {
    const STATUS: &str = "/var/lib/dpkg/status";
    const STATUS_D: &str = "/var/lib/dpkg/status.d";
    let status = root.read_if_there(STATUS)?;
    let parts = root.list(STATUS_D).map_err(|error| format!("{STATUS_D}: {error}"))?;
    if status.is_none() && parts.is_empty() {
        return Err(format!("neither {STATUS} nor {STATUS_D} exists"));
    }
    let mut packages = parse::dpkg_status(&status.unwrap_or_default());
    for (name, _) in parts {
        // Beside each package may be the sums of its files.
        let Some(name) = name.to_str().filter(|name| !name.ends_with(".md5sums")) else { continue };
        let part = root.read_if_there(&format!("{STATUS_D}/{name}"))?.unwrap_or_default();
        for (package, versions) in parse::dpkg_status_d(&part) {
            packages.entry(package).or_default().extend(versions);
        }
    }
    Ok(packages)
}

fn apk(root: &Root) -> Result<Packages, String> {
    let databases = PackageManager::Apk.databases();
    for path in databases {
        if let Some(text) = root.read_if_there(path)? {
            return Ok(parse::apk_installed(&text));
        }
    }
    Err(format!("neither {} exists", databases.join(" nor ")))
}

fn pacman(root: &Root) -> Result<Packages, String> {
    const LOCAL: &str = "/var/lib/pacman/local";
    if !root.exists(LOCAL) {
        return Err(format!("{LOCAL} does not exist"));
    }
    let mut packages = Packages::new();
    for (name, _) in root.list(LOCAL).map_err(|error| format!("{LOCAL}: {error}"))? {
        // A file with the version of the database lies between the directories of the packages.
        let Some(desc) = name.to_str().map(|name| root.read_if_there(&format!("{LOCAL}/{name}/desc"))) else {
            continue;
        };
        if let Some((name, version)) = desc?.as_deref().and_then(parse::pacman_desc) {
            packages.entry(name).or_default().push(version);
        }
    }
    Ok(packages)
}
