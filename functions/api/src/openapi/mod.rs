//! What the API's document says of this function. The document of all functions is put together where all of them are known,
//! checked in as `docs/openapi.json`, and served from there: nothing is generated while the function runs.
//!
//! A new operation: `#[utoipa::path]` on its handler, the handler in [`Document`], and its body, where it has one, in
//! [`bodies`]. Then `cargo run -- openapi > docs/openapi.json`.

pub(crate) mod bodies;
mod lists;
pub(crate) mod rules;

use axum::response::Response;
use shared::runtime::openapi::Failed;
use utoipa::OpenApi;

/// The operations of this function.
#[derive(Debug, OpenApi)]
#[openapi(
    paths(
        read,
        crate::health,
        super::organisations::create,
        super::organisations::list,
        super::organisations::create_admin_key,
        super::organisations::read,
        super::organisations::update,
        super::departments::create,
        super::departments::list,
        super::tree::read,
        super::departments::read,
        super::departments::update,
        super::departments::remove,
        super::users::create,
        super::users::list,
        super::users::read,
        super::users::update,
        super::users::block,
        super::users::release,
        super::budgets::create,
        super::budgets::list,
        super::budgets::effective,
        super::budgets::read,
        super::budgets::update,
        super::budgets::remove,
        super::top_ups::create,
        super::rollovers::of_budget,
        super::rollovers::list,
        super::usage::list,
        super::corrections::create,
        super::corrections::list,
        super::events::list,
        super::events::decide,
        super::alerts::list,
        super::alerts::read,
        super::alerts::update,
        super::incidents::list,
        super::incidents::read,
        super::incidents::update,
        super::policies::create,
        super::policies::list,
        super::policies::read,
        super::policies::update,
        super::policies::remove,
        super::policies::publish,
        super::policies::disable,
        super::backtests::test,
        super::webhooks::create,
        super::webhooks::list,
        super::webhooks::read,
        super::webhooks::update,
        super::webhooks::remove,
        super::webhook_retry::retry_all,
        super::webhooks::rotate,
        super::webhooks::test,
        super::webhooks::deliveries,
        super::webhooks::retry,
        super::github::read,
        super::github::put,
        super::github::risks,
        super::github::put_risks,
        super::api_keys::create,
        super::api_keys::list,
        super::api_keys::remove,
        super::oauth::create,
        super::oauth::list,
        super::oauth::remove,
        super::oauth::token,
        super::exemptions::create,
        super::exemptions::list,
        super::exemptions::read_one,
        super::exemption_steps::approve,
        super::exemption_steps::deny,
        super::exemption_steps::revoke,
        super::audit::list,
        super::audit::export,
        super::audit::verify,
        super::suppressions::list,
        super::suppressions::remove,
    ),
    components(schemas(
        shared::runtime::openapi::Cursor,
        shared::runtime::openapi::ErrorBody,
        shared::runtime::openapi::AuditText,
        shared::runtime::openapi::Day,
        shared::runtime::openapi::EntryHash,
        shared::runtime::openapi::EntrySeq,
        shared::runtime::openapi::Seq,
        bodies::UsagePeriod,
    ))
)]
pub struct Document;

/// The document as it is checked in.
pub const CHECKED_IN: &str = include_str!("../../../../docs/openapi.json");

/// Shows this document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "getOpenapi",
    tag = "Service",
    responses((status = 200, description = "The document.", body = serde_json::Value), Failed),
    security(()),
)]
pub(crate) async fn read() -> Response {
    shared::runtime::http::json(200, CHECKED_IN.to_owned())
}
