//! Signature Version 4: who signed a request, for which service and region, and whether the signature is right.
//!
//! Rules: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use jiff::civil::DateTime;
use jiff::{Timestamp, tz::TimeZone};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::call::Request;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// What a signed request says about itself, before anything of it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) access_key: String,
    pub(crate) region: String,
    pub(crate) service: String,
    /// The session token of temporary credentials.
    pub(crate) token: Option<String>,
    /// When it was signed.
    pub(crate) at: Timestamp,
    /// How long a presigned URL is good for, in seconds.
    pub(crate) expires: Option<u32>,
    /// `20261120/us-east-1/ec2/aws4_request`
    scope: String,
    date: String,
    headers: Vec<String>,
    signature: String,
    presigned: bool,
}

impl Signed {
    /// The signature in the `Authorization` header or, of a presigned URL, in the query.
    ///
    /// `None` when there is none, or none that can be read.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        if let Some(header) = request.header("authorization") {
            let fields = header.strip_prefix(ALGORITHM)?;
            let field = |name: &str| {
                fields
                    .split(',')
                    .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
            };
            return Self::new(
                &field("Credential")?,
                &field("SignedHeaders")?,
                field("Signature")?,
                request.header("x-amz-date")?,
                request.header("x-amz-security-token"),
            );
        }
        (request.query("X-Amz-Algorithm")? == ALGORITHM).then_some(())?;
        let signed = Self::new(
            request.query("X-Amz-Credential")?,
            request.query("X-Amz-SignedHeaders")?,
            request.query("X-Amz-Signature")?.to_owned(),
            request.query("X-Amz-Date")?,
            request.query("X-Amz-Security-Token"),
        )?;
        Some(Self { presigned: true, expires: request.query("X-Amz-Expires")?.parse().ok(), ..signed })
    }

    fn new(credential: &str, headers: &str, signature: String, date: &str, token: Option<&str>) -> Option<Self> {
        let (access_key, scope) = credential.split_once('/')?;
        let [day, region, service, "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else { return None };
        date.starts_with(day).then_some(())?;
        let at = DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
        Some(Self {
            access_key: access_key.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            token: token.map(str::to_owned),
            at: at.to_zoned(TimeZone::UTC).ok()?.timestamp(),
            expires: None,
            scope: scope.to_owned(),
            date: date.to_owned(),
            headers: headers.split(';').map(str::to_owned).collect(),
            signature,
            presigned: false,
        })
    }

    /// Whether `secret` makes this signature of `request`, and the body is the one that was signed.
    pub(crate) fn is_by(&self, secret: &str, request: &Request) -> bool {
        let Some(payload) = self.payload_hash(request) else { return false };
        let canonical = self.canonical(request, &payload);
        let text =
            format!("{ALGORITHM}\n{}\n{}\n{}", self.date, self.scope, hex(&Sha256::digest(canonical.as_bytes())));
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in self.scope.split('/') {
            key = hmac(&key, part);
        }
        hex(&hmac(&key, &text)) == self.signature
    }

    /// The hash that was signed; `None` when the body does not have the hash that the request claims.
    fn payload_hash(&self, request: &Request) -> Option<String> {
        let actual = || hex(&Sha256::digest(&request.body));
        match request.header("x-amz-content-sha256") {
            // `UNSIGNED-PAYLOAD`, `STREAMING-…`: the text itself is signed.
            Some(claimed) if claimed.len() != 64 => Some(claimed.to_owned()),
            Some(claimed) => (claimed == actual()).then(|| claimed.to_owned()),
            None if self.presigned && self.service == "s3" => Some("UNSIGNED-PAYLOAD".to_owned()),
            None => Some(actual()),
        }
    }

    fn canonical(&self, request: &Request, payload: &str) -> String {
        // Only S3 signs the path as it was sent; the others encode it once more.
        let path = match self.service.as_str() {
            "s3" => request.path.clone(),
            _ => utf8_percent_encode(&request.path, RESERVED_IN_PATH).to_string(),
        };
        let mut query: Vec<_> = request
            .query
            .iter()
            .filter(|(key, _)| key != "X-Amz-Signature")
            .map(|(key, value)| {
                (utf8_percent_encode(key, RESERVED).to_string(), utf8_percent_encode(value, RESERVED).to_string())
            })
            .collect();
        query.sort();
        let query: Vec<_> = query.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut canonical = format!("{}\n{path}\n{}\n", request.method, query.join("&"));
        for name in &self.headers {
            let values: Vec<_> = request
                .headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            canonical.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        canonical.push_str(&format!("\n{}\n{payload}", self.headers.join(";")));
        canonical
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes a key of any length, so the error has no value to tell.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a `String` never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Signs `request` with the headers that it has: for tests of this crate, which have no SDK.
#[cfg(test)]
pub(crate) fn sign(request: &mut Request, access_key: &str, secret: &str, region: &str, service: &str, at: Timestamp) {
    let date = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    request.headers.insert("x-amz-date", date.parse().unwrap());
    let scope = format!("{}/{region}/{service}/aws4_request", &date[..8]);
    let names = request.headers.keys().map(|name| name.as_str().to_owned());
    let mut names: Vec<_> = names.filter(|name| name != "authorization").collect();
    names.sort();
    let token = request.header("x-amz-security-token").map(str::to_owned);
    let credential = format!("{access_key}/{scope}");
    let signed = Signed::new(&credential, &names.join(";"), String::new(), &date, token.as_deref()).unwrap();
    let payload = signed.payload_hash(request).unwrap();
    let canonical = signed.canonical(request, &payload);
    let text = format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part));
    let header = format!(
        "{ALGORITHM} Credential={credential}, SignedHeaders={}, Signature={}",
        names.join(";"),
        hex(&hmac(&key, &text))
    );
    request.headers.insert("authorization", header.parse().unwrap());
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::HeaderMap;

    use super::*;

    /// The example of AWS's documentation of Signature Version 4: `ListUsers` of IAM.
    fn documented() -> Request {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date, \
                 Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        Request {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            query: crate::query::decode("Action=ListUsers&Version=2010-05-08").collect(),
            headers,
            body: Bytes::new(),
        }
    }

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    #[test]
    fn the_documented_signature_holds() {
        let request = documented();
        let signed = Signed::of(&request).unwrap();
        assert_eq!((signed.region.as_str(), signed.service.as_str()), ("us-east-1", "iam"));
        assert_eq!(signed.at.to_string(), "2015-08-30T12:36:00Z");
        assert!(signed.is_by(SECRET, &request));
    }

    #[test]
    fn another_secret_query_header_or_body_breaks_it() {
        let request = documented();
        let signed = Signed::of(&request).unwrap();
        assert!(!signed.is_by("other", &request));
        let mut query = request.clone();
        query.query[0].1 = "DeleteUser".to_owned();
        assert!(!signed.is_by(SECRET, &query));
        let mut body = request.clone();
        body.body = Bytes::from_static(b"x");
        assert!(!signed.is_by(SECRET, &body));
        let mut header = request;
        header.headers.insert("host", "elsewhere".parse().unwrap());
        assert!(!signed.is_by(SECRET, &header));
    }

    #[test]
    fn rubbish_is_no_signature() {
        for value in
            ["", "Bearer x", "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=h, Signature=s", "AWS4-HMAC-SHA256 "]
        {
            let mut request = documented();
            request.headers.insert("authorization", value.parse().unwrap());
            assert_eq!(Signed::of(&request), None, "{value}");
        }
    }
}
