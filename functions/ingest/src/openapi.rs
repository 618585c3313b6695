//! What the API's document says of this function.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use super::Rejected;
use shared::domain::usage::{Operation, RiskLevel};
use shared::runtime::error::Detail;
use shared::runtime::openapi::{
    ClientId, ErrorName, HoldId, Model, Moment, Provider, Repository, RequestTokens, Source,
    Summary, UserId,
};
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(as = Events)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsBody {
    #[schema(min_items = 1, max_items = 500)]
    events: Vec<EventBody>,
}

/// Something that happened.
#[derive(ToSchema)]
#[schema(as = Event)]
#[serde(untagged)]
pub(crate) enum EventBody {
    Usage(UsageEvent),
    CutOff(CutOffEvent),
    Risk(RiskEvent),
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum UsageType {
    LlmRequest,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Whole {
    Completed,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum CutOff {
    Aborted,
    Failed,
}

/// An error, with what is said of each event if it is about them.
#[derive(ToSchema)]
#[schema(as = NoAcceptedEvents)]
pub(crate) struct NothingAccepted {
    error: ErrorName,
    message: String,
    details: Vec<Detail>,
    request_id: String,
    accepted: Option<usize>,
    duplicates: Option<usize>,
    rejected: Option<Vec<Rejected>>,
    conflicts: Option<Vec<Rejected>>,
}

/// A request that was answered. With a `hold_id` it settles the hold.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageEvent {
    event_id: ClientId,
    r#type: UsageType,
    /// Not older than 13 months, and at most five minutes ahead.
    occurred_at: Moment,
    user_id: UserId,
    provider: Provider,
    model: Model,
    input_tokens: RequestTokens,
    output_tokens: RequestTokens,
    /// How many of the input tokens came from a cache.
    cached_input_tokens: Option<RequestTokens>,
    hold_id: Option<HoldId>,
    outcome: Option<Whole>,
    /// `chat` if nothing is said. What is larger than a request of its kind can be is held back from the counters. A key that is
    /// bound to a user reports no `aggregate`.
    operation: Option<Operation>,
    source: Option<Source>,
}

/// A request that was cut off. Tokens that nobody counted may be missing.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CutOffEvent {
    event_id: ClientId,
    r#type: UsageType,
    /// Not older than 13 months, and at most five minutes ahead.
    occurred_at: Moment,
    user_id: UserId,
    provider: Provider,
    model: Model,
    input_tokens: Option<RequestTokens>,
    output_tokens: Option<RequestTokens>,
    /// How many of the input tokens came from a cache.
    cached_input_tokens: Option<RequestTokens>,
    hold_id: Option<HoldId>,
    outcome: CutOff,
    operation: Option<Operation>,
    source: Option<Source>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum RiskType {
    IpRisk,
}

/// A risk that was seen.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RiskEvent {
    event_id: ClientId,
    r#type: RiskType,
    /// Not older than 13 months, and at most five minutes ahead.
    occurred_at: Moment,
    user_id: Option<UserId>,
    risk_level: RiskLevel,
    repository: Option<Repository>,
    summary: Summary,
    source: Option<Source>,
}
