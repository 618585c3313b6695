//! Signs heads of the audit log. A signature is a JSON Web Token: anybody can check it with the
//! public key, and only this function can make it.

use jiff::civil::Date;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::domain::org::audit_head::AuditHead;
use shared::runtime::secrets::Unread;

/// The bytes before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// How many digits of its digest are the id of the public key.
const KEY_ID_DIGITS: usize = 16;

/// The content of a signature.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    /// The id of the organisation.
    org: String,
    /// The day that ends with this entry.
    day: Date,
    /// The number of the entry.
    seq: u64,
    /// The hash of the entry.
    hash: String,
    /// When the entry was written, in seconds since 1970.
    iat: i64,
}

impl Claims {
    fn of(organisation_id: &str, head: &AuditHead) -> Self {
        Self {
            org: organisation_id.to_owned(),
            day: head.day,
            seq: head.seq,
            hash: head.hash.clone(),
            iat: head.at.as_second(),
        }
    }
}

/// The key of the deployment that signs heads.
#[derive(Clone)]
pub(crate) struct Signer {
    key: EncodingKey,
    public_key: Jwk,
    shown: Value,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a head of the audit log cannot be signed")]
pub(crate) struct NotSigned(#[source] Box<dyn std::error::Error + Send + Sync>);

impl From<Unread> for NotSigned {
    fn from(error: Unread) -> Self {
        Self(error.into())
    }
}

fn not_signed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NotSigned {
    NotSigned(error.into())
}

impl Signer {
    /// Creates a signer. Its key is made of the deployment's secret for it.
    pub(crate) fn new(secret: &str) -> Result<Self, NotSigned> {
        let mut hash = Sha256::new();
        hash.update(b"toktra audit heads\0");
        hash.update(secret.as_bytes());
        let key = EncodingKey::from_ed_der(&[&PKCS8[..], &hash.finalize()].concat());
        let mut public_key = Jwk::from_encoding_key(&key, Algorithm::EdDSA).map_err(not_signed)?;
        let shown = serde_json::to_vec(&public_key.algorithm).map_err(not_signed)?;
        let mut id = hex::encode(Sha256::digest(shown));
        id.truncate(KEY_ID_DIGITS);
        public_key.common.key_id = Some(id);
        Ok(Self {
            shown: serde_json::to_value(&public_key).map_err(not_signed)?,
            key,
            public_key,
        })
    }

    /// Returns the public key as a JSON Web Key. A reader checks signatures with it.
    pub(crate) fn public_key(&self) -> &Value {
        &self.shown
    }

    /// Signs the content of a head.
    pub(crate) fn sign(
        &self,
        organisation_id: &str,
        head: &AuditHead,
    ) -> Result<String, NotSigned> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid.clone_from(&self.public_key.common.key_id);
        let claims = Claims::of(organisation_id, head);
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(not_signed)
    }

    /// Returns whether this key has signed the content of the head.
    pub(crate) fn has_signed(&self, organisation_id: &str, head: &AuditHead) -> bool {
        let mut validation = Validation::new(Algorithm::EdDSA);
        // A head never expires.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let Ok(key) = DecodingKey::from_jwk(&self.public_key) else {
            return false;
        };
        let read = jsonwebtoken::decode::<Claims>(&head.signed_head, &key, &validation);
        read.is_ok_and(|read| read.claims == Claims::of(organisation_id, head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> AuditHead {
        AuditHead {
            day: "2026-11-24".parse().unwrap(),
            seq: 12,
            hash: "ab".repeat(32),
            at: "2026-11-24T12:00:00Z".parse().unwrap(),
            signed_head: String::new(),
            is_archived: false,
        }
    }

    #[test]
    fn a_head_is_known_by_its_own_key_and_organisation_only_and_unaltered_only() {
        let signer = Signer::new("key").unwrap();
        let signed = |head: AuditHead| AuditHead {
            signed_head: signer.sign("acme", &head).unwrap(),
            ..head
        };
        let head = signed(head());
        // Made again, it is the same.
        assert_eq!(head, signed(head.clone()));
        assert!(signer.has_signed("acme", &head));
        assert!(!signer.has_signed("rival", &head));
        assert!(!Signer::new("other").unwrap().has_signed("acme", &head));
        let altered = AuditHead { seq: 13, ..head };
        assert!(!signer.has_signed("acme", &altered));
        let key = signer.public_key();
        assert_eq!(
            (&key["kty"], &key["crv"], &key["alg"]),
            (&"OKP".into(), &"Ed25519".into(), &"EdDSA".into())
        );
    }
}
