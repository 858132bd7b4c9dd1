//! A root file system that does not run: a mounted disk, an extracted layer.

use super::{Options, Root, System, accounts, files::Files, packages, services, settings};
use crate::facts::{Fact, Facts, MountFacts, Wanted, parse};
use std::{collections::BTreeMap, io, path::Path};

/// Finds out what is wanted of the root file system at a path, without running anything of it.
///
/// Nothing outside of it is looked at, wherever its symbolic links point. What only a running system has (processes,
/// ports, the output of commands) is not applicable. Kernel parameters are those that its configuration sets, mounts those
/// of its `fstab`. Packages of rpm are not known, because only rpm reads its database: use an
/// [`Options::package_manager`] only to correct what is found.
///
/// # Errors
///
/// The path cannot be opened as a directory. All else is said in the facts.
pub fn rootfs(root: &Path, wanted: &Wanted, options: &Options) -> io::Result<Facts> {
    let system = System::new(Root::open(root)?, options);
    let mut facts = Facts::new();
    stored(&system, Path::new("/"), 0, wanted, options, &mut facts);
    settings::gather(&system.root, system.init, wanted, &mut facts);
    mounts(&system, wanted, &mut facts);
    services::gather(&system.root, system.init, wanted, "nothing runs in a root file system", &mut facts);
    packages::record(installed(&system), wanted, &mut facts);
    not_applicable(wanted, &mut facts);
    Ok(facts)
}

/// Finds out what lies in files, of a system that runs or does not: files, users and groups.
pub(super) fn stored(
    system: &System,
    directory: &Path,
    uid: u32,
    wanted: &Wanted,
    options: &Options,
    facts: &mut Facts,
) {
    if wanted.files.is_empty() && wanted.users.is_empty() && wanted.groups.is_empty() {
        return;
    }
    let accounts = accounts::accounts(&system.root);
    accounts::gather(&accounts, wanted, facts);
    let files = Files { root: &system.root, accounts: &accounts, uid, directory, limit: options.limit };
    for (path, file) in &wanted.files {
        files.look(path, *file, facts);
    }
}

fn installed(system: &System) -> Result<parse::Packages, String> {
    // Images of a single program have no release file, but may still have a database.
    match system.manager.or_else(|| packages::by_database(&system.root)) {
        Some(manager) => packages::installed(&system.root, manager),
        None => Ok(parse::Packages::new()),
    }
}

fn mounts(system: &System, wanted: &Wanted, facts: &mut Facts) {
    if wanted.mounts.is_empty() {
        return;
    }
    let table = system.root.read_if_there("/etc/fstab");
    let table = table.map(|text| parse::fstab(&text.unwrap_or_default()));
    for (mountpoint, usage) in &wanted.mounts {
        let usage = usage.then(|| Fact::NotApplicable("only a mounted file system is used".into()));
        let fact = match &table {
            Ok(table) => match table.get(mountpoint) {
                Some(mount) => Fact::Known(Some(MountFacts { usage, ..mount.clone() })),
                None => Fact::NotApplicable("not in /etc/fstab, and other mounts are known only where it runs".into()),
            },
            Err(why) => Fact::Unknown(why.clone()),
        };
        facts.mounts.insert(mountpoint.clone(), fact);
    }
}

/// Says of all that only a running system has why there is nothing to say.
fn not_applicable(wanted: &Wanted, facts: &mut Facts) {
    fn all<'a, T>(keys: impl IntoIterator<Item = &'a String>, what: &str) -> BTreeMap<String, Fact<T>> {
        let why = format!("{what} only where a system runs, and this is a root file system");
        keys.into_iter().map(|key| (key.clone(), Fact::NotApplicable(why.clone()))).collect()
    }
    facts.addrs = all(wanted.addrs.keys(), "addresses are connected to");
    facts.commands = all(wanted.commands.keys(), "commands run");
    facts.dns = all(wanted.dns.keys(), "names are resolved");
    facts.http = all(wanted.http.keys(), "requests are made");
    facts.interfaces = all(&wanted.interfaces, "network interfaces are");
    facts.ports = all(&wanted.ports, "sockets listen");
    facts.processes = all(&wanted.processes, "processes are");
}

#[cfg(test)]
mod tests;
