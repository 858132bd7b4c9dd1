//! The frame around an answer: what makes a cut, old, mixed or damaged one an error.
//!
//! ```text
//! image-test-probe/1 NONCE ENCODING LENGTH ALGORITHM:DIGEST PLACE
//! the encoded records, LENGTH bytes
//! ```
//! The digest is of the nonce, a line feed and the records before their encoding: SHA-256, or the CRC of `cksum(1)` where
//! a machine has no tool for that. It finds damage; a machine that wants to lie about itself can, over any protocol.
//! `PLACE` is `-` when all of it is here, the index of the directory that holds it when this is its first page, `!`
//! when there was no place for it.

use super::ProbeError;
use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::bufread::GzDecoder;
use image_core::sha256;
use std::{borrow::Cow, fmt, io::Read};

/// Bytes that a header may take: names of 18 and 11 bytes, nonce of 32, digest of 71, two numbers and separators.
pub(super) const HEADER_ROOM: usize = 192;
/// Where an answer may be kept between two commands, in memory before on disk. A header tells the index.
pub(super) const STORES: [&str; 4] = ["/run", "/dev/shm", "/tmp", "/var/tmp"];

/// What ties an answer to its question: 128 random bits.
#[derive(Clone, Eq, PartialEq)]
pub struct Nonce(String);

impl Nonce {
    /// A new one.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }

    /// The nonce of these bits, for answers that were recorded.
    pub fn of(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }

    /// In hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({})", self.0)
    }
}

/// Where an answer is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Behind the header.
    Here,
    /// On the machine, with its first page behind the header.
    Stored(&'static str),
    /// Nowhere.
    Lost,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Encoding {
    Base64,
    GzipBase64,
    GzipHex,
    Hex,
    Plain,
}

impl Encoding {
    fn parse(name: &str) -> Option<Self> {
        [Self::Base64, Self::GzipBase64, Self::GzipHex, Self::Hex, Self::Plain].into_iter().find(|e| e.name() == name)
    }
    fn name(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::GzipBase64 => "gzip+base64",
            Self::GzipHex => "gzip+hex",
            Self::Hex => "hex",
            Self::Plain => "plain",
        }
    }

    fn decode(self, bytes: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, ProbeError> {
        let wrong = || ProbeError::Encoding { encoding: self.name() };
        let raw = match self {
            Self::Plain => Cow::Borrowed(bytes),
            Self::Hex | Self::GzipHex => Cow::Owned(from_hex(bytes).ok_or_else(wrong)?),
            Self::Base64 | Self::GzipBase64 => Cow::Owned(BASE64_STANDARD.decode(bytes).map_err(|_| wrong())?),
        };
        let decoded = match self {
            Self::GzipBase64 | Self::GzipHex => Cow::Owned(gunzip(&raw, limit).ok_or_else(wrong)?),
            _ => raw,
        };
        if decoded.len() > limit { Err(ProbeError::TooLarge { limit }) } else { Ok(decoded) }
    }
}

/// At most one byte more than the limit; none where it is no gzip stream or something follows it.
fn gunzip(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut rest = bytes;
    let mut decoded = vec![];
    let mut reader = GzDecoder::new(&mut rest).take(limit as u64 + 1);
    reader.read_to_end(&mut decoded).ok()?;
    (decoded.len() > limit || rest.is_empty()).then_some(decoded)
}

/// Bytes of lower-case hexadecimal digits.
pub(super) fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(value(*pair.first()?)? << 4 | value(*pair.last()?)?)).collect()
}

/// An answer whose header was read.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    encoding: Encoding,
    digest: &'a str,
    pub(super) place: Place,
    /// Bytes of the whole answer after the header.
    pub(super) length: usize,
    /// The bytes after the header: all of the answer, or a page.
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(super) fn parse(answer: &'a [u8], nonce: &Nonce) -> Result<Self, ProbeError> {
        let header = || {
            let found = answer.get(..answer.len().min(80)).unwrap_or_default();
            ProbeError::Header { found: String::from_utf8_lossy(found).into_owned() }
        };
        let end = answer.iter().take(HEADER_ROOM).position(|byte| *byte == b'\n').ok_or_else(header)?;
        let (line, payload) = answer.split_at(end);
        let line = std::str::from_utf8(line).map_err(|_| header())?;
        let [protocol, found, encoding, length, digest, place] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(header());
        };
        if protocol != "image-test-probe/1" {
            return Err(header());
        }
        if found != nonce.as_str() {
            return Err(ProbeError::Nonce);
        }
        let place = match place {
            "-" => Place::Here,
            "!" => Place::Lost,
            index => {
                let index = super::record::number(index.as_bytes()).ok_or_else(header)?;
                Place::Stored(STORES.get(index).copied().ok_or_else(header)?)
            }
        };
        let length = super::record::number(length.as_bytes()).ok_or_else(header)?;
        let encoding = Encoding::parse(encoding).ok_or_else(header)?;
        Ok(Self { encoding, digest, place, length, payload: payload.get(1..).unwrap_or_default() })
    }

    /// The records, when all of them are in `payload` as the machine read them.
    pub(super) fn open<'b>(&self, payload: &'b [u8], nonce: &Nonce, limit: usize) -> Result<Cow<'b, [u8]>, ProbeError> {
        // A channel may add or keep the line feed that ends a text.
        let payload = match payload.split_last() {
            Some((b'\n', whole)) if whole.len() == self.length => whole,
            _ => payload,
        };
        if payload.len() != self.length {
            return Err(ProbeError::Length { expected: self.length, found: payload.len() });
        }
        if self.digest == "none" {
            return Err(ProbeError::NoDigest);
        }
        let records = self.encoding.decode(payload, limit)?;
        let signed = [nonce.as_str().as_bytes(), b"\n", &records].concat();
        let matches = match self.digest.split_once(':') {
            Some(("sha256", digest)) => digest == sha256(&signed),
            Some(("cksum", digest)) => digest == cksum(&signed).to_string(),
            _ => false,
        };
        if matches { Ok(records) } else { Err(ProbeError::Digest) }
    }
}

/// The script's first line when the machine cannot decode it.
pub(super) fn is_undecoded(answer: &[u8], nonce: &Nonce) -> bool {
    answer.trim_ascii_end() == format!("image-test-probe/1 {} undecoded", nonce.as_str()).as_bytes()
}

/// The bytes of a further page.
pub(super) fn page<'a>(answer: &'a [u8], nonce: &Nonce, number: usize) -> Result<&'a [u8], ProbeError> {
    let header = format!("image-test-page/1 {} {number} -\n", nonce.as_str());
    answer.strip_prefix(header.as_bytes()).ok_or(ProbeError::Page { number })
}

/// The CRC of `cksum(1)` as POSIX has it: of the bytes, then of their number, the lowest byte first.
fn cksum(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0_u32; 256];
        let mut index = 0;
        while index < 256 {
            let mut crc = (index as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    };
    let length = bytes.len().to_le_bytes();
    let length = &length[..length.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)];
    let step = |crc: u32, byte: &u8| crc << 8 ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)];
    !bytes.iter().chain(length).fold(0, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_crc_is_the_one_of_posix() {
        assert_eq!(cksum(b""), 4_294_967_295);
        assert_eq!(cksum(b"123456789"), 930_766_865);
        assert_eq!(cksum(&[b'a'; 1000]), 145_108_180);
    }

    #[test]
    fn a_decompression_bomb_stops_at_the_limit() {
        let bomb = BASE64_STANDARD.encode(gzip(&vec![0; 64 << 20]));
        let error = Encoding::GzipBase64.decode(bomb.as_bytes(), 1000).unwrap_err();
        assert_eq!(error, ProbeError::TooLarge { limit: 1000 });
    }

    #[test]
    fn nothing_may_follow_a_compressed_stream() {
        let twice = BASE64_STANDARD.encode([gzip(b"a"), gzip(b"b")].concat());
        assert!(matches!(Encoding::GzipBase64.decode(twice.as_bytes(), 1000), Err(ProbeError::Encoding { .. })));
    }

    #[test]
    fn a_header_is_exact() {
        let nonce = Nonce::of(7);
        let head = format!("image-test-probe/1 {}", nonce.as_str());
        let digest = format!("sha256:{}", sha256(format!("{}\nend 0", nonce.as_str())));
        let whole = format!("{head} plain 5 {digest} -\nend 0");
        let frame = Frame::parse(whole.as_bytes(), &nonce).unwrap();
        assert_eq!(&*frame.open(frame.payload, &nonce, 100).unwrap(), b"end 0");
        assert_eq!(Frame::parse(whole.as_bytes(), &Nonce::of(8)).unwrap_err(), ProbeError::Nonce);
        for (answer, accepted) in [
            (format!("motd\n{whole}"), false),
            (whole.replace("/1", "/2"), false),
            (whole.replace(" -\n", " 4\n"), false),
            (whole.replace(" -\n", " 3\n"), true),
            (whole.replace(" 5 ", " 05 "), false),
            (whole.replace("plain", "zip"), false),
            (String::new(), false),
        ] {
            assert_eq!(Frame::parse(answer.as_bytes(), &nonce).is_ok(), accepted, "{answer}");
        }
        for answer in [whole.replace("end 0", "end"), format!("{whole} "), whole.replace("end 0", "end 1")] {
            let frame = Frame::parse(answer.as_bytes(), &nonce).unwrap();
            assert!(frame.open(frame.payload, &nonce, 100).is_err(), "{answer}");
        }
    }
}
