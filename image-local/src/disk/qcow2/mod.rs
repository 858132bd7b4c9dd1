//! qcow2 images (QEMU's format, version 3): from sparse raw disks, and as overlays over them.

mod format;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use thiserror::Error;

use super::sparse::{DataRanges, is_zero};
use format::{CLUSTER, L1_LIMIT, TABLE, ZERO};
use writer::Writer;

/// QEMU reads no longer name of a backing file.
const PATH_LIMIT: usize = 1023;

/// Why an image could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Qcow2Error {
    /// The backing file cannot be used.
    #[error("backing file is not usable: {reason}")]
    Backing {
        /// Why not.
        reason: &'static str,
    },
    /// Reading or writing failed.
    #[error("failed to {operation}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A patch lies outside the image, or overlaps the one before it.
    #[error("patch of {len} bytes at {offset} overlaps another one or the end of the image at {virtual_size}")]
    Patch {
        /// Where the patch starts, in bytes.
        offset: u64,
        /// Its length in bytes.
        len: u64,
        /// The size of the image in bytes.
        virtual_size: u64,
    },
    /// The image cannot have that size.
    #[error("virtual size is {given} bytes, but must be a multiple of 512 and at most {limit}")]
    Size {
        /// The size in bytes that was asked for.
        given: u64,
        /// The largest size in bytes.
        limit: u64,
    },
}

/// How the data of an image is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// As it is.
    #[default]
    Plain,
    /// With deflate, where that makes it smaller: slower to write, much smaller to keep.
    Deflate,
}

/// The format of a backing file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackingFormat {
    /// A raw disk.
    Raw,
}

/// Converts a raw disk to a qcow2 image at `out`, which is made or overwritten. Holes and zeros take no room in it; the
/// same disk gives the same bits.
///
/// # Errors
///
/// If reading or writing fails, or the disk's size is no multiple of 512.
pub fn convert(raw: &Path, out: &Path, encoding: Encoding) -> Result<(), Qcow2Error> {
    let source = File::open(raw).map_err(io("open the raw disk"))?;
    let virtual_size = check_size(source.metadata().map_err(io("read the raw disk's size"))?.len())?;
    let target = File::create(out).map_err(io("create the qcow2 image"))?;
    let mut writer = Writer::new(&target);
    let mut data = vec![0; CLUSTER as usize];
    let mut next = 0;
    for range in DataRanges::new(&source).map_err(io("read the raw disk"))? {
        let range = range.map_err(io("read the raw disk"))?;
        // A cluster may have been reached by the range before.
        for guest in next.max(range.start / CLUSTER)..range.end.div_ceil(CLUSTER) {
            read_cluster(&source, guest, virtual_size, &mut data).map_err(io("read the raw disk"))?;
            next = guest + 1;
            if !is_zero(&data) {
                put(&mut writer, guest, &data, encoding).map_err(io("write the qcow2 image"))?;
            }
        }
    }
    writer.finish(virtual_size, None).map_err(io("write the qcow2 image"))
}

/// Writes an image to `out`, which is made or overwritten, that reads as the `backing` disk but for `patches` (byte
/// offsets and data, in ascending order). Of the backing file only what shares a cluster with a patch is read. Its path
/// is stored absolute, so `out` may be moved, the backing file not.
///
/// # Errors
///
/// If a patch lies outside the image, the backing file is larger than it, or reading or writing fails.
pub fn overlay(
    backing: &Path,
    backing_format: BackingFormat,
    virtual_size: u64,
    patches: &[(u64, Vec<u8>)],
    out: &Path,
) -> Result<(), Qcow2Error> {
    check_size(virtual_size)?;
    let BackingFormat::Raw = backing_format;
    let path = backing.canonicalize().map_err(io("find the backing file"))?;
    let name = path.as_os_str().as_bytes();
    if name.len() > PATH_LIMIT {
        return Err(Qcow2Error::Backing { reason: "its path is longer than 1023 bytes" });
    }
    let source = File::open(&path).map_err(io("open the backing file"))?;
    let len = source.metadata().map_err(io("read the backing file's size"))?.len();
    if len > virtual_size {
        return Err(Qcow2Error::Backing { reason: "it is larger than the image" });
    }
    let mut clusters = BTreeMap::new();
    let mut free = 0;
    for (offset, patch) in patches {
        let end = offset.checked_add(patch.len() as u64).filter(|end| *end <= virtual_size && *offset >= free);
        free = end.ok_or(Qcow2Error::Patch { offset: *offset, len: patch.len() as u64, virtual_size })?;
        let mut done = 0;
        while done < patch.len() {
            let at = offset + done as u64;
            let (guest, start) = (at / CLUSTER, (at % CLUSTER) as usize);
            let count = (CLUSTER as usize - start).min(patch.len() - done);
            let cluster: &mut Vec<u8> = match clusters.entry(guest) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let mut data = vec![0; CLUSTER as usize];
                    read_cluster(&source, guest, len, &mut data).map_err(io("read the backing file"))?;
                    entry.insert(data)
                }
            };
            cluster[start..start + count].copy_from_slice(&patch[done..done + count]);
            done += count;
        }
    }
    let target = File::create(out).map_err(io("create the qcow2 image"))?;
    let mut writer = Writer::new(&target);
    for (guest, data) in clusters {
        if is_zero(&data) {
            writer.mark(guest, ZERO);
        } else {
            writer.put(guest, &data).map_err(io("write the qcow2 image"))?;
        }
    }
    writer.finish(virtual_size, Some((name, "raw"))).map_err(io("write the qcow2 image"))
}

fn put(writer: &mut Writer<'_>, guest: u64, data: &[u8], encoding: Encoding) -> io::Result<()> {
    if encoding == Encoding::Deflate {
        // QEMU's own writer keeps to a window of 4 KiB; its reader has the whole cluster at hand and takes any distance.
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data)?;
        let compressed = encoder.finish()?;
        if compressed.len() < data.len() {
            return writer.put_compressed(guest, &compressed);
        }
    }
    writer.put(guest, data)
}

/// Fills `data` with a cluster of a raw file of `len` bytes; what lies behind its end is zero.
fn read_cluster(file: &File, guest: u64, len: u64, data: &mut [u8]) -> io::Result<()> {
    let at = guest * CLUSTER;
    let count = len.saturating_sub(at).min(CLUSTER) as usize;
    data[count..].fill(0);
    file.read_exact_at(&mut data[..count], at)
}

fn check_size(size: u64) -> Result<u64, Qcow2Error> {
    let limit = L1_LIMIT * TABLE * CLUSTER;
    if size > limit || !size.is_multiple_of(512) {
        return Err(Qcow2Error::Size { given: size, limit });
    }
    Ok(size)
}

fn io(operation: &'static str) -> impl Fn(io::Error) -> Qcow2Error {
    move |source| Qcow2Error::Io { operation, source }
}
