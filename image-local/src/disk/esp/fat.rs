//! FAT16 and FAT32 volumes that hold a given set of files, one after the other.
//!
//! Volumes are read and edited by `fatfs`; that cannot make directories whose `.` entries a check accepts.

use std::collections::BTreeMap;
use std::io;

use crate::disk::region::Region;

const SECTOR: u64 = 512;
const ENTRY: usize = 32;
const ROOT_ENTRIES: u64 = 512;
/// FAT32 needs 65,525 clusters, which is 32 MiB of the smallest.
const FAT32_MINIMUM: u64 = 36 << 20;
const END: u32 = 0x0FFF_FFFF;
const DIRECTORY: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
const LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0F;
/// 1980-01-01, the first day that FAT knows.
const DATE: u16 = 1 << 5 | 1;
/// UTF-16 units in one entry of a long name.
const UNITS: usize = 13;

/// A file or directory on its way into a volume.
#[derive(Debug)]
enum Item<'a> {
    Directory(BTreeMap<&'a str, Self>),
    File(&'a [u8]),
}

/// The places of a volume's parts, in sectors.
#[derive(Clone, Copy, Debug)]
struct Layout {
    wide: bool,
    total: u64,
    cluster: u64,
    reserved: u64,
    fat: u64,
    root: u64,
}

impl Layout {
    fn new(len: u64) -> Self {
        let total = len / SECTOR;
        let wide = len >= FAT32_MINIMUM;
        let cluster = match len {
            ..FAT32_MINIMUM => 2,
            // The largest cluster up to 4096 bytes that still makes enough of them.
            _ => [8, 4, 2].into_iter().find(|sectors| total / sectors > 68_000).unwrap_or(1),
        };
        let (root, width) = if wide { (0, 4) } else { (ROOT_ENTRIES * ENTRY as u64 / SECTOR, 2) };
        // A multiple of eight sectors keeps all parts aligned to 4096 bytes.
        let fat = ((total / cluster + 2) * width).div_ceil(SECTOR).next_multiple_of(8);
        Self { wide, total, cluster, reserved: 32, fat, root }
    }

    fn data(&self) -> u64 {
        self.reserved + 2 * self.fat + self.root
    }

    fn clusters(&self) -> u64 {
        self.total.saturating_sub(self.data()) / self.cluster
    }

    fn cluster_bytes(&self) -> u64 {
        self.cluster * SECTOR
    }
}

/// The bytes that are free for files and directories in a volume of `len` bytes.
pub(super) fn capacity(len: u64) -> u64 {
    let layout = Layout::new(len);
    layout.clusters() * layout.cluster_bytes()
}

/// Writes a volume with `files` (paths and contents) to a region that reads as zeros.
///
/// # Errors
///
/// If the files do not fit, or writing fails.
pub(super) fn write(region: Region<'_>, id: u32, label: &[u8; 11], files: &[(&str, &[u8])]) -> io::Result<()> {
    let mut root = BTreeMap::new();
    for (path, content) in files {
        insert(&mut root, path, content)?;
    }
    let layout = Layout::new(region.len());
    let mut writer = Writer { region, layout, fat: vec![END & !7, END] };
    let label_entry = short_entry(label, LABEL, 0, 0);
    if layout.wide {
        // The root directory starts at cluster 2: its place is taken before its content is known.
        let first = writer.allocate(ENTRY + directory_len(&root))?;
        let entries = [label_entry.to_vec(), writer.children(&root, 0)?].concat();
        writer.put(first, &entries)?;
    } else {
        let entries = [label_entry.to_vec(), writer.children(&root, 0)?].concat();
        let at = (layout.reserved + 2 * layout.fat) * SECTOR;
        region.write_all_at(&entries, at)?;
    }
    writer.write_tables(id, label)
}

fn insert<'a>(directory: &mut BTreeMap<&'a str, Item<'a>>, path: &'a str, content: &'a [u8]) -> io::Result<()> {
    let Some((name, rest)) = path.split_once('/') else {
        directory.insert(path, Item::File(content));
        return Ok(());
    };
    match directory.entry(name).or_insert_with(|| Item::Directory(BTreeMap::new())) {
        Item::Directory(children) => insert(children, rest, content),
        Item::File(_) => Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{name} is a file"))),
    }
}

#[derive(Debug)]
struct Writer<'f> {
    region: Region<'f>,
    layout: Layout,
    /// The table, as far as clusters are in use.
    fat: Vec<u32>,
}

impl Writer<'_> {
    /// Takes the next clusters for `len` bytes and returns the first; 0 for none.
    fn allocate(&mut self, len: usize) -> io::Result<u32> {
        let count = (len as u64).div_ceil(self.layout.cluster_bytes());
        let first = self.fat.len() as u64;
        if first + count > self.layout.clusters() + 2 {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the files do not fit the volume"));
        }
        if count == 0 {
            return Ok(0);
        }
        self.fat.extend((first + 1..first + count).map(|next| next as u32));
        self.fat.push(END);
        Ok(first as u32)
    }

    fn put(&self, first: u32, content: &[u8]) -> io::Result<()> {
        if first == 0 {
            return Ok(());
        }
        let at = self.layout.data() * SECTOR + (u64::from(first) - 2) * self.layout.cluster_bytes();
        self.region.write_all_at(content, at)
    }

    /// Writes all that lies in a directory, whose first cluster is `own`, and returns its entries.
    fn children(&mut self, directory: &BTreeMap<&str, Item<'_>>, own: u32) -> io::Result<Vec<u8>> {
        let mut entries = Vec::new();
        for ((name, item), short) in directory.iter().zip(short_names(directory)) {
            let (attribute, first, size) = match item {
                Item::File(content) => {
                    let first = self.allocate(content.len())?;
                    self.put(first, content)?;
                    (ARCHIVE, first, content.len() as u32)
                }
                Item::Directory(children) => {
                    let first = self.allocate(2 * ENTRY + directory_len(children))?;
                    let dots = [(*b".          ", first), (*b"..         ", own)];
                    let mut content = dots.map(|(name, to)| short_entry(&name, DIRECTORY, to, 0)).concat();
                    content.extend(self.children(children, first)?);
                    self.put(first, &content)?;
                    (DIRECTORY, first, 0)
                }
            };
            entries.extend(long_entries(name, &short));
            entries.extend(short_entry(&short, attribute, first, size));
        }
        Ok(entries)
    }

    fn write_tables(&self, id: u32, label: &[u8; 11]) -> io::Result<()> {
        let Layout { wide, total, cluster, reserved, fat, .. } = self.layout;
        let table: Vec<u8> = match wide {
            true => self.fat.iter().flat_map(|next| next.to_le_bytes()).collect(),
            false => self.fat.iter().flat_map(|next| (*next as u16).to_le_bytes()).collect(),
        };
        for copy in 0..2 {
            self.region.write_all_at(&table, (reserved + copy * fat) * SECTOR)?;
        }
        let mut boot = [0; SECTOR as usize];
        let mut put = |at: usize, bytes: &[u8]| boot[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[0xEB, if wide { 0x58 } else { 0x3C }, 0x90]);
        put(3, b"MSWIN4.1");
        put(11, &(SECTOR as u16).to_le_bytes());
        put(13, &[cluster as u8]);
        put(14, &(reserved as u16).to_le_bytes());
        put(16, &[2]);
        put(21, &[0xF8]);
        // Sectors per track and heads: a geometry that nothing uses, but some firmware divides by.
        put(24, &[63, 0, 255, 0]);
        put(32, &(total as u32).to_le_bytes());
        // What follows the fields of both kinds is the same, at another place.
        let tail = if wide { 64 } else { 36 };
        put(tail, &[0x80, 0, 0x29]);
        put(tail + 3, &id.to_le_bytes());
        put(tail + 7, label);
        put(tail + 18, if wide { b"FAT32   " } else { b"FAT16   " });
        put(510, &[0x55, 0xAA]);
        if !wide {
            put(17, &(ROOT_ENTRIES as u16).to_le_bytes());
            put(22, &(fat as u16).to_le_bytes());
            return self.region.write_all_at(&boot, 0);
        }
        put(36, &(fat as u32).to_le_bytes());
        // The root directory's cluster, the sectors of free counts and of the boot sector's copy.
        put(44, &[2, 0, 0, 0, 1, 0, 6, 0]);
        let mut info = [0; SECTOR as usize];
        let free = self.layout.clusters() + 2 - self.fat.len() as u64;
        let counts = [(0, 0x4161_5252), (484, 0x6141_7272), (488, free as u32), (492, self.fat.len() as u32)];
        for (at, value) in counts {
            info[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        }
        info[510..].copy_from_slice(&[0x55, 0xAA]);
        for copy in [0, 6] {
            self.region.write_all_at(&boot, copy * SECTOR)?;
            self.region.write_all_at(&info, (copy + 1) * SECTOR)?;
        }
        Ok(())
    }
}

/// The bytes that the entries of a directory's children take.
fn directory_len(directory: &BTreeMap<&str, Item<'_>>) -> usize {
    let shorts = short_names(directory);
    directory.keys().zip(shorts).map(|(name, short)| long_entries(name, &short).len() + ENTRY).sum()
}

/// An 8.3 name for each child, numbered where the long name does not fit.
fn short_names(directory: &BTreeMap<&str, Item<'_>>) -> Vec<[u8; 11]> {
    let mut number = 0;
    let mut short = |name: &&str| {
        exact_short_name(name).unwrap_or_else(|| {
            number += 1;
            numbered_short_name(name, number)
        })
    };
    directory.keys().map(&mut short).collect()
}

/// The 8.3 name that says the same as the long name, if there is one.
fn exact_short_name(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits =
        |part: &str, len| part.len() <= len && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    (!base.is_empty() && fits(base, 8) && fits(extension, 3)).then(|| padded(base, extension))
}

/// `NAME~1.EXT`; the number is unique in the directory, so the name is.
fn numbered_short_name(name: &str, number: u32) -> [u8; 11] {
    let plain = |part: &str, len| -> String {
        part.chars().filter(char::is_ascii_alphanumeric).take(len).collect::<String>().to_uppercase()
    };
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let suffix = format!("~{number}");
    padded(&(plain(base, 8 - suffix.len()) + &suffix), &plain(extension, 3))
}

fn padded(base: &str, extension: &str) -> [u8; 11] {
    let mut name = [b' '; 11];
    name[..base.len()].copy_from_slice(base.as_bytes());
    name[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
    name
}

/// The entries that carry a long name, last part first; none where the short name says it all.
fn long_entries(name: &str, short: &[u8; 11]) -> Vec<u8> {
    if exact_short_name(name).is_some() {
        return Vec::new();
    }
    let checksum = short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let units: Vec<u16> = name.encode_utf16().collect();
    let mut entries = Vec::new();
    for (part, order) in units.chunks(UNITS).zip(1u8..).collect::<Vec<_>>().into_iter().rev() {
        let mut entry = [0; ENTRY];
        let last = order as usize * UNITS >= units.len();
        entry[0] = order | if last { 0x40 } else { 0 };
        entry[11] = LONG_NAME;
        entry[13] = checksum;
        // A zero ends the name, and what is left after it is ones.
        let padded = part.iter().copied().chain([0]).chain(std::iter::repeat(0xFFFF));
        let slots = (1..11).step_by(2).chain((14..26).step_by(2)).chain([28, 30]);
        for (at, unit) in slots.zip(padded) {
            entry[at..at + 2].copy_from_slice(&unit.to_le_bytes());
        }
        entries.extend(entry);
    }
    entries
}

fn short_entry(name: &[u8; 11], attribute: u8, first: u32, size: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..11].copy_from_slice(name);
    entry[11] = attribute;
    // Created, accessed, modified.
    for at in [16, 18, 24] {
        entry[at..at + 2].copy_from_slice(&DATE.to_le_bytes());
    }
    entry[20..22].copy_from_slice(&((first >> 16) as u16).to_le_bytes());
    entry[26..28].copy_from_slice(&(first as u16).to_le_bytes());
    entry[28..].copy_from_slice(&size.to_le_bytes());
    entry
}
