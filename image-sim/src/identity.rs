//! Who calls: access keys, their accounts, and what is refused at the door.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::call::Request;
use crate::error::{ApiError, Protocol};
use crate::signature::Signed;

/// How far a signature's date may be off. AWS says five minutes, S3 fifteen.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Who a call is by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Twelve digits; empty for an unsigned call.
    pub(crate) account: String,
    /// `arn:aws:iam::111122223333:user/test`
    pub(crate) arn: String,
    pub(crate) access_key: String,
}

impl Identity {
    /// Of a call without a signature, which few actions allow.
    pub(crate) fn anonymous() -> Self {
        Self { account: String::new(), arn: "anonymous".to_owned(), access_key: String::new() }
    }
}

/// An access key and what it stands for.
#[derive(Clone)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) account: String,
    /// The principal.
    pub(crate) arn: String,
    /// Temporary keys: the session token, and the simulated time until which they hold.
    pub(crate) session: Option<(String, Timestamp)>,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).field("arn", &self.arn).finish_non_exhaustive()
    }
}

/// Every access key that the simulator knows.
#[derive(Debug, Default)]
pub(crate) struct Identities(Mutex<BTreeMap<String, AccessKey>>);

impl Identities {
    /// Adds a key, or replaces the one with its id. STS adds the keys of the sessions that it gives out.
    pub(crate) fn add(&self, key: AccessKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.id.clone(), key);
    }

    /// Every account that has a key.
    pub(crate) fn accounts(&self) -> Vec<String> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut accounts: Vec<_> = keys.values().map(|key| key.account.clone()).collect();
        accounts.sort();
        accounts.dedup();
        accounts
    }

    /// Who `signed` is by. `wall` is the real time, which SDKs sign with; `now` is the simulated one.
    pub(crate) fn verify(
        &self,
        signed: &Signed,
        request: &Request,
        wall: Timestamp,
        now: Timestamp,
    ) -> Result<Identity, Refusal> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = keys.get(&signed.access_key).ok_or(Refusal::UnknownKey)?;
        if key.session.as_ref().map(|(token, _)| token) != signed.token.as_ref() {
            return Err(Refusal::UnknownKey);
        }
        if key.session.as_ref().is_some_and(|(_, until)| *until <= now) {
            return Err(Refusal::ExpiredToken);
        }
        let age = wall.duration_since(signed.at);
        let skew = if signed.service == "s3" { SKEW * 3 } else { SKEW };
        let fresh = match signed.expires {
            Some(seconds) => age.as_secs() <= i64::from(seconds) && age.as_secs() >= -(skew.as_secs() as i64),
            None => age.unsigned_abs() <= skew,
        };
        if !fresh {
            return Err(Refusal::Skewed { signed: signed.at, now: wall });
        }
        if !signed.is_by(&key.secret, request) {
            return Err(Refusal::BadSignature);
        }
        Ok(Identity { account: key.account.clone(), arn: key.arn.clone(), access_key: key.id.clone() })
    }
}

/// Why a call is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unsigned,
    UnknownKey,
    BadSignature,
    ExpiredToken,
    Skewed { signed: Timestamp, now: Timestamp },
}

impl Refusal {
    /// The error with the code that services of this protocol use.
    pub(crate) fn error(self, protocol: Protocol) -> ApiError {
        use Protocol::{Ec2Query, Json, Query, RestJson, RestXml};
        let (code, status, message) = match (self, protocol) {
            (Self::Unsigned, Ec2Query) => ("AuthFailure", 401, "the request has no signature that can be read".into()),
            (Self::Unsigned, RestXml) => ("AccessDenied", 403, "Access Denied".into()),
            (Self::Unsigned, Query) => {
                ("MissingAuthenticationToken", 403, "Request is missing Authentication Token".into())
            }
            (Self::Unsigned, Json | RestJson) => {
                ("MissingAuthenticationTokenException", 400, "Missing Authentication Token".into())
            }
            (Self::UnknownKey | Self::BadSignature, Ec2Query) => {
                ("AuthFailure", 401, "AWS was not able to validate the provided access credentials".to_owned())
            }
            (Self::UnknownKey, Query) => {
                ("InvalidClientTokenId", 403, "The security token included in the request is invalid.".into())
            }
            (Self::UnknownKey, Json | RestJson) => {
                ("UnrecognizedClientException", 400, "The security token included in the request is invalid.".into())
            }
            (Self::UnknownKey, RestXml) => (
                "InvalidAccessKeyId",
                403,
                "The AWS Access Key Id you provided does not exist in our records.".to_owned(),
            ),
            (Self::BadSignature, Query | RestXml) => (
                "SignatureDoesNotMatch",
                403,
                "The request signature we calculated does not match the signature you provided.".to_owned(),
            ),
            (Self::BadSignature, Json | RestJson) => (
                "InvalidSignatureException",
                400,
                "The request signature we calculated does not match the signature you provided.".to_owned(),
            ),
            (Self::ExpiredToken, Ec2Query) => ("RequestExpired", 400, "Request has expired.".to_owned()),
            (Self::ExpiredToken, Query) => {
                ("ExpiredToken", 403, "The security token included in the request is expired".to_owned())
            }
            (Self::ExpiredToken, RestXml) => ("ExpiredToken", 400, "The provided token has expired.".to_owned()),
            (Self::ExpiredToken, Json | RestJson) => {
                ("ExpiredTokenException", 400, "The security token included in the request is expired".to_owned())
            }
            (Self::Skewed { .. }, Ec2Query) => ("RequestExpired", 400, "Request has expired.".to_owned()),
            (Self::Skewed { .. }, RestXml) => (
                "RequestTimeTooSkewed",
                403,
                "The difference between the request time and the current time is too large.".to_owned(),
            ),
            (Self::Skewed { signed, now }, Query) => {
                ("SignatureDoesNotMatch", 403, format!("Signature expired: signed at {signed}, and it is {now}"))
            }
            (Self::Skewed { signed, now }, Json | RestJson) => {
                ("InvalidSignatureException", 400, format!("Signature expired: signed at {signed}, and it is {now}"))
            }
        };
        ApiError::new(code, message).with_status(status)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::HeaderMap;

    use super::*;
    use crate::signature::sign;

    fn registry(until: Option<Timestamp>) -> Identities {
        let identities = Identities::default();
        identities.add(AccessKey {
            id: "test".to_owned(),
            secret: "test".to_owned(),
            account: "111122223333".to_owned(),
            arn: "arn:aws:iam::111122223333:user/test".to_owned(),
            session: until.map(|until| ("token".to_owned(), until)),
        });
        identities
    }

    fn request(token: Option<&str>, key: &str, secret: &str, at: Timestamp) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert("host", "127.0.0.1:1".parse().unwrap());
        if let Some(token) = token {
            headers.insert("x-amz-security-token", token.parse().unwrap());
        }
        let mut request = Request {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: Vec::new(),
            headers,
            body: Bytes::from_static(b"Action=DescribeRegions"),
        };
        sign(&mut request, key, secret, "us-east-1", "ec2", at);
        request
    }

    #[test]
    fn only_fresh_signatures_of_known_keys_get_in() {
        let now = Timestamp::now();
        let at = |seconds: i64| now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
        let cases = [
            (None, None, "test", "test", 0, Ok("111122223333")),
            (None, None, "test", "test", -290, Ok("111122223333")),
            (None, None, "test", "test", -310, Err("RequestExpired")),
            (None, None, "test", "test", 310, Err("RequestExpired")),
            (None, None, "other", "test", 0, Err("AuthFailure")),
            (None, None, "test", "wrong", 0, Err("AuthFailure")),
            (None, Some("token"), "test", "test", 0, Err("AuthFailure")),
            (Some(at(1)), Some("token"), "test", "test", 0, Ok("111122223333")),
            (Some(at(1)), Some("stolen"), "test", "test", 0, Err("AuthFailure")),
            (Some(at(1)), None, "test", "test", 0, Err("AuthFailure")),
            (Some(now), Some("token"), "test", "test", 0, Err("RequestExpired")),
        ];
        for (until, token, key, secret, age, expected) in cases {
            let request = request(token, key, secret, at(age));
            let signed = Signed::of(&request).unwrap();
            let got = registry(until).verify(&signed, &request, now, now);
            let got = got.map(|identity| identity.account).map_err(|refusal| refusal.error(Protocol::Ec2Query).code);
            assert_eq!(
                got,
                expected.map(str::to_owned).map_err(str::to_owned),
                "{until:?} {token:?} {key} {secret} {age}"
            );
        }
    }
}
