//! Answers pages of other origins as the deployed gateway does (`CorsConfiguration` in
//! `template.yaml`; a test compares them). Any page may ask: a key is in a header, not in a cookie.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{HeaderValue, Method, StatusCode};

const ORIGINS: HeaderValue = HeaderValue::from_static("*");
const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,PUT,PATCH,DELETE");
const HEADERS: HeaderValue =
    HeaderValue::from_static("authorization,content-type,idempotency-key,if-match");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-request-id,retry-after,x-ratelimit-limit,x-ratelimit-remaining,x-ratelimit-reset,\
     x-next-after-seq",
);
/// How long a browser remembers the answer to its question, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Adds the headers to answers for pages. The question that a browser asks before is answered here.
/// `/local` is for pages of this server only.
pub(super) async fn with_cors(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !headers.contains_key(ORIGIN) || request.uri().path().starts_with("/local/") {
        return next.run(request).await;
    }
    let asks = headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let is_question = asks && *request.method() == Method::OPTIONS;
    let mut response = match is_question {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ORIGINS);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if is_question {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
    response
}
