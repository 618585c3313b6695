//! The frame of every HTTP function around its handlers.

use super::error::{ApiError, ErrorCode};
use super::random;
use super::rate::RateLimitStatus;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, header};
use serde::Serialize;
use std::sync::{Arc, Mutex};
use tracing::Instrument as _;

/// The largest body of a request, in bytes. Events come in batches of up to 500. GitHub webhooks
/// may be larger.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The id of a request, in its answer's `x-request-id` and in every error.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let id = parts.extensions.get::<Self>().cloned();
        Ok(id.unwrap_or_else(|| Self("none".to_owned())))
    }
}

/// A body that is read whole, up to the limit.
#[derive(Debug)]
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(rejection) if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE => {
                Err(too_large(MAX_BODY_BYTES))
            }
            Err(_) => Err(ApiError::field("body", "could not be read completely")),
        }
    }
}

/// Returns 413 for a body of more than `most` bytes.
pub fn too_large(most: usize) -> ApiError {
    let message = format!("the body is larger than {most} bytes");
    let mut error = ApiError::new(ErrorCode::PayloadTooLarge, message);
    error.details.push(super::error::Detail {
        field: "body".to_owned(),
        message: format!("must have at most {most} bytes"),
    });
    error
}

/// Adds request ids, the common form of errors, and the limits of bodies to a router.
pub fn finished<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(|| async { ApiError::not_found("path") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(
                ErrorCode::MethodNotAllowed,
                "this path does not support this method",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(with_request_id))
}

/// Gives a request its id and an error its body.
async fn with_request_id(mut request: Request, next: Next) -> Response {
    let id = random::id("req_").unwrap_or_else(|_| "req_unknown".to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    // Log lines of the request carry the id that its client got.
    let span = tracing::info_span!("request", request_id = id);
    let rate_limit = RateLimitSlot::default();
    request.extensions_mut().insert(rate_limit.clone());
    let mut response = next.run(request).instrument(span).await;
    if let Some(error) = response.extensions().get::<ApiError>() {
        response = error.response(&id);
    } else if response.status().is_client_error() && !is_json(&response) {
        // The router itself rejects some requests, such as a path that is not UTF-8.
        let message = "the request could not be read";
        response = ApiError::new(ErrorCode::BadRequest, message).response(&id);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", value);
    }
    if let Some(rate_limit) = rate_limit.get() {
        headers.insert("x-ratelimit-limit", rate_limit.limit.into());
        headers.insert("x-ratelimit-remaining", rate_limit.remaining.into());
        headers.insert("x-ratelimit-reset", rate_limit.resets_at.into());
        if rate_limit.is_over {
            headers.insert(header::RETRY_AFTER, rate_limit.resets_in.into());
        }
    }
    response
}

/// Carries the rate limit of the request's key to the headers of the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct RateLimitSlot(Arc<Mutex<Option<RateLimitStatus>>>);

impl RateLimitSlot {
    pub(super) fn set(&self, rate_limit: RateLimitStatus) {
        if let Ok(mut slot) = self.0.lock() {
            *slot = Some(rate_limit);
        }
    }

    fn get(&self) -> Option<RateLimitStatus> {
        self.0.lock().ok().and_then(|slot| *slot)
    }
}

fn is_json(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// Answers with `body` as JSON. If it cannot be written, that is a 500 and an error in the log.
pub fn json_of(status: u16, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => json(status, text),
        Err(error) => ApiError::from(error).into_response(),
    }
}

/// Answers with JSON. An empty body stands for one that could not be serialised: it is a 500.
pub fn json(status: u16, body: String) -> Response {
    if body.is_empty() {
        return ApiError::internal().into_response();
    }
    let internal = http::StatusCode::INTERNAL_SERVER_ERROR;
    let status = http::StatusCode::from_u16(status).unwrap_or(internal);
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_answer_that_cannot_be_written_is_an_internal_error() {
        // JSON has texts as keys only.
        let unwritable = BTreeMap::from([(vec![1], 1)]);
        for (response, status) in [
            (json_of(202, &["a"]), 202),
            (json_of(200, &unwritable), 500),
            (json(200, String::new()), 500),
        ] {
            assert_eq!(response.status().as_u16(), status);
            let error = response.extensions().get::<ApiError>();
            let is_internal = error.is_some_and(|error| error.code == ErrorCode::Internal);
            assert_eq!(is_internal, status == 500);
        }
    }
}
