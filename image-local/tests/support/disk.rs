//! A bootable disk from the fixture, put together with the tools of a distribution rather than with ours.

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MIB: u64 = 1024 * 1024;
const ESP_MIB: u64 = 64;
const ROOT_MIB: u64 = 96;

/// PARTUUID of the root partition.
pub(crate) const ROOT: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";

/// A raw disk with an ESP and the fixture as its root. With an agent, the loader entry is one that starts it.
///
/// None, with the reason on standard error, where a tool is missing.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn build(fixture: &Path, directory: &Path, agent: Option<&[u8]>) -> Option<PathBuf> {
    match assemble(fixture, directory, agent) {
        Ok(disk) => Some(disk),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: no disk without the tools of mtools, fdisk, e2fsprogs and qemu-utils: {error}");
            None
        }
        Err(error) => panic!("cannot build a disk: {error}"),
    }
}

/// An overlay in qcow2 format on a raw disk.
#[expect(clippy::unwrap_used, reason = "only for tests")]
pub(crate) fn overlay(disk: &Path, directory: &Path) -> PathBuf {
    let overlay = directory.join(format!("{}.qcow2", uuid::Uuid::new_v4()));
    run(Command::new("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(disk).arg(&overlay), "")
        .unwrap();
    overlay
}

fn assemble(fixture: &Path, directory: &Path, agent: Option<&[u8]>) -> io::Result<PathBuf> {
    run(Command::new("qemu-img").arg("--version"), "")?;
    let root = directory.join("root.ext4");
    let tree = fixture.join("tree");
    run(
        Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-L", "root", "-d"])
            .arg(tree)
            .arg(&root)
            .arg(format!("{ROOT_MIB}M")),
        "",
    )?;
    let esp = directory.join("esp.fat");
    write_esp(fixture, &esp, agent)?;

    let disk = directory.join("disk.raw");
    let mut file = File::create(&disk)?;
    file.set_len((ESP_MIB + ROOT_MIB + 2) * MIB)?;
    let layout = format!(
        "label: gpt\nstart=1MiB, size={ESP_MIB}MiB, type=U\nstart={}MiB, size={ROOT_MIB}MiB, type=L, uuid={ROOT}\n",
        ESP_MIB + 1
    );
    run(Command::new("sfdisk").arg("-q").arg(&disk), &layout)?;
    for (part, offset) in [(&esp, MIB), (&root, (ESP_MIB + 1) * MIB)] {
        file.seek(io::SeekFrom::Start(offset))?;
        io::copy(&mut File::open(part)?, &mut file)?;
        fs::remove_file(part)?;
    }
    Ok(disk)
}

fn write_esp(fixture: &Path, esp: &Path, agent: Option<&[u8]>) -> io::Result<()> {
    File::create(esp)?.set_len(ESP_MIB * MIB)?;
    run(Command::new("mformat").args(["-F", "-i"]).arg(esp).arg("::"), "")?;
    run(Command::new("mmd").arg("-i").arg(esp).args(["::/EFI", "::/EFI/BOOT", "::/loader", "::/loader/entries"]), "")?;
    let copy = |source: &Path, name: &str| {
        run(Command::new("mcopy").arg("-i").arg(esp).arg(source).arg(format!("::/{name}")), "")
    };
    copy(&fixture.join("tree/usr/lib/systemd/boot/efi/systemd-bootx64.efi"), "EFI/BOOT/BOOTX64.EFI")?;
    copy(&fixture.join("vmlinuz"), "linux")?;
    copy(&fixture.join("initrd.img"), "initrd")?;
    let parameters = format!("root=PARTUUID={ROOT} quiet");
    let mut entry = "title fixture\nlinux /linux\n".to_owned();
    let scratch = esp.with_extension("scratch");
    if let Some(agent) = agent {
        fs::write(&scratch, agent)?;
        copy(&scratch, "agent")?;
        entry.push_str("initrd /agent\n");
    }
    let parameters = match agent {
        Some(_) => image_local::qemu::agent::kernel_parameters(&parameters, image_local::qemu::Architecture::X86_64),
        None => parameters,
    };
    entry.push_str(&format!("initrd /initrd\noptions {parameters}\n"));
    fs::write(&scratch, entry)?;
    copy(&scratch, "loader/entries/fixture.conf")?;
    fs::write(&scratch, "timeout 0\n")?;
    copy(&scratch, "loader/loader.conf")?;
    fs::remove_file(&scratch)
}

fn run(command: &mut Command, input: &str) -> io::Result<()> {
    let name = command.get_program().display().to_string();
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{name}: {}", String::from_utf8_lossy(&output.stderr))))
}
