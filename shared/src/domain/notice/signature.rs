//! Signatures of deliveries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

fn hmac(key: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().to_vec())
}

/// Returns the header `webhook-signature` of the Standard Webhooks scheme: `v1,<base64>` for each
/// secret, the newest first, over `<id>.<timestamp in seconds>.<body>`. The key is the base64 after
/// `whsec_` in the secret.
pub fn standard_signature(secrets: &[String], id: &str, at: Timestamp, body: &str) -> String {
    let seconds = at.as_second().to_string();
    let each = secrets.iter().filter_map(|secret| {
        let key = secret.strip_prefix("whsec_").unwrap_or(secret);
        let key = STANDARD.decode(key).ok()?;
        let parts = [
            id.as_bytes(),
            b".",
            seconds.as_bytes(),
            b".",
            body.as_bytes(),
        ];
        Some(format!("v1,{}", STANDARD.encode(hmac(&key, &parts)?)))
    });
    each.collect::<Vec<_>>().join(" ")
}

/// Returns the header `X-Toktra-Signature`: `sha256=` and the hexadecimal HMAC-SHA256 of the body.
/// The key is the whole text of the newest secret, as in `openssl dgst -sha256 -hmac "$SECRET"`.
pub fn body_signature(secret: &str, body: &str) -> String {
    let mac = hmac(secret.as_bytes(), &[body.as_bytes()]).unwrap_or_default();
    format!("sha256={}", hex::encode(mac))
}
