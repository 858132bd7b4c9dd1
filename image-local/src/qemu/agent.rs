//! The agent in the guest: a busybox and two shell scripts, delivered as an initrd.
//!
//! The kernel unpacks several initrds one over another, and starts what `rdinit=` names. The first script mounts a tmpfs
//! beside what will become the root file system, starts the agent from there, and becomes the image's own `/init`.
//! The agent waits until process 1 has another root than the initramfs, and serves the virtio-serial port.

use std::path::{Path, PathBuf};

use super::cpio::{Archive, EntryTooLarge};
use super::{Architecture, QemuError};

/// Kernel parameter that starts the agent first.
pub const RDINIT: &str = "rdinit=/agent-boot/init";

/// Name of the virtio-serial port.
pub(crate) const PORT: &str = "golden-image.agent";

const INIT: &str = include_str!("agent/init.sh");
const SERVE: &str = include_str!("agent/serve.sh");

/// What the agent's scripts and transfers use.
const APPLETS: &[&str] = &[
    "cat",
    "chmod",
    "chown",
    "chroot",
    "cp",
    "dd",
    "env",
    "mkdir",
    "mkfifo",
    "mknod",
    "mount",
    "mv",
    "readlink",
    "rm",
    "setsid",
    "sh",
    "sha256sum",
    "start-stop-daemon",
    "stat",
    "su",
    "usleep",
];

/// Part of the guest's memory that requests and their results may fill, in bytes.
///
/// A quarter: half is what a tmpfs gets by default, and the image's own `/run` and `/tmp` want some, too.
#[must_use]
pub const fn spool(memory: u32) -> u64 {
    memory as u64 * 1024 * 1024 / 4
}

/// The kernel parameters of an image with those that start the agent, and with a console that can be watched.
///
/// An image that names a serial console keeps its own; one that does not gets one, as `/dev/console`.
#[must_use]
pub fn kernel_parameters(parameters: &str, architecture: Architecture) -> String {
    let device = architecture.console();
    let serial = parameters
        .split_ascii_whitespace()
        .filter_map(|parameter| parameter.strip_prefix("console="))
        .any(|console| console.split(',').next() == Some(device));
    // First, because the kernel drops the arguments of init that stand before it.
    let mut all = format!("{RDINIT} {parameters}").trim_end().to_owned();
    if !serial {
        all.push_str(" console=");
        all.push_str(device);
    }
    all
}

/// The busybox that goes into a guest of the host's architecture: where Debian's `busybox-static` has it.
///
/// # Errors
/// [`QemuError::Tool`] when there is none, or it needs shared libraries.
pub fn find_busybox() -> Result<PathBuf, QemuError> {
    let places = ["/bin/busybox", "/usr/bin/busybox", "/usr/sbin/busybox"];
    let mut problem = "is missing";
    for place in places.map(Path::new) {
        match std::fs::read(place) {
            Ok(program) if is_static(&program) => return Ok(place.to_owned()),
            Ok(_) => problem = "is not statically linked",
            Err(_) => {}
        }
    }
    Err(QemuError::Tool { tool: "busybox".into(), problem, looked: places.join(", "), package: "busybox-static" })
}

/// Whether a 64-bit little-endian ELF program has no interpreter (no program header of the type `PT_INTERP`, elf(5)).
fn is_static(program: &[u8]) -> bool {
    const PT_INTERP: u64 = 3;
    let number = |offset: usize, length: usize| -> Option<u64> {
        let bytes = program.get(offset..offset.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let interpreted = || -> Option<bool> {
        let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        for index in 0..count {
            let header = table.checked_add(index * size)?;
            if number(usize::try_from(header).ok()?, 4)? == PT_INTERP {
                return Some(true);
            }
        }
        Some(false)
    };
    program.starts_with(b"\x7fELF\x02\x01") && interpreted() == Some(false)
}

/// The agent as an initrd for a guest with so much memory (MiB). It has to stand before the image's own initrd: only
/// its size is certain to keep the alignment that the kernel requires of what follows.
///
/// # Errors
/// A busybox that cannot be read, or is too large.
pub fn initrd(busybox: &Path, memory: u32) -> Result<Vec<u8>, QemuError> {
    let busybox = std::fs::read(busybox).map_err(QemuError::io(format!("read {}", busybox.display())))?;
    archive(&busybox, memory).map_err(|error| QemuError::Io {
        operation: "pack the agent".into(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
    })
}

fn archive(busybox: &[u8], memory: u32) -> Result<Vec<u8>, EntryTooLarge> {
    let mut archive = Archive::new();
    archive.directory("agent-boot", 0o700)?;
    archive.file("agent-boot/init", 0o755, INIT.as_bytes())?;
    archive.file("agent-boot/spool", 0o644, spool(memory).to_string().as_bytes())?;
    archive.directory("agent-boot/root", 0o755)?;
    for directory in ["@agent", "bin", "dev", "proc", "run", "sys"] {
        archive.directory(&format!("agent-boot/root/{directory}"), 0o755)?;
    }
    archive.file("agent-boot/root/serve", 0o644, SERVE.as_bytes())?;
    archive.file("agent-boot/root/bin/busybox", 0o755, busybox)?;
    for applet in APPLETS {
        archive.symlink(&format!("agent-boot/root/bin/{applet}"), "busybox")?;
    }
    archive.symlink("agent-boot/root/@agent/sh", "../bin/busybox")?;
    Ok(archive.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_keep_a_serial_console_and_add_a_missing_one() {
        let check = |given: &str, expected: &str| {
            assert_eq!(kernel_parameters(given, Architecture::X86_64), expected, "{given:?}");
        };
        check("root=LABEL=root quiet", "rdinit=/agent-boot/init root=LABEL=root quiet console=ttyS0");
        check("console=tty0 console=ttyS0,115200", "rdinit=/agent-boot/init console=tty0 console=ttyS0,115200");
        check("console=ttyS01", "rdinit=/agent-boot/init console=ttyS01 console=ttyS0");
        check("", "rdinit=/agent-boot/init console=ttyS0");
    }

    #[test]
    fn only_programs_without_interpreter_are_static() {
        let mut elf = vec![0; 120];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        elf[64] = 1;
        assert!(is_static(&elf));
        elf[64] = 3;
        assert!(!is_static(&elf));
        assert!(!is_static(&elf[..60]));
        assert!(!is_static(b"#!/bin/sh\n"));
        elf[32..40].fill(0xff);
        assert!(!is_static(&elf));
    }
}
