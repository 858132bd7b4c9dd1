//! What is known of a system, whoever found it out.

mod fact;
mod package_manager;
pub(crate) mod parse;
mod text;
mod wanted;

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use fact::Fact;
pub use package_manager::{PackageManager, UnknownPackageManager};
pub use text::Text;
pub use wanted::{AddrWanted, CommandWanted, DnsWanted, FileWanted, Wanted};

/// Version of the serialised form.
pub const FORMAT_VERSION: u32 = 1;

/// What is known of a system: for each thing that was asked for, what was found, or why nothing could be.
///
/// The maps are keyed by what was asked: a path, a package's name, `tcp6:80`. Commands, names, requests and addresses are
/// keyed by the key of their resource.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Facts {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// Whether a connection to an address succeeded, by resource key.
    pub addrs: BTreeMap<String, Fact<bool>>,
    /// Paths of missing files that go on below what is no directory, so that nothing can be there.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub below_files: BTreeSet<String>,
    /// Commands, by resource key.
    pub commands: BTreeMap<String, Fact<CommandResult>>,
    /// Names, by resource key.
    pub dns: BTreeMap<String, Fact<Resolution>>,
    /// Files, by path; none where there is no such file.
    pub files: BTreeMap<String, Fact<Option<FileFacts>>>,
    /// Groups, by name.
    pub groups: BTreeMap<String, Fact<Option<GroupFacts>>>,
    /// Responses, by resource key.
    pub http: BTreeMap<String, Fact<Response>>,
    /// Network interfaces, by name.
    pub interfaces: BTreeMap<String, Fact<Option<InterfaceFacts>>>,
    /// Kernel parameters, by dotted name.
    pub kernel_params: BTreeMap<String, Fact<Option<String>>>,
    /// Mount points, by path.
    pub mounts: BTreeMap<String, Fact<Option<MountFacts>>>,
    /// Versions of packages, by name; none where it is not installed.
    pub packages: BTreeMap<String, Fact<Vec<String>>>,
    /// Local addresses of listening sockets, by `tcp:80`, `tcp6:80`, `udp:53` or `udp6:53`. As goss prints them: `FE80::1`,
    /// and an IPv4 address inside IPv6 as IPv4.
    pub ports: BTreeMap<String, Fact<BTreeSet<String>>>,
    /// Whether a process runs, by command name (at most 15 bytes).
    pub processes: BTreeMap<String, Fact<bool>>,
    /// Services, by name.
    pub services: BTreeMap<String, ServiceFacts>,
    /// Users, by name.
    pub users: BTreeMap<String, Fact<Option<UserFacts>>>,
}

impl Facts {
    /// No facts, of the current [`FORMAT_VERSION`].
    pub fn new() -> Self {
        Self { format: FORMAT_VERSION, ..Self::default() }
    }
}

/// What is known of a command that ran.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub enum CommandResult {
    /// It ended by itself.
    Exited {
        /// Its exit code; -1 where a signal ended it. Of a machine whose shell does not tell the two apart, which most do
        /// not, 128 and the number of the signal.
        status: i32,
        /// Its output.
        stdout: Text,
        /// Its error output.
        stderr: Text,
    },
    /// It did not end in time, and was killed with all it started.
    TimedOut,
}

/// What a name resolves to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Resolution {
    /// Whether there is such a name.
    pub resolvable: bool,
    /// What it resolves to, sorted.
    pub addrs: Vec<String>,
}

/// What is known of a file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FileFacts {
    /// `file`, `directory`, `symlink`, `socket`, `pipe`, `block-device` or `character-device`.
    pub filetype: String,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// Owner's id.
    pub uid: u32,
    /// Owner's name; unknown where the id has none.
    pub owner: Fact<String>,
    /// Group's id.
    pub gid: u32,
    /// Group's name; unknown where the id has none.
    pub group: Fact<String>,
    /// Where a symbolic link points.
    pub linked_to: Option<String>,
    /// Its contents, or those of the file a link points to, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Fact<Text>>,
    /// MD5 in lower-case hexadecimal, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<Fact<String>>,
    /// SHA-256 in lower-case hexadecimal, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Fact<String>>,
    /// SHA-512 in lower-case hexadecimal, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<Fact<String>>,
}

/// What is known of a group.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GroupFacts {
    /// Its id.
    pub gid: u32,
}

/// What a server answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// `Name: value` lines, sorted.
    pub headers: Text,
    /// Its body.
    pub body: Text,
}

/// What is known of a network interface.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InterfaceFacts {
    /// Addresses with the length of their prefix, `127.0.0.1/8`.
    pub addrs: Vec<String>,
    /// Largest packet in bytes.
    pub mtu: u32,
}

/// What is known of a mount point.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MountFacts {
    /// Options of the mount, each once, in the kernel's order.
    pub opts: Vec<String>,
    /// Options of the file system, in the kernel's order.
    pub vfs_opts: Fact<Vec<String>>,
    /// What is mounted.
    pub source: String,
    /// Type of the file system.
    pub filesystem: String,
    /// Used blocks in percent, where asked for; none where the file system has no blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Fact<Option<u8>>>,
}

/// What is known of a service. What a stopped system cannot say is not applicable.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServiceFacts {
    /// Whether it starts at boot.
    pub enabled: Fact<bool>,
    /// Whether it runs.
    pub running: Fact<bool>,
    /// The runlevels it is enabled in; none under systemd.
    pub runlevels: Fact<Vec<String>>,
}

/// What is known of a user.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UserFacts {
    /// The user's id.
    pub uid: u32,
    /// The primary group's id.
    pub gid: u32,
    /// The home directory.
    pub home: String,
    /// The names of all groups, sorted.
    pub groups: Vec<String>,
    /// The login shell.
    pub shell: String,
}
