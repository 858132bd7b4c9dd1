//! Writing entries in one form: equal entries give equal bytes.

use std::io::{self, BufWriter, Read, Write};

use sha2::{Digest as _, Sha256};

use super::super::digest::Digest;
use super::super::error::RootfsError;
use super::super::path::RootfsPath;
use super::header::{self, checksum};
use super::{BLOCK, Member, MemberKind, pax};

const BUFFER: usize = 128 << 10;

/// Writes ustar headers, preceded by an extended header only where ustar cannot hold a value.
#[derive(Debug)]
pub(in super::super) struct CanonicalWriter<W: Write> {
    output: BufWriter<HashWriter<W>>,
    copy: Box<[u8]>,
}

impl<W: Write> CanonicalWriter<W> {
    pub(in super::super) fn new(output: W) -> Self {
        let output = HashWriter { output, hasher: Sha256::new(), written: 0 };
        Self { output: BufWriter::with_capacity(BUFFER, output), copy: vec![0; BUFFER].into() }
    }

    /// Writes one entry; `content` must have exactly the declared size. The digest of the content, for a file.
    pub(in super::super) fn write(
        &mut self,
        member: &Member,
        content: &mut dyn Read,
    ) -> Result<Option<Digest>, RootfsError> {
        let written = |source| RootfsError::Write { path: member.path.clone(), source };
        let records = extended(member);
        if !records.is_empty() {
            let header = block(b"PaxHeader", b'x', 0o644, records.len() as u64);
            self.output.write_all(&seal(header)).map_err(written)?;
            self.output.write_all(&records).map_err(written)?;
            self.pad(records.len() as u64).map_err(written)?;
        }
        self.output.write_all(&seal(main_header(member))).map_err(written)?;
        if member.kind != MemberKind::File {
            return Ok(None);
        }
        let mut hasher = Sha256::new();
        let mut remaining = member.size;
        while remaining > 0 {
            let want = usize::try_from(remaining).map_or(BUFFER, |remaining| remaining.min(BUFFER));
            let read = content.read(&mut self.copy[..want]).map_err(RootfsError::from_read)?;
            if read == 0 {
                return Err(RootfsError::from_read(io::ErrorKind::UnexpectedEof.into()));
            }
            hasher.update(&self.copy[..read]);
            self.output.write_all(&self.copy[..read]).map_err(written)?;
            remaining -= read as u64;
        }
        self.pad(member.size).map_err(written)?;
        Ok(Some(Digest::finish(hasher)))
    }

    /// Ends the archive; the digest of all of it and its size.
    pub(in super::super) fn finish(mut self) -> Result<(Digest, u64), RootfsError> {
        let written = |source| RootfsError::Write { path: RootfsPath::root(), source };
        self.output.write_all(&[0; 2 * BLOCK]).map_err(written)?;
        self.output.flush().map_err(written)?;
        let HashWriter { hasher, written, .. } =
            self.output.into_inner().map_err(|error| written(error.into_error()))?;
        Ok((Digest::finish(hasher), written))
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = usize::try_from(size.wrapping_neg() % BLOCK as u64).unwrap_or(0);
        self.output.write_all(&[0; BLOCK][..padding])
    }
}

/// The records that the main header cannot hold, sorted by key.
fn extended(member: &Member) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in &member.xattrs {
        pax::push(&mut body, &pax::xattr_key(name), value);
    }
    let name = name(&member.path, &member.kind);
    let link = link(&member.kind);
    if member.gid > OCTAL_7 {
        pax::push(&mut body, b"gid", member.gid.to_string().as_bytes());
    }
    if str::from_utf8(&name).is_err() || str::from_utf8(link).is_err() {
        pax::push(&mut body, b"hdrcharset", b"BINARY");
    }
    if !fits(link) {
        pax::push(&mut body, b"linkpath", link);
    }
    if !(0..=OCTAL_11).contains(&member.mtime) {
        pax::push(&mut body, b"mtime", member.mtime.to_string().as_bytes());
    }
    if !fits(&name) {
        pax::push(&mut body, b"path", &name);
    }
    if member.size > OCTAL_11.cast_unsigned() {
        pax::push(&mut body, b"size", member.size.to_string().as_bytes());
    }
    if member.uid > OCTAL_7 {
        pax::push(&mut body, b"uid", member.uid.to_string().as_bytes());
    }
    body
}

const OCTAL_7: u32 = (1 << 21) - 1;
const OCTAL_11: i64 = (1 << 33) - 1;

const fn fits(text: &[u8]) -> bool {
    text.len() <= 100 && text.is_ascii()
}

fn name(path: &RootfsPath, kind: &MemberKind) -> Vec<u8> {
    match kind {
        MemberKind::Directory if path.is_root() => b"./".to_vec(),
        MemberKind::Directory => [path.as_bytes(), b"/"].concat(),
        _ => path.as_bytes().to_vec(),
    }
}

fn link(kind: &MemberKind) -> &[u8] {
    match kind {
        MemberKind::HardLink(target) => target.as_bytes(),
        MemberKind::Symlink(target) => target.as_bytes(),
        _ => &[],
    }
}

fn main_header(member: &Member) -> [u8; BLOCK] {
    let flag = match member.kind {
        // A socket has no type of its own; readers know it by its mode, and none is ever written.
        MemberKind::File | MemberKind::Socket => b'0',
        MemberKind::HardLink(_) => b'1',
        MemberKind::Symlink(_) => b'2',
        MemberKind::CharDevice { .. } => b'3',
        MemberKind::BlockDevice { .. } => b'4',
        MemberKind::Directory => b'5',
        MemberKind::Fifo => b'6',
    };
    let size = if member.size > OCTAL_11.cast_unsigned() { 0 } else { member.size };
    let mut block = block(&name(&member.path, &member.kind), flag, member.mode, size);
    put(&mut block, header::LINK, link(&member.kind));
    let small = |id: u32| u64::from(if id > OCTAL_7 { 0 } else { id });
    octal(&mut block, header::UID, small(member.uid));
    octal(&mut block, header::GID, small(member.gid));
    let time = u64::try_from(member.mtime).ok().filter(|time| *time <= OCTAL_11.cast_unsigned());
    octal(&mut block, header::MTIME, time.unwrap_or(0));
    if let MemberKind::BlockDevice { major, minor } | MemberKind::CharDevice { major, minor } = member.kind {
        octal(&mut block, header::MAJOR, small(major));
        octal(&mut block, header::MINOR, small(minor));
    }
    block
}

fn block(name: &[u8], flag: u8, mode: u32, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put(&mut block, header::NAME, name);
    octal(&mut block, header::MODE, mode.into());
    for field in [header::UID, header::GID, header::MTIME, header::MAJOR, header::MINOR] {
        octal(&mut block, field, 0);
    }
    octal(&mut block, header::SIZE, size);
    block[header::TYPE] = flag;
    block[header::MAGIC].copy_from_slice(b"ustar\x0000");
    block
}

/// As much of `text` as fits; an extended header has the rest.
fn put(block: &mut [u8; BLOCK], field: std::ops::Range<usize>, text: &[u8]) {
    let length = text.len().min(field.len());
    block[field][..length].copy_from_slice(&text[..length]);
}

fn octal(block: &mut [u8; BLOCK], field: std::ops::Range<usize>, number: u64) {
    let width = field.len() - 1;
    block[field][..width].copy_from_slice(format!("{number:0width$o}").as_bytes());
}

fn seal(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    let sum = checksum(&block, i64::from);
    block[header::CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

struct HashWriter<W> {
    output: W,
    hasher: Sha256,
    written: u64,
}

impl<W> std::fmt::Debug for HashWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashWriter").field("written", &self.written).finish_non_exhaustive()
    }
}

impl<W: Write> Write for HashWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.output.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
