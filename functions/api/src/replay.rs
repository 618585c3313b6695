//! Idempotency keys: a repeated request gets the first answer again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::sealing::Sealer;
use shared::store::{Idempotency, StoredAnswer, digest_of};

/// An answer to a request. It may show a secret, so it has no `Debug`.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// The secrets that the body shows, only this once.
    pub(crate) secrets: Vec<String>,
}

/// An idempotency key with its request. It has the caller's secret, so it has no `Debug`.
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

    /// Returns the organisation and the digest under which the answer is stored.
    pub(crate) fn place(&self) -> (Option<&str>, &str) {
        (self.organisation_id.as_deref(), &self.digest)
    }

    /// Returns the answer as it is stored, with its secrets sealed.
    pub(crate) fn keep(&self, answer: &Answer) -> Result<Idempotency, ApiError> {
        let mut body = answer.body.clone();
        let mut sealed_secrets = Vec::new();
        for secret in &answer.secrets {
            let sealed = self.sealer().seal(&self.digest, secret)?;
            body = body.replace(secret, &place_of(&sealed));
            sealed_secrets.push(sealed);
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

    /// Returns the first answer again, or a conflict if the request differs.
    pub(crate) fn replay(&self, stored: StoredAnswer) -> Result<Answer, ApiError> {
        if stored.request_digest != self.request_digest {
            return Err(ApiError::conflict(
                "this Idempotency-Key was used with another request; use a new one",
            ));
        }
        let mut body = stored.body;
        let mut secrets = Vec::new();
        for sealed in &stored.sealed_secrets {
            if let Some(secret) = self.sealer().open(&self.digest, sealed) {
                body = body.replace(&place_of(sealed), &secret);
                secrets.push(secret);
            }
        }
        Ok(Answer {
            status: stored.status,
            body,
            secrets,
        })
    }

    /// Seals with the caller's own secret, which is never stored. A reader of the database learns
    /// nothing, and a writer can alter no secret.
    fn sealer(&self) -> Sealer {
        Sealer::new(&self.caller_secret)
    }
}

/// Takes the secret's place in a stored body. A client cannot write this by chance or on purpose: a
/// sealed secret begins with a random nonce.
fn place_of(sealed: &str) -> String {
    format!("{{secret {sealed}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::runtime::random;

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
    #[test]
    fn a_sealed_secret_that_was_altered_or_moved_is_not_replayed() {
        let answer = Answer {
            status: 201,
            body: "{\"key\":\"tk_0\"}".to_owned(),
            secrets: vec!["tk_0".to_owned()],
        };
        let caller = request("caller", "b");
        let kept = caller.keep(&answer).unwrap().answer;
        let sealed = &kept.sealed_secrets[0];
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            let altered = URL_SAFE_NO_PAD.encode(&bytes);
            bytes[at] ^= 1;
            let stored = StoredAnswer {
                body: kept.body.replace(sealed, &altered),
                sealed_secrets: vec![altered],
                ..kept.clone()
            };
            assert!(caller.replay(stored).unwrap().secrets.is_empty(), "{at}");
        }
        let other_key = IdempotentRequest {
            digest: "another key".to_owned(),
            ..request("caller", "b")
        };
        assert!(other_key.replay(kept).unwrap().secrets.is_empty());
    }
}
