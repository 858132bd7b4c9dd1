use std::path::PathBuf;

use super::{DebianError, Mirrors, of_host};

/// Whose packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distribution {
    /// <https://www.debian.org>
    Debian,
    /// <https://ubuntu.com>
    Ubuntu,
}

/// By the releases of `distro-info-data`; older ones have left the mirrors.
const SUITES: [(Distribution, &[&str]); 2] = [
    (Distribution::Debian, &["bullseye", "bookworm", "trixie", "forky", "sid"]),
    (Distribution::Ubuntu, &["focal", "jammy", "noble", "plucky", "questing"]),
];

impl std::fmt::Display for Distribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

impl Distribution {
    /// As in os-release(5).
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
        }
    }

    /// Where its keyring lies, on the host and in every image, and the package that has it.
    pub(super) fn keyring(self) -> (&'static str, &'static str) {
        match self {
            Self::Debian => ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
            Self::Ubuntu => ("/usr/share/keyrings/ubuntu-archive-keyring.gpg", "ubuntu-keyring"),
        }
    }
}

/// A release of a distribution, and what of it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suite {
    /// The code name, for example `bookworm`.
    pub name: String,
    /// Whose it is.
    pub distribution: Distribution,
    /// Where packages come from. The image will have the same in its `/etc/apt/sources.list`.
    pub mirrors: Mirrors,
    /// For example `main`.
    pub components: Vec<String>,
    /// Which packages are a matter of course, as mmdebstrap(1) defines it: `minbase` by default.
    pub variant: String,
    /// Packages beside those, without what they recommend.
    pub packages: Vec<String>,
    /// As dpkg calls it, for example `amd64`.
    pub architecture: String,
    /// Verifies the mirror in place of the keyring of the distribution. The image does not get it.
    pub keyring: Option<PathBuf>,
    /// HTTP proxy of apt while it bootstraps, as a URL. The image does not get it.
    pub proxy: Option<String>,
    /// Latest modification time in the tar, in seconds since 1970. Later ones become this one, so that equal packages
    /// give an equal tar.
    pub epoch: u64,
}

impl Suite {
    /// A suite by its code name, with `main` (Ubuntu: and `universe`), no packages beside the variant `minbase`, and
    /// the mirrors of the host if it is of the same distribution, else the public ones.
    ///
    /// # Errors
    /// [`DebianError::UnknownSuite`], and apt sources of the host that cannot be read.
    pub fn new(name: &str, architecture: &str) -> Result<Self, DebianError> {
        let Some((distribution, _)) = SUITES.into_iter().find(|(_, names)| names.contains(&name)) else {
            return Err(DebianError::UnknownSuite { suite: name.into(), known: known_suites().join(", ") });
        };
        let mirrors = match of_host(distribution)? {
            Some(mirrors) => mirrors,
            None => Mirrors::public(distribution, architecture),
        };
        let components: &[&str] = match distribution {
            Distribution::Debian => &["main"],
            Distribution::Ubuntu => &["main", "universe"],
        };
        let suite = Self {
            name: name.into(),
            distribution,
            mirrors,
            components: components.iter().map(ToString::to_string).collect(),
            variant: "minbase".into(),
            packages: Vec::new(),
            architecture: architecture.into(),
            keyring: None,
            proxy: None,
            epoch: 0,
        };
        suite.check()?;
        Ok(suite)
    }

    /// What apt reads: the release, its updates and its security updates.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        let source = |suite: String, url: &str| Source { suite, url: url.trim_end_matches('/').to_owned() };
        let (main, security) = (&self.mirrors.archive, &self.mirrors.security);
        let mut sources = vec![source(self.name.clone(), main)];
        if self.name != "sid" {
            sources.push(source(format!("{}-updates", self.name), main));
            sources.push(source(format!("{}-security", self.name), security));
        }
        sources
    }

    /// Lines for sources.list(5).
    pub(super) fn lines(&self) -> Vec<String> {
        let options = match self.keyring {
            Some(_) => String::new(),
            None => format!("[signed-by={}] ", self.distribution.keyring().0),
        };
        let components = self.components.join(" ");
        let line = |Source { suite, url }| format!("deb {options}{url} {suite} {components}");
        self.sources().into_iter().map(line).collect()
    }

    /// The keyring, which has to be there.
    pub(super) fn require_keyring(&self) -> Result<(), DebianError> {
        let (path, package) = self.distribution.keyring();
        let path = self.keyring.clone().unwrap_or_else(|| path.into());
        match path.is_file() {
            true => Ok(()),
            false => Err(DebianError::MissingKeyring { suite: self.name.clone(), path, package }),
        }
    }

    /// None of the values may change the meaning of a line or of an option that it becomes a part of.
    pub(super) fn check(&self) -> Result<(), DebianError> {
        let word = |text: &str| {
            let starts = text.starts_with(|first: char| first.is_ascii_alphanumeric());
            starts && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._:=~/".contains(c))
        };
        let url = |text: &str| {
            let known = ["http://", "https://", "file:/", "copy:/"].iter().any(|scheme| text.starts_with(scheme));
            known && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "[]\"".contains(c))
        };
        let word_or = |field, values: &[String]| match values.iter().find(|value| !word(value)) {
            Some(value) => Err(self.refuse(field, value, "a name of letters, digits and +-._:=~/")),
            None => Ok(()),
        };
        word_or("name", std::slice::from_ref(&self.name))?;
        word_or("components", &self.components)?;
        word_or("packages", &self.packages)?;
        word_or("variant", std::slice::from_ref(&self.variant))?;
        word_or("architecture", std::slice::from_ref(&self.architecture))?;
        for value in [&self.mirrors.archive, &self.mirrors.security].into_iter().chain(&self.proxy) {
            if !url(value) {
                return Err(self.refuse("mirror or proxy", value, "a URL of http, https, file or copy"));
            }
        }
        Ok(())
    }

    fn refuse(&self, field: &'static str, value: &str, accepted: &'static str) -> DebianError {
        DebianError::Value { suite: self.name.clone(), field, value: value.into(), accepted }
    }
}

/// One index that apt reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// For example `bookworm-updates`.
    pub suite: String,
    /// The address of the mirror, without a slash at the end.
    pub url: String,
}

/// The names that [`Suite::new`] knows.
#[must_use]
pub fn known_suites() -> Vec<&'static str> {
    SUITES.iter().flat_map(|(_, names)| names.iter().copied()).collect()
}

/// The packages of a system that boots from UEFI with a unified kernel image: kernel, initramfs, init, and the stub of
/// `systemd-boot`. The network is for systemd-networkd, which is part of `systemd`.
///
/// Before Debian 12 and Ubuntu 23.04 the stub was part of `systemd` itself. For Ubuntu this rests on the package lists
/// and was not booted.
#[must_use]
pub fn bootable_packages(suite: &Suite) -> Vec<String> {
    let kernel = match (suite.distribution, suite.architecture.as_str()) {
        (Distribution::Debian, architecture @ ("amd64" | "arm64")) => format!("linux-image-cloud-{architecture}"),
        (Distribution::Debian, architecture) => format!("linux-image-{architecture}"),
        (Distribution::Ubuntu, _) => "linux-image-virtual".into(),
    };
    let mut packages = vec![kernel];
    if !["bullseye", "focal", "jammy"].contains(&suite.name.as_str()) {
        packages.push("systemd-boot-efi".into());
    }
    let common = ["ca-certificates", "dbus", "e2fsprogs", "initramfs-tools", "iproute2", "kmod", "systemd"];
    packages.extend(common.into_iter().chain(["systemd-sysv", "udev"]).map(str::to_owned));
    packages
}
