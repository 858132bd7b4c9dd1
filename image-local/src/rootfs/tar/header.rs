//! The 512-byte header block.

use std::ops::Range;

use super::{BLOCK, TarError};

pub(super) const NAME: Range<usize> = 0..100;
pub(super) const MODE: Range<usize> = 100..108;
pub(super) const UID: Range<usize> = 108..116;
pub(super) const GID: Range<usize> = 116..124;
pub(super) const SIZE: Range<usize> = 124..136;
pub(super) const MTIME: Range<usize> = 136..148;
pub(super) const CHECKSUM: Range<usize> = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const LINK: Range<usize> = 157..257;
pub(super) const MAGIC: Range<usize> = 257..265;
pub(super) const MAJOR: Range<usize> = 329..337;
pub(super) const MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;

/// A header block whose checksum holds, and where it was found.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) block: [u8; BLOCK],
    pub(super) offset: u64,
}

/// Whether `block` has the checksum of a tar header.
pub(in super::super) fn is_header(block: &[u8; BLOCK]) -> bool {
    let Some(stored) = octal(&block[CHECKSUM]) else { return false };
    let signed = checksum(block, |byte| i64::from(byte.cast_signed()));
    stored == checksum(block, i64::from) || stored == signed
}

/// Old programs summed signed bytes, so the value of a byte is an argument.
pub(super) fn checksum(block: &[u8; BLOCK], value: impl Fn(u8) -> i64) -> i64 {
    let bytes = block.iter().enumerate();
    bytes.map(|(at, &byte)| if CHECKSUM.contains(&at) { i64::from(b' ') } else { value(byte) }).sum()
}

impl Header {
    pub(super) fn check(block: [u8; BLOCK], offset: u64) -> Result<Self, TarError> {
        if is_header(&block) { Ok(Self { block, offset }) } else { Err(TarError::Checksum { offset }) }
    }

    pub(super) const fn flag(&self) -> u8 {
        self.block[TYPE]
    }

    pub(super) fn text(&self, field: Range<usize>) -> &[u8] {
        until_nul(&self.block[field])
    }

    /// The name, with the prefix that only POSIX headers have.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = self.text(NAME);
        // star keeps times where POSIX has the end of the prefix, and says so in the last four bytes.
        let star = &self.block[508..] == b"tar\0";
        let prefix = self.text(PREFIX.start..if star { 476 } else { PREFIX.end });
        if &self.block[MAGIC][..6] == b"ustar\0" && !prefix.is_empty() {
            [prefix, b"/", name].concat()
        } else {
            name.to_vec()
        }
    }

    pub(super) fn number(&self, name: &str, field: Range<usize>) -> Result<i64, TarError> {
        let raw = &self.block[field];
        let number = match raw[0] {
            0x80 => binary(&raw[1..], 0),
            0xff => binary(&raw[1..], 0xff),
            _ => octal(raw),
        };
        number.ok_or_else(|| TarError::Field {
            offset: self.offset,
            field: name.to_owned(),
            value: format!("\"{}\"", raw.escape_ascii()),
            accepted: "an octal or base-256 number of at most 63 bits is accepted",
        })
    }

    pub(super) fn unsigned<T: TryFrom<i64>>(&self, name: &str, field: Range<usize>) -> Result<T, TarError> {
        let number = self.number(name, field)?;
        T::try_from(number).map_err(|_| TarError::Field {
            offset: self.offset,
            field: name.to_owned(),
            value: number.to_string(),
            accepted: "a number from zero up that fits its type is accepted",
        })
    }
}

pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Digits after optional spaces, ended by NUL or space; nothing at all is zero.
fn octal(raw: &[u8]) -> Option<i64> {
    let digits = raw.trim_ascii_start();
    let end = digits.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(digits.len());
    if digits[end..].iter().any(|&byte| byte != 0 && byte != b' ') {
        return None;
    }
    digits[..end].iter().try_fold(0_i64, |number, digit| number.checked_mul(8)?.checked_add(i64::from(digit - b'0')))
}

/// A two's complement number, most significant byte first, of which `sign` fills what lies above the last 8 bytes.
fn binary(raw: &[u8], sign: u8) -> Option<i64> {
    let (above, low) = raw.split_at(raw.len().saturating_sub(8));
    let start = if sign == 0 { 0 } else { -1 };
    let number = low.iter().fold(start, |number: i64, &byte| (number << 8) | i64::from(byte));
    (above.iter().all(|&byte| byte == sign) && (number < 0) == (sign != 0)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (raw, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777777 ", Some(0o77_777_777_777)),
            (b"-0000644", None),
            (b"0000 644", None),
            (b"00006x4\0", None),
            (b"8", None),
        ] {
            assert_eq!(octal(raw), expected, "{}", raw.escape_ascii());
        }
        assert_eq!(binary(&[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0], 0), None);
        assert_eq!(binary(&[0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], 0), None);
        assert_eq!(binary(&[0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0], 0), Some(1 << 33));
        assert_eq!(binary(&[0xff; 11], 0xff), Some(-1));
        assert_eq!(binary(&[0xff; 7], 0xff), Some(-1));
    }
}
