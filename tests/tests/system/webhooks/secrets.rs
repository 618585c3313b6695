//! Signatures and the rotation of what makes them.

use super::{pass, path, seen, test, webhook, world};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use end_to_end::receiver::Received;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The Standard Webhooks signature and that of the body, computed here.
pub(super) fn signatures(secret: &str, got: &Received) -> (String, String) {
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let signed = format!(
        "{}.{}.{}",
        got.header("webhook-id"),
        got.header("webhook-timestamp"),
        got.body
    );
    let standard = format!("v1,{}", STANDARD.encode(hmac(&key, &signed)));
    let hex: String = hmac(secret.as_bytes(), &got.body)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    (standard, format!("sha256={hex}"))
}

#[tokio::test]
async fn the_old_secret_signs_for_one_more_day_only() {
    let (world, receiver) = world().await;
    let made = webhook(&world, &receiver, json!({})).await;
    let secret = |webhook: &Value| webhook["signing_secret"].as_str().unwrap().to_owned();
    let rotate = format!("{}/rotate-secret", path(&made));
    let headers = [("idempotency-key", "k")];
    let rotated = world
        .raw(end_to_end::ADMIN, "POST", &rotate, &headers, "")
        .await
        .expect(200);
    let again = world
        .raw(end_to_end::ADMIN, "POST", &rotate, &headers, "")
        .await
        .expect(200);
    assert_eq!(
        again, rotated,
        "the same request again does not rotate again"
    );
    assert_ne!(secret(&rotated), secret(&made));
    assert_eq!(
        seen(&world, &made).await["old_secret_until"],
        "2026-11-25T12:00:00Z"
    );
    test(&world, &made).await;
    let got = &receiver.received()[0];
    let (new, of_body) = signatures(&secret(&rotated), got);
    let (old, _) = signatures(&secret(&made), got);
    assert_eq!(got.header("webhook-signature"), format!("{new} {old}"));
    assert_eq!(got.header("x-toktra-signature"), of_body);
    pass(&world, 24 * 3_600).await;
    test(&world, &made).await;
    let got = &receiver.received()[1];
    assert_eq!(
        got.header("webhook-signature"),
        signatures(&secret(&rotated), got).0
    );
    assert_eq!(seen(&world, &made).await["old_secret_until"], Value::Null);
}
