//! What must be found out to evaluate a suite.

use crate::{Attribute, HttpRequest, Suite, Target};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What must be found out to evaluate a suite, and no more. Keys are those of [`Facts`](super::Facts).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Wanted {
    /// Addresses to connect to, by resource key.
    pub addrs: BTreeMap<String, AddrWanted>,
    /// Commands to run, by resource key.
    pub commands: BTreeMap<String, CommandWanted>,
    /// Names to resolve, by resource key.
    pub dns: BTreeMap<String, DnsWanted>,
    /// Files to look at, by path.
    pub files: BTreeMap<String, FileWanted>,
    /// Groups, by name.
    pub groups: BTreeSet<String>,
    /// Requests to make, by resource key.
    pub http: BTreeMap<String, HttpRequest>,
    /// Network interfaces, by name.
    pub interfaces: BTreeSet<String>,
    /// Kernel parameters, by dotted name.
    pub kernel_params: BTreeSet<String>,
    /// Mount points, by path, and whether their usage is wanted.
    pub mounts: BTreeMap<String, bool>,
    /// Packages, by name.
    pub packages: BTreeSet<String>,
    /// Ports, as `tcp:80`, `tcp6:80`, `udp:53` or `udp6:53`.
    pub ports: BTreeSet<String>,
    /// Processes, by command name.
    pub processes: BTreeSet<String>,
    /// Services, by name.
    pub services: BTreeSet<String>,
    /// Users, by name.
    pub users: BTreeSet<String>,
}

/// A connection to try.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AddrWanted {
    /// `[tcp://|udp://]host:port`.
    pub address: String,
    /// How long to try.
    pub timeout: Duration,
    /// The local address to connect from.
    pub local_address: Option<String>,
}

/// A command to run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CommandWanted {
    /// A script for `sh -c`.
    pub exec: String,
    /// When it is killed.
    pub timeout: Duration,
}

/// A name to resolve.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DnsWanted {
    /// `[TYPE:]host`.
    pub resolve: String,
    /// `host[:port]`; the system's resolver unless set.
    pub server: Option<String>,
    /// How long one try may take.
    pub timeout: Duration,
}

/// What is wanted of a file beside its metadata.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct FileWanted {
    /// Its contents.
    pub contents: bool,
    /// Its MD5.
    pub md5: bool,
    /// Its SHA-256.
    pub sha256: bool,
    /// Its SHA-512.
    pub sha512: bool,
}

impl Wanted {
    /// What the resources of a suite need that are not skipped.
    pub fn of(suite: &Suite) -> Self {
        let mut wanted = Self::default();
        for resource in suite.resources().filter(|resource| !resource.skip) {
            let has = |attribute| resource.expectation(attribute).is_some();
            let key = resource.key.clone();
            match resource.target.clone() {
                Target::Addr { address, timeout, local_address } => {
                    let timeout = timeout.unwrap_or(Duration::from_millis(500));
                    wanted.addrs.insert(key, AddrWanted { address, timeout, local_address });
                }
                Target::Command { exec, timeout, .. } => {
                    let timeout = timeout.unwrap_or(Duration::from_secs(10));
                    wanted.commands.insert(key, CommandWanted { exec, timeout });
                }
                Target::Dns { resolve, server, timeout, .. } => {
                    let timeout = timeout.unwrap_or(Duration::from_millis(500));
                    wanted.dns.insert(key, DnsWanted { resolve, server, timeout });
                }
                Target::File(path) => {
                    let file = wanted.files.entry(path).or_default();
                    file.contents |= has(Attribute::Contains) || has(Attribute::Contents);
                    file.md5 |= has(Attribute::Md5);
                    file.sha256 |= has(Attribute::Sha256);
                    file.sha512 |= has(Attribute::Sha512);
                }
                Target::Group(name) => {
                    wanted.groups.insert(name);
                }
                Target::Http(request) => {
                    wanted.http.insert(key, *request);
                }
                Target::Interface(name) => {
                    wanted.interfaces.insert(name);
                }
                Target::KernelParam(name) => {
                    wanted.kernel_params.insert(name);
                }
                Target::Mount { mountpoint, .. } => {
                    *wanted.mounts.entry(mountpoint).or_default() |= has(Attribute::Usage);
                }
                Target::Package { name, .. } => {
                    wanted.packages.insert(name);
                }
                Target::Port(port) => wanted.ports.extend(sockets(&port)),
                Target::Process(comm) => {
                    wanted.processes.insert(comm);
                }
                Target::Service(name) => {
                    wanted.services.insert(name);
                }
                Target::User(name) => {
                    wanted.users.insert(name);
                }
                Target::Matching { .. } | Target::Registry(_) => {}
            }
        }
        wanted
    }
}

/// The keys of [`Facts::ports`](super::Facts::ports) for a port: IPv6 sockets may take IPv4 connections too.
fn sockets(port: &str) -> Vec<String> {
    let (network, number) = port.split_once(':').unwrap_or(("tcp", port));
    let mut keys = vec![format!("{network}:{number}")];
    if !network.ends_with('6') {
        keys.push(format!("{network}6:{number}"));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resource;

    #[test]
    fn only_what_is_expected_is_asked_for() {
        let mut suite = Suite::new();
        let mut file = Resource::new("passwd", Target::File("/etc/passwd".into()));
        file.expect(Attribute::Exists, true);
        file.expect(Attribute::Sha256, "00");
        suite.insert(file);
        suite.insert(Resource::new("80", Target::Port("80".into())));
        let mut skipped = Resource::new("sshd", Target::Service("sshd".into()));
        skipped.skip = true;
        suite.insert(skipped);

        let wanted = Wanted::of(&suite);
        let file = FileWanted { sha256: true, ..FileWanted::default() };
        assert_eq!(wanted.files, BTreeMap::from([("/etc/passwd".into(), file)]));
        assert_eq!(wanted.ports, BTreeSet::from(["tcp6:80".into(), "tcp:80".into()]));
        assert!(wanted.services.is_empty());
    }
}
