//! `/proc/self/mountinfo` and `fstab(5)`.

use super::{entries, lines};
use crate::facts::{Fact, MountFacts};
use std::collections::BTreeMap;

/// The mount points of a `/proc/N/mountinfo`. Of several mounts on one, the first counts, as in goss: it is the one below.
pub(crate) fn mountinfo(text: &[u8]) -> BTreeMap<String, MountFacts> {
    let mut mounts = BTreeMap::new();
    for line in lines(text) {
        if let Some((mountpoint, facts)) = mount(&String::from_utf8_lossy(line)) {
            mounts.entry(mountpoint).or_insert(facts);
        }
    }
    mounts
}

/// `36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/sda1 rw,errors=continue`: any number of fields before ` - `.
fn mount(line: &str) -> Option<(String, MountFacts)> {
    let mut fields = line.split(' ');
    let mountpoint = unescape(fields.nth(4)?);
    let mut opts = vec![];
    for option in options(fields.next()?) {
        if !opts.contains(&option) {
            opts.push(option);
        }
    }
    fields.find(|field| *field == "-")?;
    let (filesystem, source) = (unescape(fields.next()?), unescape(fields.next()?));
    let vfs_opts = Fact::Known(options(fields.next()?));
    Some((mountpoint, MountFacts { opts, vfs_opts, source, filesystem, usage: None }))
}

/// Options apart from each other. A comma between quotes is part of its option, as in SELinux contexts.
fn options(text: &str) -> Vec<String> {
    let mut quoted = false;
    let parts = text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.filter(|option| !option.is_empty()).map(Into::into).collect()
}

/// Text with `\040` and its like read: three octal digits of a byte.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if *first == b'\\' => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The mounts that an `/etc/fstab` makes at boot, with the options that the kernel will show for the mount. Those of the
/// file system are its driver's to choose. Swap and `noauto` are no such mounts.
pub(crate) fn fstab(text: &[u8]) -> BTreeMap<String, MountFacts> {
    let mut mounts = BTreeMap::new();
    for line in entries(text, b"#") {
        let mut fields = line.split_ascii_whitespace().map(unescape);
        let (Some(source), Some(mountpoint), Some(filesystem)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let asked = options(&fields.next().unwrap_or_default());
        if mountpoint.starts_with('/') && filesystem != "swap" && !asked.iter().any(|option| option == "noauto") {
            let vfs_opts = Fact::NotApplicable("only a mounted file system has options of its own".into());
            let opts = mount_options(&asked);
            let facts = MountFacts { opts, vfs_opts, source, filesystem, usage: None };
            mounts.insert(normalized(&mountpoint), facts);
        }
    }
    mounts
}

fn normalized(mountpoint: &str) -> String {
    let trimmed = mountpoint.trim_end_matches('/');
    if trimmed.is_empty() { "/".into() } else { trimmed.into() }
}

/// What the kernel shows for a mount with these options, in its order. Rules of `mount(8)`: the last of two that
/// contradict each other counts, and what lets users mount forbids what they could misuse.
fn mount_options(asked: &[String]) -> Vec<String> {
    #[derive(Default)]
    struct Flags {
        ro: bool,
        nosuid: bool,
        nodev: bool,
        noexec: bool,
        noatime: bool,
        nodiratime: bool,
        strictatime: bool,
        nosymfollow: bool,
    }
    let mut flags = Flags::default();
    for option in asked {
        match option.as_str() {
            "defaults" => flags = Flags::default(),
            "ro" => flags.ro = true,
            "rw" => flags.ro = false,
            "nosuid" => flags.nosuid = true,
            "suid" => flags.nosuid = false,
            "nodev" => flags.nodev = true,
            "dev" => flags.nodev = false,
            "noexec" => flags.noexec = true,
            "exec" => flags.noexec = false,
            "noatime" => (flags.noatime, flags.strictatime) = (true, false),
            "atime" | "relatime" => (flags.noatime, flags.strictatime) = (false, false),
            "strictatime" => (flags.noatime, flags.strictatime) = (false, true),
            "nodiratime" => flags.nodiratime = true,
            "diratime" => flags.nodiratime = false,
            "nosymfollow" => flags.nosymfollow = true,
            "symfollow" => flags.nosymfollow = false,
            "user" | "users" => (flags.nosuid, flags.nodev, flags.noexec) = (true, true, true),
            "owner" | "group" => (flags.nosuid, flags.nodev) = (true, true),
            _ => {}
        }
    }
    let shown = [
        (!flags.ro, "rw"),
        (flags.ro, "ro"),
        (flags.nosuid, "nosuid"),
        (flags.nodev, "nodev"),
        (flags.noexec, "noexec"),
        (flags.noatime, "noatime"),
        (flags.nodiratime, "nodiratime"),
        (!flags.noatime && !flags.strictatime, "relatime"),
        (flags.nosymfollow, "nosymfollow"),
    ];
    shown.into_iter().filter(|(is_shown, _)| *is_shown).map(|(_, name)| name.into()).collect()
}
