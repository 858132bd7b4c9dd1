//! Package managers.

use std::{fmt, str::FromStr};

/// A package manager whose packages can be looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PackageManager {
    /// That of Alpine.
    Apk,
    /// That of Debian and Ubuntu.
    Dpkg,
    /// That of Arch.
    Pacman,
    /// That of Fedora, RHEL, SUSE and Amazon Linux.
    Rpm,
}

impl PackageManager {
    /// Its command.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Dpkg => "dpkg",
            Self::Pacman => "pacman",
            Self::Rpm => "rpm",
        }
    }
}

impl PackageManager {
    /// Where its database is: one of these paths.
    pub(crate) fn databases(self) -> &'static [&'static str] {
        match self {
            // The second is that of systems where all of /lib moved to /usr/lib.
            Self::Apk => &["/lib/apk/db/installed", "/usr/lib/apk/db/installed"],
            // The second is that of images without dpkg itself.
            Self::Dpkg => &["/var/lib/dpkg/status", "/var/lib/dpkg/status.d"],
            Self::Pacman => &["/var/lib/pacman/local"],
            Self::Rpm => &["/usr/lib/sysimage/rpm", "/var/lib/rpm"],
        }
    }
}

impl fmt::Display for PackageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PackageManager {
    type Err = UnknownPackageManager;

    /// Reads [`name`](Self::name), or `deb`, the documented word for dpkg.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "apk" => Ok(Self::Apk),
            "deb" | "dpkg" => Ok(Self::Dpkg),
            "pacman" => Ok(Self::Pacman),
            "rpm" => Ok(Self::Rpm),
            _ => Err(UnknownPackageManager(name.into())),
        }
    }
}

/// A name that no known package manager has.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("package manager `{0}` is not known; accepted are apk, dpkg, pacman and rpm")]
pub struct UnknownPackageManager(String);
