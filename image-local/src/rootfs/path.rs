//! Paths inside a root filesystem, and the text form of names that need not be UTF-8.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest path, in bytes (Linux `PATH_MAX`, less its NUL).
pub const MAX_PATH: usize = 4095;
/// The longest component of a path, in bytes (Linux `NAME_MAX`).
pub const MAX_NAME: usize = 255;
/// The deepest path, in components. Bounds what one hostile entry can make a reader remember.
pub const MAX_DEPTH: usize = 256;

/// A path below the root of a filesystem: relative, without `.`, `..`, empty components or NUL.
///
/// Bytes, because Linux file names are. The root itself is the empty path and is written `.`. The text form (also in
/// JSON) is the path with `\` as `\\`, and control characters and bytes that are not UTF-8 as `\xNN`; it round-trips.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootfsPath(Box<[u8]>);

/// Why a name is not a [`RootfsPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path starts with `/`.
    #[error("is absolute; a path relative to the root is accepted")]
    Absolute,
    /// The path has more than [`MAX_DEPTH`] components.
    #[error("has more than {MAX_DEPTH} components")]
    Depth,
    /// There is no name at all.
    #[error("is empty")]
    Empty,
    /// The text form has a `\` that does not start `\\` or `\xNN`.
    #[error("has a `\\` that starts neither `\\\\` nor `\\xNN`")]
    Escape,
    /// The path is longer than [`MAX_PATH`], or a component longer than [`MAX_NAME`].
    #[error("is longer than {MAX_PATH} bytes, or has a component longer than {MAX_NAME} bytes")]
    Length,
    /// The path contains a NUL byte.
    #[error("contains a NUL byte")]
    Nul,
    /// The path has a `..` component.
    #[error("has a `..` component")]
    Parent,
}

impl RootfsPath {
    /// Reads a path as archives write it: `./` in front, doubled and trailing slashes are dropped; `.` is the root.
    ///
    /// # Errors
    /// See [`PathError`]; nothing that leads out of the root is accepted.
    pub fn parse(raw: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let raw = raw.as_ref();
        if raw.is_empty() {
            return Err(PathError::Empty);
        }
        if raw[0] == b'/' {
            return Err(PathError::Absolute);
        }
        if raw.contains(&0) {
            return Err(PathError::Nul);
        }
        let mut path = Vec::with_capacity(raw.len().min(MAX_PATH));
        let mut depth = 0;
        for component in raw.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(PathError::Parent),
                _ => {}
            }
            depth += 1;
            if depth > MAX_DEPTH {
                return Err(PathError::Depth);
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
            if component.len() > MAX_NAME || path.len() > MAX_PATH {
                return Err(PathError::Length);
            }
        }
        Ok(Self(path.into()))
    }

    /// The root itself.
    #[must_use]
    pub fn root() -> Self {
        Self(Box::default())
    }

    /// Whether this is the root itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of the path; none for the root.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The last component; `None` for the root.
    #[must_use]
    pub fn file_name(&self) -> Option<&[u8]> {
        self.0.rsplit(|&byte| byte == b'/').next().filter(|name| !name.is_empty())
    }

    /// The path without its last component; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let name = self.file_name()?;
        Some(Self(self.0[..(self.0.len() - name.len()).saturating_sub(1)].into()))
    }

    /// Whether this path lies below `ancestor`, and is not `ancestor` itself.
    #[must_use]
    pub fn is_below(&self, ancestor: &Self) -> bool {
        if ancestor.is_root() {
            return !self.is_root();
        }
        self.0.strip_prefix(&*ancestor.0).is_some_and(|rest| rest.first() == Some(&b'/'))
    }

    /// The directories above this path, nearest first, without the root.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = &[u8]> {
        let slashes = self.0.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
        slashes.map(|(at, _)| &self.0[..at])
    }

    /// A path from bytes that were already a part of a `RootfsPath`.
    pub(super) fn from_ancestor(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl Borrow<[u8]> for RootfsPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RootfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&if self.is_root() { ".".to_owned() } else { escape(&self.0) })
    }
}

impl fmt::Debug for RootfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl FromStr for RootfsPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(unescape(text).ok_or(PathError::Escape)?)
    }
}

impl Serialize for RootfsPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RootfsPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a symbolic link points to: any bytes but NUL, never resolved here. Its text form is that of [`RootfsPath`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkTarget(Box<[u8]>);

impl LinkTarget {
    /// A link target as an archive gives it.
    ///
    /// # Errors
    /// When it is empty, longer than [`MAX_PATH`], or contains a NUL byte: no filesystem can hold such a link.
    pub fn parse(raw: impl AsRef<[u8]>) -> Result<Self, PathError> {
        match raw.as_ref() {
            [] => Err(PathError::Empty),
            raw if raw.contains(&0) => Err(PathError::Nul),
            raw if raw.len() > MAX_PATH => Err(PathError::Length),
            raw => Ok(Self(raw.into())),
        }
    }

    /// The bytes of the target.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

impl fmt::Debug for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for LinkTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LinkTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let raw = unescape(&text).ok_or(PathError::Escape).map_err(serde::de::Error::custom)?;
        Self::parse(raw).map_err(serde::de::Error::custom)
    }
}

/// The text form of a name: one line, reversible, and harmless to a terminal.
pub(super) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let hex = |text: &mut String, byte: u8| text.push_str(&format!("\\x{byte:02x}"));
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                _ if character.is_control() => {
                    let mut utf8 = [0; 4];
                    character.encode_utf8(&mut utf8).bytes().for_each(|byte| hex(&mut text, byte));
                }
                _ => text.push(character),
            }
        }
        chunk.invalid().iter().for_each(|&byte| hex(&mut text, byte));
    }
    text
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digits = [char::from(*high).to_digit(16)?, char::from(*low).to_digit(16)?];
                bytes.push(u8::try_from(digits[0] * 16 + digits[1]).ok()?);
                tail
            }
            (b'\\', _) => return None,
            _ => {
                bytes.push(byte);
                tail
            }
        };
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(raw: &[u8], expected: Result<&str, PathError>) {
        let found = RootfsPath::parse(raw);
        assert_eq!(found.map(|path| path.to_string()), expected.map(str::to_owned), "{}", escape(raw));
    }

    #[test]
    fn paths_are_cleaned_or_refused() {
        check(b"./", Ok("."));
        check(b".", Ok("."));
        check(b"./etc//ssl/./certs/", Ok("etc/ssl/certs"));
        check(b"a\\x2db\n\xff", Ok("a\\\\x2db\\x0a\\xff"));
        check(b"...", Ok("..."));
        check(b"", Err(PathError::Empty));
        check(b"/etc", Err(PathError::Absolute));
        check(b"//etc", Err(PathError::Absolute));
        check(b"..", Err(PathError::Parent));
        check(b"a/../b", Err(PathError::Parent));
        check(b"./..", Err(PathError::Parent));
        check(b"a/b\0c", Err(PathError::Nul));
        check(&[b'a'; 256], Err(PathError::Length));
        check(&b"a/".repeat(257), Err(PathError::Depth));
        check(&[&b"a".repeat(200)[..], b"/"].concat().repeat(21), Err(PathError::Length));
    }

    #[test]
    fn parents_and_ancestors() {
        let path = RootfsPath::parse("a/b/c").unwrap();
        assert_eq!(path.ancestors().collect::<Vec<_>>(), [&b"a/b"[..], b"a"]);
        assert_eq!(path.parent().unwrap().to_string(), "a/b");
        assert_eq!(RootfsPath::parse("a").unwrap().parent(), Some(RootfsPath::root()));
        assert_eq!(RootfsPath::root().parent(), None);
        assert!(path.is_below(&RootfsPath::parse("a/b").unwrap()) && path.is_below(&RootfsPath::root()));
        assert!(!path.is_below(&path) && !RootfsPath::parse("ab").unwrap().is_below(&RootfsPath::parse("a").unwrap()));
    }

    proptest! {
        #[test]
        fn text_round_trips(raw in proptest::collection::vec(1_u8.., 1..60)) {
            prop_assert_eq!(unescape(&escape(&raw)), Some(raw.clone()));
            if let Ok(path) = RootfsPath::parse(&raw) {
                prop_assert_eq!(path.to_string().parse::<RootfsPath>(), Ok(path.clone()));
                prop_assert_eq!(RootfsPath::parse(path.as_bytes()).ok(), (!path.is_root()).then_some(path));
            }
        }
    }
}
