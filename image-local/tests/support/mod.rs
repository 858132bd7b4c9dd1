//! The fixture of tests that boot: a tiny root file system with busybox as its init, and a real distribution kernel.
//!
//! Kernel and boot loader come from Debian packages through `apt-get download` and are never installed on the host. The
//! result is kept in the user's cache directory, under a name that changes with this file.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use image_local::qemu::agent::find_busybox;
use image_local::qemu::cpio::Archive;
use sha2::{Digest as _, Sha256};

/// What the kernel's virtio drivers consist of, each after what it needs.
const MODULES: [&str; 8] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "virtio-rng",
    "virtio_console",
];

/// Directory with `rootfs.tar`, its contents as `tree/`, and from them `vmlinuz` and `initrd.img`.
///
/// The tree has merged /usr, `/boot/vmlinuz-VERSION`, `/boot/initrd.img-VERSION`, the virtio modules, systemd-boot where
/// Debian puts it, and the users root, user (1000) and nobody. Its initrd understands `root=` with a device, UUID, LABEL
/// and PARTUUID, `ro`, and `init=`. None, with the reason on standard error, where it cannot be had.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn fixture() -> Option<&'static Path> {
    static FIXTURE: OnceLock<Option<PathBuf>> = OnceLock::new();
    FIXTURE
        .get_or_init(|| match build() {
            Ok(path) => Some(path),
            Err(error) => {
                eprintln!("SKIPPED: no bootable fixture: {error}");
                None
            }
        })
        .as_deref()
}

fn build() -> io::Result<PathBuf> {
    if !cfg!(target_arch = "x86_64") {
        return Err(io::Error::other("the fixture exists for x86_64 only"));
    }
    let busybox = find_busybox().map_err(io::Error::other)?;
    let cache = cache_directory()?;
    fs::create_dir_all(&cache)?;
    let mut recipe = Sha256::new();
    for part in [include_bytes!("mod.rs").as_slice(), include_bytes!("initramfs.sh"), &fs::read(&busybox)?] {
        recipe.update(part);
    }
    let recipe: String = recipe.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let finished = cache.join(format!("busybox-{recipe}"));
    if finished.exists() {
        return Ok(finished);
    }
    let work = tempfile::Builder::new().prefix("building-").tempdir_in(&cache)?;
    fill(work.path(), &busybox)?;
    match fs::rename(work.path(), &finished) {
        Ok(()) => drop(work.keep()),
        // Another test was faster; ours goes.
        Err(_) if finished.exists() => {}
        Err(error) => return Err(error),
    }
    Ok(finished)
}

fn cache_directory() -> io::Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .ok_or_else(|| io::Error::other("neither XDG_CACHE_HOME nor HOME is set"))?;
    Ok(base.join("golden-image/fixtures"))
}

fn fill(work: &Path, busybox: &Path) -> io::Result<()> {
    let packages = work.join("packages");
    unpack_packages(&packages)?;
    let tree = work.join("tree");
    let version = only_entry(&packages.join("lib/modules"))?;
    skeleton(&tree, busybox)?;

    let modules = tree.join("usr/lib/modules").join(&version);
    fs::create_dir_all(&modules)?;
    let mut drivers = Vec::new();
    for name in MODULES {
        let file = format!("{name}.ko");
        let found = find(&packages.join("lib/modules"), &file)?
            .ok_or_else(|| io::Error::other(format!("the kernel package has no module {file}")))?;
        drivers.push((name, fs::read(found)?));
        fs::write(modules.join(&file), &drivers[drivers.len() - 1].1)?;
    }
    let dependencies: Vec<String> = (0..MODULES.len())
        .map(|index| {
            let needed: Vec<String> = MODULES[..index].iter().rev().map(|name| format!("{name}.ko")).collect();
            format!("{}.ko: {}\n", MODULES[index], needed.join(" "))
        })
        .collect();
    fs::write(modules.join("modules.dep"), dependencies.concat())?;

    let initrd = initramfs(&fs::read(busybox)?, &drivers).map_err(io::Error::other)?;
    let kernel = fs::read(packages.join("boot").join(format!("vmlinuz-{version}")))?;
    for (name, contents) in [("vmlinuz", kernel), ("initrd.img", initrd)] {
        fs::write(work.join(name), &contents)?;
        fs::write(tree.join("boot").join(format!("{name}-{version}")), &contents)?;
    }
    let (loaders, loader) = (Path::new("usr/lib/systemd/boot/efi"), "systemd-bootx64.efi");
    fs::create_dir_all(tree.join(loaders))?;
    fs::copy(packages.join(loaders).join(loader), tree.join(loaders).join(loader))?;

    let options = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C"];
    run(Command::new("tar").args(options).arg(&tree).arg("-cf").arg(work.join("rootfs.tar")).arg("."))?;
    fs::remove_dir_all(packages)
}

/// Directories, busybox with a link for each applet, and the configuration of its init.
fn skeleton(tree: &Path, busybox: &Path) -> io::Result<()> {
    let directories =
        "boot dev etc/init.d home/user mnt proc root run sys tmp usr/bin usr/lib usr/sbin var/log var/tmp";
    for directory in directories.split(' ') {
        fs::create_dir_all(tree.join(directory))?;
    }
    for directory in ["bin", "lib", "sbin"] {
        symlink(format!("usr/{directory}"), tree.join(directory))?;
    }
    for (directory, mode) in [("root", 0o700), ("tmp", 0o1777), ("var/tmp", 0o1777)] {
        fs::set_permissions(tree.join(directory), fs::Permissions::from_mode(mode))?;
    }
    fs::copy(busybox, tree.join("usr/bin/busybox"))?;
    let applets = run(Command::new(busybox).arg("--list"))?;
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", tree.join("usr/bin").join(applet))?;
    }
    for applet in ["init", "modprobe", "poweroff", "reboot"] {
        symlink("../bin/busybox", tree.join("usr/sbin").join(applet))?;
    }
    let passwd =
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
    let script = "#!/bin/sh\nmount -o remount,rw /\nhostname -F /etc/hostname\nip link set lo up\necho fixture is up\n";
    for (name, contents) in [
        ("etc/fstab", ""),
        ("etc/group", "root:x:0:\nuser:x:1000:\nextra:x:1001:user\nnogroup:x:65534:\n"),
        ("etc/hostname", "fixture\n"),
        ("etc/init.d/rcS", script),
        ("etc/inittab", "::sysinit:/etc/init.d/rcS\n::ctrlaltdel:/sbin/reboot\n::shutdown:/bin/umount -a -r\n"),
        ("etc/os-release", "ID=fixture\nNAME=Fixture\nVERSION_ID=1\nPRETTY_NAME=\"Test fixture\"\n"),
        ("etc/passwd", passwd),
    ] {
        fs::write(tree.join(name), contents)?;
    }
    fs::set_permissions(tree.join("etc/init.d/rcS"), fs::Permissions::from_mode(0o755))?;
    run(Command::new("chown").args(["-h", "1000:1000"]).arg(tree.join("home/user"))).map(drop).or(Ok(()))
}

fn initramfs(busybox: &[u8], drivers: &[(&str, Vec<u8>)]) -> Result<Vec<u8>, image_local::qemu::cpio::EntryTooLarge> {
    let mut archive = Archive::new();
    for directory in ["bin", "dev", "modules", "proc", "root", "sys"] {
        archive.directory(directory, 0o755)?;
    }
    archive.file("init", 0o755, include_bytes!("initramfs.sh"))?;
    archive.file("bin/busybox", 0o755, busybox)?;
    archive.symlink("bin/sh", "busybox")?;
    for (index, (name, contents)) in drivers.iter().enumerate() {
        // virtio_console is left to the booted system, as in the initramfs of most distributions.
        if *name != "virtio_console" {
            archive.file(&format!("modules/{index}-{name}.ko"), 0o644, contents)?;
        }
    }
    Ok(archive.finish())
}

fn unpack_packages(target: &Path) -> io::Result<()> {
    let download = target.join("download");
    fs::create_dir_all(&download)?;
    let depends = run(Command::new("apt-cache").args(["depends", "--important", "linux-image-cloud-amd64"]))?;
    let kernel = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .ok_or_else(|| io::Error::other("apt knows no package linux-image-cloud-amd64"))?;
    run(Command::new("apt-get").args(["download", kernel, "systemd-boot-efi"]).current_dir(&download))?;
    for package in fs::read_dir(&download)? {
        run(Command::new("dpkg-deb").arg("-x").arg(package?.path()).arg(target))?;
    }
    Ok(())
}

/// Runs a program and returns what it wrote, or an error with what it complained about.
fn run(command: &mut Command) -> io::Result<String> {
    let output = command
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", command.get_program().display())))?;
    if !output.status.success() {
        let mut message = format!("{command:?} failed: ").into_bytes();
        message.write_all(&output.stderr)?;
        return Err(io::Error::other(String::from_utf8_lossy(&message).trim().to_owned()));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

fn only_entry(directory: &Path) -> io::Result<String> {
    let entry = fs::read_dir(directory)?.next().ok_or_else(|| io::Error::other(format!("{directory:?} is empty")))?;
    entry?.file_name().into_string().map_err(|name| io::Error::other(format!("{name:?} is no UTF-8")))
}

fn find(directory: &Path, name: &str) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&entry.path(), name)? {
                return Ok(Some(found));
            }
        } else if entry.file_name() == name {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}
