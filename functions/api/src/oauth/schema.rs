//! Describes the bodies of requests about tokens, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum GrantType {
    ClientCredentials,
}

/// Unknown fields are ignored.
#[derive(ToSchema)]
pub(crate) struct TokenRequest {
    grant_type: GrantType,
    #[schema(required = false, min_length = 1, max_length = 256)]
    client_id: String,
    #[schema(required = false, min_length = 1, max_length = 256)]
    client_secret: String,
}
