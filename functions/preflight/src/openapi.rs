//! The bodies of this function in the OpenAPI document. The deployed function is built without
//! them.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use shared::runtime::openapi::{ClientId, Model, Provider, RequestTokens, UserId};
use utoipa::ToSchema;

/// A request that is to be sent, with its input counted in tokens or measured in bytes.
#[derive(ToSchema)]
#[schema(as = PreflightRequest)]
#[serde(untagged)]
pub(crate) enum PreflightBody {
    Counted(CountedRequest),
    Measured(MeasuredRequest),
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountedRequest {
    /// A random id that the client makes for this one request. The same id with the same body is a
    /// retry: it gets the same hold, which counts once. If a gateway asks for several people, it
    /// must make the id itself: a user who may choose it can let many requests pass on one hold.
    request_id: ClientId,
    user_id: UserId,
    model: Model,
    provider: Option<Provider>,
    input_tokens: RequestTokens,
    /// If missing, the amount that the organisation reserves.
    max_output_tokens: Option<RequestTokens>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeasuredRequest {
    /// A random id that the client makes for this one request. The same id with the same body is a
    /// retry: it gets the same hold, which counts once. If a gateway asks for several people, it
    /// must make the id itself: a user who may choose it can let many requests pass on one hold.
    request_id: ClientId,
    user_id: UserId,
    model: Model,
    provider: Option<Provider>,
    /// Given if the client does not count tokens.
    #[schema(minimum = 0, maximum = 4_000_000_000_i64)]
    input_bytes: i64,
    /// If missing, the amount that the organisation reserves.
    max_output_tokens: Option<RequestTokens>,
}

/// The changes to a live hold. A field that is missing stays as it is.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenewHold {
    /// The hold lives at least this many seconds from now. A hold lives at most a day in all.
    #[schema(required = false, minimum = 1, maximum = 86_400)]
    extend_seconds: i64,
    /// The hold has at least this many tokens in all, including those that it has.
    #[schema(required = false, minimum = 1, maximum = 1_000_000_000)]
    tokens: i64,
    /// The model of the tokens that the hold gains.
    #[schema(required = false)]
    model: Option<Model>,
    #[schema(required = false)]
    provider: Option<Provider>,
}

/// Whether the request may be sent.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Answer {
    Allow,
    Block,
}

/// Why a request was refused.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum RefusalCode {
    BudgetExhausted,
    UserBlocked,
    UserSuspended,
    UnknownUser,
    UnknownModel,
    /// The level that decides which models may be used forbids this one; `permitted` has its rule.
    ModelNotAllowed,
    /// Too many requests of the organisation or of the user are in flight.
    TooManyHolds,
    /// The database answers, but is too busy to decide in time.
    Overloaded,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum SoftCapCode {
    SoftCapExceeded,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum UnpricedCode {
    Unpriced,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum NotHeldCode {
    Unavailable,
    TooManyHolds,
    Overloaded,
}

/// Something to know although the request may be sent.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum Warning {
    SoftCap(SoftCapWarning),
    Unpriced(UnpricedWarning),
    NotHeld(NotHeldWarning),
}

/// A budget without a hard cap is exceeded.
#[derive(ToSchema)]
pub(crate) struct SoftCapWarning {
    code: SoftCapCode,
    budget_id: String,
    #[schema(required = true)]
    department_id: Option<String>,
    used_percent: i64,
}

/// The model has no known price, so it counts in tokens only.
#[derive(ToSchema)]
pub(crate) struct UnpricedWarning {
    code: UnpricedCode,
    model: String,
    message: String,
}

/// The request may pass, but nothing is held for it.
#[derive(ToSchema)]
pub(crate) struct NotHeldWarning {
    code: NotHeldCode,
    message: String,
}
