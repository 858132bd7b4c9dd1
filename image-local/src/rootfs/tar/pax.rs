//! Extended header records: `"<length> <key>=<value>\n"`.

use std::collections::BTreeMap;

use super::TarError;

const XATTR: &[u8] = b"SCHILY.xattr.";

/// The records of one extended header that mean something here; times, names of owners and comments do not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// Seconds since 1970 and nanoseconds from there on.
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) sparse: bool,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) unsupported: Option<String>,
}

impl Records {
    /// Reads the body of the header at `offset`. A repeated record replaces the earlier one, and an empty value takes
    /// it back, as POSIX says; only an extended attribute may have an empty value.
    pub(super) fn parse(body: &[u8], offset: u64) -> Result<Self, TarError> {
        let malformed = |reason: String| TarError::Pax { offset, reason };
        let mut records = Self::default();
        let mut libarchive = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let (key, value, tail) = split(rest).map_err(&malformed)?;
            rest = tail;
            let text = (!value.is_empty()).then(|| value.to_vec());
            match key {
                b"path" => records.path = text,
                b"linkpath" => records.link_path = text,
                b"size" => records.size = number("size", value).map_err(&malformed)?,
                b"uid" => records.uid = number("uid", value).map_err(&malformed)?,
                b"gid" => records.gid = number("gid", value).map_err(&malformed)?,
                b"mtime" => records.mtime = time(value).map_err(&malformed)?,
                _ if key.starts_with(b"GNU.sparse.") => records.sparse = true,
                _ if key.starts_with(b"SCHILY.acl.") || key.starts_with(b"RHT.security.") => {
                    records.unsupported = Some(key.escape_ascii().to_string());
                }
                _ => {
                    if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                        libarchive.push(name.to_vec());
                    } else if let Some(name) = key.strip_prefix(XATTR) {
                        if name.is_empty() || name.contains(&0) {
                            return Err(malformed("an extended attribute has no proper name".to_owned()));
                        }
                        records.xattrs.insert(name.to_vec(), value.to_vec());
                    }
                }
            }
        }
        // bsdtar writes each attribute in both forms; one only in its own form would be lost.
        if let Some(name) = libarchive.iter().find(|name| !records.xattrs.contains_key(*name)) {
            records.unsupported = Some(format!("LIBARCHIVE.xattr.{}", name.escape_ascii()));
        }
        Ok(records)
    }
}

type Record<'a> = (&'a [u8], &'a [u8], &'a [u8]);

fn split(rest: &[u8]) -> Result<Record<'_>, String> {
    let shown = || rest[..rest.len().min(40)].escape_ascii().to_string();
    let space =
        rest.iter().take(20).position(|&byte| byte == b' ').ok_or_else(|| format!("no length in \"{}\"", shown()))?;
    let length: usize = digits(&rest[..space]).ok_or_else(|| format!("bad length in \"{}\"", shown()))?;
    if length <= space + 1 || length > rest.len() || rest[length - 1] != b'\n' {
        return Err(format!("the length in \"{}\" does not fit the record", shown()));
    }
    let record = &rest[space + 1..length - 1];
    let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(|| format!("no `=` in \"{}\"", shown()))?;
    Ok((&record[..equals], &record[equals + 1..], &rest[length..]))
}

fn digits<T: std::str::FromStr>(raw: &[u8]) -> Option<T> {
    let text = str::from_utf8(raw).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

fn number<T: std::str::FromStr>(key: &str, value: &[u8]) -> Result<Option<T>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    digits(value)
        .map(Some)
        .ok_or_else(|| format!("{key} is \"{}\", not a number from zero up in range", shorten(value)))
}

/// Decimal seconds with an optional sign and fraction: rounded down, and the nanoseconds that are missing then.
fn time(value: &[u8]) -> Result<Option<(i64, u32)>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    let error = || format!("mtime is \"{}\", not a number of seconds in range", shorten(value));
    let (negative, unsigned) = value.strip_prefix(b"-").map_or((false, value), |rest| (true, rest));
    let mut parts = unsigned.splitn(2, |&byte| byte == b'.');
    let whole: i64 = parts.next().and_then(digits).ok_or_else(error)?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(error());
    }
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| u32::from(digit - b'0'));
    let nanoseconds = (0..9).fold(0, |sum, at| 10 * sum + digit(at));
    if !negative {
        return Ok(Some((whole, nanoseconds)));
    }
    if fraction.iter().all(|&digit| digit == b'0') {
        return Ok(Some((-whole, 0)));
    }
    Ok(Some((-whole - 1, (1_000_000_000 - nanoseconds).min(999_999_999))))
}

fn shorten(value: &[u8]) -> String {
    value[..value.len().min(40)].escape_ascii().to_string()
}

/// Appends one record; its length counts the digits of the length itself.
pub(super) fn push(body: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    body.extend_from_slice(length.to_string().as_bytes());
    body.push(b' ');
    body.extend_from_slice(key);
    body.push(b'=');
    body.extend_from_slice(value);
    body.push(b'\n');
}

pub(super) fn xattr_key(name: &[u8]) -> Vec<u8> {
    [XATTR, name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_at_every_length() {
        for length in 0..1100 {
            let mut body = Vec::new();
            push(&mut body, b"SCHILY.xattr.user.x", &vec![b'\n'; length]);
            push(&mut body, b"uid", b"7");
            let records = Records::parse(&body, 0).unwrap();
            assert_eq!((records.xattrs[&b"user.x"[..]].len(), records.uid), (length, Some(7)));
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for body in [
            "x",
            " path=a\n",
            "0 path=a\n",
            "3 \n",
            "-1 path=a\n",
            "9 path=a",
            "99 path=a\n",
            "8 path=a\n",
            "6 path\n",
            "99999999999999999999999 path=a\n",
            "10 uid=-1\n",
            "18 uid=4294967296\n",
            "13 size=1e3\n",
            "14 mtime=1.2x\n",
            "30 mtime=99999999999999999999\n",
            "+9 path=a\n",
            "17 SCHILY.xattr.=\n",
        ] {
            assert!(Records::parse(body.as_bytes(), 0).is_err(), "{body:?}");
        }
    }

    #[test]
    fn values_follow_posix() {
        let parse = |body: &str| Records::parse(body.as_bytes(), 0).unwrap();
        assert_eq!(parse("10 path=a\n10 path=b\n").path.as_deref(), Some(&b"b"[..]));
        assert_eq!(parse("10 path=a\n8 path=\n").path, None);
        assert_eq!(parse("16 mtime=-1.500\n").mtime, Some((-2, 500_000_000)));
        assert_eq!(parse("14 mtime=1.99\n").mtime, Some((1, 990_000_000)));
        assert_eq!(parse("22 mtime=1.0000000019\n").mtime, Some((1, 1)));
        assert_eq!(parse("23 mtime=-1.0000000009\n").mtime, Some((-2, 999_999_999)));
        assert_eq!(parse("14 mtime=-1.0\n").mtime, Some((-1, 0)));
        assert_eq!(
            parse("32 LIBARCHIVE.xattr.user.a=AAAA\n"),
            Records { unsupported: Some("LIBARCHIVE.xattr.user.a".to_owned()), ..Records::default() }
        );
    }
}
