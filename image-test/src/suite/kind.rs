//! Types of resources.

use super::Attribute::{self, *};
use std::fmt;

/// The type of a resource: a section of a gossfile.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Kind {
    /// A network address that accepts connections.
    Addr,
    /// A shell command.
    Command,
    /// A name that resolves.
    Dns,
    /// A file of any type.
    File,
    /// A group of users.
    Group,
    /// A URL that answers.
    Http,
    /// A network interface.
    Interface,
    /// A kernel parameter.
    KernelParam,
    /// A value of the gossfile itself.
    Matching,
    /// A mount point.
    Mount,
    /// A package of the distribution.
    Package,
    /// A local port.
    Port,
    /// A process by its command name.
    Process,
    /// A value of the Windows registry.
    Registry,
    /// A service of the init system.
    Service,
    /// A user.
    User,
}

impl Kind {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 16] = [
        Self::Addr,
        Self::Command,
        Self::Dns,
        Self::File,
        Self::Group,
        Self::Http,
        Self::Interface,
        Self::KernelParam,
        Self::Matching,
        Self::Mount,
        Self::Package,
        Self::Port,
        Self::Process,
        Self::Registry,
        Self::Service,
        Self::User,
    ];

    /// Its section in a gossfile.
    pub fn section(self) -> &'static str {
        match self {
            Self::Addr => "addr",
            Self::Command => "command",
            Self::Dns => "dns",
            Self::File => "file",
            Self::Group => "group",
            Self::Http => "http",
            Self::Interface => "interface",
            Self::KernelParam => "kernel-param",
            Self::Matching => "matching",
            Self::Mount => "mount",
            Self::Package => "package",
            Self::Port => "port",
            Self::Process => "process",
            Self::Registry => "registry",
            Self::Service => "service",
            Self::User => "user",
        }
    }

    /// Its name in reports, as goss prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Addr => "Addr",
            Self::Command => "Command",
            Self::Dns => "DNS",
            Self::File => "File",
            Self::Group => "Group",
            Self::Http => "HTTP",
            Self::Interface => "Interface",
            Self::KernelParam => "KernelParam",
            Self::Matching => "Matching",
            Self::Mount => "Mount",
            Self::Package => "Package",
            Self::Port => "Port",
            Self::Process => "Process",
            Self::Registry => "Registry",
            Self::Service => "Service",
            Self::User => "User",
        }
    }

    /// Its attributes, in the order they are checked. The first is required where
    /// [`requires_first`](Self::requires_first).
    pub fn attributes(self) -> &'static [Attribute] {
        match self {
            Self::Addr => &[Reachable],
            Self::Command => &[ExitStatus, Stdout, Stderr],
            Self::Dns => &[Resolvable, Addrs],
            Self::File => &[
                Exists, Mode, Owner, Uid, Group, Gid, LinkedTo, Filetype, Contains, Contents, Size, Md5, Sha256, Sha512,
            ],
            Self::Group => &[Exists, Gid],
            Self::Http => &[Status, Headers, Body],
            Self::Interface => &[Exists, Addrs, Mtu],
            Self::KernelParam => &[Value],
            Self::Matching => &[Matches],
            Self::Mount => &[Exists, Opts, VfsOpts, Source, Filesystem, Usage],
            Self::Package => &[Installed, Versions],
            Self::Port => &[Listening, Ip],
            Self::Process => &[Running],
            Self::Registry => &[Exists, Value, Type],
            Self::Service => &[Enabled, Running, Runlevels],
            Self::User => &[Exists, Uid, Gid, Home, Groups, Shell],
        }
    }

    /// Whether the first attribute must be there.
    pub fn requires_first(self) -> bool {
        self != Self::Service
    }

    /// Whether the other attributes are skipped when the first does not hold, or holds of a thing that is not there.
    pub fn skips_after_first(self) -> bool {
        !matches!(self, Self::Command | Self::Service)
    }

    /// The setting that says what is looked at when the key is only a label.
    pub fn target_setting(self) -> Option<&'static str> {
        Some(match self {
            Self::Addr => "address",
            Self::Command => "exec",
            Self::Dns => "resolve",
            Self::File => "path",
            Self::Group => "groupname",
            Self::Http => "url",
            Self::Matching => return None,
            Self::Mount => "mountpoint",
            Self::Port => "port",
            Self::Process => "comm",
            Self::User => "username",
            Self::Interface | Self::KernelParam | Self::Package | Self::Registry | Self::Service => "name",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
