//! Key pairs that are imported. The simulator makes none: it would hand out private keys that are nobody's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::action::{Action, Cx, Handler, act, done};
use super::describe::{Filters, one};
use super::ids::KEY_PAIR;
use super::tags::{self, Tags};
use crate::clock::iso;
use crate::error::ApiError;
use crate::query::Params;
use crate::world::new_id;
use crate::xml::Xml;

pub(crate) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "ImportKeyPair" => act::<ImportKeyPair>,
        "DescribeKeyPairs" => act::<DescribeKeyPairs>,
        "DeleteKeyPair" => act::<DeleteKeyPair>,
        _ => return None,
    })
}

/// A key pair, of which EC2 has the public half.
#[derive(Debug, Clone)]
pub(crate) struct KeyPair {
    pub(crate) id: String,
    pub(crate) name: String,
    kind: &'static str,
    fingerprint: String,
    /// As in `authorized_keys`.
    public: String,
    created: jiff::Timestamp,
}

struct ImportKeyPair {
    name: String,
    kind: &'static str,
    public: String,
    fingerprint: String,
    tags: Tags,
}

impl Action for ImportKeyPair {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let wrong = || ApiError::new("InvalidKey.Format", "Key is not in valid OpenSSH public key format");
        let text = STANDARD.decode(params.required("PublicKeyMaterial")?).map_err(|_| wrong())?;
        let public = String::from_utf8(text).map_err(|_| wrong())?;
        let mut words = public.split_whitespace();
        let kind = match words.next() {
            Some("ssh-rsa") => "rsa",
            Some("ssh-ed25519") => "ed25519",
            _ => return Err(wrong()),
        };
        let blob = words.next().and_then(|word| STANDARD.decode(word).ok()).ok_or_else(wrong)?;
        let fingerprint = STANDARD.encode(Sha256::digest(&blob));
        Ok(Self {
            name: params.required("KeyName")?,
            kind,
            fingerprint,
            tags: tags::specification(params, &KEY_PAIR)?,
            public: public.trim().to_owned(),
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let created = cx.now;
        let ec2 = &mut cx.region().ec2;
        if ec2.key_pairs.values().any(|key| key.name == self.name) {
            let message = format!("The keypair '{}' already exists.", self.name);
            return Err(ApiError::new("InvalidKeyPair.Duplicate", message));
        }
        let Self { name, kind, public, fingerprint, tags } = self;
        let key = KeyPair { id: new_id("key"), name, kind, fingerprint, public, created };
        xml.text("keyName", &key.name);
        xml.text("keyFingerprint", &key.fingerprint);
        xml.text("keyPairId", &key.id);
        tags::write(xml, &tags);
        let id = key.id.clone();
        ec2.tags.set(&id, tags);
        ec2.key_pairs.insert(id.clone(), key);
        cx.created(&id);
        Ok(())
    }
}

struct DescribeKeyPairs {
    names: Vec<String>,
    ids: Vec<String>,
    filters: Filters,
    public: bool,
}

impl Action for DescribeKeyPairs {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            names: params.texts("KeyName")?,
            ids: KEY_PAIR.list(params, "KeyPairId")?,
            filters: Filters::parse(params, &["fingerprint", "key-name", "key-pair-id"])?,
            public: params.bool("IncludePublicKey")?.unwrap_or(false),
        })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let ec2 = &cx.region().ec2;
        let keys = || ec2.key_pairs.values();
        if let Some(name) = self.names.iter().find(|name| !keys().any(|key| key.name == **name)) {
            return Err(ApiError::new("InvalidKeyPair.NotFound", format!("The key pair '{name}' does not exist")));
        }
        if let Some(id) = self.ids.iter().find(|id| !ec2.key_pairs.contains_key(*id)) {
            return Err(KEY_PAIR.missing(id));
        }
        let wanted = |key: &&KeyPair| {
            let field = |name: &str| match name {
                "fingerprint" => one(&key.fingerprint),
                "key-name" => one(&key.name),
                _ => one(&key.id),
            };
            (self.names.is_empty() || self.names.contains(&key.name))
                && (self.ids.is_empty() || self.ids.contains(&key.id))
                && self.filters.match_all(ec2.tags.of(&key.id), field)
        };
        xml.items("keySet", keys().filter(wanted), |xml, key| {
            xml.text("keyPairId", &key.id);
            xml.text("keyName", &key.name);
            xml.text("keyType", key.kind);
            xml.text("keyFingerprint", &key.fingerprint);
            xml.optional("publicKey", self.public.then_some(&key.public));
            xml.text("createTime", iso(key.created));
            tags::write(xml, ec2.tags.of(&key.id));
        });
        Ok(())
    }
}

struct DeleteKeyPair {
    name: Option<String>,
    id: Option<String>,
}

impl Action for DeleteKeyPair {
    fn parse(params: &Params<'_>) -> Result<Self, ApiError> {
        let (name, id) = (params.text("KeyName"), KEY_PAIR.optional(params, "KeyPairId")?);
        if name.is_none() && id.is_none() {
            return Err(params.missing("KeyName"));
        }
        Ok(Self { name, id })
    }

    fn run(self, cx: &mut Cx<'_>, xml: &mut Xml) -> Result<(), ApiError> {
        let ec2 = &mut cx.region().ec2;
        let found = ec2
            .key_pairs
            .values()
            .find(|key| Some(&key.name) == self.name.as_ref() || Some(&key.id) == self.id.as_ref());
        let found = found.map(|key| key.id.clone());
        // Deleting what is not there succeeds.
        if let Some(id) = &found {
            ec2.key_pairs.remove(id);
            ec2.tags.forget(id);
        }
        done(xml);
        xml.optional("keyPairId", found);
        Ok(())
    }
}
