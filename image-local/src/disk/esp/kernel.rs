//! Which kernel of a root file system boots, and with what.

use std::cmp::Ordering;

use crate::disk::architecture::Architecture;
use crate::disk::ext4::Filesystem;

use super::error::EspError;

/// What a disk boots with, taken from its root file system.
#[derive(Clone, Debug)]
pub(crate) struct BootSet {
    /// The kernel's version; `linux` where nothing tells it.
    pub(crate) version: String,
    pub(crate) kernel: Vec<u8>,
    pub(crate) initrd: Vec<u8>,
    /// systemd-boot.
    pub(crate) loader: Vec<u8>,
}

/// Picks the newest kernel, its initrd and the boot loader.
///
/// # Errors
///
/// [`EspError::Missing`] names what is not there.
pub(crate) fn select(root: &Filesystem<'_>, architecture: Architecture) -> Result<BootSet, EspError> {
    let mut versions: Vec<String> = root
        .names("boot")
        .iter()
        .filter_map(|name| name.strip_prefix("vmlinuz-"))
        // Fedora's rescue kernel is a copy under a name that sorts by machine.
        .filter(|version| is_version(version) && !version.contains("rescue"))
        .filter(|version| root.file_size(&format!("boot/vmlinuz-{version}")).is_some())
        .map(str::to_owned)
        .collect();
    versions.sort_by(|a, b| compare_versions(b, a));
    let (kernel_path, version) = match versions.first() {
        Some(version) => (format!("boot/vmlinuz-{version}"), Some(version.clone())),
        None => {
            let names = ["boot/vmlinuz", "vmlinuz"];
            let path = names.into_iter().find(|path| root.file_size(path).is_some());
            let path = path.ok_or_else(|| EspError::Missing {
                what: "kernel",
                paths: ["boot/vmlinuz-*"].iter().chain(&names).map(ToString::to_string).collect(),
                package: architecture.kernel_package(),
            })?;
            (path.to_owned(), root.symlink_target(path).and_then(|target| version_in(&target)))
        }
    };
    let mut initrds = Vec::new();
    if let Some(version) = &version {
        initrds.extend(["initrd.img-", "initrd-"].map(|name| format!("boot/{name}{version}")));
        initrds.push(format!("boot/initramfs-{version}.img"));
    }
    // A link without a version is only right for a kernel without one: it may point to another kernel's.
    if versions.is_empty() {
        initrds.extend(["boot/initrd.img", "initrd.img"].map(String::from));
    }
    let loader = format!("usr/lib/systemd/boot/efi/systemd-boot{}.efi", architecture.efi_name());
    Ok(BootSet {
        kernel: first(root, "kernel", vec![kernel_path], architecture.kernel_package())?,
        initrd: first(root, "initrd of its kernel", initrds, "initramfs-tools")?,
        loader: first(root, "boot loader", vec![loader], "systemd-boot-efi")?,
        version: version.unwrap_or_else(|| "linux".into()),
    })
}

/// The content of the first of these paths that is a file.
fn first(
    root: &Filesystem<'_>,
    what: &'static str,
    paths: Vec<String>,
    package: &'static str,
) -> Result<Vec<u8>, EspError> {
    for path in &paths {
        if let Some(content) = root.read(path)? {
            return Ok(content);
        }
    }
    Err(EspError::Missing { what, paths, package })
}

/// The kernel version in the target of a link: `boot/vmlinuz-VERSION` or `usr/lib/modules/VERSION/vmlinuz`.
fn version_in(target: &str) -> Option<String> {
    let (directory, name) = target.rsplit_once('/').unwrap_or(("", target));
    let version = match name.strip_prefix("vmlinuz-") {
        Some(version) => version,
        None => directory.rsplit_once("modules/")?.1,
    };
    is_version(version).then(|| version.to_owned())
}

/// Whether a version may become part of file names on FAT, and of lines of a loader entry.
fn is_version(version: &str) -> bool {
    let accepted = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_~".contains(&byte);
    (1..=128).contains(&version.len()) && version.bytes().all(accepted)
}

/// Compares versions as Debian does (policy, 5.6.12): runs of digits by value, `~` before the end, letters before all
/// else.
pub(crate) fn compare_versions(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let (text_a, text_b) = (take(&mut a, |c| !c.is_ascii_digit()), take(&mut b, |c| !c.is_ascii_digit()));
        let width = text_a.len().max(text_b.len());
        let order = (0..=width).map(|at| weight(text_a, at).cmp(&weight(text_b, at))).find(|order| order.is_ne());
        let (digits_a, digits_b) = (take(&mut a, |c| c.is_ascii_digit()), take(&mut b, |c| c.is_ascii_digit()));
        let (number_a, number_b) = (digits_a.trim_start_matches('0'), digits_b.trim_start_matches('0'));
        let numbers = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
        let order = order.unwrap_or(numbers);
        if order.is_ne() || (a.is_empty() && b.is_empty()) {
            return order;
        }
    }
}

fn take<'a>(rest: &mut &'a str, belongs: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}

fn weight(text: &str, at: usize) -> i32 {
    match text.as_bytes().get(at) {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_in_debian() {
        let ascending = ["1.0~rc1", "1.0", "1.0a", "1.0+b", "1.0-1", "1.2", "1.10", "6.1.0-9-amd64", "6.1.0-49-amd64"];
        for pair in ascending.windows(2) {
            assert_eq!(compare_versions(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare_versions(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare_versions("1.007", "1.7"), Ordering::Equal);
    }

    #[test]
    fn versions_are_found_in_link_targets() {
        assert_eq!(version_in("boot/vmlinuz-6.1").as_deref(), Some("6.1"));
        assert_eq!(version_in("vmlinuz-6.1").as_deref(), Some("6.1"));
        assert_eq!(version_in("../usr/lib/modules/6.1/vmlinuz").as_deref(), Some("6.1"));
        assert_eq!(version_in("kernel"), None);
        assert_eq!(version_in("boot/vmlinuz-6.1\noptions init=/bin/sh"), None);
    }
}
