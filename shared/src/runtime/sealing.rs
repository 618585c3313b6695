//! Seals secrets that must be read again, with a key of the deployment.

use super::error::{ApiError, ErrorCode};
use super::random;
use super::secrets::{Secret, Unread};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

const NONCE: usize = 24;

/// Seals and opens secrets. A secret that was sealed for one organisation cannot be opened for
/// another.
#[derive(Clone)]
pub struct Sealer(XChaCha20Poly1305);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Creates a sealer whose key is derived from `secret`.
    pub fn new(secret: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"toktra sealing\0");
        hash.update(secret.as_bytes());
        let key: [u8; 32] = hash.finalize().into();
        Self(XChaCha20Poly1305::new(&key.into()))
    }

    /// Seals `secret` so that it may be stored under `organisation_id`.
    pub fn seal(&self, organisation_id: &str, secret: &str) -> Result<String, ApiError> {
        let nonce = random::bytes::<NONCE>()?;
        let payload = Payload {
            msg: secret.as_bytes(),
            aad: organisation_id.as_bytes(),
        };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed
            .map_err(|_| ApiError::new(ErrorCode::Internal, "a secret could not be sealed"))?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens a sealed secret. Returns None if it was sealed with another key or for another
    /// organisation.
    pub fn open(&self, organisation_id: &str, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let payload = Payload {
            msg: sealed,
            aad: organisation_id.as_bytes(),
        };
        let opened = self.0.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(opened).ok()
    }
}

/// Seals and opens with a secret of the deployment. If it was rotated, what the one before sealed
/// is opened.
#[derive(Clone, Debug)]
pub struct Vault(Secret);

impl Vault {
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// Seals `secret` so that it may be stored under `organisation_id`.
    pub async fn seal(&self, organisation_id: &str, secret: &str) -> Result<String, ApiError> {
        let versions = self.0.versions().await?;
        Sealer::new(versions.current()).seal(organisation_id, secret)
    }

    /// Opens a sealed secret. Returns None if neither value has sealed it for this organisation.
    pub async fn open(
        &self,
        organisation_id: &str,
        sealed: &str,
    ) -> Result<Option<String>, Unread> {
        let open = |secret: &str| Sealer::new(secret).open(organisation_id, sealed);
        let known = self.0.versions().await?;
        if let Some(opened) = known.all().find_map(open) {
            return Ok(Some(opened));
        }
        let others = self.0.others(&known).await;
        Ok(others.and_then(|others| others.all().find_map(open)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::secrets::tests::Manager;

    #[test]
    fn what_is_sealed_opens_for_its_organisation_and_key_only() {
        let sealer = Sealer::new("key");
        let sealed = sealer.seal("acme", "secret").unwrap();
        assert!(!sealed.contains("secret"));
        assert_ne!(sealed, sealer.seal("acme", "secret").unwrap());
        assert_eq!(sealer.open("acme", &sealed).as_deref(), Some("secret"));
        assert_eq!(sealer.open("rival", &sealed), None);
        assert_eq!(Sealer::new("other").open("acme", &sealed), None);
        assert_eq!(sealer.open("acme", "x"), None);
    }

    #[tokio::test]
    async fn what_was_sealed_before_a_rotation_opens_after_it_and_the_other_way_round() {
        let manager = Manager::with(&["one"]);
        let early = Vault::new(manager.secret());
        let old = early.seal("acme", "secret").await.unwrap();
        manager.rotate("two");
        let late = Vault::new(manager.secret());
        let new = late.seal("acme", "secret").await.unwrap();
        for (vault, sealed) in [(&late, &old), (&early, &new), (&early, &old)] {
            let opened = vault.open("acme", sealed).await.unwrap();
            assert_eq!(opened.as_deref(), Some("secret"));
        }
        assert_eq!(late.open("rival", &new).await.unwrap(), None);
    }
}
