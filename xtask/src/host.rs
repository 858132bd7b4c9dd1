//! What the host must have, and getting it.

use crate::{apt, failure::Failure, run};
use std::{ffi::OsString, path::Path};

/// Suites whose packages are signed by Ubuntu's keys; all others are Debian's.
const UBUNTU: [&str; 5] = ["focal", "jammy", "noble", "plucky", "questing"];

/// How to see that something is there, however it came there.
#[derive(Clone, Copy, Debug)]
enum Probe {
    /// Any of these files.
    File(&'static [&'static str]),
    /// A program.
    Program(&'static str),
}

/// Something that is needed, and the package of Debian and Ubuntu that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    package: &'static str,
    probe: Probe,
    why: &'static str,
}

impl Need {
    const fn program(package: &'static str, program: &'static str, why: &'static str) -> Self {
        Self { package, probe: Probe::Program(program), why }
    }
    const fn file(package: &'static str, files: &'static [&'static str], why: &'static str) -> Self {
        Self { package, probe: Probe::File(files), why }
    }
    fn is_met(&self) -> bool {
        match self.probe {
            Probe::File(files) => files.iter().any(|file| Path::new(file).exists()),
            Probe::Program(program) => run::find(program).is_some(),
        }
    }
}

const COMPILER: Need = Need::program("build-essential", "cc", "compile the C parts of dependencies");
const DEBIAN_KEYS: Need = Need::file(
    "debian-archive-keyring",
    &["/usr/share/keyrings/debian-archive-keyring.gpg"],
    "verify Debian's packages",
);
const UBUNTU_KEYS: Need =
    Need::file("ubuntu-keyring", &["/usr/share/keyrings/ubuntu-archive-keyring.gpg"], "verify Ubuntu's packages");
const BUILD: [Need; 6] = [
    COMPILER,
    Need::program("busybox-static", "busybox", "run commands in a booted guest"),
    Need::program("mmdebstrap", "mmdebstrap", "make a root file system of packages"),
    Need::program("tar", "tar", "unpack and pack root file systems"),
    Need::program("uidmap", "newuidmap", "build without being root"),
    Need::program("util-linux", "unshare", "isolate the build"),
];
#[cfg(target_arch = "aarch64")]
const BOOT: [Need; 2] = [
    Need::program("qemu-system-arm", "qemu-system-aarch64", "boot images"),
    Need::file("qemu-efi-aarch64", &["/usr/share/AAVMF/AAVMF_CODE.fd"], "boot images by their own boot loader"),
];
#[cfg(not(target_arch = "aarch64"))]
const BOOT: [Need; 2] = [
    Need::program("qemu-system-x86", "qemu-system-x86_64", "boot images"),
    Need::file(
        "ovmf",
        &[
            "/usr/share/OVMF/OVMF_CODE_4M.fd",
            "/usr/share/OVMF/OVMF_CODE.fd",
            "/usr/share/ovmf/OVMF.fd",
            "/usr/share/edk2/ovmf/OVMF_CODE.fd",
            "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        ],
        "boot images by their own boot loader",
    ),
];
/// Independent programs that the tests compare with.
const JUDGES: [Need; 7] = [
    Need::program("curl", "curl", "ask for URLs from a machine"),
    Need::program("dosfstools", "fsck.vfat", "check EFI partitions"),
    Need::program("e2fsprogs", "e2fsck", "check file systems"),
    Need::program("fdisk", "sfdisk", "check partition tables"),
    Need::program("iproute2", "ip", "ask for network interfaces"),
    Need::program("mtools", "mcopy", "put test disks together without our own writer"),
    Need::program("qemu-utils", "qemu-img", "check disk images"),
];

/// What the quickstart needs for the suite it is asked to build.
pub(crate) fn for_quickstart(args: &[OsString]) -> Vec<Need> {
    let suite = run::option(args, "--suite").unwrap_or_default();
    let keys = if UBUNTU.contains(&suite.as_str()) { UBUNTU_KEYS } else { DEBIAN_KEYS };
    BUILD.into_iter().chain(BOOT).chain([keys]).collect()
}

/// What the tests need not to be skipped.
pub(crate) fn for_tests() -> Vec<Need> {
    BUILD.into_iter().chain(BOOT).chain(JUDGES).chain([DEBIAN_KEYS]).collect()
}

/// Installs what is missing, or says what to do.
pub(crate) fn provide(needs: &[Need]) -> Result<(), Failure> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        eprintln!("xtask: {} is missing, to {}", need.package, need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if run::find("apt-get").is_none() {
        return Err(Failure::usage(format!(
            "this host has no apt-get. Install what your system calls these packages of Debian: {}; or call this on Debian \
             or Ubuntu, where it installs them itself",
            packages.join(" ")
        )));
    }
    apt::install(&packages)?;
    match missing.iter().find(|need| !need.is_met()) {
        None => Ok(()),
        Some(need) => Err(Failure::new(format!("{} is installed, but {:?} is not there", need.package, need.probe))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_suite() {
        let has = |args: &[&str], package: &str| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            for_quickstart(&args).iter().any(|need| need.package == package)
        };
        assert!(has(&[], "debian-archive-keyring") && !has(&[], "ubuntu-keyring"));
        assert!(has(&["--suite", "jammy"], "ubuntu-keyring"));
        assert!(has(&["--suite=noble"], "ubuntu-keyring"));
    }

    #[test]
    fn what_is_there_is_not_missing() {
        assert!(Need::program("dash", "sh", "").is_met() && Need::file("x", &["/nowhere", "/"], "").is_met());
        assert!(!Need::program("x", "no-such-program", "").is_met() && !Need::file("x", &["/nowhere"], "").is_met());
    }
}
