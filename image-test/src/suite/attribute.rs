//! What of a resource can be expected.

use std::fmt;

/// An attribute of a resource that a matcher can be set on.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Attribute {
    /// Addresses of an interface (CIDR) or a name.
    Addrs,
    /// Body of a response.
    Body,
    /// Lines or text of a file, by its old name.
    Contains,
    /// Lines or text of a file.
    Contents,
    /// The content of a `matching` resource.
    Matches,
    /// Whether a service starts at boot.
    Enabled,
    /// Whether the thing is there.
    Exists,
    /// How a command ended.
    ExitStatus,
    /// Kind of file.
    Filetype,
    /// Type of a mounted file system.
    Filesystem,
    /// Primary group id of a user, id of a group, or group id of a file.
    Gid,
    /// Group of a file.
    Group,
    /// Groups of a user.
    Groups,
    /// Headers of a response.
    Headers,
    /// Home directory.
    Home,
    /// Whether a package is installed.
    Installed,
    /// Local addresses a port listens on.
    Ip,
    /// Target of a symbolic link.
    LinkedTo,
    /// Whether a port listens.
    Listening,
    /// MD5 digest.
    Md5,
    /// Permission bits, in octal.
    Mode,
    /// Largest packet of an interface, in bytes.
    Mtu,
    /// Options of a mount.
    Opts,
    /// Owner of a file.
    Owner,
    /// Whether an address accepts a connection.
    Reachable,
    /// Whether a name resolves.
    Resolvable,
    /// Runlevels a service is enabled in.
    Runlevels,
    /// Whether a process or service runs.
    Running,
    /// SHA-256 digest.
    Sha256,
    /// SHA-512 digest.
    Sha512,
    /// Login shell.
    Shell,
    /// Size in bytes.
    Size,
    /// Device of a mount.
    Source,
    /// HTTP status.
    Status,
    /// Error output of a command.
    Stderr,
    /// Output of a command.
    Stdout,
    /// Type of a registry value.
    Type,
    /// User id.
    Uid,
    /// Use of a mounted file system, in percent.
    Usage,
    /// A kernel parameter or registry value.
    Value,
    /// Versions of a package.
    Versions,
    /// Options of a mounted file system.
    VfsOpts,
}

impl Attribute {
    /// Its name in a gossfile.
    pub fn name(self) -> &'static str {
        match self {
            Self::Addrs => "addrs",
            Self::Body => "body",
            Self::Contains => "contains",
            Self::Contents => "contents",
            Self::Matches => "matches",
            Self::Enabled => "enabled",
            Self::Exists => "exists",
            Self::ExitStatus => "exit-status",
            Self::Filetype => "filetype",
            Self::Filesystem => "filesystem",
            Self::Gid => "gid",
            Self::Group => "group",
            Self::Groups => "groups",
            Self::Headers => "headers",
            Self::Home => "home",
            Self::Installed => "installed",
            Self::Ip => "ip",
            Self::LinkedTo => "linked-to",
            Self::Listening => "listening",
            Self::Md5 => "md5",
            Self::Mode => "mode",
            Self::Mtu => "mtu",
            Self::Opts => "opts",
            Self::Owner => "owner",
            Self::Reachable => "reachable",
            Self::Resolvable => "resolvable",
            Self::Runlevels => "runlevels",
            Self::Running => "running",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Shell => "shell",
            Self::Size => "size",
            Self::Source => "source",
            Self::Status => "status",
            Self::Stderr => "stderr",
            Self::Stdout => "stdout",
            Self::Type => "type",
            Self::Uid => "uid",
            Self::Usage => "usage",
            Self::Value => "value",
            Self::Versions => "versions",
            Self::VfsOpts => "vfs-opts",
        }
    }

    /// Whether it holds text of any length, on which a list means patterns over lines.
    pub fn is_reader(self) -> bool {
        matches!(self, Self::Body | Self::Contains | Self::Contents | Self::Headers | Self::Stderr | Self::Stdout)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
