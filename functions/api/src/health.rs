//! Says whether the function runs.

use axum::response::Response;
use shared::runtime::http::json;
use shared::runtime::openapi::Failed;
use utoipa::ToSchema;

/// Reports that the function is running.
#[shared::endpoint(GET "/v1/health", ANYBODY)]
#[utoipa::path(
    operation_id = "getHealth",
    tag = "Service",
    responses((status = 200, description = "It answers.", body = Health), Failed),
)]
pub(crate) async fn read() -> Response {
    json(200, r#"{"status":"ok"}"#.to_owned())
}

/// The answer of a running function.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a constant")]
struct Health {
    #[schema(pattern = "^ok$")]
    status: String,
}
