//! Installed packages, from the databases and listings of the package managers.

use super::{lines, string};
use std::collections::{BTreeMap, BTreeSet};

/// Versions of installed packages by what they can be called: the name; where several architectures may be installed side
/// by side, the name with the architecture, `libc6:amd64` (dpkg) or `glibc.x86_64` (rpm); and for rpm with the version or
/// with version and release, `kernel-5.14` or `kernel-5.14-1.el9.x86_64`.
pub(crate) type Packages = BTreeMap<String, Vec<String>>;

/// The packages of a dpkg status file that are installed, held back or not.
pub(crate) fn dpkg_status(text: &[u8]) -> Packages {
    dpkg_stanzas(text, false)
}

/// The packages of a file below `/var/lib/dpkg/status.d`, where images without dpkg keep them, mostly without a status.
pub(crate) fn dpkg_status_d(text: &[u8]) -> Packages {
    dpkg_stanzas(text, true)
}

fn dpkg_stanzas(text: &[u8], installed_by_default: bool) -> Packages {
    let mut packages = Packages::new();
    let mut stanza = DpkgStanza::default();
    // A last empty line ends the last stanza.
    for line in lines(text).chain([&b""[..]]) {
        if line.trim_ascii().is_empty() {
            std::mem::take(&mut stanza).add_to(&mut packages, installed_by_default);
        } else if let Some(value) = field(line, b"Package") {
            stanza.name = Some(value);
        } else if let Some(value) = field(line, b"Status") {
            stanza.status = Some(value);
        } else if let Some(value) = field(line, b"Architecture") {
            stanza.architecture = Some(value);
        } else if let Some(value) = field(line, b"Version") {
            stanza.version = Some(value);
        }
    }
    packages
}

/// The value of a field, whose name has no case.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (key, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    key.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

#[derive(Default)]
struct DpkgStanza<'a> {
    name: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
    architecture: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
}

impl DpkgStanza<'_> {
    fn add_to(self, packages: &mut Packages, installed_by_default: bool) {
        let installed = self.status.map_or(installed_by_default, dpkg_installed);
        if let (true, Some(name), Some(version)) = (installed, self.name, self.version) {
            let architecture = self.architecture.map(string).unwrap_or_default();
            add(packages, &string(name), &architecture, &string(version));
        }
    }
}

fn dpkg_installed(status: &[u8]) -> bool {
    matches!(status, b"install ok installed" | b"hold ok installed")
}

fn add(packages: &mut Packages, name: &str, architecture: &str, version: &str) {
    packages.entry(name.into()).or_default().push(version.into());
    if !architecture.is_empty() {
        packages.entry(format!("{name}:{architecture}")).or_default().push(version.into());
    }
}

/// The output of `dpkg-query -W -f '${Package}\t${Architecture}\t${Status}\t${Version}\n'`.
pub(crate) fn dpkg_query(text: &[u8]) -> Packages {
    let mut packages = Packages::new();
    for line in String::from_utf8_lossy(text).lines() {
        if let [name, architecture, status, version] = line.split('\t').collect::<Vec<_>>()[..]
            && dpkg_installed(status.as_bytes())
        {
            add(&mut packages, name, architecture, version);
        }
    }
    packages
}

/// The database of apk, `/lib/apk/db/installed`.
pub(crate) fn apk_installed(text: &[u8]) -> Packages {
    let mut packages = Packages::new();
    let (mut name, mut version) = (None, None);
    for line in lines(text).chain([&b""[..]]) {
        match line.trim_ascii_end() {
            [] => {
                if let (Some(name), Some(version)) = (name.take(), version.take()) {
                    packages.entry(name).or_default().push(version);
                }
            }
            [b'P', b':', value @ ..] => name = Some(string(value)),
            [b'V', b':', value @ ..] => version = Some(string(value)),
            _ => {}
        }
    }
    packages
}

/// Name and version of a package's `desc` in `/var/lib/pacman/local`.
pub(crate) fn pacman_desc(text: &[u8]) -> Option<(String, String)> {
    let (mut name, mut version) = (None, None);
    let mut lines = lines(text).map(<[u8]>::trim_ascii);
    while let Some(line) = lines.next() {
        match line {
            b"%NAME%" => name = lines.next().filter(|name| !name.is_empty()),
            b"%VERSION%" => version = lines.next().filter(|version| !version.is_empty()),
            _ => {}
        }
    }
    Some((string(name?), string(version?)))
}

/// The format to ask rpm for, so that [`rpm_query`] can read its answer.
pub(crate) const RPM_QUERY_FORMAT: &str = r"%{NAME}\t%{ARCH}\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\n";

/// The output of `rpm -qa` or `rpm -q NAME..` in [`RPM_QUERY_FORMAT`]. What rpm says of packages that are not installed
/// is skipped, and so is a package that it names again because several names are its.
pub(crate) fn rpm_query(text: &[u8]) -> Packages {
    let (mut packages, mut seen) = (Packages::new(), BTreeSet::new());
    for line in String::from_utf8_lossy(text).lines() {
        if let [name, architecture, version] = line.split('\t').collect::<Vec<_>>()[..]
            && seen.insert((name.to_owned(), architecture.to_owned(), version.to_owned()))
        {
            for label in rpm_labels(name, architecture, version) {
                packages.entry(label).or_default().push(version.into());
            }
        }
    }
    packages
}

/// What `rpm -q` takes for a package: `NAME[-[EPOCH:]VERSION[-RELEASE]][.ARCH]`.
fn rpm_labels(name: &str, architecture: &str, version: &str) -> Vec<String> {
    let without_epoch = version.split_once(':').map_or(version, |(_, rest)| rest);
    let versions = BTreeSet::from([version, without_epoch]);
    let full = versions.iter().map(|version| format!("{name}-{version}"));
    let short = versions.iter().filter_map(|version| Some(format!("{name}-{}", version.rsplit_once('-')?.0)));
    let mut labels: Vec<String> = full.chain(short).chain([name.into()]).collect();
    // Public keys have no architecture.
    if architecture != "(none)" {
        labels.extend(labels.clone().into_iter().map(|label| format!("{label}.{architecture}")));
    }
    labels
}
