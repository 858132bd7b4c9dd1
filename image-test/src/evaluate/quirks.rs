//! Where [`Compat::Fixed`] and [`Compat::Goss`] come to different outcomes.
//!
//! | What | Goss 0.4.10 | Fixed | Why |
//! |---|---|---|---|
//! | a mount point that is not there | an error: `exists: false` fails | `exists: false` passes | [`no_mount`] |
//! | use of a file system without blocks | -2^63 % | 0 % | [`no_blocks`] |
//! | an IPv6 listener that takes IPv4 | seen as `tcp6` only | seen as `tcp` too | [`listeners`] |
//! | an owner or group without a name | an error | compared by its number, else unknown | [`nameless`] |
//! | a command that did not end in time | an error | unknown | [`timed_out`] |
//! | a path that goes on below a file | an error: `exists: false` fails | `exists: false` passes | [`no_directory`] |
//! | the header `Connection: close` | not shown | shown | [`headers`] |
//! | what could not be told, or has no meaning here | a failure | unknown, or not applicable | [`untold`] |
//! | any resource of the Windows registry | an error | not applicable | [`untold`] |
//! | lines beyond 1 MiB, and the types matchers compare | as goss | as written | [`crate::matcher`] |

use super::{Actual, Finding};
use crate::{Compat, Fact, Facts, Matcher, Text, Value};
use std::collections::BTreeSet;

/// Goss looks for the mount point before it looks at what is expected, and reports that there is none as an error. So
/// nobody can say that something must not be mounted.
pub(super) fn no_mount(compat: Compat) -> Actual<'static> {
    match compat {
        Compat::Goss => Actual::Error("Mountpoint not found".into()),
        Compat::Fixed => Actual::Value(false.into()),
    }
}

/// Goss takes no error but "no such file" for the absence of one. Nothing can be below what is no directory.
pub(super) fn no_directory<'a>(facts: &Facts, path: &str, compat: Compat) -> Option<Actual<'a>> {
    let is_error = compat == Compat::Goss && facts.below_files.contains(path);
    is_error.then(|| Actual::Error(format!("{path} goes on below what is no directory")))
}

/// Go's client takes the header `Connection` away where it says that the server closes the connection.
pub(super) fn headers(headers: &Text, compat: Compat) -> Actual<'_> {
    const NAME: &[u8] = b"Connection: ";
    let lines = || headers.bytes().split(|byte| *byte == b'\n');
    let closes = |line: &[u8]| {
        let tokens = line.strip_prefix(NAME).unwrap_or_default().split(|byte| *byte == b',');
        tokens.into_iter().any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
    };
    if compat == Compat::Fixed || !lines().any(closes) {
        return Actual::text(headers);
    }
    let shown: Vec<_> = lines().filter(|line| !line.starts_with(NAME)).collect();
    Actual::Text(shown.join(&b'\n').into())
}

/// Goss divides by the number of blocks, which is none in `/proc` or `/sys`, and makes an integer of what is not a number.
/// What has no blocks is not full.
pub(super) fn no_blocks(compat: Compat) -> i64 {
    match compat {
        Compat::Goss => i64::MIN,
        Compat::Fixed => 0,
    }
}

/// The local addresses that take connections to a port.
///
/// A socket bound to `::` takes IPv4 connections too, unless its program forbids that, which `/proc` does not show. The
/// kernel lists it among the IPv6 sockets alone, as it does one bound to an IPv4 address inside IPv6, and there goss leaves it: `tcp:22` does not listen on most systems that
/// run sshd's socket unit. Whoever cares for the family of the address says `tcp6` or `ip`.
pub(crate) fn listeners(facts: &Facts, network: &str, port: &str, compat: Compat) -> Fact<BTreeSet<String>> {
    let sockets = |network: &str| match facts.ports.get(&format!("{network}:{port}")) {
        Some(fact) => fact.clone(),
        None => Fact::Unknown(format!("{network}:{port} is not among the facts")),
    };
    let own = sockets(network);
    if compat == Compat::Goss || network.ends_with('6') {
        return own;
    }
    match (own, sockets(&format!("{network}6"))) {
        (Fact::Known(mut own), Fact::Known(dual)) => {
            own.extend(dual.into_iter().filter(|address| address == "::" || !address.contains(':')));
            Fact::Known(own)
        }
        // What is seen listens, whatever else there may be.
        (Fact::Known(own), _) if !own.is_empty() => Fact::Known(own),
        (Fact::Known(_), unknown) | (unknown, _) => unknown,
    }
}

/// An id without a name is an error under goss, even where its number is expected, as `ls -l` shows it. A plain number
/// is compared; whether another name is wrong cannot be told, because the names themselves may be out of reach.
pub(super) fn nameless(matcher: &Matcher, id: u32, why: String, compat: Compat) -> Finding {
    if compat == Compat::Fixed
        && matches!(matcher, Matcher::Is(_))
        && let Ok(found) = matcher.matches(&Value::from(id.to_string()), compat)
        && found.passed
    {
        return Finding::Pass(found.into());
    }
    untold(Finding::Unknown(why), compat)
}

/// Goss fails every attribute of a command that took too long. Nothing was seen of how the command would have ended, which
/// is not a finding about the system.
pub(super) fn timed_out(compat: Compat) -> Actual<'static> {
    const WHY: &str = "the command did not end in time";
    match compat {
        Compat::Goss => Actual::Error(WHY.into()),
        Compat::Fixed => Actual::Unknown(WHY.into()),
    }
}

/// Goss knows neither unknown nor not applicable: what it cannot find out is an error, and fails.
pub(super) fn untold(finding: Finding, compat: Compat) -> Finding {
    match (finding, compat) {
        (Finding::Unknown(why) | Finding::NotApplicable(why), Compat::Goss) => Finding::Error(why),
        (finding, _) => finding,
    }
}
