//! Content addresses of what goes into a layer, so that what did not change is not built again.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, fmt::Write as _, path::Path};

/// SHA-256 over everything that decides a result, as 64 lowercase hexadecimal digits.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a value, under a name that keeps equal values of different types apart.
    ///
    /// # Errors
    /// `Internal` when the value has no JSON form.
    pub fn of(name: &str, value: &(impl Serialize + ?Sized)) -> Result<Self> {
        let json =
            serde_json::to_vec(value).map_err(|e| Error::bug(format!("fingerprint of {name}")).with_source(e))?;
        let mut hash = Sha256::new();
        hash.update(name.len().to_le_bytes());
        hash.update(name);
        hash.update(json);
        Ok(Self(hex(&hash.finalize())))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = Error;
    fn try_from(value: String) -> Result<Self> {
        let digits = value.len() == 64 && value.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits { Ok(Self(value)) } else { Err(Error::invalid("fingerprint", value, "64 lowercase hex digits")) }
    }
}

impl From<Fingerprint> for String {
    fn from(value: Fingerprint) -> Self {
        value.0
    }
}

/// SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes.as_ref()))
}

/// SHA-256 of a file, in hexadecimal, read in pieces on a blocking thread.
///
/// # Errors
/// The I/O error of the file.
pub async fn sha256_file(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref().to_owned();
    tokio::task::spawn_blocking(move || {
        let file = std::fs::File::open(&path).map_err(|e| Error::io("open", &path, e))?;
        sha256_read(file).map_err(|e| Error::io("read", &path, e))
    })
    .await?
}

/// SHA-256 of all that is left to read, in hexadecimal. Blocks.
pub(crate) fn sha256_read(mut bytes: impl std::io::Read) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(&mut bytes, &mut HashWriter(&mut hash))?;
    Ok(hex(&hash.finalize()))
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_equal_values_apart() {
        let a = Fingerprint::of("shell", "x").unwrap();
        assert_eq!(a, Fingerprint::of("shell", "x").unwrap());
        assert_ne!(a, Fingerprint::of("file", "x").unwrap());
        assert_eq!(a.as_str().len(), 64);
    }

    #[test]
    fn only_digits_are_read_back() {
        assert!(serde_json::from_str::<Fingerprint>("\"../../etc\"").is_err());
        let a = Fingerprint::of("shell", "x").unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&serde_json::to_string(&a).unwrap()).unwrap(), a);
    }
}
