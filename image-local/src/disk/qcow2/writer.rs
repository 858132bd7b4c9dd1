//! A qcow2 file that grows cluster by cluster, in order; tables follow when all data is there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::format::{CLUSTER, COMPRESSED, COMPRESSED_OFFSET_BITS, COPIED, COUNTS, Header, TABLE};

/// A file under construction. The first cluster is the header's.
#[derive(Debug)]
pub(super) struct Writer<'f> {
    file: &'f File,
    /// Where the next data goes, in bytes.
    end: u64,
    /// Entries by guest cluster.
    entries: BTreeMap<u64, u64>,
    /// How many compressed clusters lie in each cluster of the file; others hold one thing.
    shared: BTreeMap<u64, u16>,
}

impl<'f> Writer<'f> {
    pub(super) fn new(file: &'f File) -> Self {
        Self { file, end: CLUSTER, entries: BTreeMap::new(), shared: BTreeMap::new() }
    }

    /// Adds a guest cluster as it is.
    pub(super) fn put(&mut self, guest: u64, data: &[u8]) -> io::Result<()> {
        let at = self.reserve(1);
        self.file.write_all_at(data, at)?;
        self.entries.insert(guest, at | COPIED);
        Ok(())
    }

    /// Adds a guest cluster that was compressed to less than its size; such clusters lie close together.
    pub(super) fn put_compressed(&mut self, guest: u64, data: &[u8]) -> io::Result<()> {
        let at = self.end;
        self.end += data.len() as u64;
        self.file.write_all_at(data, at)?;
        let last = self.end - 1;
        // How many 512-byte sectors follow the one that it starts in.
        let sectors = last / 512 - at / 512;
        self.entries.insert(guest, COMPRESSED | sectors << COMPRESSED_OFFSET_BITS | at);
        for cluster in at / CLUSTER..=last / CLUSTER {
            *self.shared.entry(cluster).or_insert(0) += 1;
        }
        Ok(())
    }

    /// Adds an entry without data.
    pub(super) fn mark(&mut self, guest: u64, entry: u64) {
        self.entries.insert(guest, entry);
    }

    /// Writes the tables and the header, and gives the file its length.
    pub(super) fn finish(mut self, virtual_size: u64, backing: Option<(&[u8], &str)>) -> io::Result<()> {
        let l1_entries = virtual_size.div_ceil(CLUSTER * TABLE);
        let mut l1 = vec![0; l1_entries as usize];
        let mut entries = std::mem::take(&mut self.entries).into_iter().peekable();
        while let Some(&(guest, _)) = entries.peek() {
            let index = guest / TABLE;
            let mut table = vec![0; CLUSTER as usize];
            while let Some((guest, entry)) = entries.next_if(|(guest, _)| guest / TABLE == index) {
                let slot = (guest % TABLE * 8) as usize;
                table[slot..slot + 8].copy_from_slice(&entry.to_be_bytes());
            }
            let at = self.reserve(1);
            self.file.write_all_at(&table, at)?;
            l1[index as usize] = at | COPIED;
        }
        let l1_offset = self.reserve((l1_entries * 8).div_ceil(CLUSTER));
        let l1: Vec<u8> = l1.into_iter().flat_map(u64::to_be_bytes).collect();
        self.file.write_all_at(&l1, l1_offset)?;
        let (refcount_offset, refcount_clusters) = self.write_refcounts()?;
        let header = Header { virtual_size, l1_offset, l1_entries, refcount_offset, refcount_clusters, backing };
        self.file.set_len(self.end)?;
        // The header comes last: without it the file is no image.
        self.file.write_all_at(&header.encode(), 0)
    }

    /// Counts the references to every cluster, those of the counts included.
    fn write_refcounts(&mut self) -> io::Result<(u64, u64)> {
        let used = self.reserve(0) / CLUSTER;
        let (mut blocks, mut tables) = (0, 0);
        loop {
            let total = used + blocks + tables;
            let (more, table) = (total.div_ceil(COUNTS), total.div_ceil(COUNTS).div_ceil(TABLE));
            if (more, table) == (blocks, tables) {
                break;
            }
            (blocks, tables) = (more, table);
        }
        let table_at = self.reserve(tables);
        let blocks_at = self.reserve(blocks);
        let total = self.end / CLUSTER;
        let counts = (0..total).map(|cluster| self.shared.get(&cluster).copied().unwrap_or(1));
        let counts: Vec<u8> = counts.flat_map(u16::to_be_bytes).collect();
        self.file.write_all_at(&counts, blocks_at)?;
        let table: Vec<u8> = (0..blocks).flat_map(|block| (blocks_at + block * CLUSTER).to_be_bytes()).collect();
        self.file.write_all_at(&table, table_at)?;
        Ok((table_at, tables))
    }

    /// Takes whole clusters at the end of the file.
    fn reserve(&mut self, clusters: u64) -> u64 {
        let at = self.end.next_multiple_of(CLUSTER);
        self.end = at + clusters * CLUSTER;
        at
    }
}
