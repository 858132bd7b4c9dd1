//! Archives for tests, honest and hostile: every field can be set to anything.

use super::header::checksum;

#[derive(Debug, Clone)]
pub(in super::super) struct Raw {
    block: [u8; 512],
    body: Vec<u8>,
}

impl Raw {
    pub(in super::super) fn new(flag: u8, name: &str) -> Self {
        let mut block = [0; 512];
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[156] = flag;
        let raw = Self { block, body: Vec::new() };
        raw.field(0, name.as_bytes()).field(100, b"0000644\0").field(136, b"00000000144\0").field(124, b"00000000000\0")
    }

    pub(in super::super) fn field(mut self, at: usize, value: &[u8]) -> Self {
        self.block[at..at + value.len()].copy_from_slice(value);
        self
    }

    pub(in super::super) fn link(self, target: &str) -> Self {
        self.field(157, target.as_bytes())
    }

    pub(in super::super) fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.field(124, format!("{:011o}\0", body.len()).as_bytes())
    }
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Builder(Vec<u8>);

impl Builder {
    pub(in super::super) fn raw(mut self, mut raw: Raw) -> Self {
        let sum = checksum(&raw.block, i64::from);
        raw.block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&raw.block);
        self.0.extend_from_slice(&raw.body);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(in super::super) fn file(self, name: &str, content: &[u8]) -> Self {
        self.raw(Raw::new(b'0', name).body(content))
    }

    pub(in super::super) fn directory(self, name: &str) -> Self {
        self.raw(Raw::new(b'5', name).field(100, b"0000755\0"))
    }

    pub(in super::super) fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(Raw::new(b'2', name).link(target))
    }

    pub(in super::super) fn hard_link(self, name: &str, target: &str) -> Self {
        self.raw(Raw::new(b'1', name).link(target))
    }

    pub(in super::super) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            super::pax::push(&mut body, key.as_bytes(), value);
        }
        self.raw(Raw::new(b'x', "PaxHeader").body(&body))
    }

    pub(in super::super) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
