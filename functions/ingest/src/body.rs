//! Reads the body of a webhook. The cheap checks come first; the body has one of two encodings.

use super::App;
use axum::body::Body;
use futures::StreamExt;
use http::{HeaderMap, header};
use serde_json::Value;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::http::{MAX_BODY_BYTES, too_large};
use shared::runtime::list::form_pairs;
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// The largest body that GitHub sends. Lambda takes at most six megabytes.
pub(crate) const MAX_WEBHOOK_BYTES: usize = 25 * 1024 * 1024;
/// How long a sender may take to send its body. GitHub gives up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A whole body. A large one keeps one of the instance's few places until it is dropped.
pub(crate) struct Received<'a> {
    pub(crate) bytes: Vec<u8>,
    _place: Option<SemaphorePermit<'a>>,
}

/// Reads a body of at most [`MAX_WEBHOOK_BYTES`]. It is not yet known whether the body is signed,
/// so only a few large ones are read at the same time.
pub(crate) async fn read<'a>(
    app: &'a App,
    headers: &HeaderMap,
    body: Body,
) -> Result<Received<'a>, ApiError> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let most = u64::try_from(MAX_WEBHOOK_BYTES).unwrap_or(u64::MAX);
    if length.is_some_and(|length| length > most) {
        return Err(too_large(MAX_WEBHOOK_BYTES));
    }
    match tokio::time::timeout(PATIENCE, collect(app, body)).await {
        Ok(received) => received,
        Err(_) => {
            let message = "the body did not come within ten seconds; redeliver the webhook";
            Err(ApiError::new(ErrorCode::Unavailable, message))
        }
    }
}

async fn collect(app: &App, body: Body) -> Result<Received<'_>, ApiError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut place = None;
    while let Some(chunk) = chunks.next().await {
        let broken = |_| ApiError::field("body", "could not be read completely");
        let chunk = chunk.map_err(broken)?;
        let length = bytes.len().saturating_add(chunk.len());
        if length > MAX_WEBHOOK_BYTES {
            return Err(too_large(MAX_WEBHOOK_BYTES));
        }
        if length > MAX_BODY_BYTES && place.is_none() {
            place = app.large_bodies.acquire().await.ok();
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Received {
        bytes,
        _place: place,
    })
}

/// Reads the JSON of a body: the body itself, or the field `payload` of a form, which is GitHub's
/// default. The body decides which it is, because only the body is signed.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, ApiError> {
    let wrong = |message: &str| ApiError::field("body", message);
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("must be JSON or a form"))?;
    let parsed = match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text),
        false => {
            let mut pairs = form_pairs(text).into_iter();
            let payload = pairs.find(|(name, _)| name == "payload");
            let message = "must be JSON, or a form with the field payload, as GitHub sends it";
            let (_, payload) = payload.ok_or_else(|| wrong(message))?;
            serde_json::from_str(&payload)
        }
    };
    parsed.map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        wrong(&format!("is not JSON: error at {place}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_or_a_form_with_json_in_it() {
        let expected = serde_json::json!({"a": "b c&d"});
        for body in [
            r#"{"a": "b c&d"}"#,
            " \n{\"a\": \"b c&d\"}",
            "payload=%7B%22a%22%3A+%22b%20c%26d%22%7D",
            "x=1&payload=%7B%22a%22%3A%22b+c%26d%22%7D",
        ] {
            assert_eq!(json(body.as_bytes()), Ok(expected.clone()), "{body}");
        }
        for body in ["", "[]", "payload=", "payload", "x=%7B%7D", "{", "\"a\""] {
            assert!(json(body.as_bytes()).is_err(), "{body}");
        }
        assert!(json(&[0xff, 0xfe]).is_err());
    }
}
