//! What the script tells of files.

use super::{
    decode::{fact, is_absent, is_below_file},
    record::{Kind, Payload, Records},
    run::Ran,
};
use crate::{
    Fact, Wanted,
    facts::{FileFacts, FileWanted, Text},
};
use std::collections::{BTreeMap, BTreeSet};

type Files = BTreeMap<String, Fact<Option<FileFacts>>>;

/// Files, and which of the missing ones are below what is no directory.
pub(super) fn files(records: &Records<'_>, wanted: &Wanted, max_output: usize) -> (Files, BTreeSet<String>) {
    let mut below_files = BTreeSet::new();
    let mut files = Files::new();
    for (index, (path, wanted)) in wanted.files.iter().enumerate() {
        let fact = match records.get(Kind::Stat, index) {
            Ok(status) => fact(file(records, index, *wanted, status, max_output).map(Some)),
            Err(why) if is_absent(&why) => {
                if is_below_file(&why) {
                    below_files.insert(path.clone());
                }
                Fact::Known(None)
            }
            Err(why) => Fact::Unknown(why),
        };
        files.insert(path.clone(), fact);
    }
    (files, below_files)
}

/// A file with the status `MODE:SIZE:UID:GID:OWNER:GROUP`, its mode in hexadecimal and with its type.
fn file(
    records: &Records<'_>,
    index: usize,
    wanted: FileWanted,
    status: &[u8],
    max_output: usize,
) -> Result<FileFacts, String> {
    let malformed = || "stat told it in another form than expected".to_owned();
    let text = std::str::from_utf8(status).map_err(|_| malformed())?;
    let [mode, size, uid, gid, owner, group] = text.split(':').collect::<Vec<_>>()[..] else {
        return Err(malformed());
    };
    let mode = u32::from_str_radix(mode, 16).map_err(|_| malformed())?;
    let filetype = filetype(mode).ok_or_else(malformed)?;
    let id = |id: &str| id.parse::<u32>().map_err(|_| malformed());
    let name = |name: &str, id: u32| match name {
        "" | "UNKNOWN" => Fact::Unknown(format!("the id {id} has no name")),
        name => Fact::Known(name.into()),
    };
    let (uid, gid) = (id(uid)?, id(gid)?);
    let linked_to = if filetype == "symlink" { Some(link(records.get(Kind::Link, index))?) } else { None };
    let sum = |wanted: bool, kind, digits| wanted.then(|| fact(sum(records.get(kind, index), digits)));
    let contents = || {
        let contents = Ran::parse(records.get(Kind::Contents, index), max_output).and_then(Ran::succeeded);
        fact(contents).map(Text::from)
    };
    Ok(FileFacts {
        filetype: filetype.into(),
        mode: mode & 0o7777,
        size: size.parse().map_err(|_| malformed())?,
        uid,
        owner: name(owner, uid),
        gid,
        group: name(group, gid),
        linked_to,
        contents: wanted.contents.then(contents),
        md5: sum(wanted.md5, Kind::Md5, 32),
        sha256: sum(wanted.sha256, Kind::Sha256, 64),
        sha512: sum(wanted.sha512, Kind::Sha512, 128),
    })
}

/// The type in a mode, as Linux numbers it.
fn filetype(mode: u32) -> Option<&'static str> {
    Some(match mode >> 12 {
        0o01 => "pipe",
        0o02 => "character-device",
        0o04 => "directory",
        0o06 => "block-device",
        0o10 => "file",
        0o12 => "symlink",
        0o14 => "socket",
        _ => return None,
    })
}

/// The target of a link, with a dot behind it that keeps line feeds at its end.
fn link(payload: Payload<'_>) -> Result<String, String> {
    let target = payload?.strip_suffix(b".").ok_or("readlink did not end")?;
    Ok(String::from_utf8_lossy(target).into_owned())
}

/// The digest in the output of `sha256sum` or `openssl dgst -r`.
fn sum(payload: Payload<'_>, digits: usize) -> Result<String, String> {
    let text = String::from_utf8_lossy(payload?);
    let sum = text.split_ascii_whitespace().next().unwrap_or_default();
    let is_sum = sum.len() == digits && sum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_sum { Ok(sum.into()) } else { Err(format!("the tool told no digest: {text:?}")) }
}
