//! What a command's keeper answers, and the payload with its output.

use super::frame::{Frame, PAGE};
use flate2::write::GzDecoder;
use image_core::{Error, ErrorKind, Exit, Result};
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// The head of a keeper's answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    pub(crate) exit: Exit,
    /// Whether the command was killed because its time was up.
    pub(crate) overdue: bool,
    pub(crate) out_bytes: u64,
    pub(crate) err_bytes: u64,
    /// Whether there was more than was asked for, or something still wrote when the command had ended.
    pub(crate) cut: [bool; 2],
    gzip: bool,
    payload: u64,
    sha256: String,
}

impl Head {
    /// # Errors
    /// `Internal` when the words are not those of a keeper.
    pub(crate) fn of(frame: &Frame) -> Result<Self> {
        let strange = || Error::bug(format!("the machine answered `{} {}`", frame.kind, frame.text()));
        Self::read(frame).ok_or_else(strange)
    }

    fn read(frame: &Frame) -> Option<Self> {
        let overdue = match frame.kind.as_str() {
            "done" => false,
            "overdue" => true,
            _ => return None,
        };
        let number = |index| frame.word(index)?.parse::<u64>().ok();
        let code = i32::try_from(number(1)?).ok()?;
        let exit = match frame.word(0)? {
            "code" => Exit::Code(code),
            "signal" => Exit::Signal(code),
            _ => return None,
        };
        let sha256 = frame.word(8).filter(|digest| digest.len() == 64)?.to_owned();
        Some(Self {
            exit,
            overdue,
            out_bytes: number(2)?,
            cut: [number(3)? != 0, number(5)? != 0],
            err_bytes: number(4)?,
            gzip: frame.word(6)? == "gzip",
            payload: number(7)?,
            sha256,
        })
    }

    /// How many answers carry the payload.
    pub(crate) fn pages(&self) -> u64 {
        self.payload.div_ceil(PAGE as u64)
    }

    /// Refuses more than was asked for: a machine under somebody else's control shall not fill ours.
    pub(crate) fn check_limits(&self, out: Option<u64>, err: Option<u64>) -> Result<()> {
        let over = |limit: Option<u64>, bytes| limit.is_some_and(|limit| bytes > limit);
        if over(out, self.out_bytes) || over(err, self.err_bytes) {
            let message = format!(
                "the machine sends {} and {} bytes of output, more than asked for",
                self.out_bytes, self.err_bytes
            );
            return Err(Error::new(ErrorKind::PolicyViolation, message));
        }
        Ok(())
    }

    /// What unpacks the payload.
    pub(crate) fn payload(&self) -> Payload {
        let content = self.out_bytes.saturating_add(self.err_bytes);
        let sink = Bounded { bytes: vec![], left: content };
        let decoder = if self.gzip { Decoder::Gzip(GzDecoder::new(sink)) } else { Decoder::Plain(sink) };
        Payload { decoder, digest: Sha256::new(), packed_left: self.payload, sha256: self.sha256.clone() }
    }
}

/// Unpacks a payload page by page and holds no more than a page of it.
#[derive(Debug)]
pub(crate) struct Payload {
    decoder: Decoder,
    digest: Sha256,
    packed_left: u64,
    sha256: String,
}

#[derive(Debug)]
enum Decoder {
    Plain(Bounded),
    Gzip(GzDecoder<Bounded>),
}

/// Takes so many bytes and no more, whatever a compressed stream may hold.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    left: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left =
            self.left.checked_sub(bytes.len() as u64).ok_or_else(|| io::Error::other("it is longer than it said"))?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Payload {
    /// Takes a page and gives what it unpacks to.
    ///
    /// # Errors
    /// `Unavailable` when the output cannot be what the machine sent.
    pub(crate) fn push(&mut self, page: &[u8]) -> Result<Vec<u8>> {
        self.packed_left =
            self.packed_left.checked_sub(page.len() as u64).ok_or_else(|| broken("it is longer than it said"))?;
        self.digest.update(page);
        let sink = match &mut self.decoder {
            Decoder::Plain(sink) => {
                sink.write_all(page).map_err(broken)?;
                sink
            }
            Decoder::Gzip(decoder) => {
                decoder.write_all(page).and_then(|()| decoder.flush()).map_err(broken)?;
                decoder.get_mut()
            }
        };
        Ok(std::mem::take(&mut sink.bytes))
    }

    /// Proves that all of it was there, and gives what is left.
    ///
    /// # Errors
    /// `Unavailable` when something was missing or changed.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        let sink = match &mut self.decoder {
            Decoder::Plain(sink) => sink,
            Decoder::Gzip(decoder) => {
                decoder.try_finish().map_err(broken)?;
                decoder.get_mut()
            }
        };
        if self.packed_left != 0 || sink.left != 0 {
            return Err(broken("a part of it is missing"));
        }
        let digest: String = self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if digest != self.sha256 {
            return Err(broken("its digest is another one"));
        }
        Ok(std::mem::take(&mut sink.bytes))
    }
}

fn broken(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the output of the command arrived broken: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn head(text: &str) -> Result<Head> {
        let text = format!("golden-image 1 n {text}\n\nend n\n");
        Head::of(&Frame::find(&text, "n").unwrap())
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// A head that says what is true of a payload, but for its content's length where another one is given.
    fn head_of(packed: &[u8], packing: &str, content: usize) -> Head {
        let sha256 = image_core::sha256(packed);
        head(&format!("done code 0 {content} 0 0 0 {packing} {} {sha256}", packed.len())).unwrap()
    }

    fn unpack(head: &Head, pages: &[&[u8]]) -> Result<Vec<u8>> {
        let (mut payload, mut all) = (head.payload(), vec![]);
        for page in pages {
            all.extend(payload.push(page)?);
        }
        all.extend(payload.finish()?);
        Ok(all)
    }

    #[test]
    fn heads_say_how_a_command_ended() {
        let sha256 = "0".repeat(64);
        let read = head(&format!("overdue signal 9 10 1 20 0 gzip 15 {sha256}")).unwrap();
        assert_eq!((read.exit, read.overdue, read.cut), (Exit::Signal(9), true, [true, false]));
        assert_eq!((read.out_bytes, read.err_bytes, read.pages()), (10, 20, 1));
        for strange in [
            format!("done code x 0 0 0 0 plain 0 {sha256}"),
            format!("done exit 1 0 0 0 0 plain 0 {sha256}"),
            format!("done code 1 0 0 -1 0 plain 0 {sha256}"),
            "done code 1 0 0 0 0 plain 0 short".into(),
            "done".into(),
            format!("gone code 0 0 0 0 0 plain 0 {sha256}"),
        ] {
            assert_eq!(head(&strange).unwrap_err().kind(), ErrorKind::Internal, "{strange}");
        }
    }

    #[test]
    fn payloads_come_back_as_they_were() {
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for (packed, packing) in [(content.clone(), "plain"), (gzip(&content), "gzip")] {
            let pages: Vec<&[u8]> = packed.chunks(PAGE).collect();
            let head = head_of(&packed, packing, content.len());
            assert_eq!(head.pages(), pages.len() as u64);
            assert_eq!(unpack(&head, &pages).unwrap(), content);
        }
        assert_eq!(unpack(&head_of(b"", "plain", 0), &[]).unwrap(), b"");
    }

    #[test]
    fn nothing_broken_passes_for_whole() {
        let packed = gzip(&[b'x'; 1000]);
        let good = head_of(&packed, "gzip", 1000);
        let mut changed = packed.clone();
        changed[4] ^= 1; // the time in the head of gzip: no checksum of its own covers it
        let longer = [&packed[..], b"x"].concat();
        for (why, head, page) in [
            ("changed", &good, &changed[..]),
            ("short", &good, &packed[..packed.len() - 1]),
            ("long", &good, &longer[..]),
            ("empty", &good, b""),
            ("a bomb", &head_of(&packed, "gzip", 999), &packed[..]),
            ("less than it said", &head_of(&packed, "gzip", 1001), &packed[..]),
            ("no gzip", &head_of(b"plain", "gzip", 5), b"plain"),
        ] {
            let error = unpack(head, &[page]).unwrap_err();
            assert!(error.to_string().starts_with("the output of the command arrived broken"), "{why}: {error}");
        }
    }

    #[test]
    fn more_than_asked_for_is_refused() {
        let sha256 = "0".repeat(64);
        let read = head(&format!("done code 0 10 1 20 0 plain 30 {sha256}")).unwrap();
        assert!(read.check_limits(Some(10), Some(20)).is_ok() && read.check_limits(None, None).is_ok());
        assert!(read.check_limits(Some(9), None).is_err() && read.check_limits(None, Some(19)).is_err());
    }
}
