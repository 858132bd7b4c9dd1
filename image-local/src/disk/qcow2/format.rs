//! The parts of a qcow2 file, version 3, as bytes. All numbers are big-endian.

/// Bytes in a cluster.
pub(super) const CLUSTER: u64 = 1 << CLUSTER_BITS;
const CLUSTER_BITS: u32 = 16;
/// Eight-byte entries in a cluster.
pub(super) const TABLE: u64 = CLUSTER / 8;
/// Two-byte reference counts in a cluster.
pub(super) const COUNTS: u64 = CLUSTER / 2;
/// The cluster is used by nothing else: no snapshot shares it.
pub(super) const COPIED: u64 = 1 << 63;
/// The cluster is compressed.
pub(super) const COMPRESSED: u64 = 1 << 62;
/// The cluster reads as zeros, whatever the backing file has.
pub(super) const ZERO: u64 = 1;
/// Bits of a compressed cluster's entry that say where it lies.
pub(super) const COMPRESSED_OFFSET_BITS: u32 = 62 - (CLUSTER_BITS - 8);
/// What the header's L1 table may have: 32 MiB, as QEMU allows.
pub(super) const L1_LIMIT: u64 = (32 << 20) / 8;

const HEADER: u32 = 104;
const EXTENSION_BACKING_FORMAT: u32 = 0xE279_2ACA;

/// What the header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    pub(super) virtual_size: u64,
    pub(super) l1_offset: u64,
    pub(super) l1_entries: u64,
    pub(super) refcount_offset: u64,
    pub(super) refcount_clusters: u64,
    /// Path and format of the backing file.
    pub(super) backing: Option<(&'a [u8], &'a str)>,
}

impl Header<'_> {
    /// The header, its extensions and the backing file's name.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut header = vec![0; HEADER as usize];
        header[..4].copy_from_slice(b"QFI\xfb");
        for (at, value) in [
            (4, 3),
            (20, CLUSTER_BITS),
            (36, self.l1_entries as u32),
            (56, self.refcount_clusters as u32),
            // Reference counts have 2^4 bits.
            (96, 4),
            (100, HEADER),
        ] {
            header[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
        }
        for (at, value) in [(24, self.virtual_size), (40, self.l1_offset), (48, self.refcount_offset)] {
            header[at..at + 8].copy_from_slice(&u64::to_be_bytes(value));
        }
        if let Some((_, format)) = self.backing {
            header.extend(EXTENSION_BACKING_FORMAT.to_be_bytes());
            header.extend((format.len() as u32).to_be_bytes());
            header.extend(format.as_bytes());
            header.resize(header.len().next_multiple_of(8), 0);
        }
        // The end of the extensions.
        header.extend([0; 8]);
        if let Some((path, _)) = self.backing {
            let at = header.len() as u64;
            header[8..16].copy_from_slice(&at.to_be_bytes());
            header[16..20].copy_from_slice(&(path.len() as u32).to_be_bytes());
            header.extend(path);
        }
        header
    }
}
