//! Readers of what systems keep as text, wherever that text was gathered.
//!
//! All take any bytes, skip what they cannot read and never fail: a system under test may hold anything.

mod accounts;
mod mounts;
mod names;
mod net;
mod packages;
mod process;
mod release;
mod sysctl;
mod systemd;

pub(crate) use accounts::Accounts;
pub(crate) use mounts::{fstab, mountinfo};
pub(crate) use names::{hosts, hosts_come_first, port};
pub(crate) use net::{ByteOrder, sockets};
pub(crate) use packages::{
    Packages, RPM_QUERY_FORMAT, apk_installed, dpkg_query, dpkg_status, dpkg_status_d, pacman_desc, rpm_query,
};
pub(crate) use process::comm;
pub(crate) use release::{InitSystem, Release};
pub(crate) use sysctl::{SysctlSettings, sysctl_path};
pub(crate) use systemd::{Install, UnitStatus, install_section, is_enabled, systemctl_show};

use std::borrow::Cow;

/// The lines of a text, without their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// The lines of a text that say something: trimmed, neither empty nor a comment.
fn entries<'a>(text: &'a [u8], comments: &'static [u8]) -> impl Iterator<Item = Cow<'a, str>> {
    lines(text)
        .map(<[u8]>::trim_ascii)
        .filter(move |line| line.first().is_some_and(|first| !comments.contains(first)))
        .map(String::from_utf8_lossy)
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
