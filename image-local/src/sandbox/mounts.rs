//! What is mounted in the sandbox, as an fstab(5) that one `mount --all` works off, and the few things that have to
//! exist in the root filesystem meanwhile.

use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Network, Privilege, SandboxError, inside};

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// What of `/proc` lets root change the host where no user namespace forbids it.
const PROC_READ_ONLY: [&str; 4] = ["sys", "sysrq-trigger", "irq", "bus"];

/// `invoke-rc.d` and `deb-systemd-invoke` ask this program whether a service may start; 101 forbids it
/// (Debian's invoke-rc.d policy specification).
const POLICY: &str = "#!/bin/sh\nexit 101\n";

/// Below `/run`: files of ours that the root filesystem links to while a command runs.
const OURS: &str = "build";

/// Makes the directories beside the root filesystem that become `/dev`, `/run` and `/tmp`.
pub(super) fn prepare(work: &Path) -> Result<(), SandboxError> {
    let dirs = [("", 0o755), ("tmp", 0o1777), ("run", 0o755), ("run/lock", 0o1777), ("dev", 0o755)];
    for (name, mode) in dirs.into_iter().chain([("dev/pts", 0o755), ("dev/shm", 0o755), ("dev/.build", 0o755)]) {
        let path = work.join(name);
        std::fs::create_dir_all(&path)
            .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(mode)))
            .map_err(SandboxError::io("create directory", path))?;
    }
    for name in DEVICES {
        let path = work.join("dev").join(name);
        std::fs::write(&path, "").map_err(SandboxError::io("create", path))?;
    }
    for (name, target) in DEVICE_LINKS {
        let path = work.join("dev").join(name);
        match symlink(target, &path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(SandboxError::io("create", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The mounts of one command. Dropping it takes the placeholders out of the root filesystem.
#[derive(Debug)]
pub(super) struct Mounts {
    pub(super) fstab: PathBuf,
    placeholders: Placeholders,
}

impl Mounts {
    /// Writes the fstab and the placeholders.
    pub(super) fn new(
        rootfs: &Path,
        work: &Path,
        network: Network,
        privilege: Privilege,
    ) -> Result<Self, SandboxError> {
        let mut placeholders = Placeholders::default();
        for name in ["dev", "proc", "run", "sys", "tmp"] {
            placeholders.directory(rootfs.join(name))?;
        }
        let mut table = Table::default();
        // In a user namespace the kernel ignores devices anyway, and refuses to change flags it has locked.
        let root = if privilege == Privilege::Root { "bind,nodev" } else { "bind" };
        table.add(rootfs, rootfs, "none", root);
        table.add(work.join("dev"), &rootfs.join("dev"), "none", "bind");
        for name in DEVICES.iter().filter(|name| Path::new("/dev").join(name).exists()) {
            table.add(Path::new("/dev").join(name), &rootfs.join("dev").join(name), "none", "bind");
        }
        let devpts = "newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec";
        table.add("devpts", &rootfs.join("dev/pts"), "devpts", devpts);
        table.add("tmpfs", &rootfs.join("dev/shm"), "tmpfs", "mode=1777,nosuid,nodev");
        table.add("tmpfs", &rootfs.join("dev/.build"), "tmpfs", "mode=0711,nosuid,nodev");
        table.add("proc", &rootfs.join("proc"), "proc", "nosuid,nodev,noexec");
        if privilege == Privilege::Root {
            for name in PROC_READ_ONLY.iter().filter(|name| Path::new("/proc").join(name).exists()) {
                let path = rootfs.join("proc").join(name);
                table.add(&path, &path, "none", "bind,ro");
            }
        }
        match (privilege, network) {
            // A user namespace may mount a sysfs only for a network of its own, and may not drop the flags of this one.
            (Privilege::UserNamespace, Network::Host) => {
                table.add("/sys", &rootfs.join("sys"), "none", "rbind,ro,nosuid,nodev,noexec")
            }
            _ => table.add("sysfs", &rootfs.join("sys"), "sysfs", "ro,nosuid,nodev,noexec"),
        }
        table.add(work.join("run"), &rootfs.join("run"), "none", "bind");
        table.add(work.join("tmp"), &rootfs.join("tmp"), "none", "bind");

        let mut overlay = Overlay { rootfs, work, placeholders: &mut placeholders, table: &mut table };
        overlay.show("usr/sbin", "policy-rc.d", POLICY.as_bytes(), 0o755)?;
        if network == Network::Host {
            let resolver = match std::fs::read("/etc/resolv.conf") {
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                read => read.map_err(SandboxError::io("read", "/etc/resolv.conf"))?,
            };
            overlay.show("etc", "resolv.conf", &resolver, 0o644)?;
        }
        let fstab = work.join("fstab");
        std::fs::write(&fstab, table.0).map_err(SandboxError::io("write", &fstab))?;
        Ok(Self { fstab, placeholders })
    }

    /// Takes the placeholders out of the root filesystem.
    pub(super) fn close(mut self) -> Result<(), SandboxError> {
        self.placeholders.remove()
    }
}

#[derive(Default)]
struct Table(String);

impl Table {
    fn add(&mut self, source: impl AsRef<Path>, target: &Path, kind: &str, options: &str) {
        let (source, target) = (escape(source.as_ref()), escape(target));
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{source} {target} {kind} {options} 0 0");
    }
}

/// fstab(5) splits at blanks and takes octal escapes.
fn escape(path: &Path) -> String {
    path.to_string_lossy()
        .replace('\\', r"\134")
        .replace(' ', r"\040")
        .replace('\t', r"\011")
        .replace('\n', r"\012")
        .replace('#', r"\043")
}

/// Shows a file of ours at a place of the root filesystem.
struct Overlay<'a> {
    rootfs: &'a Path,
    work: &'a Path,
    placeholders: &'a mut Placeholders,
    table: &'a mut Table,
}

impl Overlay<'_> {
    /// A link into `/run` where there is nothing, so that a package can put its own file there; behind a link into
    /// `/run`, the file it wants; over a file, a mount. Nothing where there is no such directory.
    fn show(&mut self, dir: &str, name: &str, content: &[u8], mode: u32) -> Result<(), SandboxError> {
        let dir = self.resolve(&Path::new("/").join(dir))?;
        if !inside::host(self.rootfs, &dir).is_dir() {
            return Ok(());
        }
        let path = dir.join(name);
        let host = inside::host(self.rootfs, &path);
        let ours = Path::new("/run").join(OURS).join(name);
        match host.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.place(&Path::new(OURS).join(name), content, mode)?;
                return self.placeholders.link(host, ours);
            }
            Err(error) => return Err(SandboxError::io("look at", host)(error)),
            // A process of ours that was killed left it.
            Ok(_) if std::fs::read_link(&host).is_ok_and(|target| target == ours) => {
                self.placeholders.adopt(host, ours)
            }
            Ok(_) => {}
        }
        let target = self.resolve(&path)?;
        if let Ok(below) = target.strip_prefix("/run") {
            return self.place(below, content, mode);
        }
        let target = inside::host(self.rootfs, &target);
        if target.is_file() {
            let source = self.work.join(name);
            write(&source, content, mode).map_err(SandboxError::io("write", &source))?;
            self.table.add(&source, &target, "none", "bind");
        }
        Ok(())
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, SandboxError> {
        inside::resolve(self.rootfs, path).map_err(SandboxError::io("follow", inside::host(self.rootfs, path)))
    }

    /// Writes a file below `/run`. Commands own that directory, so no link in it is followed.
    fn place(&self, below: &Path, content: &[u8], mode: u32) -> Result<(), SandboxError> {
        let mut path = self.work.join("run");
        let mut names = below.iter().peekable();
        while let Some(name) = names.next() {
            path.push(name);
            if names.peek().is_some() {
                directory(&path)?;
            }
        }
        write(&path, content, mode).map_err(SandboxError::io("write", path))
    }
}

/// Makes a directory, if there is none. True if there was none.
fn directory(path: &Path) -> Result<bool, SandboxError> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => Ok(false),
        Ok(_) => Err(SandboxError::MountPoint { path: path.into() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new().mode(0o755).create(path).map_err(SandboxError::io("create directory", path))?;
            Ok(true)
        }
        Err(error) => Err(SandboxError::io("look at", path)(error)),
    }
}

/// Writes a new file in place of whatever has the name.
fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.set_permissions(Permissions::from_mode(mode))
}

/// What we put into the root filesystem and take out again.
#[derive(Debug, Default)]
struct Placeholders {
    links: Vec<(PathBuf, PathBuf)>,
    directories: Vec<PathBuf>,
}

impl Placeholders {
    fn directory(&mut self, path: PathBuf) -> Result<(), SandboxError> {
        if directory(&path)? {
            self.directories.push(path);
        }
        Ok(())
    }

    fn link(&mut self, path: PathBuf, target: PathBuf) -> Result<(), SandboxError> {
        symlink(&target, &path).map_err(SandboxError::io("create", &path))?;
        self.adopt(path, target);
        Ok(())
    }

    fn adopt(&mut self, path: PathBuf, target: PathBuf) {
        self.links.push((path, target));
    }

    /// What a command put in place of ours stays.
    fn remove(&mut self) -> Result<(), SandboxError> {
        for (path, target) in self.links.drain(..) {
            if std::fs::read_link(&path).is_ok_and(|found| found == target) {
                std::fs::remove_file(&path).map_err(SandboxError::io("remove", path))?;
            }
        }
        for path in self.directories.drain(..) {
            match std::fs::remove_dir(&path) {
                Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                    return Err(SandboxError::io("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Placeholders {
    /// For a dropped future; `close` reports what this cannot.
    fn drop(&mut self) {
        drop(self.remove());
    }
}
