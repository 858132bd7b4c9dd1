//! CRC-32C as ext4 uses it: started with a seed, never inverted at the end.

/// A running checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// The start of every chain.
    pub(super) fn new() -> Self {
        Self(!0)
    }

    /// Continues the chain over `data`.
    pub(super) fn over(self, data: &[u8]) -> Self {
        // The crate inverts before and after; ext4 does neither between the links of a chain.
        Self(!crc32c::crc32c_append(!self.0, data))
    }

    /// Continues the chain over an inode's number and generation, which seed all that belongs to the inode.
    pub(super) fn over_inode(self, inode: u32) -> Self {
        self.over(&inode.to_le_bytes()).over(&0u32.to_le_bytes())
    }

    /// The value so far.
    pub(super) fn value(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chained_checksum_equals_the_check_value_of_crc32c() {
        // The check value of CRC-32C over "123456789" is e3069283, inverted at its end.
        assert_eq!(!Checksum::new().over(b"1234").over(b"56789").value(), 0xe306_9283);
    }
}
