//! Sprig's encodings, hashes and environment.

use super::{Cx, Registry, Text};
use crate::template::context::Fault;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};

pub(super) fn register(registry: &mut Registry) {
    registry.add("b64enc", |text: Text| base64(text.as_bytes()));
    registry.add("b64dec", |text: Text| BASE64.decode(&text));
    registry.add("b32enc", |text: Text| BASE32.encode(text.as_bytes()));
    registry.add("b32dec", |text: Text| BASE32.decode(&text));
    registry.add("sha1sum", |text: Text| hex(&Sha1::digest(text.as_bytes())));
    registry.add("sha256sum", |text: Text| hex(&Sha256::digest(text.as_bytes())));
    registry.add("sha512sum", |text: Text| hex(&Sha512::digest(text.as_bytes())));
    registry.add("adler32sum", |text: Text| adler32(text.as_bytes()).to_string());
    registry.add("env", |cx: Cx, name: Text| cx.env(&name).unwrap_or("").to_owned());
    registry.add("expandenv", |cx: Cx, text: Text| {
        let mut out = crate::template::format::Sink::new(&cx);
        expand(&text, |piece| out.push(piece), |name| cx.env(name).unwrap_or(""))?;
        out.finish()
    });
}

/// Base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    b << 16 | a
}

/// An encoding of RFC 4648: bits in groups of characters, filled up with `=`.
struct Radix {
    name: &'static str,
    alphabet: &'static str,
    /// The bits that a character stands for.
    bits: u32,
    /// The characters of a group.
    group: usize,
    /// The counts of characters that may stand in the last group.
    last: &'static [usize],
}

const BASE64: Radix = Radix {
    name: "base64",
    alphabet: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    bits: 6,
    group: 4,
    last: &[2, 3, 4],
};
const BASE32: Radix =
    Radix { name: "base32", alphabet: "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", bits: 5, group: 8, last: &[2, 4, 5, 7, 8] };

impl Radix {
    fn encode(&self, bytes: &[u8]) -> String {
        let alphabet = self.alphabet.as_bytes();
        let mut out = String::with_capacity(bytes.len() * 2);
        let (mut buffer, mut held) = (0_u32, 0);
        let mut write = |value: u32| {
            let at = usize::try_from(value & ((1 << self.bits) - 1)).unwrap_or(0);
            out.push(alphabet.get(at).copied().map_or('=', char::from));
        };
        for byte in bytes {
            buffer = (buffer << 8 | u32::from(*byte)) & 0xffff;
            held += 8;
            while held >= self.bits {
                held -= self.bits;
                write(buffer >> held);
            }
        }
        if held > 0 {
            write(buffer << (self.bits - held));
        }
        while !out.len().is_multiple_of(self.group) {
            out.push('=');
        }
        out
    }

    /// The text, or what Go says of text that is wrong: Sprig gives the error as the result.
    fn decode(&self, text: &str) -> Result<String, Fault> {
        match self.bytes(text) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| Fault::new("the decoded bytes are not UTF-8 text")),
            Err(at) => Ok(format!("illegal {} data at input byte {at}", self.name)),
        }
    }

    fn bytes(&self, text: &str) -> Result<Vec<u8>, usize> {
        // Line ends may stand anywhere.
        let characters: Vec<(usize, u8)> =
            text.bytes().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n')).collect();
        let mut out = Vec::with_capacity(characters.len());
        let groups = characters.chunks(self.group);
        let count = groups.len();
        for (i, group) in groups.enumerate() {
            let start = group.first().map_or(0, |(at, _)| *at);
            let data = group.iter().position(|(_, byte)| *byte == b'=').unwrap_or(group.len());
            let (mut buffer, mut held) = (0_u64, 0);
            for (at, byte) in group.iter().take(data) {
                let value = self.alphabet.bytes().position(|known| known == *byte).ok_or(*at)?;
                buffer = buffer << self.bits | value as u64;
                held += self.bits;
            }
            if group.iter().skip(data).any(|(_, byte)| *byte != b'=') {
                return Err(group.get(data).map_or(start, |(at, _)| *at));
            }
            if group.len() < self.group || !self.last.contains(&data) {
                return Err(if data == group.len() { start } else { group.get(data).map_or(start, |(at, _)| *at) });
            }
            if data < self.group && i + 1 < count {
                return Err(group.last().map_or(start, |(at, _)| at + 1));
            }
            while held >= 8 {
                held -= 8;
                out.push((buffer >> held & 0xff) as u8);
            }
        }
        Ok(out)
    }
}

/// Replaces `$name` and `${name}` as Go's os.Expand.
fn expand<'a>(
    text: &'a str,
    mut write: impl FnMut(&'a str) -> Result<(), Fault>,
    value: impl Fn(&str) -> &'a str,
) -> Result<(), Fault> {
    let is_special = |c: char| matches!(c, '*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9');
    let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        let Some(after) = rest.get(start + 1..).filter(|after| !after.is_empty()) else { break };
        write(rest.get(..start).unwrap_or(""))?;
        if let Some(inside) = after.strip_prefix('{') {
            let special = inside.chars().next().filter(|c| is_special(*c) && inside.get(1..2) == Some("}"));
            let end = if special.is_some() { Some(1) } else { inside.find('}') };
            match end {
                // Without an end, or with nothing inside, the marks are dropped.
                None => rest = inside,
                Some(end) => {
                    write(value(inside.get(..end).unwrap_or("")))?;
                    rest = inside.get(end + 1..).unwrap_or("");
                }
            }
        } else if after.starts_with(is_special) {
            write(value(after.get(..1).unwrap_or("")))?;
            rest = after.get(1..).unwrap_or("");
        } else {
            let length = after.find(|c| !is_name(c)).unwrap_or(after.len());
            match length {
                0 => write("$")?,
                length => write(value(after.get(..length).unwrap_or("")))?,
            }
            rest = after.get(length..).unwrap_or("");
        }
    }
    write(rest)
}
