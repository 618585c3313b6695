//! The bodies of this function in the OpenAPI document.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use super::view::Rejected;
use shared::domain::ledger::usage::{Operation, RiskLevel};
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

/// A usage or risk event that a client reports.
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

/// An error. If it is about single events, these are listed.
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

/// A request that was answered. If it has a `hold_id`, it settles the hold.
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
    /// `chat` if missing. If the tokens exceed what one request of its kind can have, the event is
    /// held back from the counters. A key that is bound to a user may not report `aggregate`.
    operation: Option<Operation>,
    source: Option<Source>,
}

/// A request that was cut off. Its tokens may be missing if they were not counted.
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
