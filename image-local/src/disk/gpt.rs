//! GUID partition tables (UEFI specification, chapter 5): written in full, read as far as finding partitions needs.

use std::fs::File;
use std::io;

use thiserror::Error;
use uuid::{Uuid, uuid};

use super::region::Region;

/// Bytes in a sector.
pub const SECTOR: u64 = 512;
/// Partitions start and end at multiples of this many bytes.
pub const ALIGNMENT: u64 = 1 << 20;
/// The type of an EFI system partition.
pub const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// The type of a root partition for x86-64 (Discoverable Partitions Specification).
pub const ROOT_X86_64: Uuid = uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
/// The type of a root partition for 64-bit ARM (Discoverable Partitions Specification).
pub const ROOT_AARCH64: Uuid = uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae");

const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
const HEADER: usize = 92;
const ENTRIES: usize = 128;
const ENTRY: usize = 128;
const TABLE_SECTORS: u64 = (ENTRIES * ENTRY) as u64 / SECTOR;
const NAME_UNITS: usize = 36;

/// Why a partition table could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GptError {
    /// The table is none of ours or damaged, or cannot be made.
    #[error("partition table is not usable: {reason}")]
    Invalid {
        /// What is wrong.
        reason: &'static str,
    },
    /// The disk could not be read or written.
    #[error("failed to {operation} the partition table")]
    Io {
        /// `read` or `write`.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A partition does not fit.
    #[error("partition {name:?} ({start}+{len} bytes) does not fit a disk of {disk} bytes, aligned to {ALIGNMENT}")]
    Misfit {
        /// The partition's name.
        name: String,
        /// Where it starts, in bytes.
        start: u64,
        /// Its length in bytes.
        len: u64,
        /// The disk's length in bytes.
        disk: u64,
    },
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partition {
    /// What the partition is for.
    pub type_id: Uuid,
    /// The partition's own identity, `PARTUUID` in Linux.
    pub id: Uuid,
    /// A name of at most 36 UTF-16 units; a longer one is cut.
    pub name: String,
    /// Where it starts, in bytes.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl Partition {
    /// A partition of `len` bytes from byte `start` on.
    pub fn new(type_id: Uuid, id: Uuid, name: impl Into<String>, start: u64, len: u64) -> Self {
        Self { type_id, id, name: name.into(), start, len }
    }

    fn encode(&self) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        entry[..16].copy_from_slice(&self.type_id.to_bytes_le());
        entry[16..32].copy_from_slice(&self.id.to_bytes_le());
        entry[32..40].copy_from_slice(&(self.start / SECTOR).to_le_bytes());
        entry[40..48].copy_from_slice(&((self.start + self.len) / SECTOR - 1).to_le_bytes());
        for (slot, unit) in entry[56..].chunks_mut(2).zip(self.name.encode_utf16().take(NAME_UNITS)) {
            slot.copy_from_slice(&unit.to_le_bytes());
        }
        entry
    }

    fn decode(entry: &[u8]) -> Option<Self> {
        let id = |at: usize| Uuid::from_slice_le(&entry[at..at + 16]).ok();
        let type_id = id(0).filter(|id| !id.is_nil())?;
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        let units: Vec<u16> = entry[56..].chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
        let start = first.checked_mul(SECTOR)?;
        let len = last.checked_add(1)?.checked_mul(SECTOR)?.checked_sub(start)?;
        Some(Self { type_id, id: id(16)?, name: String::from_utf16_lossy(&units[..end]), start, len })
    }
}

/// The bytes that partitions may lie in, on a disk of `disk` bytes.
pub fn usable(disk: u64) -> std::ops::Range<u64> {
    let end = disk.saturating_sub((1 + TABLE_SECTORS) * SECTOR);
    ALIGNMENT..(end - end % ALIGNMENT).max(ALIGNMENT)
}

/// Writes protective MBR, primary and backup table to a disk of `len` bytes.
///
/// # Errors
///
/// [`GptError::Misfit`] for a partition that overlaps another one or the table, is not aligned, or starts before the one
/// that precedes it in the list; [`GptError::Invalid`] for too small a disk or too many partitions.
pub fn write(file: &File, len: u64, disk_id: Uuid, partitions: &[Partition]) -> Result<(), GptError> {
    let mut free = usable(len);
    if free.is_empty() {
        return Err(GptError::Invalid { reason: "the disk is too small for a table and a partition" });
    }
    if partitions.len() > ENTRIES {
        return Err(GptError::Invalid { reason: "there are more than 128 partitions" });
    }
    let mut table = vec![0; ENTRIES * ENTRY];
    for (slot, partition) in table.chunks_mut(ENTRY).zip(partitions) {
        let Partition { start, len: bytes, .. } = *partition;
        let end = start.checked_add(bytes).filter(|end| *end <= free.end);
        let aligned = start.is_multiple_of(ALIGNMENT) && bytes.is_multiple_of(ALIGNMENT) && bytes > 0;
        let Some(end) = end.filter(|_| aligned && start >= free.start) else {
            return Err(GptError::Misfit { name: partition.name.clone(), start, len: bytes, disk: len });
        };
        free.start = end;
        slot.copy_from_slice(&partition.encode());
    }
    let disk = Region::new(file, 0, len);
    let last = len / SECTOR - 1;
    let backup_table = last - TABLE_SECTORS;
    let put = |sector: u64, data: &[u8]| {
        disk.write_all_at(data, sector * SECTOR).map_err(|source| GptError::Io { operation: "write", source })
    };
    put(0, &protective_mbr(last))?;
    put(1, &header(disk_id, 1, last, 2, &table))?;
    put(2, &table)?;
    put(backup_table, &table)?;
    put(last, &header(disk_id, last, 1, backup_table, &table))
}

/// Reads the partitions of a disk of `len` bytes from its primary table.
///
/// # Errors
///
/// [`GptError::Invalid`] if there is none that its checksums confirm.
pub fn read(file: &File, len: u64) -> Result<Vec<Partition>, GptError> {
    let invalid = |reason| GptError::Invalid { reason };
    let disk = Region::new(file, 0, len);
    let get = |at: u64, buffer: &mut [u8]| {
        disk.read_exact_at(buffer, at).map_err(|source| GptError::Io { operation: "read", source })
    };
    let mut header = vec![0; SECTOR as usize];
    get(SECTOR, &mut header)?;
    if !header.starts_with(SIGNATURE) || u32_at(&header, 12) as usize != HEADER {
        return Err(invalid("no header in sector 1"));
    }
    let checksum = u32_at(&header, 16);
    header[16..20].fill(0);
    if crc32fast::hash(&header[..HEADER]) != checksum {
        return Err(invalid("the header's checksum is wrong"));
    }
    if (u32_at(&header, 80) as usize, u32_at(&header, 84) as usize) != (ENTRIES, ENTRY) {
        return Err(invalid("the table does not have 128 entries of 128 bytes"));
    }
    let mut table = vec![0; ENTRIES * ENTRY];
    let at = u64_at(&header, 72).checked_mul(SECTOR).ok_or_else(|| invalid("the table lies outside the disk"))?;
    get(at, &mut table)?;
    if crc32fast::hash(&table) != u32_at(&header, 88) {
        return Err(invalid("the table's checksum is wrong"));
    }
    let partitions: Vec<_> = table.chunks(ENTRY).filter_map(Partition::decode).collect();
    if partitions.iter().any(|partition| partition.start.checked_add(partition.len).is_none_or(|end| end > len)) {
        return Err(invalid("a partition reaches over the end of the disk"));
    }
    Ok(partitions)
}

/// Says to tools that know no GPT that the disk is in use.
fn protective_mbr(last: u64) -> Vec<u8> {
    let mut sector = vec![0; SECTOR as usize];
    let sectors = u32::try_from(last).unwrap_or(u32::MAX);
    // No boot flag; cylinder, head and sector of the first and last sector; type; first sector; number of sectors.
    sector[446..454].copy_from_slice(&[0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF]);
    sector[454..458].copy_from_slice(&1u32.to_le_bytes());
    sector[458..462].copy_from_slice(&sectors.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    sector
}

fn header(disk_id: Uuid, own: u64, other: u64, table_at: u64, table: &[u8]) -> Vec<u8> {
    let mut sector = vec![0; SECTOR as usize];
    let last = own.max(other);
    sector[..8].copy_from_slice(SIGNATURE);
    for (at, value) in
        [(8, REVISION), (12, HEADER as u32), (80, ENTRIES as u32), (84, ENTRY as u32), (88, crc32fast::hash(table))]
    {
        sector[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    for (at, value) in [(24, own), (32, other), (40, 2 + TABLE_SECTORS), (48, last - TABLE_SECTORS - 1), (72, table_at)]
    {
        sector[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
    }
    sector[56..72].copy_from_slice(&disk_id.to_bytes_le());
    let checksum = crc32fast::hash(&sector[..HEADER]);
    sector[16..20].copy_from_slice(&checksum.to_le_bytes());
    sector
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::testing::{empty_image, tool_output};

    const MIB: u64 = 1 << 20;

    fn partitions() -> [Partition; 2] {
        let id = |byte| Uuid::from_bytes([byte; 16]);
        [
            Partition::new(ESP, id(1), "esp", MIB, 40 * MIB),
            Partition::new(ROOT_X86_64, id(2), "root", 41 * MIB, 50 * MIB),
        ]
    }

    #[test]
    fn table_is_valid_for_sfdisk_and_read_back() {
        let image = empty_image(100 * MIB);
        write(image.as_file(), 100 * MIB, Uuid::from_bytes([3; 16]), &partitions()).unwrap();
        assert_eq!(read(image.as_file(), 100 * MIB).unwrap(), partitions());
        let path = image.path().to_str().unwrap();
        let Some(verdict) = tool_output("sfdisk", &["--verify", path]) else { return };
        assert!(verdict.contains("No errors detected"), "{verdict}");
        let json: serde_json::Value = serde_json::from_str(&tool_output("sfdisk", &["-J", path]).unwrap()).unwrap();
        let table = &json["partitiontable"];
        assert_eq!(table["label"], "gpt");
        assert_eq!(table["id"], "03030303-0303-0303-0303-030303030303");
        assert_eq!(table["partitions"][1]["type"], "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709");
        assert_eq!(table["partitions"][1]["start"], 41 * 2048);
        assert_eq!(table["partitions"][1]["size"], 50 * 2048);
        assert_eq!(table["partitions"][0]["name"], "esp");
    }

    #[test]
    fn misfits_and_damage_are_refused() {
        let image = empty_image(100 * MIB);
        let id = Uuid::from_bytes([1; 16]);
        for (start, len) in [(0, MIB), (MIB, 99 * MIB), (MIB + 512, MIB), (MIB, 0), (u64::MAX - MIB + 1, MIB)] {
            let error = write(image.as_file(), 100 * MIB, id, &[Partition::new(ESP, id, "p", start, len)]).unwrap_err();
            assert!(matches!(error, GptError::Misfit { .. }), "{error}");
        }
        for len in [0, 512, MIB] {
            assert!(matches!(write(image.as_file(), len, id, &[]), Err(GptError::Invalid { .. })));
        }
        let [esp, root] = partitions();
        assert!(write(image.as_file(), 100 * MIB, id, &[root, esp]).is_err());
        assert!(matches!(read(image.as_file(), 100 * MIB), Err(GptError::Invalid { .. })));
        write(image.as_file(), 100 * MIB, id, &partitions()).unwrap();
        Region::new(image.as_file(), 0, 100 * MIB).write_all_at(&[1], 1024 + 200).unwrap();
        let error = read(image.as_file(), 100 * MIB).unwrap_err().to_string();
        assert!(error.contains("table's checksum"), "{error}");
    }
}
