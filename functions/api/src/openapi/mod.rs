//! What the API's document says of this function. The document of all functions is put together where all of them are known,
//! checked in as `docs/openapi.json`, and served from there: nothing is generated while the function runs.
//!
//! A new operation: `#[shared::endpoint]` and `#[utoipa::path]` on its handler, the handler in
//! `endpoints!`, and its body, if it has one, in [`bodies`]. Then
//! `cargo run -- openapi > docs/openapi.json`.

pub(crate) mod bodies;
mod lists;
pub(crate) mod rules;

use axum::response::Response;
use shared::runtime::openapi::Failed;
use utoipa::OpenApi;

/// Schemas that no operation names and the document refers to.
#[derive(Debug, OpenApi)]
#[openapi(components(schemas(
    shared::runtime::openapi::Cursor,
    shared::runtime::openapi::ErrorBody,
    shared::runtime::openapi::AuditText,
    shared::runtime::openapi::Day,
    shared::runtime::openapi::EntryHash,
    shared::runtime::openapi::EntrySeq,
    shared::runtime::openapi::Seq,
    bodies::UsagePeriod,
)))]
pub struct Schemas;

/// The document as it is checked in.
pub const CHECKED_IN: &str = include_str!("../../../../docs/openapi.json");

/// Shows this document.
#[shared::endpoint(GET "/v1/openapi.json", ANYBODY)]
#[utoipa::path(
    operation_id = "getOpenapi",
    tag = "Service",
    responses((status = 200, description = "The document.", body = serde_json::Value), Failed),
)]
pub(crate) async fn read() -> Response {
    shared::runtime::http::json(200, CHECKED_IN.to_owned())
}
