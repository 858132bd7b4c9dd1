//! Reading a disk's boot files, and changes to them that leave the disk itself alone.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use fatfs::{FileSystem, FsOptions};

use crate::disk::gpt;
use crate::disk::overlay::Overlay;
use crate::disk::region::Region;

use super::error::EspError;
use super::{ENTRIES, INITRD_ALIGNMENT, put};

const EXTRA: &str = "extra.cpio";
/// Boot files are read into memory.
const FILE_LIMIT: u64 = 1 << 30;

type Volume<'v, 'f> = FileSystem<&'v mut Overlay<'f>>;

/// What a disk boots, for starting it without its firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BootFiles {
    /// The kernel.
    pub kernel: Vec<u8>,
    /// All initrds, in order.
    pub initrd: Vec<u8>,
    /// The kernel's options.
    pub options: String,
}

/// What is to be different on the next boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EspEdit {
    /// A cpio archive that the kernel unpacks before the disk's own initrd.
    pub first_initrd: Option<Vec<u8>>,
    /// Kernel options in place of the disk's own.
    pub options: Option<String>,
}

impl EspEdit {
    /// Adds an initrd before the disk's own.
    #[must_use]
    pub fn with_first_initrd(mut self, cpio: Vec<u8>) -> Self {
        self.first_initrd = Some(cpio);
        self
    }

    /// Replaces the kernel options.
    #[must_use]
    pub fn with_options(mut self, options: impl Into<String>) -> Self {
        self.options = Some(options.into());
        self
    }
}

/// Reads what a raw disk boots from its EFI system partition. Of several loader entries the one counts whose file name
/// sorts last, which is what systemd-boot starts by default.
///
/// # Errors
///
/// If the disk has no such partition, or that has no complete loader entry.
pub fn boot_files(raw: &Path) -> Result<BootFiles, EspError> {
    let file = open(raw)?;
    let esp = esp(&file)?;
    let mut overlay = Overlay::new(Region::new(&file, esp.start, esp.len));
    let volume = mount(&mut overlay)?;
    let entries = entries(&volume)?;
    let Some((name, entry)) = entries.last() else {
        return Err(EspError::Invalid { reason: format!("there is no loader entry in {ENTRIES}") });
    };
    let content = |path: &str| read(&volume, path);
    let Some(kernel) = values(entry, "linux").next() else {
        return Err(EspError::Invalid { reason: format!("loader entry {name} names no kernel") });
    };
    let kernel = content(kernel)?;
    let mut initrd = Vec::new();
    for path in values(entry, "initrd") {
        initrd.resize(initrd.len().next_multiple_of(INITRD_ALIGNMENT), 0);
        initrd.extend(content(path)?);
    }
    let options = values(entry, "options").collect::<Vec<_>>().join(" ");
    Ok(BootFiles { kernel, initrd, options })
}

/// The ranges of a raw disk (byte offset and data) that an edit of its EFI system partition changes: the initrd becomes
/// a file that every loader entry names before its own initrds. The disk is only read.
///
/// # Errors
///
/// If the disk has no such partition with loader entries, or the initrd does not fit.
pub fn esp_patches(raw: &Path, edit: &EspEdit) -> Result<Vec<(u64, Vec<u8>)>, EspError> {
    if edit.options.as_ref().is_some_and(|options| options.contains(['\n', '\r'])) {
        return Err(EspError::Invalid { reason: "the kernel options contain a line break".into() });
    }
    let file = open(raw)?;
    let esp = esp(&file)?;
    let mut overlay = Overlay::new(Region::new(&file, esp.start, esp.len));
    let volume = mount(&mut overlay)?;
    let failed = EspError::io("edit a copy of the EFI system partition");
    if let Some(extra) = &edit.first_initrd {
        let stats = volume.stats().map_err(&failed)?;
        let cluster = u64::from(stats.cluster_size());
        let (needed, free) = (extra.len() as u64 + 2 * cluster, u64::from(stats.free_clusters()) * cluster);
        if needed > free {
            return Err(EspError::TooSmall { needed: esp.len + needed - free, given: esp.len });
        }
        put(&volume.root_dir(), EXTRA, extra).map_err(&failed)?;
    }
    // What is behind such an archive would be lost on the kernel, without an error.
    if edit.first_initrd.as_ref().is_some_and(|cpio| !cpio.len().is_multiple_of(INITRD_ALIGNMENT)) {
        let reason = format!("the length of the first initrd is no multiple of {INITRD_ALIGNMENT} bytes");
        return Err(EspError::Invalid { reason });
    }
    let entries = entries(&volume)?;
    if entries.is_empty() {
        return Err(EspError::Invalid { reason: format!("there is no loader entry in {ENTRIES}") });
    }
    for (name, entry) in entries {
        put(&volume.root_dir(), &format!("{ENTRIES}/{name}"), edited(&entry, edit).as_bytes()).map_err(&failed)?;
    }
    volume.unmount().map_err(&failed)?;
    let changes = overlay.changes().map_err(&failed)?;
    Ok(changes.into_iter().map(|(at, data)| (esp.start + at, data)).collect())
}

/// A loader entry with the edit's initrd before the first of its own, and the edit's options in place of its own.
fn edited(entry: &str, edit: &EspEdit) -> String {
    let replaced = |line: &&str| edit.options.is_none() || value(line, "options").is_none();
    let mut lines: Vec<String> = entry.lines().filter(replaced).map(str::to_owned).collect();
    if edit.first_initrd.is_some() {
        let at = lines.iter().position(|line| value(line, "initrd").is_some()).unwrap_or(lines.len());
        lines.insert(at, format!("initrd /{EXTRA}"));
    }
    lines.extend(edit.options.as_ref().map(|options| format!("options {options}")));
    lines.push(String::new());
    lines.join("\n")
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.trim_start().strip_prefix(key)?;
    rest.starts_with([' ', '\t']).then(|| rest.trim())
}

fn values<'a>(entry: &'a str, key: &'static str) -> impl Iterator<Item = &'a str> {
    entry.lines().filter_map(move |line| value(line, key))
}

/// Loader entries by file name, sorted by it.
fn entries(volume: &Volume<'_, '_>) -> Result<Vec<(String, String)>, EspError> {
    let failed = EspError::io("read loader entries");
    let directory = volume.root_dir().open_dir(ENTRIES).map_err(&failed)?;
    let mut entries = Vec::new();
    for item in directory.iter() {
        let name = item.map_err(&failed)?.file_name();
        if name.ends_with(".conf") {
            let content = read(volume, &format!("{ENTRIES}/{name}"))?;
            entries.push((name, String::from_utf8_lossy(&content).into_owned()));
        }
    }
    entries.sort_by(|(a, _), (b, _)| super::kernel::compare_versions(a, b));
    Ok(entries)
}

fn read(volume: &Volume<'_, '_>, path: &str) -> Result<Vec<u8>, EspError> {
    let failed = EspError::io("read a file of the EFI system partition");
    let mut file = volume.root_dir().open_file(path.trim_start_matches('/')).map_err(&failed)?;
    let mut content = Vec::new();
    file.by_ref().take(FILE_LIMIT).read_to_end(&mut content).map_err(&failed)?;
    Ok(content)
}

fn open(raw: &Path) -> Result<File, EspError> {
    File::open(raw).map_err(EspError::io("open the disk"))
}

fn mount<'v, 'f>(overlay: &'v mut Overlay<'f>) -> Result<Volume<'v, 'f>, EspError> {
    FileSystem::new(overlay, FsOptions::new()).map_err(EspError::io("read the EFI system partition"))
}

fn esp(file: &File) -> Result<gpt::Partition, EspError> {
    let len = file.metadata().map_err(EspError::io("read the disk's size"))?.len();
    let mut partitions = gpt::read(file, len)?.into_iter();
    let esp = partitions.find(|partition| partition.type_id == gpt::ESP);
    esp.ok_or_else(|| EspError::Invalid { reason: "the disk has none".into() })
}
