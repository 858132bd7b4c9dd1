//! Which distribution a system is of, and what follows from it.

use crate::facts::PackageManager;

/// The files that tell a distribution, as goss reads them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Release {
    /// `/etc/lsb-release`.
    pub(crate) lsb_release: Option<Vec<u8>>,
    /// Whether there is an `/etc/redhat-release` or an `/etc/system-release`.
    pub(crate) redhat_release: bool,
    /// Whether there is an `/etc/alpine-release`.
    pub(crate) alpine_release: bool,
    /// Whether there is an `/etc/arch-release`.
    pub(crate) arch_release: bool,
    /// `/etc/debian_version`.
    pub(crate) debian_version: Option<Vec<u8>>,
}

/// A family of distributions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Distro {
    Alpine,
    Arch,
    Debian,
    RedHat,
    Ubuntu,
}

/// What starts services.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum InitSystem {
    /// OpenRC: `/etc/runlevels`.
    OpenRc,
    /// systemd.
    Systemd,
    /// systemd of a Debian before 9, where services of System V are looked at too.
    SystemdLegacy,
    /// System V: `/etc/rcN.d`.
    SystemV,
    /// Upstart: `/etc/init`.
    Upstart,
}

impl Release {
    /// The distribution.
    pub(crate) fn distro(&self) -> Option<Distro> {
        let is_ubuntu = |text: &Vec<u8>| text.windows(6).any(|window| window == b"Ubuntu");
        if self.lsb_release.as_ref().is_some_and(is_ubuntu) {
            Some(Distro::Ubuntu)
        } else if self.redhat_release {
            Some(Distro::RedHat)
        } else if self.alpine_release {
            Some(Distro::Alpine)
        } else if self.arch_release {
            Some(Distro::Arch)
        } else {
            self.debian_version.as_ref().map(|_| Distro::Debian)
        }
    }

    /// The package manager: the distribution's, else the first that is there.
    pub(crate) fn package_manager(&self, has_command: impl Fn(&str) -> bool) -> Option<PackageManager> {
        match self.distro() {
            Some(Distro::Alpine) => Some(PackageManager::Apk),
            Some(Distro::Arch) => Some(PackageManager::Pacman),
            Some(Distro::Debian | Distro::Ubuntu) => Some(PackageManager::Dpkg),
            Some(Distro::RedHat) => Some(PackageManager::Rpm),
            None => [PackageManager::Dpkg, PackageManager::Rpm, PackageManager::Apk, PackageManager::Pacman]
                .into_iter()
                .find(|manager| has_command(manager.name())),
        }
    }

    /// The init system: systemd where its tool is, else the distribution's.
    pub(crate) fn init_system(&self, has_command: impl Fn(&str) -> bool) -> InitSystem {
        if has_command("systemctl") {
            return if self.is_legacy_debian() { InitSystem::SystemdLegacy } else { InitSystem::Systemd };
        }
        match self.distro() {
            Some(Distro::Ubuntu) => InitSystem::Upstart,
            Some(Distro::Alpine) => InitSystem::OpenRc,
            Some(Distro::Arch) => InitSystem::Systemd,
            Some(Distro::Debian | Distro::RedHat) | None => InitSystem::SystemV,
        }
    }

    fn is_legacy_debian(&self) -> bool {
        let version = self.debian_version.as_deref().and_then(|text| std::str::from_utf8(text).ok());
        let major = version.and_then(|text| text.split_once('.')?.0.parse::<u32>().ok());
        major.is_some_and(|major| major < 9)
    }
}
