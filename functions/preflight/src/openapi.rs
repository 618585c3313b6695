//! The bodies of this function in the OpenAPI document. The deployed function is built without
//! them.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use shared::domain::ledger::usage::Operation;
use shared::domain::pricing::tokens::ServiceTier;
use shared::runtime::openapi::{
    ClientId, Image, Metadata, Model, Provider, ReportedCost, RequestTokens, Tag, UserId,
};
use utoipa::ToSchema;

/// A request that is to be sent, with its input counted in tokens or measured in bytes.
#[derive(ToSchema)]
#[schema(as = PreflightRequest)]
#[serde(untagged)]
pub(crate) enum PreflightBody {
    Counted(CountedRequest),
    Measured(MeasuredRequest),
}

/// Declares a request: the fields that all of them have, and its own.
macro_rules! request {
    ($(#[doc = $doc:literal])+ $name:ident { $($own:tt)* }) => {
        $(#[doc = $doc])+
        #[derive(ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// A random id that the client makes for this one request. The same id with the same
            /// body is a retry: it gets the same hold, which counts once. If a gateway asks for
            /// several people, it must make the id itself: a user who may choose it can let many
            /// requests pass on one hold.
            request_id: ClientId,
            user_id: UserId,
            model: Model,
            provider: Option<Provider>,
            /// If missing, the amount that the organisation reserves; none for an embedding.
            max_output_tokens: Option<RequestTokens>,
            /// The output tokens that the model may think. A part of `max_output_tokens`, as is the
            /// next.
            reasoning_tokens: Option<RequestTokens>,
            audio_output_tokens: Option<RequestTokens>,
            /// Pictures, on top of the input. They are counted by the rules that the model's
            /// provider publishes. Not together with `image_input_tokens`.
            #[schema(max_items = 100)]
            images: Option<Vec<Image>>,
            /// The tier at which it will be served; `default` if missing.
            service_tier: Option<ServiceTier>,
            /// `chat` if missing.
            operation: Option<Operation>,
            /// The cost that a gateway expects. It is held if the organisation's `price_source` is
            /// `reported`.
            cost_usd: Option<ReportedCost>,
            /// Asks for a lease: holds for so many requests like this one, all or none. It lives
            /// for a minute at most, and no exemption admits it.
            #[schema(minimum = 1, maximum = 100)]
            requests: Option<u8>,
            /// They are checked and not kept: no decision depends on them, as on `metadata`.
            #[schema(max_items = 20)]
            tags: Option<Vec<Tag>>,
            metadata: Option<Metadata>,
            $($own)*
        }
    };
}

request! {
    /// A request whose input tokens the client has counted.
    CountedRequest {
        input_tokens: RequestTokens,
        /// The input tokens that the provider has cached. A part of `input_tokens`, as are the four
        /// that follow: together they are at most all of it.
        cached_input_tokens: Option<RequestTokens>,
        /// Those that will be written to a cache for five minutes.
        cache_write_tokens: Option<RequestTokens>,
        /// Those that will be written to a cache for an hour.
        cache_write_1h_tokens: Option<RequestTokens>,
        audio_input_tokens: Option<RequestTokens>,
        image_input_tokens: Option<RequestTokens>,
        /// How much of `cached_input_tokens` is sound: at most all of it. If it is missing, what is
        /// cached of a request with sound is priced as sound.
        cached_audio_input_tokens: Option<RequestTokens>,
    }
}

request! {
    /// A request whose input is measured, because the client does not count tokens.
    MeasuredRequest {
        /// The bytes of its text.
        #[schema(minimum = 0, maximum = 4_000_000_000_i64)]
        input_bytes: i64,
    }
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

/// The model has no known price. The message says whether it is charged at the dearest price of its
/// provider, or counts in tokens only.
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
