//! What an answer says, as facts.

use super::{
    Nonce, ProbeError, ProbeOptions, files,
    frame::{Frame, Place},
    http, network,
    record::{Kind, Records},
    run::Ran,
    system,
};
use crate::{
    Fact, Facts, Wanted,
    facts::{CommandResult, FORMAT_VERSION, GroupFacts, MountFacts, Text, UserFacts, parse},
};
use std::collections::BTreeMap;

/// Reads the answer of a [`Script`](super::Script): a pure function of bytes, whatever they are.
///
/// All that was wanted is in the facts. What the answer does not tell is unknown, with the reason.
///
/// # Errors
/// Where the answer is not whole, is not the answer to this nonce, has anything that was not asked for, or is larger than
/// [`ProbeOptions::max_answer`] when decompressed.
pub fn decode(answer: &[u8], wanted: &Wanted, nonce: &Nonce, options: &ProbeOptions) -> Result<Facts, ProbeError> {
    let frame = Frame::parse(answer, nonce)?;
    match frame.place {
        Place::Lost => Err(ProbeError::NoRoom { length: frame.length }),
        Place::Here | Place::Stored(_) => open(&frame, frame.payload, wanted, nonce, options),
    }
}

/// The facts in a frame whose payload is put together.
pub(super) fn open(
    frame: &Frame<'_>,
    payload: &[u8],
    wanted: &Wanted,
    nonce: &Nonce,
    options: &ProbeOptions,
) -> Result<Facts, ProbeError> {
    let body = frame.open(payload, nonce, options.max_answer)?;
    let records = Records::parse(&body, wanted)?;
    let (users, groups) = accounts(&records, wanted);
    let (files, below_files) = files::files(&records, wanted, options.max_output);
    Ok(Facts {
        format: FORMAT_VERSION,
        addrs: network::addrs(&records, wanted),
        below_files,
        commands: commands(&records, wanted, options),
        dns: network::dns(&records, wanted),
        files,
        groups,
        http: http::responses(&records, wanted, options.max_output),
        interfaces: network::interfaces(&records, wanted),
        kernel_params: parameters(&records, wanted),
        mounts: mounts(&records, wanted),
        packages: system::packages(&records, wanted),
        ports: network::ports(&records, wanted),
        processes: processes(&records, wanted),
        services: system::services(&records, wanted),
        users,
    })
}

/// A fact from what can fail.
pub(super) fn fact<T>(result: Result<T, String>) -> Fact<T> {
    result.map_or_else(Fact::Unknown, Fact::Known)
}

/// Whether the system said that there is no such file, and not that it may not be looked for.
pub(super) fn is_absent(error: &str) -> bool {
    error.trim_end().ends_with("No such file or directory") || is_below_file(error)
}

/// Whether the system said that a path goes on below what is no directory.
pub(super) fn is_below_file(error: &str) -> bool {
    error.trim_end().ends_with("Not a directory")
}

fn commands(records: &Records<'_>, wanted: &Wanted, options: &ProbeOptions) -> BTreeMap<String, Fact<CommandResult>> {
    let result = |index| {
        Ok(match Ran::parse(records.get(Kind::Command, index), options.max_output)? {
            Ran::Exited { status, stdout, stderr } => {
                // No program ends with more than 255: it is a shell, such as ksh, that tells signals from exit codes.
                let status = if status > 255 { -1 } else { status };
                CommandResult::Exited { status, stdout: Text::from(stdout), stderr: Text::from(stderr) }
            }
            Ran::TimedOut => CommandResult::TimedOut,
        })
    };
    wanted.commands.keys().enumerate().map(|(index, key)| (key.clone(), fact(result(index)))).collect()
}

fn parameters(records: &Records<'_>, wanted: &Wanted) -> BTreeMap<String, Fact<Option<String>>> {
    let value = |index| match records.get(Kind::Parameter, index) {
        Ok(value) => Fact::Known(Some(String::from_utf8_lossy(value).trim().to_owned())),
        Err(why) if is_absent(&why) => Fact::Known(None),
        Err(why) => Fact::Unknown(why),
    };
    wanted.kernel_params.iter().enumerate().map(|(index, name)| (name.clone(), value(index))).collect()
}

fn processes(records: &Records<'_>, wanted: &Wanted) -> BTreeMap<String, Fact<bool>> {
    let table = records.get(Kind::Processes, 0).and_then(|payload| {
        let end = payload.iter().position(|byte| *byte == b'\n').unwrap_or(payload.len());
        let (visible, lines) = payload.split_at(end);
        let names: Vec<String> = lines.split(|byte| *byte == b'\n').filter_map(parse::comm).collect();
        match visible {
            b"all" => Ok((true, names)),
            b"some" => Ok((false, names)),
            _ => Err("the table of processes is malformed".into()),
        }
    });
    let runs = |name: &String| match &table {
        _ if name.contains(['\n', '\0']) => Fact::Unknown(format!("{name:?} is no name of a program")),
        Ok((_, names)) if names.contains(name) => Fact::Known(true),
        Ok((true, _)) => Fact::Known(false),
        Ok((false, _)) => Fact::Unknown("not all processes may be seen".into()),
        Err(why) => Fact::Unknown(why.clone()),
    };
    wanted.processes.iter().map(|name| (name.clone(), runs(name))).collect()
}

fn mounts(records: &Records<'_>, wanted: &Wanted) -> BTreeMap<String, Fact<Option<MountFacts>>> {
    let table = records.get(Kind::Mounts, 0).map(parse::mountinfo);
    let mount = |index: usize, path: &String, usage: bool| match &table {
        _ if path.contains('\n') => Err("a mount point with a line feed is not looked for".into()),
        Ok(mounts) => Ok(mounts.get(path).cloned().map(|mut mount| {
            mount.usage = usage.then(|| fact(percent(records, index)));
            mount
        })),
        Err(why) => Err(why.clone()),
    };
    wanted
        .mounts
        .iter()
        .enumerate()
        .map(|(index, (path, usage))| (path.clone(), fact(mount(index, path, *usage))))
        .collect()
}

/// Used blocks in percent, of `BLOCKS FREE`; none of a file system without blocks.
fn percent(records: &Records<'_>, index: usize) -> Result<Option<u8>, String> {
    let text = Ran::parse(records.get(Kind::Usage, index), 4095)?.succeeded()?;
    let text = String::from_utf8_lossy(&text);
    let numbers = text.trim().split_once(' ').and_then(|(all, free)| Some((all.parse().ok()?, free.parse().ok()?)));
    let (all, free): (u64, u64) = numbers.filter(|(all, free)| free <= all).ok_or("stat told no blocks")?;
    if all == 0 {
        return Ok(None);
    }
    // Rounded half up.
    let (all, used) = (u128::from(all), u128::from(all - free));
    Ok(u8::try_from((used * 200 + all) / (2 * all)).ok())
}

type Users = BTreeMap<String, Fact<Option<UserFacts>>>;
type Groups = BTreeMap<String, Fact<Option<GroupFacts>>>;

fn accounts(records: &Records<'_>, wanted: &Wanted) -> (Users, Groups) {
    let (passwd, group) = (records.get(Kind::Passwd, 0), records.get(Kind::Group, 0));
    let accounts = parse::Accounts::new(passwd.as_deref().unwrap_or_default(), group.as_deref().unwrap_or_default());
    let why = passwd.as_ref().err().or_else(|| group.as_ref().err());
    let user = |name: &String| why.map_or_else(|| Fact::Known(accounts.user(name)), |why| Fact::Unknown(why.clone()));
    let of_group = |name: &String| match &group {
        Ok(_) => Fact::Known(accounts.group(name)),
        Err(why) => Fact::Unknown(why.clone()),
    };
    let users = wanted.users.iter().map(|name| (name.clone(), user(name))).collect();
    (users, wanted.groups.iter().map(|name| (name.clone(), of_group(name))).collect())
}
