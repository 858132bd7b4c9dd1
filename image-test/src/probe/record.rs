//! The records of an answer.

use super::ProbeError;
use crate::{Wanted, facts::FileWanted};

/// What a record tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Address,
    Command,
    Contents,
    Group,
    Hosts,
    Http,
    Interface,
    Link,
    Md5,
    Mounts,
    Packages,
    Parameter,
    Passwd,
    Processes,
    Query,
    Query6,
    Resolve,
    Sha256,
    Sha512,
    Stat,
    Tcp,
    Tcp6,
    Udp,
    Udp6,
    Unit,
    Units,
    Usage,
}

impl Kind {
    fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"address" => Self::Address,
            b"command" => Self::Command,
            b"contents" => Self::Contents,
            b"group" => Self::Group,
            b"hosts" => Self::Hosts,
            b"http" => Self::Http,
            b"interface" => Self::Interface,
            b"link" => Self::Link,
            b"md5" => Self::Md5,
            b"mounts" => Self::Mounts,
            b"packages" => Self::Packages,
            b"parameter" => Self::Parameter,
            b"passwd" => Self::Passwd,
            b"processes" => Self::Processes,
            b"query" => Self::Query,
            b"query6" => Self::Query6,
            b"resolve" => Self::Resolve,
            b"sha256" => Self::Sha256,
            b"sha512" => Self::Sha512,
            b"stat" => Self::Stat,
            b"tcp" => Self::Tcp,
            b"tcp6" => Self::Tcp6,
            b"udp" => Self::Udp,
            b"udp6" => Self::Udp6,
            b"unit" => Self::Unit,
            b"units" => Self::Units,
            b"usage" => Self::Usage,
            _ => return None,
        })
    }

    /// Where the script answers it: by section, by index within, by part of what the index is of.
    fn place(self, index: usize) -> (u8, usize, u8) {
        let (section, part) = match self {
            Self::Stat => (0, 0),
            Self::Link => (0, 1),
            Self::Contents => (0, 2),
            Self::Md5 => (0, 3),
            Self::Sha256 => (0, 4),
            Self::Sha512 => (0, 5),
            Self::Passwd => (1, 0),
            Self::Group => (1, 1),
            Self::Packages => (2, 0),
            Self::Units => (3, 0),
            Self::Unit => (3, 1),
            Self::Tcp => (4, 0),
            Self::Tcp6 => (4, 1),
            Self::Udp => (4, 2),
            Self::Udp6 => (4, 3),
            Self::Interface => (5, 0),
            Self::Parameter => (6, 0),
            Self::Processes => (7, 0),
            Self::Mounts => (8, 0),
            Self::Usage => (9, 0),
            Self::Command => (10, 0),
            Self::Address => (11, 0),
            Self::Hosts => (12, 0),
            Self::Resolve => (13, 0),
            Self::Query => (13, 1),
            Self::Query6 => (13, 2),
            Self::Http => (14, 0),
        };
        (section, index, part)
    }

    /// Whether such a record was asked for.
    fn is_wanted(self, index: usize, wanted: &Wanted) -> bool {
        let file = |has: fn(&FileWanted) -> bool| wanted.files.values().nth(index).is_some_and(has);
        let once = |wanted: bool| wanted && index == 0;
        let port = |network: &str| once(wanted.ports.iter().any(|port| port.starts_with(network)));
        match self {
            Self::Address => index < wanted.addrs.len(),
            Self::Command => index < wanted.commands.len(),
            Self::Contents => file(|file| file.contents),
            Self::Group | Self::Passwd => once(!wanted.users.is_empty() || !wanted.groups.is_empty()),
            Self::Hosts => once(wanted.dns.values().any(|dns| dns.server.is_none())),
            Self::Http => index < wanted.http.len(),
            Self::Interface => index < wanted.interfaces.len(),
            Self::Link | Self::Stat => index < wanted.files.len(),
            Self::Md5 => file(|file| file.md5),
            Self::Mounts => once(!wanted.mounts.is_empty()),
            Self::Packages => once(!wanted.packages.is_empty()),
            Self::Parameter => index < wanted.kernel_params.len(),
            Self::Processes => once(!wanted.processes.is_empty()),
            Self::Query | Self::Query6 | Self::Resolve => index < wanted.dns.len(),
            Self::Sha256 => file(|file| file.sha256),
            Self::Sha512 => file(|file| file.sha512),
            Self::Tcp => port("tcp:"),
            Self::Tcp6 => port("tcp6:"),
            Self::Udp => port("udp:"),
            Self::Udp6 => port("udp6:"),
            Self::Unit => index < wanted.services.len(),
            Self::Units => once(!wanted.services.is_empty()),
            Self::Usage => wanted.mounts.values().nth(index) == Some(&true),
        }
    }
}

/// What was found, or why nothing was.
pub(super) type Payload<'a> = Result<&'a [u8], String>;

/// The records of a decoded answer: each wanted, once, in the order of the script, and all of them.
#[derive(Debug)]
pub(super) struct Records<'a>(Vec<(Kind, usize, &'a [u8])>);

impl<'a> Records<'a> {
    pub(super) fn parse(body: &'a [u8], wanted: &Wanted) -> Result<Self, ProbeError> {
        let mut records = vec![];
        let mut last = None;
        let mut rest = body;
        loop {
            let at = body.len() - rest.len();
            let wrong = |why| ProbeError::Record { at, why };
            if let Some(count) = rest.strip_prefix(b"end ") {
                let complete = number(count) == Some(records.len());
                return if complete { Ok(Self(records)) } else { Err(wrong("the number of records is another one")) };
            }
            let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| wrong("the heading has no end"))?;
            let (heading, after) = rest.split_at(end);
            let mut fields = heading.split(|byte| *byte == b' ');
            let (Some(kind), Some(index), Some(length), None) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                return Err(wrong("the heading has not three fields"));
            };
            let kind = Kind::parse(kind).ok_or_else(|| wrong("the kind is not known"))?;
            let (Some(index), Some(length)) = (number(index), number(length)) else {
                return Err(wrong("the heading has no numbers"));
            };
            if !kind.is_wanted(index, wanted) {
                return Err(wrong("it was not asked for"));
            }
            let place = Some(kind.place(index));
            if place <= last {
                return Err(wrong("it is out of order, or there twice"));
            }
            last = place;
            let payload = after.get(1..).and_then(|after| after.split_at_checked(length));
            let (payload, after) = payload.ok_or_else(|| wrong("it is longer than the answer"))?;
            rest = after.strip_prefix(b"\n").ok_or_else(|| wrong("it does not end where its length says"))?;
            if !matches!(payload.first(), Some(b'=' | b'!')) {
                return Err(wrong("it says neither what was found nor why nothing was"));
            }
            records.push((kind, index, payload));
        }
    }

    /// What was found, or why nothing was.
    pub(super) fn get(&self, kind: Kind, index: usize) -> Payload<'a> {
        let place = kind.place(index);
        let found = self.0.binary_search_by_key(&place, |(kind, index, _)| kind.place(*index));
        let payload = found.ok().and_then(|at| self.0.get(at)).map(|(.., payload)| *payload);
        match payload.and_then(<[u8]>::split_first) {
            Some((b'=', found)) => Ok(found),
            Some((_, why)) => Err(String::from_utf8_lossy(why).trim().to_owned()),
            None => Err("the machine gave no answer".into()),
        }
    }

    /// As [`get`](Self::get), none where the machine gave no such record.
    pub(super) fn find(&self, kind: Kind, index: usize) -> Option<Payload<'a>> {
        let place = kind.place(index);
        self.0.binary_search_by_key(&place, |(kind, index, _)| kind.place(*index)).ok().map(|_| self.get(kind, index))
    }
}

/// A number without a sign or zeros before it.
pub(super) fn number(digits: &[u8]) -> Option<usize> {
    let canonical = digits == b"0" || digits.first().is_some_and(|first| (b'1'..=b'9').contains(first));
    let digits = std::str::from_utf8(digits).ok().filter(|_| canonical)?;
    digits.parse().ok()
}
