use std::io;

use super::super::path::PathError;

/// Why an archive is not a well-formed tar archive. Offsets count bytes of the uncompressed archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// Two headers contradict each other about one entry; programs differ in which they believe.
    #[error("the header at offset {offset} repeats or contradicts an earlier header: {what}")]
    Ambiguous {
        /// Where the header starts.
        offset: u64,
        /// What is said twice.
        what: String,
    },
    /// The checksum of a header is wrong: damaged data, or no tar archive.
    #[error("the header at offset {offset} has a wrong checksum; damaged, or not a tar archive")]
    Checksum {
        /// Where the header starts.
        offset: u64,
    },
    /// An entry that cannot have content declares some.
    #[error("entry {path}: a {kind} declares {size} bytes of content; none is accepted")]
    ContentOfNonFile {
        /// The entry.
        path: String,
        /// What it is.
        kind: &'static str,
        /// The declared size.
        size: u64,
    },
    /// A numeric field is not a number, or out of range.
    #[error("the header at offset {offset}: field {field} is {value}; {accepted}")]
    Field {
        /// Where the header starts.
        offset: u64,
        /// The name of the field.
        field: String,
        /// What it holds.
        value: String,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// The target of a hard link is not a path in the archive.
    #[error("entry {path}: hard link target {target} {reason}")]
    HardLinkTarget {
        /// The entry.
        path: String,
        /// The target as written.
        target: String,
        /// What is wrong with it.
        reason: PathError,
    },
    /// The input ends between two entries, without the block of zeros that ends an archive.
    #[error("the archive ends at offset {offset} without an end marker; it is cut off")]
    NoEndMarker {
        /// Where the input ends.
        offset: u64,
    },
    /// The name of an entry is not a path below the root.
    #[error("entry {path} at offset {offset}: its name {reason}")]
    Path {
        /// The name as written.
        path: String,
        /// Where its header starts.
        offset: u64,
        /// What is wrong with it.
        reason: PathError,
    },
    /// An extended (pax) header is malformed.
    #[error("the extended header at offset {offset} is malformed: {reason}")]
    Pax {
        /// Where the header starts.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The input cannot be read.
    #[error("cannot read the archive at offset {offset}")]
    Read {
        /// How much was read before.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The entry is a sparse file.
    #[error("entry {path} is a sparse file; archives made without `tar --sparse` are accepted")]
    Sparse {
        /// The entry.
        path: String,
    },
    /// The target of a symbolic link cannot be stored.
    #[error("entry {path}: symbolic link target {reason}")]
    SymlinkTarget {
        /// The entry.
        path: String,
        /// What is wrong with it.
        reason: PathError,
    },
    /// Something other than zeros follows the end of the archive.
    #[error("data follows the end of the archive at offset {offset}; only zeros are accepted")]
    TrailingData {
        /// Where the data starts.
        offset: u64,
    },
    /// A header, or the padding of the archive, is larger than any honest one.
    #[error("{what} at offset {offset} has {size} bytes; at most {limit} are accepted")]
    TooLarge {
        /// Where it starts.
        offset: u64,
        /// What is too large.
        what: &'static str,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The input ends inside a header or the content of an entry.
    #[error("the archive is cut off at offset {offset}, inside {inside}")]
    Truncated {
        /// Where the input ends.
        offset: u64,
        /// The part that is incomplete.
        inside: String,
    },
    /// The entry is of a type that no root filesystem needs, such as a part of a multi-volume archive.
    #[error("entry {path} at offset {offset} has type {flag:?}, which is not supported")]
    Type {
        /// The entry.
        path: String,
        /// Where its header starts.
        offset: u64,
        /// The type flag.
        flag: char,
    },
}

impl From<TarError> for io::Error {
    fn from(error: TarError) -> Self {
        let kind = match &error {
            TarError::Truncated { .. } | TarError::NoEndMarker { .. } => io::ErrorKind::UnexpectedEof,
            TarError::Read { source, .. } => source.kind(),
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
