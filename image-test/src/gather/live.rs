//! The machine we run on.

use super::{
    Options, Root, System,
    concurrent::{each, finished},
    kernel, network, packages, process,
    rootfs::stored,
    running, services,
};
use crate::facts::{CommandWanted, Fact, Facts, PackageManager, Wanted};
use std::{collections::BTreeMap, path::Path, thread::available_parallelism};
use tokio::task::spawn_blocking;

/// Finds out what is wanted of the machine we run on: from its files and its kernel, with few processes beside the wanted
/// commands.
///
/// Users and groups are those of `/etc/passwd` and `/etc/group`; names of owners are also asked of the name services.
/// Services that systemd does not know, because it did not boot the machine, do not run. Without the feature `network`,
/// requests and names that a given server resolves are unknown.
///
/// Must run on a Tokio runtime with I/O and time enabled. When dropped, the commands are killed.
pub async fn live(wanted: &Wanted, options: &Options) -> Facts {
    let limit = options.limit;
    let most = options.max_concurrent.get();
    let cores = available_parallelism().map_or(1, usize::from).min(most);
    let command = |wanted: CommandWanted| async move {
        let run = process::run("sh", ["-c", &wanted.exec], wanted.timeout, limit).await;
        run.map_or_else(Fact::Unknown, Fact::Known)
    };
    let http = |request| network::request(request, limit);
    let (mut facts, commands, addrs, dns, http) = tokio::join!(
        local(wanted, options, cores),
        each(wanted.commands.clone(), most, command),
        each(wanted.addrs.clone(), most, network::connect),
        each(wanted.dns.clone(), most, network::resolve),
        each(wanted.http.clone(), most, http),
    );
    (facts.commands, facts.addrs, facts.dns, facts.http) = (commands, addrs, dns, http);
    facts
}

/// All but the commands and the network.
async fn local(wanted: &Wanted, options: &Options, cores: usize) -> Facts {
    let reading = {
        let (wanted, options) = (wanted.clone(), options.clone());
        spawn_blocking(move || read(&wanted, &options))
    };
    // Only a panic, which goes on here, or the end of the runtime gives nothing.
    let Some((system, mut facts)) = finished(reading.await) else { return Facts::new() };
    let (running, rpm, ()) = tokio::join!(
        running::services(system.init, &wanted.services, cores),
        async {
            let is_wanted = system.manager.unwrap_or(PackageManager::Rpm) == PackageManager::Rpm;
            if !is_wanted || wanted.packages.is_empty() {
                None
            } else if packages::is_absent(&system.root, PackageManager::Rpm) {
                Some(Ok(BTreeMap::new()))
            } else {
                Some(running::rpm(&wanted.packages).await)
            }
        },
        running::name_owners(&mut facts.files),
    );
    for (name, running) in running {
        if let Some(service) = facts.services.get_mut(&name) {
            service.running = running;
        }
    }
    if let Some(installed) = rpm {
        packages::record(installed, wanted, &mut facts);
    }
    facts
}

/// What files and the kernel tell.
fn read(wanted: &Wanted, options: &Options) -> (System, Facts) {
    let system = System::new(Root::Own, options);
    let mut facts = Facts::new();
    let directory = std::env::current_dir().unwrap_or_else(|_| Path::new("/").into());
    let uid = rustix::process::getuid().as_raw();
    stored(&system, &directory, uid, wanted, options, &mut facts);
    kernel::gather(wanted, &mut facts);
    services::gather(&system.root, system.init, wanted, "was not asked for", &mut facts);
    if let Some(manager) = system.manager.filter(|manager| *manager != PackageManager::Rpm)
        && !wanted.packages.is_empty()
    {
        packages::record(packages::installed(&system.root, manager), wanted, &mut facts);
    }
    (system, facts)
}

#[cfg(test)]
mod tests;
