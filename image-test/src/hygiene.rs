//! What a golden image should not carry, as suites of our own.
//!
//! A build leaves keys, histories, caches and state behind. The [`Seal`](image_core::provision::Seal) removes them, and
//! [`Sealed`](image_core::validate::Sealed) proves that with a script on a machine. These suites ask the same of a root file
//! system that does not run, and more of any system: who may write where, and who may log in.
//!
//! What must hold depends on when one looks:
//!
//! | | [`always`] | [`sealed`] | [`booted`] |
//! |---|---|---|---|
//! | on the build machine, before the seal | x | | |
//! | on a sealed image: its root file system, or the build machine after the seal | x | x | |
//! | on a machine booted from the image | x | | x |
//!
//! [`at`] picks them by the stage of a run. Files of every home, and anything below a directory, are found by commands,
//! which do not apply to a root file system; there the suites look at known paths alone.

mod lists;

use crate::{Attribute, Matcher, Resource, Retry, Suite, Target, Value, matcher::Comparison};
use image_core::ValidationStage;
use std::time::Duration;

/// Walking a whole file system takes longer than goss's ten seconds.
const WALK: Duration = Duration::from_secs(120);

/// What must hold at a stage of a run. Validators of the build stage run before the seal.
pub fn at(stage: ValidationStage) -> Suite {
    let mut suite = always();
    match stage {
        ValidationStage::Boot => suite.extend(booted().resources().cloned()),
        ValidationStage::Rootfs => suite.extend(sealed().resources().cloned()),
        _ => {}
    }
    suite
}

/// What holds of every system at any time: files that decide who may log in are as they should be, nobody but root is
/// root, no password is empty, and what everybody may write to is sticky.
pub fn always() -> Suite {
    let mut suite = Suite::new();
    for (path, modes) in lists::MODES {
        let mut file = optional(path);
        file.expect(Attribute::Owner, "root");
        file.expect(Attribute::Mode, any(modes));
        suite.insert(file);
    }
    for path in ["/tmp", "/var/tmp"] {
        let mut directory = file(path);
        directory.expect(Attribute::Exists, true);
        directory.expect(Attribute::Mode, "1777");
        suite.insert(directory);
    }
    suite.extend([
        lines("/etc/shadow", "no password is empty", &["!/^[^:]+::/"]),
        silent("only root has the id 0", r#"awk -F: '$3 == 0 && $1 != "root" { print $1 }' /etc/passwd"#),
        silent(
            "directories that everybody may write to are sticky",
            "find / -xdev -path /dev -prune -o -type d -perm -0002 ! -perm -1000 -print 2>/dev/null | head -n 20",
        ),
        // Devices that are mounted one by one, as in containers, are listed by what lies below them: files.
        silent(
            "nobody may write to files of others",
            "find / -xdev -path /dev -prune -o -type f -perm -0002 -print 2>/dev/null | head -n 20",
        ),
    ]);
    suite
}

/// What the seal leaves: nothing that belongs to the build machine or those who worked on it, and nothing that a boot is to
/// make anew.
pub fn sealed() -> Suite {
    let mut suite = left_behind();
    suite.extend(lists::MADE_AT_BOOT.iter().map(|path| absent(path)));
    for path in ["/etc/machine-id", "/var/lib/dbus/machine-id"] {
        let mut id = optional(path);
        id.title = Some("the machine id is made when the image boots".into());
        id.expect(Attribute::Contents, any(&["", "uninitialized\n"]));
        suite.insert(id);
    }
    for path in lists::LOGINS {
        let mut log = optional(path);
        log.expect(Attribute::Size, 0);
        suite.insert(log);
    }
    for path in lists::LOGS {
        let mut log = optional(path);
        log.expect(Attribute::Size, Matcher::Numeric(Comparison::Le, lists::LARGEST_LOG.into()));
        suite.insert(log);
    }
    suite.extend([
        lines("/root/.ssh/authorized_keys", "nobody has a key of root", &["!/^[^#]/"]),
        silent("no host keys", "ls -d /etc/ssh/ssh_host_*_key /etc/dropbear/dropbear_*_host_key 2>/dev/null || :"),
        silent("no keys of users", lists::AUTHORIZED_KEYS),
        silent("no package lists and caches", lists::PACKAGE_CACHES),
        silent("nothing temporary", "find /tmp /var/tmp -xdev -mindepth 1 ! -type d | head -n 20"),
        silent("no long logs", "find /var/log -xdev -type f -size +1024k | head -n 20"),
        silent("no resolver of the build", "[ -L /etc/resolv.conf ] || grep -s '^nameserver' /etc/resolv.conf || :"),
    ]);
    suite
}

/// What a boot does not make anew: no histories, no credentials, no users of build tools; and a machine id that the boot
/// did make.
pub fn booted() -> Suite {
    let mut suite = left_behind();
    let mut id = optional("/etc/machine-id");
    id.title = Some("the boot made a machine id".into());
    id.expect(Attribute::Contents, Matcher::MatchRegexp("^[0-9a-f]{32}\n?$".into()));
    suite.insert(id);
    suite
}

/// What is wrong in a sealed image as on a machine that was booted from it.
fn left_behind() -> Suite {
    let mut suite = Suite::new();
    suite.extend(lists::LEFT_BEHIND.iter().map(|path| absent(path)));
    for name in lists::HISTORIES {
        // A history that is a link to /dev/null is none.
        let mut history = optional(&format!("/root/{name}"));
        history.expect(Attribute::Filetype, "symlink");
        suite.insert(history);
    }
    for name in lists::BUILD_USERS {
        let mut user = Resource::new(*name, Target::User((*name).into()));
        user.expect(Attribute::Exists, false);
        suite.insert(user);
    }
    suite.extend([
        lines("/etc/environment", "no proxy of the build", &["!/(?i)^[^#]*_proxy=/"]),
        silent("no histories of users", lists::USER_HISTORIES),
    ]);
    suite
}

fn file(path: &str) -> Resource {
    Resource::new(path, Target::File(path.into()))
}

fn absent(path: &str) -> Resource {
    let mut file = file(path);
    file.expect(Attribute::Exists, false);
    file
}

/// A file that need not be there. If it is not, nothing else is asked of it.
fn optional(path: &str) -> Resource {
    let mut file = file(path);
    file.expect(Attribute::Exists, Matcher::Or(vec![true.into(), false.into()]));
    file
}

/// A file that need not be there, and patterns over its lines. The key is a label, so that other checks of the file may
/// stand beside it.
fn lines(path: &str, label: &str, patterns: &[&str]) -> Resource {
    let mut file = optional(path);
    file.key = label.into();
    file.expect(Attribute::Contents, Matcher::HavePatterns(patterns.iter().map(ToString::to_string).collect()));
    file
}

/// A command that prints what is wrong.
fn silent(label: &str, script: &str) -> Resource {
    let target = Target::Command { exec: script.into(), timeout: Some(WALK), retry: Retry::default() };
    let mut command = Resource::new(label, target);
    command.expect(Attribute::ExitStatus, 0);
    command.expect(Attribute::Stdout, "");
    command
}

fn any(values: &[&str]) -> Matcher {
    Matcher::Or(values.iter().map(|value| Matcher::Is(Value::from(*value))).collect())
}

#[cfg(test)]
mod tests;
