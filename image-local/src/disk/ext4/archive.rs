//! Tar members as a file system wants them.
//!
//! The framing is read here and not by `tar::Archive`, because that splits pax records at newlines, which a binary
//! extended attribute may contain, and because pax sizes, owners and times must all count.

use std::io::{self, BufReader, Read};

use tar::{EntryType, Header};

use super::error::Ext4Error;

const RECORD: u64 = 512;
/// Pax records and long names are held in memory; attributes larger than this do not fit an inode anyway.
const EXTENSION_LIMIT: u64 = 4 << 20;

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MemberKind {
    BlockDevice { major: u32, minor: u32 },
    CharacterDevice { major: u32, minor: u32 },
    Directory,
    Fifo,
    HardLink { target: Vec<u8> },
    Regular,
    Symlink { target: Vec<u8> },
}

/// A point in time as tar has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Timestamp {
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

/// One member without its data.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) path: Vec<u8>,
    pub(super) kind: MemberKind,
    /// The twelve permission bits.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timestamp,
    pub(super) size: u64,
    /// Full names (`security.capability`) and values.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Extension records that apply to the next member, or to all that follow.
#[derive(Clone, Debug, Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<Timestamp>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A tar stream that is read once, from front to back.
#[derive(Debug)]
pub(super) struct Archive<R> {
    reader: BufReader<R>,
    offset: u64,
    body: u64,
    padding: u64,
    global: Extensions,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(reader: R) -> Self {
        let reader = BufReader::with_capacity(1 << 16, reader);
        Self { reader, offset: 0, body: 0, padding: 0, global: Extensions::default() }
    }

    /// The next member, or `None` at the end-of-archive mark. What is left of the current member is skipped.
    pub(super) fn next_member(&mut self) -> Result<Option<Member>, Ext4Error> {
        let mut local = self.global.clone();
        loop {
            self.skip(self.body + self.padding)?;
            (self.body, self.padding) = (0, 0);
            let mut header = Header::new_old();
            self.fill(header.as_mut_bytes())?;
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                // A writer at the other end of a pipe must not be killed while it pads the last record.
                io::copy(&mut self.reader, &mut io::sink()).map_err(Ext4Error::read)?;
                return Ok(None);
            }
            self.verify(&header)?;
            let kind = header.entry_type();
            let size = header.entry_size().map_err(|error| self.damaged(error.to_string()))?;
            match kind {
                EntryType::GNULongName => local.path = Some(until_nul(self.extension(size)?)),
                EntryType::GNULongLink => local.link = Some(until_nul(self.extension(size)?)),
                EntryType::XHeader => {
                    let records = self.extension(size)?;
                    self.apply(&records, &mut local)?;
                }
                EntryType::XGlobalHeader => {
                    let records = self.extension(size)?;
                    let mut global = std::mem::take(&mut self.global);
                    self.apply(&records, &mut global)?;
                    self.global = global;
                    local = self.global.clone();
                }
                _ => return self.member(&header, size, local).map(Some),
            }
        }
    }

    /// Reads up to `buffer.len()` bytes of the current member's data; less only at its end.
    pub(super) fn read_body(&mut self, buffer: &mut [u8]) -> Result<usize, Ext4Error> {
        let count = buffer.len().min(usize::try_from(self.body).unwrap_or(usize::MAX));
        self.fill(&mut buffer[..count])?;
        self.body -= count as u64;
        Ok(count)
    }

    fn member(&mut self, header: &Header, header_size: u64, local: Extensions) -> Result<Member, Ext4Error> {
        let path = local.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let number = |value: io::Result<u64>, field: &str| {
            value.map_err(|error| Ext4Error::member(&path, format!("{field} is not a number: {error}")))
        };
        let id = |value: Option<u64>, header: io::Result<u64>, field: &str| {
            let id = value.map_or_else(|| number(header, field), Ok)?;
            u32::try_from(id).map_err(|_| Ext4Error::member(&path, format!("{field} {id} is above {}", u32::MAX)))
        };
        let uid = id(local.uid, header.uid(), "uid")?;
        let gid = id(local.gid, header.gid(), "gid")?;
        let mode = header.mode().map_err(|error| Ext4Error::member(&path, format!("mode is not a number: {error}")))?;
        let mtime = match local.mtime {
            Some(mtime) => mtime,
            // Base-256 fields hold two's complement, so a time before 1970 arrives as a huge unsigned number.
            None => Timestamp { seconds: number(header.mtime(), "mtime")?.cast_signed(), nanoseconds: 0 },
        };
        let link = || {
            let target = local.link.clone().or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
            target.filter(|target| !target.is_empty()).ok_or_else(|| Ext4Error::member(&path, "link has no target"))
        };
        let device = || {
            let part = |value: io::Result<Option<u32>>| match value {
                Ok(Some(number)) => Ok(number),
                Ok(None) => Err(Ext4Error::member(&path, "device has no number")),
                Err(error) => Err(Ext4Error::member(&path, format!("device number is not a number: {error}"))),
            };
            Ok::<_, Ext4Error>((part(header.device_major())?, part(header.device_minor())?))
        };
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => MemberKind::Directory,
            EntryType::Regular | EntryType::Continuous => MemberKind::Regular,
            EntryType::Link => MemberKind::HardLink { target: link()? },
            EntryType::Symlink => MemberKind::Symlink { target: link()? },
            EntryType::Directory => MemberKind::Directory,
            EntryType::Fifo => MemberKind::Fifo,
            EntryType::Char => device().map(|(major, minor)| MemberKind::CharacterDevice { major, minor })?,
            EntryType::Block => device().map(|(major, minor)| MemberKind::BlockDevice { major, minor })?,
            EntryType::GNUSparse => return Err(Ext4Error::member(&path, "sparse members are not supported")),
            other => {
                let flag = char::from(other.as_byte());
                return Err(Ext4Error::member(&path, format!("member type {flag:?} is not supported")));
            }
        };
        let size = local.size.unwrap_or(header_size);
        if kind != MemberKind::Regular && size != 0 {
            return Err(Ext4Error::member(
                &path,
                format!("{size} bytes of data, but only a regular file may have any"),
            ));
        }
        self.body = size;
        self.padding = padding(size);
        Ok(Member { path, kind, mode: (mode & 0o7777) as u16, uid, gid, mtime, size, xattrs: local.xattrs })
    }

    /// Reads pax records: `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record.
    fn apply(&self, mut records: &[u8], into: &mut Extensions) -> Result<(), Ext4Error> {
        while !records.is_empty() {
            let (key, value, rest) = pax_record(records).ok_or_else(|| self.damaged("pax record is malformed"))?;
            records = rest;
            let number = || {
                let text = std::str::from_utf8(value).ok();
                let number = text.and_then(|text| text.parse().ok());
                number.ok_or_else(|| self.damaged(format!("pax record {} is no number", String::from_utf8_lossy(key))))
            };
            match key {
                b"path" => into.path = Some(value.to_vec()),
                b"linkpath" => into.link = Some(value.to_vec()),
                b"size" => into.size = Some(number()?),
                b"uid" => into.uid = Some(number()?),
                b"gid" => into.gid = Some(number()?),
                b"mtime" => {
                    let mtime = decimal_time(value).ok_or_else(|| self.damaged("pax record mtime is no time"))?;
                    into.mtime = Some(mtime);
                }
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(self.damaged("sparse members are not supported"));
                }
                // Dropping an access rule silently would open a file to others.
                _ if key.starts_with(b"SCHILY.acl.") => {
                    return Err(self.damaged("ACLs in text form (SCHILY.acl) are not supported, write them as xattrs"));
                }
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        into.xattrs.retain(|(other, _)| other != name);
                        into.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Ext4Error> {
        if size > EXTENSION_LIMIT {
            return Err(self.damaged(format!("extension record of {size} bytes, the limit is {EXTENSION_LIMIT}")));
        }
        let mut data = vec![0; size as usize];
        self.fill(&mut data)?;
        self.padding = padding(size);
        Ok(data)
    }

    fn verify(&self, header: &Header) -> Result<(), Ext4Error> {
        let stated = header.cksum().map_err(|error| self.damaged(error.to_string()))?;
        let bytes = header.as_bytes();
        let sum = |range: &[u8]| range.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        // The checksum field itself counts as eight spaces.
        let found = sum(&bytes[..148]) + 8 * u32::from(b' ') + sum(&bytes[156..]);
        if stated == found {
            return Ok(());
        }
        Err(self.damaged(format!("header checksum is {stated}, but the header sums up to {found}")))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Ext4Error> {
        self.reader.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("the archive ends early"),
            _ => Ext4Error::read(error),
        })?;
        self.offset += buffer.len() as u64;
        Ok(())
    }

    fn skip(&mut self, count: u64) -> Result<(), Ext4Error> {
        let skipped = io::copy(&mut self.reader.by_ref().take(count), &mut io::sink()).map_err(Ext4Error::read)?;
        self.offset += skipped;
        if skipped < count { Err(self.damaged("the archive ends early")) } else { Ok(()) }
    }

    fn damaged(&self, reason: impl Into<String>) -> Ext4Error {
        Ext4Error::Archive { offset: self.offset, reason: reason.into() }
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % RECORD
}

fn until_nul(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|byte| *byte == 0) {
        name.truncate(end);
    }
    name
}

/// Splits the first pax record off: key, value, rest.
fn pax_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &records[length..]))
}

/// A pax time: seconds with an optional sign and fraction. Digits beyond nanoseconds are cut off.
fn decimal_time(value: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}")[..9].parse().ok()?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some(Timestamp { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds });
    }
    Some(Timestamp { seconds, nanoseconds })
}
