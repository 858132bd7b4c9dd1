//! What init systems and other tools of this machine say when asked.

use super::{concurrent::each, process::run, services::is_service, units::unit_name};
use crate::facts::{
    CommandResult, Fact, FileFacts,
    parse::{self, InitSystem, Packages, RPM_QUERY_FORMAT, systemctl_show},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

/// How long a tool may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Largest output of a tool in bytes.
const LIMIT: u64 = 64 << 20;

/// As many units as are asked for at once, well within what a command line takes.
const BATCH: usize = 1000;

/// Runs a tool for what it prints, whatever its exit code.
async fn ask(program: &str, args: Vec<String>) -> Result<(i32, Vec<u8>, Vec<u8>), String> {
    match run(program, args, TIMEOUT, LIMIT).await? {
        CommandResult::Exited { status, stdout, stderr } => Ok((status, stdout.bytes().into(), stderr.bytes().into())),
        CommandResult::TimedOut => Err(format!("{program} took longer than {} s", TIMEOUT.as_secs())),
    }
}

/// Whether services run.
pub(super) async fn services(init: InitSystem, names: &BTreeSet<String>, limit: usize) -> BTreeMap<String, Fact<bool>> {
    let (names, invalid): (Vec<_>, Vec<_>) = names.iter().cloned().partition(|name| is_service(name));
    let mut found: BTreeMap<_, _> = invalid.into_iter().map(|name| (name, Fact::Known(false))).collect();
    if matches!(init, InitSystem::Systemd | InitSystem::SystemdLegacy) {
        found.extend(active(&names).await);
    }
    let asked_by_script = names.into_iter().filter(|name| match init {
        InitSystem::Systemd => false,
        InitSystem::SystemdLegacy => found.get(name) == Some(&Fact::Known(false)),
        InitSystem::OpenRc | InitSystem::SystemV | InitSystem::Upstart => true,
    });
    let jobs: Vec<_> = asked_by_script.map(|name| (name.clone(), name)).collect();
    found.extend(each(jobs, limit, move |name| script_status(name, init == InitSystem::Upstart)).await);
    found
}

async fn script_status(name: String, is_upstart: bool) -> Fact<bool> {
    let asked = ask("service", vec![name, "status".into()]).await;
    asked.map_or_else(Fact::Unknown, |(status, stdout, _)| {
        let said = String::from_utf8_lossy(&stdout);
        Fact::Known(status == 0 && (!is_upstart || said.contains("running") || said.contains("online")))
    })
}

/// Whether units of systemd are active. None is where systemd did not boot this machine.
async fn active(names: &[String]) -> BTreeMap<String, Fact<bool>> {
    // The rule of sd_booted(3).
    if !Path::new("/run/systemd/system").is_dir() {
        return names.iter().map(|name| (name.clone(), Fact::Known(false))).collect();
    }
    let mut found = BTreeMap::new();
    // A pattern gives any number of units.
    let (patterns, plain): (Vec<_>, Vec<_>) = names.iter().cloned().partition(|name| name.contains(['*', '?', '[']));
    for batch in plain.chunks(BATCH) {
        let units = show(batch).await.and_then(|units| {
            let is_whole = units.len() == batch.len();
            let count = units.len();
            is_whole.then_some(units).ok_or_else(|| format!("systemctl told of {count} of {} units", batch.len()))
        });
        match units {
            Ok(units) => {
                let active = units.iter().map(|unit| Fact::Known(unit.is_active()));
                found.extend(batch.iter().cloned().zip(active));
            }
            Err(why) => found.extend(batch.iter().map(|name| (name.clone(), Fact::Unknown(why.clone())))),
        }
    }
    for pattern in patterns {
        let units = show(std::slice::from_ref(&pattern)).await;
        let active = units.map(|units| units.iter().any(parse::UnitStatus::is_active));
        found.insert(pattern, active.map_or_else(Fact::Unknown, Fact::Known));
    }
    found
}

async fn show(names: &[String]) -> Result<Vec<parse::UnitStatus>, String> {
    let options = ["show", "-p", "Id", "-p", "Names", "-p", "ActiveState", "-p", "UnitFileState", "--"];
    let names = names.iter().map(|name| unit_name(name));
    match ask("systemctl", options.into_iter().map(Into::into).chain(names).collect()).await? {
        (0, stdout, _) => Ok(systemctl_show(&stdout)),
        (status, _, stderr) => Err(format!("systemctl: exit code {status}: {}", first_line(&stderr))),
    }
}

/// Packages of rpm, all asked for at once.
pub(super) async fn rpm(names: &BTreeSet<String>) -> Result<Packages, String> {
    let options = ["-q", "--nosignature", "--nodigest", "--qf", RPM_QUERY_FORMAT, "--"];
    let args = options.into_iter().map(Into::into).chain(names.iter().cloned()).collect();
    let (_, stdout, stderr) = ask("rpm", args).await?;
    // With a broken database it says that no package is installed too.
    if stderr.starts_with(b"error:") {
        return Err(format!("rpm: {}", first_line(&stderr)));
    }
    Ok(parse::rpm_query(&stdout))
}

fn first_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).lines().next().unwrap_or("it said nothing").into()
}

/// Names owners that are not in the files, by the name services of the machine, such as a directory. Where there is no
/// `getent`, they stay unknown.
pub(super) async fn name_owners(files: &mut BTreeMap<String, Fact<Option<FileFacts>>>) {
    let known = || files.values().filter_map(|file| if let Fact::Known(Some(file)) = file { Some(file) } else { None });
    let unnamed = |name: &Fact<String>| matches!(name, Fact::Unknown(_));
    let uids: BTreeSet<u32> = known().filter(|file| unnamed(&file.owner)).map(|file| file.uid).collect();
    let gids: BTreeSet<u32> = known().filter(|file| unnamed(&file.group)).map(|file| file.gid).collect();
    let (users, groups) = tokio::join!(getent("passwd", &uids), getent("group", &gids));
    let accounts = parse::Accounts::new(&users, &groups);
    for file in files.values_mut() {
        let Fact::Known(Some(file)) = file else { continue };
        if let (true, Some(name)) = (unnamed(&file.owner), accounts.user_name(file.uid)) {
            file.owner = Fact::Known(name.into());
        }
        if let (true, Some(name)) = (unnamed(&file.group), accounts.group_name(file.gid)) {
            file.group = Fact::Known(name.into());
        }
    }
}

async fn getent(database: &str, ids: &BTreeSet<u32>) -> Vec<u8> {
    if ids.is_empty() {
        return vec![];
    }
    let args = std::iter::once(database.to_owned()).chain(ids.iter().map(u32::to_string)).collect();
    ask("getent", args).await.map_or_else(|_| vec![], |(_, stdout, _)| stdout)
}
