//! The part of the API's document about this function. It is combined with those of all functions
//! into `docs/openapi.json`, which is checked in and served. Nothing is generated at run time.
//!
//! A new operation: `#[shared::endpoint]` and `#[utoipa::path]` on its handler, the handler in
//! `endpoints!`, and its body, if it has one, in the `schema.rs` beside the handler. Then `cargo
//! run -- openapi > docs/openapi.json`.
//!
//! The types in `schema.rs` are never built: a handler reads its fields one by one, so that every
//! wrong one is named at once. A field that may be missing and may be null is an `Option`. A field
//! of a `PATCH` that may be missing but not null is `required = false`.

use axum::response::Response;
use shared::runtime::openapi::Failed;
use utoipa::OpenApi;

/// Schemas that the document refers to and no operation names.
#[derive(Debug, OpenApi)]
#[openapi(components(schemas(
    shared::runtime::openapi::Cursor,
    shared::runtime::openapi::ErrorBody,
    shared::runtime::openapi::AuditText,
    shared::runtime::openapi::Day,
    shared::runtime::openapi::EntryHash,
    shared::runtime::openapi::EntrySeq,
    shared::runtime::openapi::Seq,
    crate::usage::schema::UsagePeriod,
)))]
pub struct Schemas;

/// The document as it is checked in.
pub const CHECKED_IN: &str = include_str!("../../../docs/openapi.json");

/// Shows this API's OpenAPI document.
#[shared::endpoint(GET "/v1/openapi.json", ANYBODY)]
#[utoipa::path(
    operation_id = "getOpenapi",
    tag = "Service",
    responses((status = 200, description = "The document.", body = serde_json::Value), Failed),
)]
pub(crate) async fn read() -> Response {
    shared::runtime::http::json(200, CHECKED_IN.to_owned())
}
