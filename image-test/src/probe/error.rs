//! Why an answer is none.

use image_core::{Error, ErrorKind};

/// Why a machine's answer tells nothing. Never a reason to take a check as passed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The first line is none of this protocol's.
    #[error("the answer does not begin with a header of the probe but with {found:?}")]
    Header {
        /// What it begins with.
        found: String,
    },
    /// The answer is for another question.
    #[error("the answer is not for this question: its nonce is another one")]
    Nonce,
    /// The answer has another length than its header says.
    #[error("the answer was cut or has something added: it has {found} bytes, its header says {expected}")]
    Length {
        /// Bytes by the header.
        expected: usize,
        /// Bytes that arrived.
        found: usize,
    },
    /// The bytes are not encoded as the header says.
    #[error("the answer is not in the encoding {encoding}")]
    Encoding {
        /// The encoding by the header.
        encoding: &'static str,
    },
    /// More than the limit after decompression.
    #[error("the answer has more than {limit} bytes when decompressed")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Not what the machine had read.
    #[error("the digest of the answer is not the one its header says")]
    Digest,
    /// Nothing says that the answer is what the machine had read.
    #[error("the machine has no sha256sum, openssl or cksum to tell a damaged answer from a whole one")]
    NoDigest,
    /// The records are malformed, twice there, out of order, or not what was asked for.
    #[error("the answer has a wrong record at byte {at}: {why}")]
    Record {
        /// Byte in the decoded answer.
        at: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A page is not the one asked for, or its file is gone.
    #[error("page {number} of the answer is missing on the machine")]
    Page {
        /// The page, from 0.
        number: usize,
    },
    /// The answer does not fit one message, and the machine has no place to keep it.
    #[error("the answer has {length} bytes, more than one message takes, and the machine has no directory to keep it")]
    NoRoom {
        /// Bytes of the answer.
        length: usize,
    },
    /// The script is larger than the channel takes.
    #[error("the probe needs a script of {size} bytes, and the channel takes {limit}: split the suite")]
    ScriptTooLarge {
        /// Bytes of the script.
        size: usize,
        /// What the channel takes.
        limit: usize,
    },
    /// The machine has no tools to decompress the script, which is too large otherwise.
    #[error(
        "the machine has no base64 or no gzip, and the script has {size} bytes, more than the {limit} of the channel"
    )]
    Undecoded {
        /// Bytes of the script.
        size: usize,
        /// What the channel takes.
        limit: usize,
    },
    /// Pages are too small to hold a header.
    #[error("max_stdout is {given}, and a page needs at least {least} bytes")]
    PageTooSmall {
        /// The limit given.
        given: usize,
        /// The smallest that works.
        least: usize,
    },
}

impl From<ProbeError> for Error {
    fn from(error: ProbeError) -> Self {
        let kind = match error {
            ProbeError::ScriptTooLarge { .. } | ProbeError::PageTooSmall { .. } => ErrorKind::InvalidInput,
            ProbeError::NoDigest | ProbeError::Undecoded { .. } => ErrorKind::Unsupported,
            ProbeError::NoRoom { .. } => ErrorKind::StorageFull,
            _ => ErrorKind::CommandFailed,
        };
        Self::new(kind, error.to_string()).with_operation("probe")
    }
}
