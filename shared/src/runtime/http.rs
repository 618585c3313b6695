//! What every HTTP function does around its handlers.

use super::error::{ApiError, ErrorCode};
use super::random;
use super::rate::Standing;
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

/// The largest body of a request, in bytes; events come 500 at a time. Webhooks of GitHub may be larger.
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
            Err(_) => Err(ApiError::field("body", "could not be read to its end")),
        }
    }
}

/// 413 for a body of more than `most` bytes.
pub fn too_large(most: usize) -> ApiError {
    let message = format!("the body is larger than {most} bytes");
    let mut error = ApiError::new(ErrorCode::PayloadTooLarge, message);
    error.details.push(super::error::Detail {
        field: "body".to_owned(),
        message: format!("must have at most {most} bytes"),
    });
    error
}

/// A router with request ids, one form for all errors, and the limits of bodies.
pub fn finished<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(|| async { ApiError::not_found("path") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(
                ErrorCode::MethodNotAllowed,
                "this path does not take this method",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(with_request_id))
}

/// Gives a request its id and an error its body.
async fn with_request_id(mut request: Request, next: Next) -> Response {
    let id = random::id("req_").unwrap_or_else(|_| "req_unknown".to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    // What the log says of it can be found by the id that its client was told.
    let span = tracing::info_span!("request", request_id = id);
    let standing = StandingSlot::default();
    request.extensions_mut().insert(standing.clone());
    let mut response = next.run(request).instrument(span).await;
    if let Some(error) = response.extensions().get::<ApiError>() {
        response = error.response(&id);
    } else if response.status().is_client_error() && !is_json(&response) {
        // What the router refuses by itself, such as a path that is not UTF-8.
        let message = "the request could not be read";
        response = ApiError::new(ErrorCode::BadRequest, message).response(&id);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", value);
    }
    if let Some(standing) = standing.get() {
        headers.insert("x-ratelimit-limit", standing.limit.into());
        headers.insert("x-ratelimit-remaining", standing.remaining.into());
        headers.insert("x-ratelimit-reset", standing.resets_at.into());
        if standing.is_over {
            headers.insert(header::RETRY_AFTER, standing.resets_in.into());
        }
    }
    response
}

/// Where whoever counts a request leaves what its key has left, for the headers of the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct StandingSlot(Arc<Mutex<Option<Standing>>>);

impl StandingSlot {
    pub(super) fn set(&self, standing: Standing) {
        if let Ok(mut slot) = self.0.lock() {
            *slot = Some(standing);
        }
    }

    fn get(&self) -> Option<Standing> {
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

/// Answers with JSON. An empty text is none: whoever could not write it has logged why.
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
