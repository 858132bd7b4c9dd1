//! EFI system partitions: FAT file systems from which UEFI firmware starts systemd-boot, and that a kernel.

mod edit;
mod error;
mod fat;
mod kernel;

use std::io::{self, Write};

use fatfs::{Dir, ReadWriteSeek};

pub use edit::{BootFiles, EspEdit, boot_files, esp_patches};
pub use error::EspError;
pub(crate) use kernel::{BootSet, select};

use super::architecture::Architecture;
use super::region::Region;

/// The smallest partition that is accepted, in bytes.
pub(crate) const MINIMUM: u64 = 8 << 20;
/// The largest partition that is accepted, in bytes: FAT counts its clusters in 28 bits.
pub(crate) const MAXIMUM: u64 = 512 << 30;
/// Lengths of initrds are multiples of this.
const INITRD_ALIGNMENT: usize = 4;
const ENTRIES: &str = "loader/entries";

/// Writes a bootable partition to a region that reads as zeros.
///
/// # Errors
///
/// [`EspError::TooSmall`] if the files do not fit.
pub(crate) fn write(
    region: Region<'_>,
    architecture: Architecture,
    volume_id: u32,
    title: &str,
    boot: &BootSet,
    options: &str,
) -> Result<(), EspError> {
    let BootSet { version, kernel, initrd, loader } = boot;
    // The kernel takes what follows as a further archive only at a multiple of four bytes, and systemd-boot joins
    // initrds as they are. The kernel skips zeros between archives.
    let mut initrd = initrd.clone();
    initrd.resize(initrd.len().next_multiple_of(INITRD_ALIGNMENT), 0);
    let entry = format!(
        "title {title}\nversion {version}\nlinux /vmlinuz-{version}\ninitrd /initrd.img-{version}\noptions {options}\n"
    );
    let loader_path = format!("EFI/BOOT/BOOT{}.EFI", architecture.efi_name().to_uppercase());
    let (entry_path, kernel_path) = (format!("{ENTRIES}/{version}.conf"), format!("vmlinuz-{version}"));
    let initrd_path = format!("initrd.img-{version}");
    let files: [(&str, &[u8]); 5] = [
        (&loader_path, loader),
        ("loader/loader.conf", b"timeout 0\n"),
        (&entry_path, entry.as_bytes()),
        (&kernel_path, kernel),
        (&initrd_path, &initrd),
    ];
    // Files end within a cluster of up to 4096 bytes; there are five, and as many directories.
    let needed = files.iter().map(|(_, content)| content.len() as u64).sum::<u64>() + 10 * 4096;
    if needed > fat::capacity(region.len()) {
        let mut size = needed.next_multiple_of(1 << 20).max(MINIMUM);
        while fat::capacity(size) < needed {
            size += 1 << 20;
        }
        return Err(EspError::TooSmall { needed: size, given: region.len() });
    }
    fat::write(region, volume_id, b"ESP        ", &files).map_err(EspError::io("write the EFI system partition"))
}

/// Writes a file, in place of an earlier one.
fn put<T: ReadWriteSeek>(directory: &Dir<'_, T>, path: &str, content: &[u8]) -> io::Result<()> {
    let mut file = directory.create_file(path)?;
    file.truncate()?;
    file.write_all(content)?;
    file.flush()
}
