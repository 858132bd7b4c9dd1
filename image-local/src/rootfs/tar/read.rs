//! Reading one entry after the other, in bounded memory.

use std::io::{self, Read};

use super::super::path::{LinkTarget, RootfsPath, escape};
use super::header::{self, Header};
use super::pax::Records;
use super::{BLOCK, Member, MemberKind, TarError};

/// The largest extended header or long name: room for 1 MiB of extended attributes; Linux allows 64 KiB each.
const MAX_EXTENSION: u64 = 1 << 20;
/// The most zeros after the end. GNU tar pads to records of 10 KiB unless asked for more.
const MAX_PADDING: u64 = 8 << 20;
const FILE_TYPE: i64 = 0o170_000;
const SOCKET: i64 = 0o140_000;

/// Whether an archive must end with a block of zeros. Without it, a cut between two entries goes unseen, so only input
/// whose length is proved by other means may do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndMarker {
    Optional,
    Required,
}

#[derive(Debug)]
pub(crate) struct TarReader<R> {
    input: R,
    offset: u64,
    /// Content of the current entry that was not read yet, and the padding behind it.
    remaining: u64,
    padding: u64,
    entry: RootfsPath,
    end: EndMarker,
}

/// The headers that extend the entry that follows them.
#[derive(Debug, Default)]
struct Extensions {
    records: Option<Records>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(input: R, end: EndMarker) -> Self {
        Self { input, offset: 0, remaining: 0, padding: 0, entry: RootfsPath::root(), end }
    }

    /// The next entry, after skipping what is left of the current one; `None` after the end was read and proved.
    pub(crate) fn next_member(&mut self) -> Result<Option<Member>, TarError> {
        self.skip_content()?;
        let mut extensions = Extensions::default();
        loop {
            let offset = self.offset;
            let Some(block) = self.block()? else {
                extensions.expect_none(offset)?;
                return match self.end {
                    EndMarker::Optional => Ok(None),
                    EndMarker::Required => Err(TarError::NoEndMarker { offset }),
                };
            };
            if block.iter().all(|&byte| byte == 0) {
                extensions.expect_none(offset)?;
                self.drain_zeros()?;
                return Ok(None);
            }
            let header = Header::check(block, offset)?;
            let repeated = |what: &str| TarError::Ambiguous { offset, what: what.to_owned() };
            match header.flag() {
                b'x' if extensions.records.is_some() => return Err(repeated("two extended headers")),
                b'L' if extensions.long_name.is_some() => return Err(repeated("two long names")),
                b'K' if extensions.long_link.is_some() => return Err(repeated("two long link targets")),
                b'x' => extensions.records = Some(Records::parse(&self.extension(&header)?, offset)?),
                b'L' => extensions.long_name = Some(header::until_nul(&self.extension(&header)?).to_vec()),
                b'K' => extensions.long_link = Some(header::until_nul(&self.extension(&header)?).to_vec()),
                b'g' => {
                    let records = Records::parse(&self.extension(&header)?, offset)?;
                    if records != Records::default() {
                        let reason =
                            "a global header sets more than comments; extended headers are accepted".to_owned();
                        return Err(TarError::Pax { offset, reason });
                    }
                }
                // The label of the volume, which `tar --label` writes.
                b'V' => extensions.expect_none(offset)?,
                _ => {
                    let member = member(&header, extensions)?;
                    self.remaining = member.size;
                    self.padding = padding(member.size);
                    self.entry = member.path.clone();
                    return Ok(Some(member));
                }
            }
        }
    }

    /// The content of the current entry.
    pub(in super::super) const fn content(&mut self) -> Content<'_, R> {
        Content { archive: self }
    }

    /// Reads as much of the current entry's content as fits; less only at its end.
    pub(crate) fn fill_content(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_content(&mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    fn skip_content(&mut self) -> Result<(), TarError> {
        let mut scratch = [0; 16 << 10];
        while self.remaining > 0 {
            self.read_content(&mut scratch)?;
        }
        while self.padding > 0 {
            let want = usize::try_from(self.padding).map_or(BLOCK, |padding| padding.min(BLOCK));
            self.exact(&mut scratch[..want], || "the padding of an entry".to_owned())?;
            self.padding -= want as u64;
        }
        Ok(())
    }

    /// Never returns zero unless the content, or `buffer`, is at its end.
    fn read_content(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let want = usize::try_from(self.remaining).map_or(buffer.len(), |remaining| remaining.min(buffer.len()));
        if want == 0 {
            return Ok(0);
        }
        let read = self.read(&mut buffer[..want])?;
        if read == 0 {
            let inside = format!("the content of {}, of which {} bytes are missing", self.entry, self.remaining);
            return Err(TarError::Truncated { offset: self.offset, inside });
        }
        self.remaining -= read as u64;
        Ok(read)
    }

    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let size: u64 = header.unsigned("size", header::SIZE)?;
        if size > MAX_EXTENSION {
            let what = "the extended header";
            return Err(TarError::TooLarge { offset: header.offset, what, size, limit: MAX_EXTENSION });
        }
        let mut body = vec![0; usize::try_from(size + padding(size)).unwrap_or(0)];
        self.exact(&mut body, || "an extended header".to_owned())?;
        body.truncate(usize::try_from(size).unwrap_or(0));
        Ok(body)
    }

    /// `None` when the input ends before the block.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let read = self.fill(&mut block)?;
        match read {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(TarError::Truncated { offset: self.offset, inside: "a header".to_owned() }),
        }
    }

    fn exact(&mut self, buffer: &mut [u8], inside: impl Fn() -> String) -> Result<(), TarError> {
        if self.fill(buffer)? < buffer.len() {
            return Err(TarError::Truncated { offset: self.offset, inside: inside() });
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    /// Reads to the end of the input, which also makes a decompressor check its trailer.
    fn drain_zeros(&mut self) -> Result<(), TarError> {
        let start = self.offset;
        let mut scratch = [0; 16 << 10];
        loop {
            let before = self.offset;
            let read = self.read(&mut scratch)?;
            if let Some(at) = scratch[..read].iter().position(|&byte| byte != 0) {
                return Err(TarError::TrailingData { offset: before + at as u64 });
            }
            let size = self.offset - start;
            if size > MAX_PADDING {
                let what = "the padding of the archive";
                return Err(TarError::TooLarge { offset: start, what, size, limit: MAX_PADDING });
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        loop {
            match self.input.read(buffer) {
                Ok(read) => {
                    self.offset += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Read { offset: self.offset, source }),
            }
        }
    }
}

/// Reads the content of the current entry; errors are [`TarError`]s inside an [`io::Error`].
#[derive(Debug)]
pub(in super::super) struct Content<'a, R> {
    archive: &'a mut TarReader<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.archive.read_content(buffer)?)
    }
}

impl Extensions {
    fn expect_none(&self, offset: u64) -> Result<(), TarError> {
        if self.records.is_some() || self.long_name.is_some() || self.long_link.is_some() {
            return Err(TarError::Pax { offset, reason: "no entry follows the extended header".to_owned() });
        }
        Ok(())
    }
}

const fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn member(header: &Header, extensions: Extensions) -> Result<Member, TarError> {
    let offset = header.offset;
    let records = extensions.records.unwrap_or_default();
    let name = one_of("name", offset, records.path, extensions.long_name)?.unwrap_or_else(|| header.name());
    let shown = escape(&name);
    let path = RootfsPath::parse(&name).map_err(|reason| TarError::Path { path: shown.clone(), offset, reason })?;
    if records.sparse || header.flag() == b'S' {
        return Err(TarError::Sparse { path: shown });
    }
    let link = one_of("link target", offset, records.link_path, extensions.long_link)?;
    let link = || link.unwrap_or_else(|| header.text(header::LINK).to_vec());
    let size = match records.size {
        Some(size) if size <= i64::MAX.cast_unsigned() => size,
        Some(size) => return Err(TarError::Pax { offset, reason: format!("size is {size}, above 2^63 - 1") }),
        None => header.unsigned("size", header::SIZE)?,
    };
    let raw_mode = header.number("mode", header::MODE)?;
    let device = || -> Result<(u32, u32), TarError> {
        Ok((header.unsigned("devmajor", header::MAJOR)?, header.unsigned("devminor", header::MINOR)?))
    };
    let (kind, noun) = match header.flag() {
        // tar has no type for a socket; some writers leave its type in the mode.
        b'0' | 0 if raw_mode & FILE_TYPE == SOCKET => (MemberKind::Socket, "socket"),
        // Before there was a type for directories, a slash at the end of the name marked them.
        b'0' | 0 if name.ends_with(b"/") => (MemberKind::Directory, "directory"),
        b'0' | 0 | b'7' => (MemberKind::File, "file"),
        b'1' => {
            let target = link();
            let error = |reason| TarError::HardLinkTarget { path: shown.clone(), target: escape(&target), reason };
            (MemberKind::HardLink(RootfsPath::parse(&target).map_err(error)?), "hard link")
        }
        b'2' => {
            let error = |reason| TarError::SymlinkTarget { path: shown.clone(), reason };
            (MemberKind::Symlink(LinkTarget::parse(link()).map_err(error)?), "symbolic link")
        }
        b'3' => device().map(|(major, minor)| (MemberKind::CharDevice { major, minor }, "character device"))?,
        b'4' => device().map(|(major, minor)| (MemberKind::BlockDevice { major, minor }, "block device"))?,
        b'5' => (MemberKind::Directory, "directory"),
        b'6' => (MemberKind::Fifo, "fifo"),
        flag => return Err(TarError::Type { path: shown, offset, flag: char::from(flag) }),
    };
    // Programs differ on whether such content exists, so the same bytes would be two archives.
    if size > 0 && kind != MemberKind::File {
        return Err(TarError::ContentOfNonFile { path: shown, kind: noun, size });
    }
    if path.is_root() && kind != MemberKind::Directory {
        return Err(TarError::Type { path: shown, offset, flag: char::from(header.flag()) });
    }
    let (mtime, mtime_nanoseconds) = match records.mtime {
        Some(mtime) => mtime,
        None => (header.number("mtime", header::MTIME)?, 0),
    };
    Ok(Member {
        path,
        kind,
        mode: u32::try_from(raw_mode & 0o7777).unwrap_or(0),
        uid: records.uid.map_or_else(|| header.unsigned("uid", header::UID), Ok)?,
        gid: records.gid.map_or_else(|| header.unsigned("gid", header::GID), Ok)?,
        mtime,
        mtime_nanoseconds,
        size,
        xattrs: records.xattrs,
        unsupported: records.unsupported,
    })
}

fn one_of(what: &str, offset: u64, pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, TarError> {
    match (pax, gnu) {
        (Some(pax), Some(gnu)) if pax != gnu => {
            Err(TarError::Ambiguous { offset, what: format!("a pax and a GNU {what}") })
        }
        (pax, gnu) => Ok(pax.or(gnu)),
    }
}
