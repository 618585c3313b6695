//! What the API's document says of this function. It is not built into it.

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
    /// Made by the client for this one request: a random id. The same id with the same body is a retry and gets the same
    /// hold, which counts once. So a gateway that asks for several people makes it itself and never takes it from them:
    /// who may choose it can let many requests pass on one hold.
    request_id: ClientId,
    user_id: UserId,
    model: Model,
    provider: Option<Provider>,
    input_tokens: RequestTokens,
    /// What the organisation reserves where nothing is said.
    max_output_tokens: Option<RequestTokens>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeasuredRequest {
    /// Made by the client for this one request: a random id. The same id with the same body is a retry and gets the same
    /// hold, which counts once. So a gateway that asks for several people makes it itself and never takes it from them:
    /// who may choose it can let many requests pass on one hold.
    request_id: ClientId,
    user_id: UserId,
    model: Model,
    provider: Option<Provider>,
    /// Where the client does not count tokens.
    #[schema(minimum = 0, maximum = 4_000_000_000_i64)]
    input_bytes: i64,
    /// What the organisation reserves where nothing is said.
    max_output_tokens: Option<RequestTokens>,
}

/// What a living hold is to become: fields that are not there stay as they are.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenewHold {
    /// It lives so many seconds from now on, if it would end before that. A hold lives at most a day in all.
    #[schema(required = false, minimum = 1, maximum = 86_400)]
    extend_seconds: i64,
    /// It has at least so many tokens in all, those that it has included.
    #[schema(required = false, minimum = 1, maximum = 1_000_000_000)]
    tokens: i64,
    /// The model that it gains tokens for.
    #[schema(required = false)]
    model: Option<Model>,
    #[schema(required = false)]
    provider: Option<Provider>,
}

/// May it be sent?
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
    /// Too many requests of the organisation or of the user are under way.
    TooManyHolds,
    /// The database answers, but too much is asked of it to decide in time.
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

/// What somebody should know who may go on.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum Warning {
    SoftCap(SoftCapWarning),
    Unpriced(UnpricedWarning),
    NotHeld(NotHeldWarning),
}

/// A budget without a hard cap is passed.
#[derive(ToSchema)]
pub(crate) struct SoftCapWarning {
    code: SoftCapCode,
    budget_id: String,
    #[schema(required = true)]
    department_id: Option<String>,
    used_percent: i64,
}

/// The model counts in tokens only.
#[derive(ToSchema)]
pub(crate) struct UnpricedWarning {
    code: UnpricedCode,
    model: String,
    message: String,
}

/// It may pass, and nothing is held for it.
#[derive(ToSchema)]
pub(crate) struct NotHeldWarning {
    code: NotHeldCode,
    message: String,
}
