//! Idempotency keys: the same request again gets the first answer again.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::{Digest, Sha256};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::random;
use shared::store::{Idempotency, StoredAnswer, digest_of};

/// An answer on its way out. It may show a secret, so it is never printed.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Secrets that the body shows this once.
    pub(crate) secrets: Vec<String>,
}

/// An idempotency key with the request it came with. It has the caller's secret, so it is never printed.
pub(crate) struct IdempotentRequest {
    organisation_id: Option<String>,
    digest: String,
    request_digest: String,
    caller_secret: String,
}

impl IdempotentRequest {
    /// Reads the header `Idempotency-Key`, if there is one.
    pub(crate) fn of(
        headers: &HeaderMap,
        caller: &Caller,
        path: &str,
        body: &[u8],
    ) -> Result<Option<Self>, ApiError> {
        let Some(value) = headers.get("idempotency-key") else {
            return Ok(None);
        };
        let key = value
            .to_str()
            .ok()
            .filter(|key| (1..=255).contains(&key.len()));
        let rule = "must be 1 to 255 visible ASCII characters";
        let key = key.ok_or_else(|| ApiError::field("Idempotency-Key", rule))?;
        let organisation_id = match caller {
            Caller::Operator { .. } => None,
            Caller::Key { owner, .. } => Some(owner.organisation_id.clone()),
        };
        let mut request = Sha256::new();
        request.update(path.as_bytes());
        request.update([0]);
        request.update(body);
        let request_digest = URL_SAFE_NO_PAD.encode(request.finalize());
        Ok(Some(Self {
            organisation_id,
            digest: digest_of(&format!("{}\0{key}", caller.secret())),
            request_digest,
            caller_secret: caller.secret().to_owned(),
        }))
    }

    /// Where the answer is looked for.
    pub(crate) fn place(&self) -> (Option<&str>, &str) {
        (self.organisation_id.as_deref(), &self.digest)
    }

    /// The answer in the form it is kept in: a secret is sealed with what only the caller has.
    pub(crate) fn keep(&self, answer: &Answer) -> Result<Idempotency, ApiError> {
        let mut body = answer.body.clone();
        let mut sealed_secrets = Vec::new();
        for secret in &answer.secrets {
            let nonce = random::bytes::<16>()?;
            let mut sealed = nonce.to_vec();
            sealed.extend(self.masked(&nonce, secret.as_bytes()));
            body = body.replace(secret, &place_of(&nonce));
            sealed_secrets.push(URL_SAFE_NO_PAD.encode(sealed));
        }
        Ok(Idempotency {
            organisation_id: self.organisation_id.clone(),
            digest: self.digest.clone(),
            answer: StoredAnswer {
                request_digest: self.request_digest.clone(),
                status: answer.status,
                body,
                sealed_secrets,
            },
        })
    }

    /// The first answer again, or a conflict where the request was another.
    pub(crate) fn replay(&self, stored: StoredAnswer) -> Result<Answer, ApiError> {
        if stored.request_digest != self.request_digest {
            return Err(ApiError::conflict(
                "this Idempotency-Key was used with another request; use a new one",
            ));
        }
        let mut body = stored.body;
        let mut secrets = Vec::new();
        for sealed in &stored.sealed_secrets {
            if let Some((place, secret)) = self.unseal(sealed) {
                body = body.replace(&place, &secret);
                secrets.push(secret);
            }
        }
        Ok(Answer {
            status: stored.status,
            body,
            secrets,
        })
    }

    /// What stands for the secret in the stored body, and the secret.
    fn unseal(&self, sealed: &str) -> Option<(String, String)> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, masked) = bytes.split_first_chunk::<16>()?;
        let secret = String::from_utf8(self.masked(nonce, masked)).ok()?;
        Some((place_of(nonce), secret))
    }

    /// `bytes` XOR a stream of HMAC-SHA256(caller's secret, nonce and counter); the nonce is used once.
    fn masked(&self, nonce: &[u8; 16], bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for (counter, chunk) in (0_u32..).zip(bytes.chunks(32)) {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.caller_secret.as_bytes()) else {
                continue;
            };
            mac.update(b"toktra sealed answer");
            mac.update(nonce);
            mac.update(&counter.to_be_bytes());
            let stream = mac.finalize().into_bytes();
            out.extend(chunk.iter().zip(stream).map(|(byte, mask)| byte ^ mask));
        }
        out
    }
}

/// Stands for the secret in a stored body; no text of a client can contain it by chance or intent.
fn place_of(nonce: &[u8; 16]) -> String {
    format!("{{secret {}}}", URL_SAFE_NO_PAD.encode(nonce))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(secret: &str, body: &str) -> IdempotentRequest {
        IdempotentRequest {
            organisation_id: None,
            digest: "d".to_owned(),
            request_digest: body.to_owned(),
            caller_secret: secret.to_owned(),
        }
    }

    #[test]
    fn a_secret_is_replayed_to_its_caller_and_kept_from_others() {
        let secret = random::secret("tk_").unwrap();
        let answer = Answer {
            status: 201,
            body: format!("{{\"key\":\"{secret}\"}}"),
            secrets: vec![secret.clone()],
        };
        let kept = request("caller", "b").keep(&answer).unwrap().answer;
        assert!(!kept.body.contains(&secret));
        assert!(!kept.sealed_secrets.concat().contains(&secret));
        let replayed = request("caller", "b").replay(kept.clone()).unwrap();
        assert_eq!(replayed.body, answer.body);
        let foreign = request("another", "b").replay(kept.clone());
        assert!(foreign.is_ok_and(|answer| !answer.body.contains(&secret)));
        assert!(request("caller", "other body").replay(kept).is_err());
    }
}
